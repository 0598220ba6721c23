"""Looks that are paid for: how much error each look at a growing run may spend, and what was spent (STATISTICS B).

Four looks at 120, 240, 480 and 1,200 dialogues, each at 5 %, pass a bot at its margin in 12 % of cases. Spent in
proportion to the dialogues (Lan and DeMets 1983) they pass it in 5 % together.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from esrp.stats.ratings import Floats

ALPHA = 0.05
NODES = 160  # of the quadrature between two looks; with 320 no level differs by 1e-9
FAR = 9.0  # SDs below 0 where the density is cut off: 1e-19 of it
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)


@dataclass(frozen=True, slots=True)
class Look:
    """One verdict that was asked for: dialogues played for the release until then, and the hash of their ratings."""

    dialogues: int
    ratings: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What a look costs.

    ``fractions`` of the largest number of dialogues at which it and those before it lie; ``level`` its one-sided level;
    ``spent`` and ``left`` of the error once it is taken. ``again``: other ratings of as many dialogues as were looked
    at before, decided at the level reached then. ``repeated``: the very ratings of an earlier look.
    """

    fractions: tuple[float, ...]
    level: float
    spent: float
    left: float
    again: bool
    repeated: bool


def charged(earlier: Sequence[Look], dialogues: int, ratings: str, most: int, *, alpha: float = ALPHA) -> Charge | None:
    """What a look at so many dialogues costs after those ``earlier``; ``None`` beyond ``most``: the looks are used up.

    ``most`` was fixed at the first look. What does not go beyond the dialogues that were looked at spends nothing.
    """
    if dialogues > most:
        return None
    known = next((look for look in earlier if look.ratings == ratings), None)
    reached = max((look.dialogues for look in earlier), default=0)
    at = known.dialogues if known else dialogues
    counts = sorted({look.dialogues for look in earlier if look.dialogues <= at})
    if dialogues > reached and not known:
        counts.append(dialogues)
    counts = counts or [min(look.dialogues for look in earlier)]  # fewer than ever before: the first level
    fractions = tuple(count / most for count in counts)
    spent = alpha * max(reached, 0 if known else dialogues) / most
    again = known is None and dialogues <= reached
    return Charge(fractions, level(fractions, alpha), spent, alpha - spent, again, known is not None)


def asked_before(attempts: int, *, alpha: float = ALPHA) -> float:
    """The chance of at least one false pass in so many attempts that nobody charged, each on its own dialogues."""
    return float(-np.expm1(attempts * np.log1p(-alpha)))


def level(fractions: Sequence[float], alpha: float = ALPHA) -> float:
    """The one-sided level of the last of these looks, where those before it had theirs.

    ``fractions`` of all information, increasing, at most 1. Up to t, α·t is spent. Under the null the looks are a
    Brownian motion; its density where no look was beyond its bound is carried from look to look. One look at the end
    has all of α. Each of m endpoints under Holm is held to the level of α / m (``holm``): with the level of α divided
    by m twenty looks would err in 6.5 % instead of 5.
    """
    if len(fractions) == 1:
        return alpha * fractions[0]
    below = _Below.first(fractions[0], -float(ndtri(alpha * fractions[0])))
    for previous, at in itertools.pairwise(fractions[:-1]):
        below = below.after(at, below.bound(at, alpha * (at - previous)))
    bound = below.bound(fractions[-1], alpha * (fractions[-1] - fractions[-2]))
    return float(ndtr(-bound))


@dataclass(frozen=True, eq=False)
class _Below:
    """The density of a Brownian motion at ``at`` that no look has stopped: values at nodes, times their weights."""

    at: float
    nodes: Floats
    mass: Floats

    @classmethod
    def first(cls, at: float, bound: float) -> "_Below":
        """Of the first look; ``bound`` in SDs."""
        nodes, weights = _grid(at, bound)
        return cls(at, nodes, weights * _density(nodes, math.sqrt(at)))

    def after(self, at: float, bound: float) -> "_Below":
        """Of the look after this one."""
        nodes, weights = _grid(at, bound)
        steps = _density(nodes[:, None] - self.nodes, math.sqrt(at - self.at))
        return _Below(at, nodes, weights * (steps @ self.mass))

    def bound(self, at: float, spend: float) -> float:
        """The bound, in SDs, that the next look exceeds with the chance ``spend``: bisection."""
        low, high, step = 0.0, FAR, math.sqrt(at - self.at)
        for _ in range(60):
            middle = (low + high) / 2
            beyond = float(self.mass @ ndtr((self.nodes - middle * math.sqrt(at)) / step))
            low, high = (middle, high) if beyond > spend else (low, middle)
        return high


def _grid(at: float, bound: float) -> tuple[Floats, Floats]:
    low, high = -FAR * math.sqrt(at), bound * math.sqrt(at)
    return (high - low) / 2 * _NODES + (high + low) / 2, (high - low) / 2 * _WEIGHTS


def _density(x: Floats, sd: float) -> Floats:
    density: Floats = np.exp(-((x / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))
    return density
