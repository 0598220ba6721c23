"""The three named intervals (STATISTICS 2): which units, which formula, and when there is none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from esrp.stats.ratings import Floats, Integers, Units
from esrp.stats.unseen import Seen, Sides, seen, widened

CONFIDENCE = 0.95
FEW = 30  # clusters: below it a percentile bootstrap covers 85 % where it says 95


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Intervals:
    """One interval a question; ``None`` where there are fewer than two clusters.

    ``suite``: these characters, new scenarios of this kind. ``dialogue``: regeneration noise, the paper's interval.
    ``population``: new characters too.
    """

    suite: Interval | None
    dialogue: Interval | None
    population: Interval | None


NONE = Intervals(None, None, None)


@dataclass(frozen=True, slots=True)
class Variance:
    """A variance estimated from clusters; t has one degree of freedom less than there are."""

    value: float
    clusters: int


def mean_of(units: Units, columns: Sequence[int]) -> float | None:
    """The unweighted mean of the metrics' scores, each sum ÷ count; ``None`` if one of them has no rating."""
    counts = units.counts[:, columns].sum(axis=0)
    if not counts.all():
        return None
    return float((units.sums[:, columns].sum(axis=0) / counts / units.scale).mean())


def standard_error(units: Units, columns: Sequence[int]) -> float | None:
    """The standard error of the mean of these metrics' scores, clustered by scenario; ``None`` below two scenarios."""
    variance = by_scenario(units, columns)
    return None if variance is None else math.sqrt(variance.value)


def by_scenario(units: Units, columns: Sequence[int]) -> Variance | None:
    """The variance of the mean of these metrics' scores, clustered by scenario; ``None`` below two scenarios.

    Every metric must have a rating (``mean_of`` says so).
    """
    return _variance(units, columns, units.scenario)


def intervals(units: Units, columns: Sequence[int], resamples: Floats, confidence: float = CONFIDENCE) -> Intervals:
    """The intervals around the unweighted mean of these metrics' scores.

    ``resamples`` are the metrics' scores in resamples of the units (``bootstrap.resampled``). All are inside the scale,
    and none is without width (``unseen.widened``).
    """
    mean = mean_of(units, columns)
    if mean is None:
        return NONE
    there = seen(units.values(columns), units.span)

    def held(interval: Interval | None) -> Interval | None:
        return None if interval is None else _held(mean, interval, there, confidence)

    return Intervals(
        suite=held(_t(mean, by_scenario(units, columns), confidence)),
        dialogue=held(_dialogue(mean, units, columns, resamples, confidence)),
        population=held(_t(mean, _two_way(units, columns), confidence)),
    )


def _held(mean: float, interval: Interval, there: Seen, confidence: float) -> Interval:
    low, high = widened(np.array(mean), Sides(np.array(interval.low), np.array(interval.high)), there, confidence)
    return Interval(float(low), float(high))


def _dialogue(
    mean: float, units: Units, columns: Sequence[int], resamples: Floats, confidence: float
) -> Interval | None:
    """Percentile bootstrap over (character, scenario) pairs; the analytic t where they are few."""
    variance = _variance(units, columns, units.itself)
    if variance is None or variance.clusters < FEW:
        return _t(mean, variance, confidence)
    # At least 30 units hold each metric, so no resample lacks one: the chance is below e⁻³⁰.
    tail = (1 - confidence) / 2
    low, high = np.quantile(resamples[:, columns].mean(axis=1), [tail, 1 - tail])
    return Interval(float(low), float(high))


def _two_way(units: Units, columns: Sequence[int]) -> Variance | None:
    """Cameron, Gelbach and Miller: V_char + V_scen − V_dialogue, and the larger of the first two if that is ≤ 0."""
    by_character = _variance(units, columns, units.character)
    by_scenarios = by_scenario(units, columns)
    by_unit = _variance(units, columns, units.itself)
    if by_character is None or by_scenarios is None or by_unit is None:
        return None
    value = by_character.value + by_scenarios.value - by_unit.value
    if value <= 0:
        value = max(by_character.value, by_scenarios.value)
    return Variance(value, min(by_character.clusters, by_scenarios.clusters))


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """What each adds to a mean's error, to first order; ``clusters`` hold ratings, of several metrics the least."""

    values: Floats
    clusters: int


def cluster_sums(units: Units, columns: Sequence[int], cluster: Integers | None = None) -> ClusterSums | None:
    """Of the mean of these metrics' scores, by scenario if nothing else is named; ``None`` below two clusters."""
    cluster = units.scenario if cluster is None else cluster
    found = min(len(np.unique(cluster[units.counts[:, column] > 0])) for column in columns)
    if found < 2:
        return None
    sums: Floats = np.bincount(cluster, weights=_influence(units, columns)).astype(np.float64)
    return ClusterSums(sums, found)


def _variance(units: Units, columns: Sequence[int], cluster: Integers) -> Variance | None:
    """Linearised ratio, cluster sums, factor G / (G − 1)."""
    found = cluster_sums(units, columns, cluster)
    if found is None:
        return None
    return Variance(found.clusters / (found.clusters - 1) * float(np.sum(found.values**2)), found.clusters)


def _influence(units: Units, columns: Sequence[int]) -> Floats:
    """What each unit adds to the mean of the metrics' ratios, to first order: mean of (sum − θ·count) ÷ Σ count."""
    sums, counts = units.sums[:, columns] / units.scale, units.counts[:, columns]
    totals = counts.sum(axis=0)
    influence: Floats = ((sums - sums.sum(axis=0) / totals * counts) / totals).mean(axis=1)
    return influence


def _t(mean: float, variance: Variance | None, confidence: float) -> Interval | None:
    if variance is None:
        return None
    half = float(stdtrit(variance.clusters - 1, (1 + confidence) / 2)) * math.sqrt(variance.value)
    return Interval(mean - half, mean + half)
