"""The heart: what a judge is, and what it can say of a dialogue.

A reply without a valid score is no score with the raw reply kept, never a 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from esrp.dialogue import Dialogue
from esrp.metrics import Language
from services.kit.endpoint import Usage
from services.work.budget import Errand

NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Score:
    """A whole number from 1 to 5, the judge's reason if it gave one, and how probable it holds each of the five."""

    score: int
    explanation: str | None
    distribution: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no verdict: a stable code, and words that a person can act on."""

    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's scores by metric, as far as there are any; its reply as it came; what went wrong; what it cost.

    ``stopped``: no call may begin any more, and the verdict is still to be given.
    """

    scores: Mapping[str, Score] = field(default_factory=dict)
    raw: str | None = None
    error: Fault | None = None
    usage: Usage = NOTHING
    stopped: bool = False


class Rater(Protocol):
    """A judge. A slice gives it at most ``max_concurrency`` dialogues at once; its seats bound the calls of all."""

    @property
    def max_concurrency(self) -> int:
        """How many dialogues it may be given at once."""

    async def rate(self, dialogue: Dialogue, language: Language, errand: Errand) -> Verdict:
        """The verdict; a judge that fails says so in ``error`` and never raises for it."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """A judge that was asked for and cannot rate here: each verdict fails with the reason."""

    code: str
    message: str
    max_concurrency: int = 64

    async def rate(self, dialogue: Dialogue, language: Language, errand: Errand) -> Verdict:
        """No scores."""
        return Verdict(error=Fault(self.code, self.message))
