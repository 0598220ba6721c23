"""Who is better than whom beyond chance: all pairs of a table, with Holm's correction."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from esrp.metrics import METRIC_IDS
from esrp.stats.groups import Table
from esrp.stats.holm import holm
from esrp.stats.paired import Difference
from esrp.stats.ratings import Ratings

__all__ = ["Standing", "holm", "standings"]

ALPHA = 0.05  # two-sided, over all pairs


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate's place: ``rank`` counts those that are better, ``last`` leaves out those that are worse.

    ``tied`` are those that are neither, in the order of the table.
    """

    rank: int
    last: int
    tied: tuple[str, ...]


def standings(table: Table, candidates: Mapping[str, Ratings], *, alpha: float = ALPHA) -> dict[str, Standing]:
    """The standing of every candidate that has an overall score.

    Each pair's difference in overall is held against 0 by the t of its scenarios; Holm keeps the chance of any false
    difference under ``alpha``.
    """
    scored = [name for name, found in table.scores.items() if found.overall.mean is not None]
    clusters = {name: _clusters(candidates[name]) for name in scored}
    pairs = [(a, b) for a, b in table.differences if a in clusters and b in clusters]
    chances = [_chance(table.differences[a, b].overall, min(clusters[a], clusters[b])) for a, b in pairs]
    apart = {pair for pair, differs in zip(pairs, holm(chances, alpha), strict=True) if differs}
    above = {pair: (table.differences[pair].overall.difference or 0.0) > 0 for pair in pairs}
    better = {(a, b) if above[a, b] else (b, a) for a, b in apart}
    return {
        name: Standing(
            rank=1 + sum((other, name) in better for other in scored),
            last=len(scored) - sum((name, other) in better for other in scored),
            tied=tuple(other for other in scored if other != name and not {(name, other), (other, name)} & better),
        )
        for name in scored
    }


def _chance(found: Difference, clusters: int) -> float:
    """The two-sided p-value; 1 where nothing can be said."""
    if found.difference is None or found.se is None or clusters < 2:
        return 1.0
    if found.se == 0:
        return 1.0 if found.difference == 0 else 0.0
    return float(2 * stdtr(clusters - 1, -abs(found.difference) / found.se))


def _clusters(ratings: Ratings) -> int:
    """Scenarios that hold ratings; of the metrics the least."""
    units = ratings.units
    return min(len(np.unique(units.scenario[units.counts[:, column] > 0])) for column in range(len(METRIC_IDS)))
