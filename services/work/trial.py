"""Whether refusals have to do with the load: what is refused before and after it was lowered, compared. No clock."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

Verdict = Literal["load", "noise"]

TOLERATED = 0.01  # an endpoint that refuses no more is not worth a trial, which costs a quarter of the load
# Refusals beyond what is usual, in standard deviations of a Poisson count, and one more: at a share of 5 % that is
# known one look in 200 is wrong, and a wrong one costs a trial.
UNUSUAL = 2.5
DIFFERENT = 2.5  # standard errors between two shares: a jam that is over refuses nothing, and shows after some 80 calls
EXPECTED = 8.0  # refusals that the old share would have made of the calls since: then it can be told
ALIKE = 0.8  # of the old share, in at least three refusals: that is seen at once
MOST = 0.5  # who refuses more than every second call is full or away, whatever the reason: it gets fewer
ENOUGH = 20  # calls, to say anything of refusals as frequent as that


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls that were answered or refused, and those refused; recent ones, so these are no whole numbers."""

    tried: float = 0.0
    refused: float = 0.0

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(self.tried + other.tried, self.refused + other.refused)

    @property
    def share(self) -> float:
        """Refused of those tried; none of none."""
        return self.refused / self.tried if self.tried else 0.0

    def last(self, calls: float) -> "Counts":
        """As if it were so many calls, where it is more: what is new then counts as much."""
        part = min(1.0, calls / self.tried) if self.tried else 1.0
        return Counts(self.tried * part, self.refused * part)


def is_unusual(counts: Counts, noise: float) -> bool:
    """Whether more is refused than a share of ``noise`` makes likely."""
    expected = counts.tried * max(noise, TOLERATED)
    return counts.refused > 1 + expected + UNUSUAL * sqrt(expected)


def compared(high: Counts, low: Counts) -> Verdict | None:
    """What refusals under the high load were due to, by those under the low one; ``None`` while that cannot be told.

    ``load``: they fell with it, or are so many that the endpoint must be spared anyway. ``noise``: they did not.
    """
    if low.tried < 1:
        return None
    both = (high + low).share
    error = sqrt(both * (1 - both) * (1 / high.tried + 1 / low.tried))
    if high.share - low.share > DIFFERENT * error:
        return "load"
    if low.share > MOST:
        return "load" if low.tried >= ENOUGH else None
    if low.refused >= 3 and low.tried >= ENOUGH and low.share >= ALIKE * high.share:
        return "noise"
    expected = low.tried * high.share
    if expected < EXPECTED or low.tried < ENOUGH or (expected < 2 * EXPECTED and low.share < high.share / 2):
        return None
    return "noise"
