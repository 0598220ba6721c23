"""Rare disasters: how often a dialogue is as bad as can be, and which dialogues are the worst (STATISTICS H)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from esrp.metrics import METRIC_IDS
from esrp.stats.exact import ALPHA, ExactShare, clean_dialogues, exact_share, held_to_ceiling
from esrp.stats.ratings import Floats, Integers, Ratings

WORST = 5
LOWEST, LOW = 1, 2


@dataclass(frozen=True, slots=True)
class Low:
    """Of one metric: the dialogues rated 1, and those rated 2 or less; a panel's mean is rounded down."""

    lowest: ExactShare
    low: ExactShare


@dataclass(frozen=True, slots=True)
class Disasters:
    """By metric, and of dialogues in which ``any`` metric is that low. ``worst``: dialogues, the lowest mean first."""

    metrics: dict[str, Low]
    any: Low
    worst: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Whether disasters are as rare as they must be; ``needed`` dialogues without one would show it."""

    name: str
    found: ExactShare
    ceiling: float
    outcome: Literal["pass", "fail", "inconclusive"]
    needed: int | None


def disasters(ratings: Ratings, *, worst: int = WORST) -> Disasters:
    """Of one run by one kind of rater; a dialogue that nobody rated is in no share."""
    means = _means(ratings)
    floors = np.floor(means + 1e-9)
    return Disasters(
        metrics={
            name: Low(_share(given, LOWEST), _share(given, LOW))
            for name, given in zip(METRIC_IDS, floors.T, strict=True)
        },
        any=Low(*(_share(np.fmin.reduce(floors, axis=1), at_most) for at_most in (LOWEST, LOW))),
        worst=_worst(ratings, means, worst),
    )


def held_to(ceiling: float, found: ExactShare, *, name: str = "disaster", alpha: float = ALPHA) -> Ceiling:
    """A share against its ceiling, one-sided at ``alpha`` either way. 0.01 takes 299 clean dialogues."""
    outcome = held_to_ceiling(found.count, found.n, ceiling, alpha=alpha)
    return Ceiling(name, found, ceiling, outcome, clean_dialogues(ceiling, alpha=alpha))


def _means(ratings: Ratings) -> Floats:
    """Each dialogue's mean rating on each metric, ``nan`` where there is none."""
    counts: Integers = ratings.dialogues
    place = ratings.codes["dialogue"] * len(METRIC_IDS) + ratings.codes["metric"]
    sums = np.bincount(place, weights=ratings.score, minlength=counts.size).reshape(counts.shape)
    means: Floats = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return means


def _share(scores: Floats, at_most: int) -> ExactShare:
    """Of those that are not ``nan``."""
    return exact_share(int((scores <= at_most).sum()), int((~np.isnan(scores)).sum()))


def _worst(ratings: Ratings, means: Floats, most: int) -> tuple[str, ...]:
    """By the mean of the metrics that were rated, the lowest of them, character and scenario; then by name."""
    names, (_, first) = ratings.levels["dialogue"], np.unique(ratings.codes["dialogue"], return_index=True)
    place = dict(zip(ratings.codes["dialogue"][first].tolist(), first.tolist(), strict=True))
    keys = []
    for row in np.flatnonzero(~np.isnan(means).all(axis=1)).tolist():
        where = [int(ratings.codes[column][place[row]]) for column in ("character", "scenario")]
        keys.append((float(np.nanmean(means[row])), float(np.nanmin(means[row])), *where, names[row]))
    return tuple(str(key[-1]) for key in sorted(keys)[:most])
