"""One batch of replies in, one diversity score out: a panel judge, asked once and once more if nothing can be read."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esrp.dialogue import Character
from esrp.metrics import Language
from esrp.prompts.diversity import diversity_messages, repair_messages
from esrp.prompts.judging import JUDGE_PARAMS
from services.judge.panel import _SCORE, PanelRater, _objects, _plain, _score
from services.judge.rating import NOTHING, Fault, Score
from services.kit.chat import PATIENCE, ChatError, Reply, Usage
from services.kit.settings import JudgeSettings


@dataclass(frozen=True, slots=True)
class BatchVerdict:
    """A judge's score of a batch, if it gave one; its last answer as it came; what went wrong; what it cost."""

    score: Score | None = None
    raw: str | None = None
    error: Fault | None = None
    usage: Usage = NOTHING


async def rate_batch(
    rater: PanelRater,
    character: Character,
    replies: Sequence[str],
    language: Language,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> BatchVerdict:
    """Ask, patiently; where no score can be read, ask once more. A judge that fails says so in ``error``.

    An answer without a score is kept in ``raw`` and is no fault. The second question has one attempt and none after
    ``PATIENCE``, so that both end while the worker's job still lives.
    """
    begun = clock()
    try:
        first = await rater.client.insist(rater.endpoint, request_body(rater.judge, character, replies, language))
    except ChatError as error:
        return BatchVerdict(error=_fault(rater, error), usage=error.billed or NOTHING)
    if (score := score_in(first.text)) is not None or clock() - begun > PATIENCE:
        return BatchVerdict(score, first.text, usage=_usage(first))
    try:
        repair = repair_body(rater.judge, character, replies, first.text, language)
        second = await rater.client.complete(rater.endpoint, repair)
    except ChatError as error:
        return BatchVerdict(None, first.text, _fault(rater, error), _usage(first) + (error.billed or NOTHING))
    return BatchVerdict(score_in(second.text), second.text, usage=_usage(first) + _usage(second))


def request_body(
    judge: JudgeSettings, character: Character, replies: Sequence[str], language: Language
) -> dict[str, Any]:
    """What is sent: a pure function of judge and batch."""
    return _body(judge, diversity_messages(character, replies, language))


def repair_body(
    judge: JudgeSettings, character: Character, replies: Sequence[str], answer: str, language: Language
) -> dict[str, Any]:
    """What is sent after an ``answer`` without a score: a pure function too."""
    return _body(judge, repair_messages(diversity_messages(character, replies, language), answer, language))


def _body(judge: JudgeSettings, messages: list[dict[str, str]]) -> dict[str, Any]:
    params = JUDGE_PARAMS if judge.params is None else judge.params
    return {**params, "model": judge.model, "messages": messages}


def _fault(rater: PanelRater, error: ChatError) -> Fault:
    return Fault(error.code, f"The judge {rater.judge.name}: {error.message}")


def _usage(reply: Reply) -> Usage:
    return Usage(reply.calls, reply.prompt_tokens, reply.completion_tokens)


# --- reading the reply ------------------------------------------------------------------------------------------------


def score_in(text: str) -> Score | None:
    """The score in a judge's answer: that of the last JSON object in which one can be read; ``None`` without any.

    A score of its own goes before those in boxes inside it; boxes that say different things are no score.
    """
    given = [list(_given(found, depth=2)) for found in _objects(text)]
    agreed = [scores[0] for scores in given if len({score.score for score in scores}) == 1]
    return agreed[-1] if agreed else None


def _given(found: Mapping[str, Any], depth: int) -> Iterator[Score]:
    if any(_plain(key) in _SCORE for key in found):
        values: list[Any] = [found]
    else:
        values = [value for key, value in found.items() if _plain(key) in _NAMES and not isinstance(value, dict)]
    yield from (score for value in values if (score := _score(value)) is not None)
    if not values and depth:
        for value in found.values():
            if isinstance(value, dict):
                yield from _given(value, depth - 1)


_NAMES = ("diversity", "多样性")
