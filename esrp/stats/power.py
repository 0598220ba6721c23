"""What a comparison can show, before anything is spent (STATISTICS 6, D)."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, ndtr, ndtri, stdtrit

from esrp.metrics import METRIC_IDS
from esrp.stats.normal import root, standard_normal
from esrp.stats.ratings import DIFFERENCES, Floats, Units
from esrp.stats.unseen import ROOM, STEP, unseen_share

CONFIDENCE = 0.95  # one-sided
POWER = 0.80
WIDEST = 4.0  # no two means on a scale from 1 to 5 are further apart
FEWEST = 60  # pairs that two runs share: below it the SDs are assumed
MOST = 10_000_000  # dialogues: what needs more is out of reach

# Assumptions, not estimates: no ratings of a paired study are published. The SDs are those of the simulated study whose
# means and dialogue-bootstrap widths are the paper's: the difference of two bots on the same (character, scenario),
# first alone, then with what dialogues of one scenario have in common where a scenario is met by 20 characters.
TOGETHER = 20
OVERALL_SD, OVERALL_CLUSTERED_SD = 0.468, 0.527
METRIC_SDS = np.array([0.73, 0.83, 0.80, 0.86, 0.86, 0.85, 0.81, 0.85, 0.78])
METRIC_CLUSTERED_SDS = np.array([0.76, 0.87, 0.83, 0.89, 0.90, 0.88, 0.84, 0.89, 0.81])
CORRELATION = 0.30  # of two metrics' estimated differences

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class Detectable:
    """The smallest margins at which a bot as good as its baseline passes with 80 % power, one-sided 5 %.

    ``overall``: a policy with a margin on the overall score alone; ``metrics``: one with the same margin on all nine
    metrics and overall, every one of which has to clear it. ``assumed``: the SDs are not those of runs of this suite.
    """

    overall: float
    metrics: float
    assumed: bool = True


@dataclass(frozen=True, eq=False)
class Spread:
    """How paired differences of two runs vary: metrics × metrics, among scenarios and within them; ``low``: the least.

    ``pairs`` and ``scenarios`` that both runs have.
    """

    among: Floats
    within: Floats
    low: Floats
    pairs: int
    scenarios: int


def observed(differences: Units) -> Spread | None:
    """What two runs of a suite show of the spread of their differences, by analysis of variance over scenarios.

    ``differences`` as ``paired``. ``None`` under 60 pairs that have all nine metrics, or where no scenario has two.
    """
    whole = differences.counts.all(axis=1)
    values = (differences.sums[whole] / differences.scale).astype(np.float64)
    _, cluster, size = np.unique(differences.scenario[whole], return_inverse=True, return_counts=True)
    n, groups = len(values), len(size)
    if n < FEWEST or groups < 2 or n == groups:
        return None
    means = np.zeros((groups, values.shape[1]))
    np.add.at(means, cluster, values)
    means /= size[:, None]
    inner, outer = values - means[cluster], (means - values.mean(axis=0)) * np.sqrt(size)[:, None]
    within, between = inner.T @ inner / (n - groups), outer.T @ outer / (groups - 1)
    usual = (n - float((size**2).sum()) / n) / (groups - 1)
    # One ratio for all metrics: of few scenarios a matrix of its own, made positive, says 90 % where it is 80.
    ratio = max(0.0, float(np.trace(between - within)) / usual / max(float(np.trace(within)), 1e-12))
    return Spread(ratio * within, within, values.min(axis=0), n, groups)


def detectable(pairs: int, *, scenarios: int | None = None, spread: Spread | None = None) -> Detectable:
    """What so many (character, scenario) pairs of each bot can show, spread evenly over ``scenarios``.

    Replicates are no new pairs and count for nothing. Where two runs were played, the SDs are theirs (``spread``). Else
    those of paired differences and their correlation are *assumed* (see above): they are those of the simulation that
    reproduces the paper's Table 1 and its intervals. Without ``scenarios``: 20 dialogues a scenario and many of
    them. The common part of a scenario's dialogues is taken as if there were at least 20 of them: that is cautious for
    a sample. Nothing is above 4, the widest difference there is: fewer than two scenarios show nothing.
    """
    clusters = math.inf if scenarios is None else min(scenarios, pairs)
    if pairs < 2 or clusters < 2:
        return Detectable(WIDEST, WIDEST, spread is None)
    if spread is not None:
        return _observed(spread, pairs, min(clusters, spread.scenarios if scenarios is None else clusters))
    together = TOGETHER if scenarios is None else max(TOGETHER, pairs / clusters)
    critical = _critical(CONFIDENCE, clusters)
    overall = _sd(np.array([OVERALL_SD]), np.array([OVERALL_CLUSTERED_SD]), together) / math.sqrt(pairs)
    metrics = _sd(METRIC_SDS, METRIC_CLUSTERED_SDS, together) / math.sqrt(pairs)
    return Detectable(
        overall=min(WIDEST, float((critical + ndtri(POWER)) * overall[0])),
        metrics=_smallest(metrics, critical),
    )


def needed_dialogues(margin: float, *, scenarios: int | None = None) -> int | None:
    """The fewest dialogues whose ``detectable(…).metrics`` is at most ``margin``; ``None`` if no number does.

    With few fixed ``scenarios`` a small margin stays out of reach, however many dialogues there are in each.
    """
    low, high = 1, MOST
    if detectable(high, scenarios=scenarios).metrics > margin:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if detectable(middle, scenarios=scenarios).metrics <= margin:
            high = middle
        else:
            low = middle
    return high


def _observed(spread: Spread, pairs: int, scenarios: float) -> Detectable:
    """Of all ten endpoints the one that misses its bound most decides: the 80 % quantile of that over draws.

    The bound is the gate's: Student's, with what so few dialogues cannot exclude (``unseen.room_below``).
    """
    weights = np.vstack([np.eye(len(METRIC_IDS)), np.full((1, len(METRIC_IDS)), 1 / len(METRIC_IDS))])
    covariance = weights @ (spread.among / scenarios + spread.within / pairs) @ weights.T
    normal, chi = np.split(standard_normal(len(weights) + 1), [len(weights)], axis=1)
    drawn = normal @ root(covariance)
    degrees = scenarios - 1
    seen_as = np.sqrt(chdtri(degrees, ndtr(-chi)) / degrees)  # how far a standard error is from what it estimates
    errors = _critical(CONFIDENCE, scenarios) * np.sqrt(np.diag(covariance)) * seen_as
    share = float(unseen_share(np.array(pairs), 1 - CONFIDENCE))
    held = np.minimum(-DIFFERENCES.low * share, errors * (1 + ROOM / 2))
    near = (STEP - np.minimum(weights @ spread.low, 0.0)) * share
    missed = np.maximum(np.maximum(errors, held), near) - drawn
    margins = np.quantile(missed[:, -1], POWER), np.quantile(missed.max(axis=1), POWER)
    overall, metrics = (min(WIDEST, float(margin)) for margin in margins)
    return Detectable(overall, metrics, assumed=False)


def _critical(confidence: float, clusters: float) -> float:
    return float(ndtri(confidence) if math.isinf(clusters) else stdtrit(clusters - 1, confidence))


def _sd(alone: Floats, clustered: Floats, together: float) -> Floats:
    """The SD of a difference times √(1 + (m − 1) ρ): what a dialogue is worth where m of them share a scenario."""
    alike = ((clustered / alone) ** 2 - 1) / (TOGETHER - 1)
    worth: Floats = alone * np.sqrt(1 + (together - 1) * alike)
    return worth


def _smallest(se: np.ndarray, critical: float) -> float:
    """The margin at which all nine metrics' lower bounds clear it with 80 % power: bisection.

    The overall difference is not counted: its SE is so much smaller that it fails in one case of 10,000.
    """
    low, high = 0.0, WIDEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _all_clear(middle / se - critical) < POWER else (low, middle)
    return high


def _all_clear(room: Floats) -> float:
    """The probability that nine normals, equally correlated, all exceed −``room``: one common factor, quadrature."""
    assert len(room) == len(METRIC_IDS)
    given = (room[:, None] + math.sqrt(CORRELATION) * _NODES) / math.sqrt(1 - CORRELATION)
    return float(_WEIGHTS @ ndtr(given).prod(axis=0))
