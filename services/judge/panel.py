"""The LLM panel: one call a dialogue and judge, answered in JSON with score and reason a metric (paper, appendix E)."""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from esrp.dialogue import Dialogue
from esrp.metrics import METRICS, SCORES, Language
from esrp.prompts.judging import JUDGE_PARAMS, judge_messages
from services.judge.rating import Fault, Score, Verdict
from services.kit.budget import Errand
from services.kit.chat import ChatClient, ChatError, Endpoint, Stopped, Usage, storable
from services.kit.gate import Gate
from services.kit.settings import JudgeSettings

LONGEST_EXPLANATION = 2000  # characters; asked for is one sentence


@dataclass(frozen=True, slots=True)
class PanelRater:
    """A judge behind an OpenAI-compatible endpoint of the operator's."""

    judge: JudgeSettings
    endpoint: Endpoint
    client: ChatClient
    gate: Gate | None = None

    @property
    def max_concurrency(self) -> int:
        """How many verdicts it holds: some wait at its gate, so that no seat is empty while one is saved."""
        seats = self.judge.max_concurrency
        return seats if self.gate is None else seats + seats // 2 + 1

    async def rate(self, dialogue: Dialogue, language: Language, errand: Errand) -> Verdict:
        """Ask once, patiently, and read what can be read of the answer."""
        body = request_body(self.judge, dialogue, language)
        door = errand.door(self.gate, body, "judge")
        try:
            reply = await self.client.insist(self.endpoint, body, stopped=errand.stopped, door=door)
        except Stopped as stop:
            return Verdict(stopped=True, usage=stop.billed)
        except ChatError as error:
            message = f"The judge {self.judge.name}: {error.message}"
            return Verdict(error=Fault(error.code, message, error.retryable), usage=error.billed or Usage())
        usage = Usage(reply.calls, reply.prompt_tokens, reply.completion_tokens)
        return Verdict(scores_in(reply.text), reply.text, usage=usage)


def panel_rater(judge: JudgeSettings, client: ChatClient, gate: Gate | None = None) -> PanelRater:
    """The rater for a configured judge of kind ``chat``."""
    return PanelRater(judge, Endpoint(judge.base_url, judge.model, judge.key()), client, gate)


def request_body(judge: JudgeSettings, dialogue: Dialogue, language: Language) -> dict[str, Any]:
    """What is sent: a pure function of judge and dialogue, so that the same run gives the same requests."""
    params = JUDGE_PARAMS if judge.params is None else judge.params
    return {**params, "model": judge.model, "messages": judge_messages(dialogue, language)}


# --- reading the reply ------------------------------------------------------------------------------------------------


def scores_in(text: str) -> dict[str, Score]:
    """The valid scores in a judge's reply, by metric, in the paper's order; empty if there are none.

    Looks for a JSON object anywhere in the text and takes the one with the most metrics, the last of equals. A metric
    that is missing, out of range, not whole, or given twice and differently has no score.
    """
    best: dict[str, Score] = {}
    for found in _objects(text):
        scores = _scores(found)
        if len(scores) >= len(best):
            best = scores
    return {metric.id: best[metric.id] for metric in METRICS if metric.id in best}


MOST_OBJECTS = 200  # braces that are looked at; a reply that is all braces must not cost a minute


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every outermost JSON object in the text."""
    decoder, at = json.JSONDecoder(strict=False), -1
    for _ in range(MOST_OBJECTS):
        at = text.find("{", at + 1)
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        yield found
        at = end - 1


def _scores(found: Mapping[str, Any]) -> dict[str, Score]:
    given: dict[str, list[Score]] = {}
    for metric, value in _given(found, depth=2):
        if (score := _score(value)) is not None:
            given.setdefault(metric, []).append(score)
    return {metric: scores[0] for metric, scores in given.items() if len({score.score for score in scores}) == 1}


def _given(found: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    """What is given for each metric, also where a judge puts its metrics into a box or sorts them by dimension."""
    for key, value in found.items():
        if (metric := _METRIC_OF.get(_plain(key))) is not None:
            yield metric, value
        elif depth and isinstance(value, dict):
            yield from _given(value, depth - 1)


def _score(value: Any) -> Score | None:
    if not isinstance(value, dict):
        number, explanation = value, None
    else:
        fields = {_plain(key): item for key, item in value.items()}
        number = next((fields[name] for name in _SCORE if name in fields), None)
        explanation = next((fields[name] for name in _EXPLANATION if isinstance(fields.get(name), str)), None)
    score = _whole(number)
    reason = None if explanation is None else storable(explanation)[:LONGEST_EXPLANATION]
    return None if score is None else Score(score, reason)


def _whole(number: Any) -> int | None:
    """4, 4.0, "4" and "4.0" are a 4; 3.5, true and 6 are nothing."""
    if isinstance(number, str):
        number = float(number) if _NUMBER.fullmatch(number.strip()) else None
    if isinstance(number, bool) or not isinstance(number, int | float) or number not in SCORES:
        return None
    return int(number)


def _plain(key: str) -> str:
    """A key without what judges like to put around it: case, spaces, hyphens, numbering, asterisks."""
    return _AROUND.sub("", unicodedata.normalize("NFKC", key).casefold())


_NUMBER = re.compile(r"\d(\.0+)?")
_AROUND = re.compile(r"[\W\d_]+")
_METRIC_OF = {_plain(name): m.id for m in METRICS for name in (m.id, m.en.name, m.zh.name)}
_SCORE = ("score", "评分", "得分", "分数")
_EXPLANATION = ("explanation", "reason", "理由", "解释", "说明")
