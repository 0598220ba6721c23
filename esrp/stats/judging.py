"""What can be measured of a judge: what moves its scores, how steady it is, and whom it favours."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import stdtrit

from esrp.stats.agreement import LEVELS, AgainstHumans, compared
from esrp.stats.intervals import CONFIDENCE, Interval
from esrp.stats.ratings import Floats, Integers

Cells: TypeAlias = Mapping[tuple[str, str], int]
"""Scores from 1 to 5 by (dialogue, metric); what has no score is not in it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean or slope with its interval over clusters; ``interval`` is ``None`` below two of them."""

    value: float
    interval: Interval | None
    clusters: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of the dialogues did to their scores, cell by cell; intervals are clustered by dialogue.

    ``lift``: the mean of score after − score before over the ``pairs`` that have both. ``flips``: the share of them
    that rose by 1 or more, of those that could (``room``: below 5 before). ``lost`` is the share of the cells with a
    score before that have none after. ``None`` is what nothing is known of.
    """

    pairs: int
    dialogues: int
    room: int
    lift: Figure | None
    flips: Figure | None
    lost: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """How far two ratings of the same dialogues by one judge are apart, over the ``pairs`` that have both.

    ``sd`` is that of one rating around the judge's own mean: √(mean d² ÷ 2). ``same`` is the share of equal scores.
    """

    pairs: int
    sd: float
    same: float


def change(before: Cells, after: Cells) -> Change:
    """What became of the scores; the dialogues are the same, but for what was changed in them."""
    both = sorted(before.keys() & after.keys())
    rises = [(cell[0], after[cell] - before[cell]) for cell in both]
    could = [(cell[0], after[cell] > before[cell]) for cell in both if before[cell] < LEVELS]
    return Change(
        pairs=len(both),
        dialogues=len({dialogue for dialogue, _ in both}),
        room=len(could),
        lift=_clustered(rises),
        flips=_exact_at_the_ends(_clustered(could)),
        lost=1 - len(both) / len(before) if before else None,
    )


def spread(once: Cells, again: Cells) -> Spread | None:
    """How far the same judge's scores of the same dialogues are apart; ``None`` if no cell has two."""
    apart = np.array([once[cell] - again[cell] for cell in sorted(once.keys() & again.keys())], dtype=np.float64)
    if not len(apart):
        return None
    return Spread(len(apart), math.sqrt(float((apart**2).mean()) / 2), float((apart == 0).mean()))


def between(one: Cells, other: Cells) -> AgainstHumans:
    """Two judges over the cells that both scored, metrics pooled; ``bias`` is the first's − the other's."""
    joint = np.zeros((LEVELS, LEVELS), dtype=np.int64)
    for (x, y), times in Counter((score, other[cell]) for cell, score in one.items() if cell in other).items():
        joint[x - 1, y - 1] = times
    return compared(joint)


def slope(x: Sequence[float], y: Sequence[float], group: Sequence[str], cluster: Sequence[str]) -> Figure | None:
    """What y gains for one more of x within a group, by least squares; the interval is clustered (t, G − 1).

    Each group (a run) has a mean of its own, so that candidates that differ in both do not make a slope. ``None``
    where x does not vary within any group.
    """
    if not x:
        return None
    inner_x, inner_y = _within(np.array(x, dtype=np.float64), group), _within(np.array(y, dtype=np.float64), group)
    squares = float(inner_x @ inner_x)
    if squares <= 1e-12 * len(x):
        return None
    value = float(inner_x @ inner_y) / squares
    influence: Floats = np.bincount(_numbered(cluster), weights=inner_x * (inner_y - value * inner_x)) / squares
    return Figure(value, _t(value, influence), len(influence))


def favour(own: Mapping[tuple[str, str], float], others: Mapping[tuple[str, str], float]) -> Figure | None:
    """The mean of own − others over the (cluster, unit) keys that both have; ``None`` if there are none."""
    return _clustered([(key[0], own[key] - others[key]) for key in sorted(own.keys() & others.keys())])


# --- how it is computed -----------------------------------------------------------------------------------------------


def _clustered(given: Sequence[tuple[str, float]]) -> Figure | None:
    """The mean of the values, with a linearised cluster variance, G ÷ (G − 1), and t with G − 1 (STATISTICS 2)."""
    if not given:
        return None
    values = np.array([value for _, value in given], dtype=np.float64)
    mean = float(values.mean())
    number = _numbered([cluster for cluster, _ in given])
    sums: Floats = np.bincount(number, weights=(values - mean) / len(values)).astype(np.float64)
    return Figure(mean, _t(mean, sums), len(sums))


def _t(value: float, influence: Floats) -> Interval | None:
    clusters = len(influence)
    if clusters < 2:
        return None
    variance = clusters / (clusters - 1) * float(influence @ influence)
    half = float(stdtrit(clusters - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    return Interval(value - half, value + half)


def _exact_at_the_ends(share: Figure | None) -> Figure | None:
    """A share of 0 or 1 in G dialogues has the exact binomial interval of 0 or G in G; others stay inside [0, 1]."""
    if share is None or share.interval is None:
        return share
    least = float(((1 - CONFIDENCE) / 2) ** (1 / share.clusters))
    if share.value == 0:
        return Figure(0.0, Interval(0.0, 1 - least), share.clusters)
    if share.value == 1:
        return Figure(1.0, Interval(least, 1.0), share.clusters)
    inside = Interval(max(0.0, share.interval.low), min(1.0, share.interval.high))
    return Figure(share.value, inside, share.clusters)


def _within(values: Floats, group: Sequence[str]) -> Floats:
    number = _numbered(group)
    inner: Floats = values - (np.bincount(number, weights=values) / np.bincount(number))[number]
    return inner


def _numbered(names: Sequence[str]) -> Integers:
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
