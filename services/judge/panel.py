"""The LLM panel: one call a dialogue and judge, answered in JSON with score and reason a metric (paper, appendix E).

An answer without all nine scores is asked for once more.
"""

import json
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from esrp.dialogue import Dialogue
from esrp.metrics import METRICS, SCORES, Language
from esrp.prompts.judging import JUDGE_PARAMS, judge_format, judge_messages, repair_messages
from services.judge.rating import NOTHING, Fault, Score, Verdict
from services.kit.answer import reply_or_silence, storable
from services.kit.chat import PATIENCE, ChatClient, Stopped
from services.kit.endpoint import ChatError, Endpoint, Reply, Usage
from services.kit.settings import JudgeSettings
from services.work.budget import Errand
from services.work.seats import Seats

LONGEST_EXPLANATION = 2000  # characters; asked for is one sentence


@dataclass(frozen=True, slots=True)
class PanelRater:
    """A judge behind an OpenAI-compatible endpoint of the operator's."""

    judge: JudgeSettings
    endpoint: Endpoint
    client: ChatClient
    seats: Seats | None = None

    @property
    def max_concurrency(self) -> int:
        """How many verdicts it holds: some wait at its seats, so that no seat is empty while one is saved."""
        seats = self.judge.max_concurrency
        return seats if self.seats is None else seats + seats // 2 + 1

    async def rate(self, dialogue: Dialogue, language: Language, errand: Errand) -> Verdict:
        """Ask, patiently; where a score is missing, ask once more, and keep the answer with more of them."""
        read = cache(scores_in)

        def repair(text: str) -> Mapping[str, Any] | None:
            is_complete = len(read(text)) == len(METRICS)
            return None if is_complete else repair_body(self.judge, dialogue, text, language)

        asked = await ask(self, request_body(self.judge, dialogue, language), repair, errand)
        if asked.stopped:
            return Verdict(stopped=True, usage=asked.usage)
        if not asked.answers:
            return Verdict(error=asked.error, usage=asked.usage)
        best = max(reversed(asked.answers), key=lambda text: len(read(text)))  # of equals the later
        scores = read(best)
        return Verdict(scores, best, None if scores else asked.error, asked.usage)


def panel_rater(judge: JudgeSettings, client: ChatClient, seats: Seats | None = None) -> PanelRater:
    """The rater for a configured judge of kind ``chat``."""
    endpoint = Endpoint(judge.base_url, judge.model, judge.key(), read=reply_or_silence)
    return PanelRater(judge, endpoint, client, seats)


def request_body(judge: JudgeSettings, dialogue: Dialogue, language: Language) -> dict[str, Any]:
    """What is sent: a pure function of judge and dialogue, so that the same run gives the same requests."""
    return body_of(judge, judge_messages(dialogue, language), judge_format())


def repair_body(judge: JudgeSettings, dialogue: Dialogue, answer: str, language: Language) -> dict[str, Any]:
    """What is sent after an ``answer`` without all scores: a pure function too."""
    messages = repair_messages(judge_messages(dialogue, language), answer, language)
    return body_of(judge, messages, judge_format())


def body_of(judge: JudgeSettings, messages: list[dict[str, str]], form: Mapping[str, Any]) -> dict[str, Any]:
    """A judge's request: its parameters, and the form of the answer where its endpoint knows such a thing."""
    params = JUDGE_PARAMS if judge.params is None else judge.params
    structured = {"response_format": form} if judge.structured else {}
    return {**params, **structured, "model": judge.model, "messages": messages}


# --- asking -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What a judge answered, in order; what went wrong last; what all of it cost. See ``Verdict`` for ``stopped``."""

    answers: tuple[str, ...] = ()
    error: Fault | None = None
    usage: Usage = NOTHING
    stopped: bool = False


