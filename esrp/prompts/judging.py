"""What a judge is sent: a pure function of the dialogue and nothing else."""

from collections.abc import Sequence
from typing import Any

from esrp.dialogue import Dialogue
from esrp.metrics import METRIC_IDS, METRICS, SCORES, Language, Metric
from esrp.prompts import load
from esrp.prompts.fence import fence, transcript

# A judge shall not vary; nine scores with a sentence each fit well into its tokens.
JUDGE_PARAMS: dict[str, Any] = {"temperature": 0, "max_tokens": 2048}

ECHOED = 12_000  # characters of an answer without all scores that its judge is shown again; a good one has 1,000

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


def repair_messages(asked: Sequence[dict[str, str]], answer: str, language: Language) -> list[dict[str, str]]:
    """What was ``asked``, the ``answer`` that lacks scores (its beginning), and the request for all nine.

    After an empty answer the same question again: many endpoints refuse a message without content.
    """
    if not answer.strip():
        return list(asked)
    again = load("judge_repair", language).text
    return [*asked, {"role": "assistant", "content": answer[:ECHOED]}, {"role": "user", "content": again}]


def judge_format() -> dict[str, Any]:
    """The answer's form for endpoints with structured output: nine scores with their reasons, nothing else."""
    return json_format("esrp_ratings", {metric: object_of(SCORED) for metric in METRIC_IDS})


SCORED: dict[str, Any] = {"score": {"type": "integer", "enum": list(SCORES)}, "explanation": {"type": "string"}}


def json_format(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """A ``response_format`` of kind ``json_schema``: an object that has these properties and no others."""
    schema = {"name": name, "strict": True, "schema": object_of(properties)}
    return {"type": "json_schema", "json_schema": schema}


def object_of(properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object with all of these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


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
