"""What a comparison can show, before anything is spent and after it was inconclusive (STATISTICS 6)."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from esrp.metrics import METRIC_IDS
from esrp.stats.ratings import Floats

CONFIDENCE = 0.95  # one-sided
POWER = 0.80
WIDEST = 4.0  # no two means on a scale from 1 to 5 are further apart
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
    metrics and overall, every one of which has to clear it.
    """

    overall: float
    metrics: float


def detectable(dialogues: int, *, scenarios: int | None = None) -> Detectable:
    """What so many dialogues of each bot can show, spread evenly over ``scenarios``.

    The SDs of paired differences and their correlation are *assumed* (see above): they are those of the simulation
    that reproduces the paper's Table 1 and its intervals. Without ``scenarios``: 20 dialogues a scenario and many of
    them. The common part of a scenario's dialogues is taken as if there were at least 20 of them: that is cautious for
    a sample. Nothing is above 4, the widest difference there is: fewer than two scenarios show nothing.
    """
    clusters = math.inf if scenarios is None else min(scenarios, dialogues)
    if dialogues < 2 or clusters < 2:
        return Detectable(WIDEST, WIDEST)
    together = TOGETHER if scenarios is None else max(TOGETHER, dialogues / clusters)
    critical = _critical(CONFIDENCE, clusters)
    overall = _sd(np.array([OVERALL_SD]), np.array([OVERALL_CLUSTERED_SD]), together) / math.sqrt(dialogues)
    metrics = _sd(METRIC_SDS, METRIC_CLUSTERED_SDS, together) / math.sqrt(dialogues)
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


def deciding_dialogues(
    distance: float, se: float, dialogues: int, *, clusters: int, confidence: float = CONFIDENCE
) -> int | None:
    """How many dialogues would show with 80 % power that an estimate is on its side of a threshold.

    ``distance`` from the threshold and ``se`` were seen with ``dialogues`` in ``clusters`` scenarios, and are taken
    for the truth; more dialogues of the same kind shrink the standard error as 1/√n. ``None``: out of reach.
    """
    if distance == 0:
        return None
    times = (((_critical(confidence, clusters) + ndtri(POWER)) * se) / abs(distance)) ** 2
    needed = math.ceil(dialogues * times) if times < MOST else MOST + 1
    return needed if needed <= MOST else None


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
