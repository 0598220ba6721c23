"""Paired differences of two rating sets: the same (character, scenario), candidate − baseline (STATISTICS 6)."""

from dataclasses import dataclass

import numpy as np

from esrp.metrics import DIMENSIONS, METRIC_IDS, Dimension, columns_of
from esrp.stats.bootstrap import key, resampled
from esrp.stats.intervals import Intervals, intervals, mean_of, standard_error
from esrp.stats.ratings import DIFFERENCES, Integers, Ratings, Units
from esrp.stats.scores import METHOD, Method

# Differences of means are fractions; in units of 2⁻³² they are integers, so that the resampled sums are exact. The
# rounding is 1e-10, and 2⁵³ is not reached below half a million pairs.
SCALE = 2.0**32


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better the candidate is than the baseline; ``n`` pairs enter it."""

    difference: float | None
    n: int
    se: float | None
    intervals: Intervals


@dataclass(frozen=True, slots=True)
class Differences:
    """Of the nine metrics, the three dimensions and overall; ``seed`` is the bootstrap's."""

    overall: Difference
    dimensions: dict[Dimension, Difference]
    metrics: dict[str, Difference]
    seed: str


def differences(candidate: Ratings, baseline: Ratings, method: Method = METHOD) -> Differences:
    """Candidate − baseline, on the pairs that both were rated on; a pair's rating is the mean over its ratings.

    A metric's difference is the mean over its pairs; a dimension's and the overall one are means of metrics'. The
    order of the arguments changes signs only: the seed is that of both rating sets. Own logs have no pair.
    """
    seed = key(*sorted((candidate.sha256, baseline.sha256)))
    units = paired(candidate.units, baseline.units)
    resamples = resampled(units, seed, replicates=method.bootstrap)

    def difference(endpoint: str) -> Difference:
        columns = columns_of(endpoint)
        mean = mean_of(units, columns)
        return Difference(
            difference=mean,
            n=int(units.counts[:, columns].any(axis=1).sum()),
            se=None if mean is None else standard_error(units, columns),
            intervals=intervals(units, columns, resamples, method.confidence),
        )

    return Differences(
        overall=difference("overall"),
        dimensions={name: difference(name) for name in DIMENSIONS},
        metrics={name: difference(name) for name in METRIC_IDS},
        seed=seed,
    )


def paired(candidate: Units, baseline: Units) -> Units:
    """Units whose sum is the pair's difference in units of 1 / ``SCALE`` and whose count says whether it exists."""
    at = {pair: row for row, pair in enumerate(baseline.pairs) if pair[1] is not None}
    shared = [(row, at[pair]) for row, pair in enumerate(candidate.pairs) if pair in at]
    ours = np.array([row for row, _ in shared], dtype=np.int64)
    theirs = np.array([row for _, row in shared], dtype=np.int64)
    both = (candidate.counts[ours] > 0) & (baseline.counts[theirs] > 0)
    apart = _means(candidate, ours) - _means(baseline, theirs)
    return Units(
        sums=np.where(both, np.rint(apart * SCALE), 0).astype(np.int64),
        counts=both.astype(np.int64),
        character=candidate.character[ours],
        scenario=candidate.scenario[ours],
        pairs=tuple(candidate.pairs[row] for row in ours),
        scale=SCALE,
        span=DIFFERENCES,
    )


def _means(units: Units, rows: Integers) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return units.sums[rows] / np.maximum(units.counts[rows], 1)
