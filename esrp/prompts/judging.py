"""What a judge is sent: a pure function of the dialogue and nothing else."""

from typing import Any

from esrp.dialogue import Dialogue
from esrp.metrics import METRICS, Language, Metric
from esrp.prompts import load
from esrp.prompts.fence import fence, transcript

# A judge shall not vary; nine scores with a sentence each fit well into its tokens.
JUDGE_PARAMS: dict[str, Any] = {"temperature": 0, "max_tokens": 2048}

# Stands in every manifest; a test holds the judge's prompt to it.
JUDGE_SEES = ("character.name", "character.work", "character.profile", "turns")


def judge_messages(dialogue: Dialogue, language: Language) -> list[dict[str, str]]:
    """Ask for nine scores: character, dialogue, then metrics. A judge sees ``JUDGE_SEES``: no label, no model."""
    character = dialogue.character
    material = load("judge_material", language).render(
        name=fence(character.name),
        work=fence(character.work),
        profile=fence(character.profile),
        dialogue=transcript(dialogue.turns, language),
        metrics=metrics_text(language),
    )
    return [{"role": "system", "content": load("judge", language).text}, {"role": "user", "content": material}]


def metrics_text(language: Language) -> str:
    """The nine metrics for a judge, a line each, in the words that people who rate are shown too."""
    line = _line_zh if language == "zh" else _line_en
    return "\n".join(line(metric) for metric in METRICS)


def _line_zh(metric: Metric) -> str:
    words = metric.zh
    scores = f"1–2分：{words.low}；3分：{words.middle}；4–5分：{words.high}。"
    return f"- {metric.id}（{words.name}）：{words.question}{scores}"


def _line_en(metric: Metric) -> str:
    words = metric.en
    scores = f"1–2: {words.low}; 3: {words.middle}; 4–5: {words.high}."
    return f"- {metric.id} ({words.name}): {words.question} {scores}"
