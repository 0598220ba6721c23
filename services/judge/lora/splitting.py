"""Who is learned from and who is kept back: 7:1:2 of each character's dialogues (paper, section 5.3)."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from esrp.errors import InvalidInput

Part = Literal["train", "validation", "test"]
SHARES: Mapping[Part, int] = {"train": 7, "validation": 1, "test": 2}
_WHOLE = sum(SHARES.values())
_FIRST_SERVED: Sequence[Part] = ("validation", "test", "train")  # of equal remainders: what would else be empty


class Unit(NamedTuple):
    """What is never torn apart: a character in a scenario, with every candidate's dialogue in it and all its ratings.

    A conversation from own logs is a unit by itself.
    """

    character: str
    name: str


@dataclass(frozen=True)
class Split:
    """Each unit in one part, and the seed that put it there."""

    seed: int
    parts: Mapping[Part, tuple[Unit, ...]]

    def part_of(self, unit: Unit) -> Part | None:
        """The unit's part; ``None`` if the split does not know it."""
        return self._part_of.get(unit)

    def document(self) -> dict[str, Any]:
        """For a file: the names by part and character, sorted."""
        named: dict[str, dict[str, list[str]]] = {part: {} for part in SHARES}
        for part, units in self.parts.items():
            for unit in sorted(units):
                named[part].setdefault(unit.character, []).append(unit.name)
        return {"seed": self.seed, "shares": dict(SHARES), "parts": named}

    @cached_property
    def _part_of(self) -> dict[Unit, Part]:
        return {unit: part for part, units in self.parts.items() for unit in units}


def split(units: Iterable[Unit], seed: int) -> Split:
    """Put every unit into a part, by a chance that follows from ``seed`` and its names and from no order."""
    by_character: dict[str, list[Unit]] = {}
    for unit in set(units):
        by_character.setdefault(unit.character, []).append(unit)
    parts: dict[Part, list[Unit]] = {part: [] for part in SHARES}
    for found in by_character.values():
        drawn = iter(sorted(found, key=lambda unit: (_lot(seed, unit), unit)))
        for part, size in sizes(len(found)).items():
            parts[part] += [next(drawn) for _ in range(size)]
    return Split(seed, {part: tuple(sorted(found)) for part, found in parts.items()})


def sizes(count: int) -> dict[Part, int]:
    """How many of ``count`` units go into each part: largest remainders, so that they add up."""
    found: dict[Part, int] = {part: count * share // _WHOLE for part, share in SHARES.items()}
    by_remainder = sorted(_FIRST_SERVED, key=lambda part: -(count * SHARES[part] % _WHOLE))
    for part in by_remainder[: count - sum(found.values())]:
        found[part] += 1
    return found


def read_split(document: Any) -> Split:
    """The split in a file's parsed JSON; ``InvalidInput`` if it is none, or names a unit twice."""
    try:
        parts: dict[Part, tuple[Unit, ...]] = {
            part: tuple(Unit(who, name) for who, names in document["parts"][part].items() for name in names)
            for part in SHARES
        }
        found = Split(int(document["seed"]), parts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput.at("split", f"This is no recorded split: {error!r}.") from error
    if len(found._part_of) != sum(map(len, parts.values())):
        raise InvalidInput.at("split", "The recorded split names a dialogue twice.")
    return found


def _lot(seed: int, unit: Unit) -> bytes:
    return hashlib.sha256("\n".join((str(seed), *unit)).encode()).digest()
