"""Exact intervals and tests of counts: shares of disasters, and groups that lack more than others (STATISTICS E, H)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scipy.special import betaincinv, gammaln

from esrp.stats.holm import holm
from esrp.stats.intervals import Interval

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class ExactShare:
    """``count`` of ``n`` with the interval of Clopper and Pearson; of nothing there is neither share nor interval."""

    count: int
    n: int
    share: float | None
    interval: Interval | None


def exact_share(count: int, n: int, *, confidence: float = 0.95) -> ExactShare:
    """The share with its two-sided interval."""
    if n == 0:
        return ExactShare(0, 0, None, None)
    tail = (1 - confidence) / 2
    return ExactShare(count, n, count / n, Interval(lower_limit(count, n, tail), upper_limit(count, n, tail)))


def lower_limit(count: int, n: int, alpha: float) -> float:
    """The one-sided lower limit: with a smaller share as many or more had a chance below ``alpha``."""
    return float(betaincinv(count, n - count + 1, alpha)) if count else 0.0


def upper_limit(count: int, n: int, alpha: float) -> float:
    """The one-sided upper limit."""
    return float(betaincinv(count + 1, n - count, 1 - alpha)) if count < n else 1.0


def held_to_ceiling(
    count: int, n: int, ceiling: float, *, alpha: float = ALPHA
) -> Literal["pass", "fail", "inconclusive"]:
    """Whether a share may be above its ceiling: fail where it must be, pass where it cannot be, each at ``alpha``."""
    if n and lower_limit(count, n, alpha) > ceiling:
        return "fail"
    return "pass" if n and upper_limit(count, n, alpha) <= ceiling else "inconclusive"


def clean_dialogues(ceiling: float, *, alpha: float = ALPHA) -> int | None:
    """How many dialogues without one disaster it takes to pass; ``None`` under a ceiling of 0: no number does."""
    if ceiling >= 1:
        return 1
    return math.ceil(math.log(alpha) / math.log1p(-ceiling)) if ceiling > 0 else None


def standing_out(missing: Mapping[str, tuple[int, int]], *, alpha: float = ALPHA) -> tuple[str, ...]:
    """The groups that lack more than chance would have it, of (missing, all) by group; in the order given.

    Fisher's exact test of each against all others, one-sided, with Holm over the groups.
    """
    lacking, total = (sum(counts[place] for counts in missing.values()) for place in (0, 1))
    chances = [_fisher(few, of, lacking, total) for few, of in missing.values()]
    return tuple(name for name, more in zip(missing, holm(chances, alpha), strict=True) if more)


def _fisher(count: int, of: int, lacking: int, total: int) -> float:
    """The chance that ``of`` drawn from ``total``, ``lacking`` of which are missing, hold ``count`` missing or more."""
    most = min(of, lacking)
    drawn = range(max(count, of + lacking - total, 0), most + 1)
    scale = _log_choose(total, of)
    terms = [_log_choose(lacking, k) + _log_choose(total - lacking, of - k) - scale for k in drawn]
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def _log_choose(n: int, k: int) -> float:
    return float(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
