"""What looks cost: the published levels, what always holds of them, and how often chance passes them."""

import numpy as np
import pytest
from scipy.stats import norm

from esrp.stats.holm import holm
from esrp.stats.looks import Charge, Look, asked_before, charged, level

MOST = 1200
A_TENTH = 0.05 * 0.1
FOUR = (120, 240, 480, 1200)


def levels(counts: tuple[int, ...], alpha: float = 0.05) -> list[float]:
    return [level([count / MOST for count in counts[: place + 1]], alpha) for place in range(len(counts))]


def test_four_looks_have_the_levels_of_the_definition() -> None:
    assert [round(found, 4) for found in levels(FOUR)] == [0.0050, 0.0064, 0.0127, 0.0363]


def test_one_look_at_the_end_has_all_of_the_error() -> None:
    assert level([1.0], 0.05) == 0.05


def test_two_looks_are_the_bivariate_normal() -> None:
    first, second = (float(norm.isf(found)) for found in levels((600, 1200)))
    assert first == pytest.approx(float(norm.isf(0.025)))
    random = np.random.default_rng(3)
    half, rest = random.standard_normal((2, 2_000_000))
    whole = (half + rest) / np.sqrt(2)
    assert ((half > first) | (whole > second)).mean() == pytest.approx(0.05, abs=0.0005)


@pytest.mark.parametrize("counts", [FOUR, tuple(range(60, 1201, 60))])
def test_a_motion_without_drift_is_beyond_some_bound_in_5_of_100_cases(counts: tuple[int, ...]) -> None:
    random = np.random.default_rng(8)
    steps = np.sqrt(np.diff([0, *counts]) / MOST)
    motion = np.cumsum(steps * random.standard_normal((400_000, len(counts))), axis=1)
    bounds = norm.isf(levels(counts)) * np.sqrt(np.array(counts) / MOST)
    assert (motion > bounds).any(axis=1).mean() == pytest.approx(0.05, abs=0.0012)


def test_a_look_in_between_takes_from_those_after_it_and_not_from_those_before() -> None:
    few, many = levels((120, 1200)), levels((120, 600, 1200))
    assert few[0] == many[0] and many[2] < few[1]


def test_the_first_look_spends_in_proportion() -> None:
    found = charged([], 120, "a", MOST)
    assert found == Charge((0.1,), A_TENTH, pytest.approx(A_TENTH), pytest.approx(0.045), again=False, repeated=False)  # type: ignore[arg-type]  # compares as a float


def test_later_looks_pay_for_earlier_ones() -> None:
    found = charged([Look(120, "a"), Look(240, "b")], 480, "c", MOST)
    assert found is not None
    assert found.fractions == (0.1, 0.2, 0.4)
    assert (found.spent, found.left) == pytest.approx((0.02, 0.03))
    assert found.level == pytest.approx(levels(FOUR)[2])


def test_the_same_ratings_spend_once_however_often_they_are_asked_about() -> None:
    earlier = [Look(120, "a"), Look(240, "b")]
    found = charged(earlier, 120, "a", MOST)
    assert found is not None and found.repeated and not found.again
    assert (found.fractions, found.level, found.spent) == ((0.1,), A_TENTH, 0.01)
    last = charged(earlier, 240, "b", MOST)
    assert last is not None and last.level == pytest.approx(levels(FOUR)[1]) and last.spent == 0.01


def test_other_ratings_of_as_many_dialogues_are_decided_at_the_level_that_was_reached() -> None:
    found = charged([Look(120, "a"), Look(240, "b")], 240, "other", MOST)
    assert found is not None and found.again and not found.repeated
    assert (found.level, found.spent) == pytest.approx((levels(FOUR)[1], 0.01))
    fewer = charged([Look(120, "a"), Look(240, "b")], 60, "other", MOST)
    assert fewer is not None and (fewer.again, fewer.level, fewer.spent) == (True, A_TENTH, 0.01)


def test_nothing_is_left_beyond_the_largest_number() -> None:
    assert charged([Look(120, "a")], 1201, "b", MOST) is None
    whole = charged([Look(120, "a")], 1200, "b", MOST)
    assert whole is not None and (whole.spent, whole.left) == (0.05, 0)


def test_attempts_that_nobody_charges_add_up() -> None:
    assert asked_before(0) == 0
    assert asked_before(1) == pytest.approx(0.05)
    assert asked_before(4) == pytest.approx(1 - 0.95**4)


def test_holm_holds_each_step_to_the_level_of_its_share() -> None:
    at = [0.1, 0.2]
    bounds = [level(at, 0.05 / left) for left in (2, 1)]
    p_values = [bounds[1] * 0.999, bounds[0] * 0.999]
    assert holm(p_values, 0.05, lambda share: level(at, share)) == [True, True]
    assert holm(p_values[::-1], 0.05, lambda share: level(at, share)) == [True, True]
    assert holm([bounds[0] * 1.001, 1.0], 0.05, lambda share: level(at, share)) == [False, False]
    assert bounds[0] < level(at, 0.05) / 2
