"""How many dialogues would decide what is open, and with what chance: predicted from what was seen (STATISTICS C)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from esrp.metrics import METRIC_IDS, columns_of
from esrp.stats.estimates import Estimate, joint
from esrp.stats.looks import level
from esrp.stats.normal import root, standard_normal
from esrp.stats.ratings import Floats
from esrp.stats.unseen import STEP, room_below, unseen_share

POWER = 0.80
MOST = 1_000_000  # dialogues: what needs more is out of reach
USUAL = 0.05  # assumed SD of the difference in overall between a release and its baseline
APART = 0.02  # at least, the SD among metrics' differences: what scatters less than chance is not known to be equal
NEAR = 1e-12  # below it a variance stands for none


@dataclass(frozen=True, eq=False)
class Open:
    """An endpoint that has to clear its threshold, as it is held to it now; ``pull`` is what missing ratings take."""

    metric: str
    kind: str
    threshold: float
    found: Estimate
    pull: float


@dataclass(frozen=True, slots=True)
class Needed:
    """The least number of dialogues that decides with a ``chance`` of 80 % or more.

    ``dialogues`` is ``None`` where no number up to the largest does; ``chance`` is then that of the largest.
    """

    dialogues: int | None
    chance: float


def needed(
    endpoints: Sequence[Open],
    metrics: Sequence[Estimate],
    *,
    dialogues: int,
    most: int | None,
    alpha: float,
    fractions: Sequence[float] = (1.0,),
) -> Needed:
    """The predictive chance of a decision, a pass or a fail, over all endpoints (Spiegelhalter and others 1986).

    ``metrics``: the nine differences, shrunk towards their mean (Efron and Morris 1975); what is not made of them is
    taken as it was seen. More dialogues are of the same kind: pairs, not replicates. ``fractions``: looks until now.
    """
    low, high = dialogues, most or MOST
    if high <= low:
        return Needed(None, 0.0)
    ahead = _Ahead(endpoints, metrics, dialogues, most, alpha, fractions)
    if (chance := ahead.chance(high)) < POWER:
        return Needed(None, chance)
    while high - low > 1:
        middle = (low + high) // 2
        at = ahead.chance(middle)
        low, high, chance = (low, middle, at) if at >= POWER else (middle, high, chance)
    return Needed(high, chance)


class _Ahead:
    """What may be seen with more dialogues: d_N ~ N(f·d + (1 − f)·m, (1 − f)²·V + f·(1 − f)·Σ), with f = n / N."""

    def __init__(
        self,
        endpoints: Sequence[Open],
        metrics: Sequence[Estimate],
        dialogues: int,
        most: int | None,
        alpha: float,
        fractions: Sequence[float],
    ) -> None:
        self._endpoints, self._dialogues, self._most = endpoints, dialogues, most
        self._alpha, self._fractions = alpha, tuple(fractions)
        shrinks = len(metrics) == len(METRIC_IDS)
        others = [item.found for item in endpoints if not (shrinks and _of_metrics(item))]
        base = [*(metrics if shrinks else ()), *others]
        self._seen = np.array([found.mean or 0.0 for found in base])
        self._covariance = joint(base)
        self._mean, self._posterior = self._seen.copy(), self._covariance.copy()
        if shrinks:
            of = len(metrics)
            self._mean[:of], self._posterior[:of, :of] = shrunk(self._seen[:of], self._covariance[:of, :of])
            self._posterior[:of, of:] = self._posterior[of:, :of] = 0.0
        self._weights = _weights(endpoints, len(base) - len(others), len(base))
        self._normal = standard_normal(len(base))

    def chance(self, at: int) -> float:
        """That of a decision with so many dialogues."""
        f = self._dialogues / at
        covariance = (1 - f) ** 2 * self._posterior + f * (1 - f) * self._covariance
        drawn = f * self._seen + (1 - f) * self._mean + self._normal @ root(covariance)
        differences = drawn @ self._weights.T
        return float((self._passes(differences, at) | self._fails(differences, at)).mean())

    def _passes(self, drawn: Floats, at: int) -> NDArray[np.bool_]:
        one_sided = self._level(at, self._alpha)
        rooms = [self._room(item, at, one_sided, below=True) + item.pull for item in self._endpoints]
        thresholds = np.array([item.threshold for item in self._endpoints])
        cleared: NDArray[np.bool_] = (drawn - np.array(rooms) > thresholds).all(axis=1)
        return cleared

    def _fails(self, drawn: Floats, at: int) -> NDArray[np.bool_]:
        """At Holm's first step."""
        one_sided = self._level(at, self._alpha / len(self._endpoints))
        rooms = [self._room(item, at, one_sided, below=False) for item in self._endpoints]
        thresholds = np.array([item.threshold for item in self._endpoints])
        worse: NDArray[np.bool_] = (drawn + np.array(rooms) < thresholds).any(axis=1)
        return worse

    def _room(self, item: Open, at: int, one_sided: float, *, below: bool) -> float:
        """How far a bound is from its estimate: the standard error shrinks as 1/√N, the unseen share as 1/N."""
        found = item.found
        assert found.se is not None and found.mean is not None and found.seen is not None
        times = self._dialogues / at
        by_t = float(stdtrit(found.degrees, 1 - one_sided)) * found.se * math.sqrt(times)
        share = unseen_share(np.array(found.seen.n / times), one_sided)
        if below:
            return room_below(found.mean, by_t, found.seen, share)
        reach = min(found.seen.span.high, float(found.seen.high) + STEP) - found.mean
        return max(by_t, reach * float(share))

    def _level(self, at: int, alpha: float) -> float:
        if self._most is None:
            return alpha
        return level((*(part for part in self._fractions if part < at / self._most), at / self._most), alpha)


