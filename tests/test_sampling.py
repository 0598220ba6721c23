"""A part of a suite is balanced, repeatable, and part of every larger one."""

from collections import Counter

import pytest

from esrp.sampling import balanced


@pytest.mark.parametrize(("characters", "scenarios"), [(20, 60), (4, 6), (3, 7), (1, 5), (5, 1), (6, 20)])
@pytest.mark.parametrize("seed", [None, 7])
def test_every_beginning_is_balanced_and_the_whole_is_complete(
    characters: int, scenarios: int, seed: int | None
) -> None:
    pairs = balanced([f"c{n}" for n in range(characters)], [f"s{n}" for n in range(scenarios)], seed=seed)
    assert len(set(pairs)) == characters * scenarios
    for taken in range(1, len(pairs) + 1):
        for side in (0, 1):
            counts = Counter(pair[side] for pair in pairs[:taken])
            absent = (characters, scenarios)[side] > len(counts)
            assert max(counts.values()) - (0 if absent else min(counts.values())) <= 1


def test_the_same_seed_gives_the_same_order_and_another_seed_another() -> None:
    ids = [f"x{n}" for n in range(10)]
    assert balanced(ids, ids, seed=1) == balanced(ids, ids, seed=1) != balanced(ids, ids, seed=2)
