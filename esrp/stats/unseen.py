"""What was not seen may still be there: bounds and p-values that equal scores do not narrow to nothing (STATISTICS A).

Where all of n dialogues score alike the t interval has no width, and near an end of the scale it covers 20–90 % where
it says 95. If a share q of dialogues were of a kind that is not among them, that would happen with the chance
(1 − q)ⁿ: the exact bound at zero counts (Clopper and Pearson 1934; Hanley and Lippman-Hand 1983).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from esrp.stats.ratings import Floats, Integers, Span

EQUAL = 1e-9  # values as near as that to each other are the same: sums of fractions are not exact
ALIKE = 0.25  # of fewer dialogues that differ from the median than this share, or
RARE = 10  # than so many, a variance says little: the t interval covers 88–91 % with 4 among 200
ROOM = 0.18  # of a half width, over both sides: at most 1.1 times the width where the variance can be trusted
CROWDED = 0.55  # of the way to the scale's end: a half width beyond it leans on a skewed variance
STEP = 1.0  # point beyond the most extreme dialogue that was seen
FAR = 2.0  # points, where dialogues are alike: with 1 % of ones one point covers 91 %, all the way is twice as wide


@dataclass(frozen=True, eq=False)
class Seen:
    """Of ``n`` dialogues' values the extremes, and how many differ from the median; all of one shape."""

    n: Integers
    low: Floats
    high: Floats
    differing: Integers
    span: Span

    @property
    def alike(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Whether so few differ that their variance says little."""
        few: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = self.differing < np.minimum(RARE, self.n * ALIKE)
        return few


class Sides(NamedTuple):
    """Of a lower and of an upper bound."""

    low: Floats
    high: Floats


def seen(values: Floats, span: Span) -> Seen:
    """Dialogues × …, ``nan`` where a dialogue has no value; where none has one the extremes are those of the scale."""
    ordered = np.array(np.moveaxis(values, 0, -1), order="C")
    ordered.sort(axis=-1)  # nan last; a contiguous axis is sorted several times as fast
    n = np.asarray(ordered.shape[-1] - np.isnan(ordered).sum(axis=-1), dtype=np.int64)
    if not ordered.shape[-1]:
        return Seen(n, np.full(n.shape, span.low), np.full(n.shape, span.high), n, span)
    last = np.maximum(n - 1, 0)
    middle, high = (np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (last // 2, last))
    below = (ordered < (middle - EQUAL)[..., None]).sum(axis=-1)
    above = (ordered > (middle + EQUAL)[..., None]).sum(axis=-1)
    there = n > 0
    low, high = np.where(there, ordered[..., 0], span.low), np.where(there, high, span.high)
    return Seen(n, low, high, np.asarray(below + above, dtype=np.int64), span)


def unseen_share(n: Integers, level: float) -> Floats:
    """The largest share of dialogues of which n hold none with a chance of ``level``; 1 where there are none."""
    share: Floats = 1 - level ** (1 / np.maximum(n, 1))
    return np.where(n > 0, share, 1.0)


def widened(mean: Floats, bounds: Sides, found: Seen, confidence: float) -> Sides:
    """Two-sided bounds, inside the scale, that hold what n dialogues cannot exclude.

    Where the dialogues are alike, the unseen share may lie two points beyond them. Where they differ the variance is
    trusted but for a tenth of the width, shared by both sides as the scale is longer there; and where a half width
    reaches more than ``CROWDED`` of the way to the other end, the unseen may lie one point beyond the seen. One point
    everywhere covers 91–92 % with 1 % of ones, and is up to 1.5 times as wide where t holds.
    """
    share = unseen_share(found.n, (1 - confidence) / 2)
    span = found.span
    down, up = mean - span.low, span.high - mean
    below, above = mean - bounds.low, bounds.high - mean
    low = _half(below, down, mean - found.low, up, share, found)
    high = _half(above, up, found.high - mean, down, share, found)
    return Sides(np.maximum(span.low, mean - low), np.minimum(span.high, mean + high))


def _half(half: Floats, end: Floats, seen: Floats, other: Floats, share: Floats, found: Seen) -> Floats:
    """One side's half width: ``end`` and ``seen`` to the scale's and the dialogues' end there, ``other`` opposite."""
    held = np.minimum(end * share, half * (1 + ROOM * end / (found.span.high - found.span.low)))
    held = np.where(half > CROWDED * other, np.maximum(held, np.minimum(end, seen + STEP) * share), held)
    wide: Floats = np.maximum(half, np.where(found.alike, np.minimum(end, seen + FAR) * share, held))
    return wide


# --- one-sided, for decisions -----------------------------------------------------------------------------------------


def lower_bound(mean: float, error: float, found: Seen, level: float) -> float:
    """The one-sided lower bound: t's (``mean`` − ``error``) or what n dialogues cannot exclude."""
    return max(found.span.low, mean - room_below(mean, error, found, unseen_share(found.n, level)))


def room_below(mean: float, error: float, found: Seen, share: Floats) -> float:
    """How far the bound is below the mean: ``share`` of unseen dialogues may lie one point beyond the seen.

    Near the scale's end a variance leans to the other side: t alone passes a bot at its margin in 6.5 % of cases with
    200 dialogues. It has the room of an interval, as long as so few dialogues leave any.
    """
    end = mean - found.span.low
    held = min(end * float(share), error * (1 + ROOM * end / (found.span.high - found.span.low)))
    return max(error, held, _reach(mean, found).low * float(share))


def chance(mean: float, threshold: float, by_t: float, found: Seen) -> float:
    """The one-sided p-value that goes with ``lower_bound``, and from above with its mirror: never below (1 − q)ⁿ.

    ``by_t``: Student's. q is the share of unseen dialogues that would move the mean to its threshold.
    """
    reach = _reach(mean, found)
    reach_there = reach.low if mean > threshold else reach.high
    share = min(1.0, abs(mean - threshold) / reach_there) if reach_there > 0 else 1.0
    return max(by_t, (1 - share) ** int(found.n))


class Reach(NamedTuple):
    """How far below and above its mean a dialogue that was not seen may lie."""

    low: float
    high: float


def _reach(mean: float, found: Seen) -> Reach:
    low, high = max(found.span.low, float(found.low) - STEP), min(found.span.high, float(found.high) + STEP)
    return Reach(mean - low, high - mean)
