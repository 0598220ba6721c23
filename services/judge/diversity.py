"""One batch of replies in, one diversity score out: a panel judge, asked once and once more if nothing can be read."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esrp.dialogue import Character
from esrp.metrics import Language
from esrp.prompts.diversity import diversity_format, diversity_messages, repair_messages
from services.judge.panel import SCORE_NAMES, PanelRater, ask, body_of, objects_in, plain, score_of
from services.judge.rating import NOTHING, Fault, Score
from services.kit.budget import Errand
from services.kit.chat import Usage
from services.kit.settings import JudgeSettings


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
    """The score in a judge's answer: that of the last JSON object in which one can be read; ``None`` without any.

    A score of its own goes before those in boxes inside it; boxes that say different things are no score.
    """
    given = [list(_given(found, depth=2)) for found in objects_in(text)]
    agreed = [scores[0] for scores in given if len({score.score for score in scores}) == 1]
    return agreed[-1] if agreed else None


def _given(found: Mapping[str, Any], depth: int) -> Iterator[Score]:
    if any(plain(key) in SCORE_NAMES for key in found):
        values: list[Any] = [found]
    else:
        values = [value for key, value in found.items() if plain(key) in _NAMES and not isinstance(value, dict)]
    yield from (score for value in values if (score := score_of(value)) is not None)
    if not values and depth:
        for value in found.values():
            if isinstance(value, dict):
                yield from _given(value, depth - 1)


_NAMES = ("diversity", "多样性")