def shrunk(seen: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Posterior means and their covariance where θ_k ~ N(μ, τ²), μ is small, and τ² scatters beyond ``covariance``.

    That is first smoothed to one correlation, for few scenarios leave its inverse without meaning. With nothing known
    of μ, equal bots are promised a decision with 66 % where they get one in 95.
    """
    count = len(seen)
    sds = np.sqrt(np.maximum(np.diag(covariance), NEAR))
    correlations = covariance / np.outer(sds, sds)
    between = float(np.clip((correlations.sum() - count) / (count * (count - 1)), 0.0, 0.95))
    smooth = np.outer(sds, sds) * (between + (1 - between) * np.eye(count))
    scatter = max(APART**2, _scatter(seen, sds**2 * (1 - between)))
    inverse = np.linalg.inv(smooth)
    prior = (np.eye(count) - 1 / count) / scatter + np.full((count, count), 1 / (count * USUAL) ** 2)
    posterior = np.linalg.inv(inverse + prior).astype(np.float64)
    return posterior @ inverse @ seen, posterior


def _scatter(seen: Floats, variances: Floats) -> float:
    """What values scatter beyond their own errors, by the method of moments with weights (DerSimonian, Laird 1986).

    Metrics near the end of the scale have a tenth of the errors of others: unweighted, theirs would not count.
    """
    weights = 1 / variances
    mean = weights @ seen / weights.sum()
    beyond = weights @ (seen - mean) ** 2 - (len(seen) - 1)
    return float(beyond / (weights.sum() - (weights**2).sum() / weights.sum()))


def _of_metrics(item: Open) -> bool:
    return item.kind == "margin" and item.metric != "diversity"


def _weights(endpoints: Sequence[Open], metrics: int, base: int) -> Floats:
    """Endpoints × base: a margin is the mean of its metrics, all else is itself."""
    weights, place = np.zeros((len(endpoints), base)), metrics
    for row, item in enumerate(endpoints):
        if metrics and _of_metrics(item):
            columns = columns_of(item.metric)
            weights[row, columns] = 1 / len(columns)
        else:
            weights[row, place] = 1.0
            place += 1
    return weights