async def ask(
    rater: PanelRater,
    body: Mapping[str, Any],
    repair: Callable[[str], Mapping[str, Any] | None],
    errand: Errand,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Asked:
    """Ask, patiently, and once more with what ``repair`` makes of the answer, if it makes anything.

    The second question has one attempt and none after ``PATIENCE``, so that both end while the worker's job still
    lives.
    """
    begun = clock()
    try:
        door = errand.door(rater.seats, body, "judge")
        first = await rater.client.insist(rater.endpoint, body, stopped=errand.stopped, door=door)
    except Stopped as stop:
        return Asked(stopped=True, usage=stop.billed)
    except ChatError as error:
        return Asked(error=_fault(rater, error), usage=error.billed or NOTHING)
    again = repair(first.text)
    if again is None or clock() - begun > PATIENCE:
        return Asked((first.text,), usage=_usage(first))
    try:
        second = await _once(rater, again, errand)
    except Stopped as stop:
        return Asked(stopped=True, usage=_usage(first) + stop.billed)
    except ChatError as error:
        return Asked((first.text,), _fault(rater, error), _usage(first) + (error.billed or NOTHING))
    return Asked((first.text, second.text), usage=_usage(first) + _usage(second))


async def _once(rater: PanelRater, body: Mapping[str, Any], errand: Errand) -> Reply:
    if errand.stopped.is_set():
        raise Stopped
    door = errand.door(rater.seats, body, "judge")

    async def attempt() -> Reply:
        return await rater.client.complete(rater.endpoint, body)

    return await (attempt() if door is None else door.call(attempt, errand.stopped))


def _fault(rater: PanelRater, error: ChatError) -> Fault:
    refused = rater.judge.structured and error.code == "bad_request"
    hint = " (if it knows no response_format, take `structured` out of its settings)" if refused else ""
    return Fault(error.code, f"The judge {rater.judge.name}: {error.message}{hint}", error.retryable)


def _usage(reply: Reply) -> Usage:
    return Usage(reply.calls, reply.prompt_tokens, reply.completion_tokens)


# --- reading the reply ------------------------------------------------------------------------------------------------


def scores_in(text: str) -> dict[str, Score]:
    """The valid scores in a judge's reply, by metric, in the paper's order; empty if there are none.

    They are those of the last JSON object with scores, wherever it stands. A metric that is missing, out of range, not
    whole, or given twice and differently has no score; twice is also in two objects, since one may be quoted from the
    dialogue.
    """
    given = [scores for found in objects_in(text) if (scores := _scores(found))]
    if not given:
        return {}
    agreed = {id: agreed_on([score for scores in given for score in scores.get(id, ())]) for id in given[-1]}
    return {metric.id: score for metric in METRICS if (score := agreed.get(metric.id)) is not None}


MOST_OBJECTS = 200  # braces that are looked at; a reply that is all braces must not cost a minute


def objects_in(text: str) -> list[dict[str, Any]]:
    """Every outermost JSON object in the text; none if there are too many.

    One that is broken or breaks off is none, and neither is what stands inside it or before it: nobody knows what it
    was to say, and what is whole may be quoted.
    """
    found: list[dict[str, Any]] = []
    end = 0
    for _ in range(MOST_OBJECTS):
        if (at := text.find("{", end)) < 0:
            return found
        try:
            value, end = _DECODER.raw_decode(text, at)
            found.append(value)
        except (ValueError, RecursionError):
            end = at + 1 if _DOUBLE.match(text, at) else _closed(text, at)
            if _KEY.search(text, at, end):
                found.clear()
    return []


def _closed(text: str, at: int) -> int:
    """The end of what the brace opens, by counting braces; the text's end where it is never closed."""
    depth = 0
    for brace in _BRACE.finditer(text, at):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    return len(text)


def _with_every_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's fields; one that is given again has a number behind its name, which ``plain`` takes away."""
    fields: dict[str, Any] = {}
    for key, value in pairs:
        fields[f"{key} {len(fields)}" if key in fields else key] = value
    return fields


def _scores(found: Mapping[str, Any]) -> dict[str, list[Score | None]]:
    given: dict[str, list[Score | None]] = {}
    for metric, value in _given(found, depth=2):
        if scores := scores_of(value):
            given.setdefault(metric, []).extend(scores)
    return given


def _given(found: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    """What is given for each metric, also where a judge puts its metrics into a box or sorts them by dimension."""
    for key, value in found.items():
        if (metric := metric_named(key)) is not None:
            yield metric, value
        elif depth and isinstance(value, dict):
            yield from _given(value, depth - 1)


def agreed_on(given: Sequence[Score | None]) -> Score | None:
    """The last of them if all are valid and the same number; else, and of none, ``None``."""
    numbers = {score and score.score for score in given}
    return given[-1] if len(numbers) == 1 else None


def scores_of(value: Any) -> list[Score | None]:
    """What is given as a number, or as an object with one and a reason; ``None`` stands for what is no valid score.

    Empty for words, and for an object that gives no score.
    """
    if not isinstance(value, dict):
        return [] if isinstance(value, str) and not _LIKE_A_NUMBER.fullmatch(value) else [_score(value, None)]
    fields = [(plain(key), item) for key, item in value.items()]
    explanation = next((item for key, item in fields if key in _EXPLANATION and isinstance(item, str)), None)
    return [_score(item, explanation) for key, item in fields if key in SCORE_NAMES]


def _score(number: Any, explanation: str | None) -> Score | None:
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


def metric_named(key: str) -> str | None:
    """The metric that a key means by its id, or by its name in either language."""
    return _METRIC_OF.get(plain(key))


def plain(key: str) -> str:
    """A key without what judges like to put around it: case, spaces, hyphens, numbering, asterisks."""
    return _AROUND.sub("", unicodedata.normalize("NFKC", key).casefold())


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_with_every_key)
_BRACE = re.compile("[{}]")
_DOUBLE = re.compile(r"\{\s*\{")  # braces around braces, as templates and TeX have them
_KEY = re.compile(r"""["'“”]\s*[:：]""")  # what tells a broken object from words in braces
_NUMBER = re.compile(r"\d(\.0+)?")
_LIKE_A_NUMBER = re.compile(r"\s*[-+]?\d[\d\s./]*")
_AROUND = re.compile(r"[\W\d_]+")
_METRIC_OF = {plain(name): m.id for m in METRICS for name in (m.id, m.en.name, m.zh.name)}
SCORE_NAMES = ("score", "评分", "得分", "分数")
_EXPLANATION = ("explanation", "reason", "理由", "解释", "说明")
