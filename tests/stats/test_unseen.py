"""What n equal scores cannot exclude: worked numbers, what always holds, and that t is left alone where it can be."""

import numpy as np
import pytest
from scipy.stats import binomtest

from esrp.stats.ratings import DIFFERENCES, SCORES, Floats
from esrp.stats.unseen import Sides, chance, lower_bound, seen, unseen_share, widened

TENTH = 0.025 ** (1 / 24)  # the chance of 24 dialogues without any of the unseen share is 2.5 %


DRAWN = range(60)


def drawn(seed: int, low: int, high: int) -> tuple[Floats, np.random.Generator]:
    """Up to 60 whole numbers, most of them alike in one case of three."""
    random = np.random.default_rng(seed)
    values = random.integers(low, high + 1, random.integers(2, 61)).astype(float)
    return np.where(random.random(len(values)) < 0.9 * (seed % 3 == 0), values[0], values), random


def around(values: Floats, half: float) -> Sides:
    mean = np.array(values.mean())
    return widened(mean, Sides(mean - half, mean + half), seen(values, SCORES), 0.95)


def test_the_unseen_share_is_the_exact_bound_at_zero_counts() -> None:
    exact = binomtest(0, 24).proportion_ci(0.95, method="exact").high
    assert float(unseen_share(np.array(24), 0.025)) == pytest.approx(exact)
    assert float(unseen_share(np.array(0), 0.025)) == 1


def test_dialogues_that_are_all_perfect_leave_room_below_and_none_above() -> None:
    found = around(np.full(24, 5.0), 0.0)
    assert (float(found.low), float(found.high)) == pytest.approx((5 - 2 * (1 - TENTH), 5))


def test_where_dialogues_differ_the_width_grows_by_a_tenth_at_most() -> None:
    values = np.tile([2.0, 3, 3, 4, 5, 3, 4, 2], 4)
    found = around(values, 0.3)
    assert float(found.high - found.low) <= 1.1 * 0.6
    alone = around(np.tile(values, 40), 0.3)
    assert (float(alone.low), float(alone.high)) == (values.mean() - 0.3, values.mean() + 0.3)


@pytest.mark.parametrize("seed", DRAWN)
def test_an_interval_is_inside_the_scale_has_width_and_holds_the_one_that_it_was(seed: int) -> None:
    values, random = drawn(seed, 1, 5)
    half = float(random.random())
    mean, found = float(values.mean()), around(values, half)
    assert 1 <= float(found.low) <= mean <= float(found.high) <= 5
    assert float(found.low) < float(found.high)
    assert float(found.low) <= max(1, mean - half) and float(found.high) >= min(5, mean + half)


@pytest.mark.parametrize("seed", DRAWN)
def test_the_order_of_dialogues_changes_nothing_and_the_scale_has_no_upper_side(seed: int) -> None:
    values, _ = drawn(seed, 1, 5)
    values = np.append(values, values[:1]) if len(values) % 2 == 0 else values  # one median
    found, mirrored = around(values, 0.2), around(6 - values[::-1], 0.2)
    assert (float(found.low), float(found.high)) == pytest.approx((6 - float(mirrored.high), 6 - float(mirrored.low)))


def test_columns_are_looked_at_one_by_one_and_a_dialogue_without_a_value_does_not_count() -> None:
    values = np.array([[5, np.nan, np.nan], [5, 4, np.nan], [4, 2, np.nan]])
    found = seen(values, SCORES)
    assert found.n.tolist() == [3, 2, 0]
    assert (found.low.tolist(), found.high.tolist()) == ([4, 2, 1], [5, 4, 5])
    assert found.differing.tolist() == [1, 1, 0]


@pytest.mark.parametrize("seed", DRAWN)
def test_a_bound_clears_a_threshold_where_the_chance_is_below_the_level(seed: int) -> None:
    """The bound and the p-value are one decision, but for Student's part, which both take as it is given."""
    values, random = drawn(seed, -2, 2)
    away, level = float(random.uniform(0.001, 1)), float(random.uniform(0.01, 0.2))
    found, mean = seen(values, DIFFERENCES), float(values.mean())
    threshold = mean - away
    bound = lower_bound(mean, 0.0, found, level)
    if abs(bound - threshold) > 1e-9:
        assert (bound > threshold) == (chance(mean, threshold, 0.0, found) < level)


def test_two_equal_dialogues_are_no_proof() -> None:
    found = seen(np.zeros(2), DIFFERENCES)
    assert chance(0.0, -0.3, 0.0, found) == pytest.approx(0.7**2)
    assert lower_bound(0.0, 0.0, found, 0.05) == pytest.approx(-(1 - 0.05**0.5))
    assert chance(0.0, 0.3, 0.0, found) == pytest.approx(0.7**2)
    assert chance(0.2, -0.9, 0.4, found) == 0.4
