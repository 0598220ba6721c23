"""No group worse than before: the paired difference of overall within each group, all at once (STATISTICS H)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from esrp.metrics import columns_of
from esrp.stats.estimates import estimate
from esrp.stats.groups import Labels
from esrp.stats.holm import holm
from esrp.stats.paired import paired
from esrp.stats.ratings import Integers, Ratings, Units

FEWEST = 10  # shared dialogues of a group
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Slice:
    """A group's candidate − baseline on overall over ``n`` shared pairs; ``broken``: worse than its margin allows."""

    label: str
    n: int
    difference: float | None
    chance: float | None
    outcome: Literal["broken", "held", "not_measured"]


def slices(
    candidate: Ratings, baseline: Ratings, labels: Labels, margin: float, *, alpha: float = ALPHA
) -> tuple[Slice, ...]:
    """Every group of (character, scenario) pairs that both runs have, in order of labels.

    One-sided against −``margin`` by the t of its scenarios, Holm over the groups that could be measured.
    """
    units = paired(candidate.units, baseline.units)
    parts = [(label, _part(units, rows)) for label, rows in _labelled(units, labels)]
    found = [_slice(label, part, margin) for label, part in parts]
    measured = [item.chance for item in found if item.chance is not None]
    rejected = iter(holm(measured, alpha))
    return tuple(replace(item, outcome=_outcome(next(rejected))) if item.chance is not None else item for item in found)


def _outcome(rejected: bool) -> Literal["broken", "held"]:
    return "broken" if rejected else "held"


def _slice(label: str, units: Units, margin: float) -> Slice:
    found = estimate(units, columns_of("overall"))
    n = 0 if found.seen is None else int(found.seen.n)
    if n < FEWEST or found.errors is None:
        return Slice(label, n, found.mean, None, "not_measured")
    return Slice(label, n, found.mean, found.worse(-margin), "held")


def _labelled(units: Units, labels: Labels) -> Iterable[tuple[str, Integers]]:
    named = [labels(*pair) for pair in units.pairs]
    for label in sorted({name for name in named if name is not None}):
        yield label, np.array([row for row, name in enumerate(named) if name == label], dtype=np.int64)


def _part(units: Units, rows: Integers) -> Units:
    return replace(
        units,
        sums=units.sums[rows],
        counts=units.counts[rows],
        character=units.character[rows],
        scenario=units.scenario[rows],
        pairs=tuple(units.pairs[row] for row in rows),
    )
