"""The 7:1:2 split: per character, by chance of the seed alone, nothing in two parts."""

import json
from collections import Counter

import pytest

from esrp.errors import InvalidInput
from services.judge.lora.splitting import SHARES, Unit, read_split, sizes, split

UNITS = [Unit(f"c{who}", f"q{n:02}") for who in range(1, 21) for n in range(1, 61)]


@pytest.mark.parametrize(
    ("count", "train", "validation", "test"),
    [
        (60, 42, 6, 12),
        (10, 7, 1, 2),
        (1, 1, 0, 0),
        (2, 1, 0, 1),
        (3, 2, 0, 1),
        (4, 3, 0, 1),
        (5, 3, 1, 1),
        (0, 0, 0, 0),
    ],
)
def test_sizes_are_seven_one_two(count: int, train: int, validation: int, test: int) -> None:
    assert sizes(count) == {"train": train, "validation": validation, "test": test}


def test_sizes_always_add_up_and_are_never_off_by_one() -> None:
    for count in range(500):
        found = sizes(count)
        assert sum(found.values()) == count
        assert all(abs(found[part] - count * share / 10) < 1 for part, share in SHARES.items())


def test_every_unit_is_in_one_part_and_every_character_in_all() -> None:
    made = split(UNITS, seed=0)
    assert sorted(unit for part in made.parts.values() for unit in part) == sorted(UNITS)
    by_character = {part: set(Counter(unit.character for unit in units).values()) for part, units in made.parts.items()}
    assert by_character == {"train": {42}, "validation": {6}, "test": {12}}
    assert all(made.part_of(unit) in SHARES for unit in UNITS)
    assert made.part_of(Unit("c1", "q99")) is None


def test_the_split_follows_from_seed_and_names_and_from_no_order() -> None:
    assert split(reversed(UNITS), seed=7) == split([*UNITS, *UNITS], seed=7)
    assert split(UNITS, seed=7).parts != split(UNITS, seed=8).parts


def test_another_character_changes_nothing_for_the_others() -> None:
    alone = [unit for unit in UNITS if unit.character == "c1"]
    few, many = split(alone, seed=1), split(UNITS, seed=1)
    assert [few.part_of(unit) for unit in alone] == [many.part_of(unit) for unit in alone]


def test_characters_keep_back_different_scenarios() -> None:
    made = split(UNITS, seed=0)
    assert len({frozenset(u.name for u in made.parts["test"] if u.character == f"c{n}") for n in range(1, 21)}) > 15


def test_a_recorded_split_is_read_back() -> None:
    made = split(UNITS, seed=3)
    assert read_split(json.loads(json.dumps(made.document()))) == made


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"seed": 1, "parts": {"train": {}}},
        {"seed": "x", "parts": {part: {} for part in SHARES}},
        {"seed": 1, "parts": {"train": {"c1": ["q1"]}, "validation": {}, "test": {"c1": ["q1"]}}},
    ],
)
def test_what_is_no_split_is_refused(document: object) -> None:
    with pytest.raises(InvalidInput):
        read_split(document)
