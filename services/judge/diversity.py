"""One batch of replies in, one diversity score out: a panel judge, asked once and once more if nothing can be read."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esrp.dialogue import Character
from esrp.metrics import Language
from esrp.prompts.diversity import diversity_format, diversity_messages, repair_messages
from services.judge.panel import PanelRater, agreed_on, ask, body_of, metric_named, objects_in, plain, scores_of
from services.judge.rating import NOTHING, Fault, Score
from services.kit.endpoint import Usage
from services.kit.settings import JudgeSettings
from services.work.budget import Errand


@dataclass(frozen=True, slots=True)
class BatchVerdict:
    """A judge's score of a batch, if it gave one; its last answer as it came; what went wrong; what it cost.

    ``stopped``: no call may begin any more, and the verdict is still to be given.
    """

    score: Score | None = None
    raw: str | None = None
    error: Fault | None = None
    usage: Usage = NOTHING
    stopped: bool = False


async def rate_batch(
    rater: PanelRater,
    character: Character,
    replies: Sequence[str],
    language: Language,
    errand: Errand,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> BatchVerdict:
    """Ask, patiently; where no score can be read, ask once more. A judge that fails says so in ``error``.

    An answer without a score is kept in ``raw`` and is no fault.
    """
    asked = await ask(
        rater,
        request_body(rater.judge, character, replies, language),
        lambda text: repair_body(rater.judge, character, replies, text, language) if score_in(text) is None else None,
        errand,
        clock=clock,
    )
    if asked.stopped:
        return BatchVerdict(stopped=True, usage=asked.usage)
    raw = asked.answers[-1] if asked.answers else None
    return BatchVerdict(None if raw is None else score_in(raw), raw, asked.error, asked.usage)


def request_body(
    judge: JudgeSettings, character: Character, replies: Sequence[str], language: Language
) -> dict[str, Any]:
    """What is sent: a pure function of judge and batch."""
    return body_of(judge, diversity_messages(character, replies, language), diversity_format())


def repair_body(
    judge: JudgeSettings, character: Character, replies: Sequence[str], answer: str, language: Language
) -> dict[str, Any]:
    """What is sent after an ``answer`` without a score: a pure function too."""
    messages = repair_messages(diversity_messages(character, replies, language), answer, language)
    return body_of(judge, messages, diversity_format())


# --- reading the reply ------------------------------------------------------------------------------------------------


def score_in(text: str) -> Score | None:
    """The score in a judge's answer: that of the only JSON object with one; ``None`` without any, or of several.

    A score of its own goes before those in boxes inside it. One of a metric, or of a part of the replies, is not the
    batch's, even where all of them are the same.
    """
    given = [scores for found in objects_in(text) if (scores := _given(found, depth=2))]
    return agreed_on(given[0]) if len(given) == 1 else None


def _given(found: Mapping[str, Any], depth: int) -> list[Score | None]:
    """The scores in an object: its own, else those that are called diversity's, else those in its only box."""
    if own := scores_of(found):
        return own
    named = [value for key, value in found.items() if plain(key) in _NAMES]
    return [score for value in named or _only_box(found) for score in _inside(value, depth)]


def _inside(value: Any, depth: int) -> list[Score | None]:
    if not isinstance(value, dict):
        return scores_of(value)
    return _given(value, depth - 1) if depth else []


def _only_box(found: Mapping[str, Any]) -> list[Any]:
    boxes = [(key, value) for key, value in found.items() if isinstance(value, dict)]
    return [value for key, value in boxes if len(boxes) == 1 and metric_named(key) is None]


_NAMES = ("diversity", "多样性")
