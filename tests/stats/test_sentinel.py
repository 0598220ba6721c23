"""Has a judge moved: worked by hand, unmoved by order, and how often a steady judge is accused."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from esrp.metrics import METRIC_IDS
from esrp.stats import Rating, Ratings
from esrp.stats.sentinel import shift
from tests.stats.builders import crossed, noisy

STEADY = crossed(4, 10, lambda c, s, m: 3 + (c + s + m) % 2)


def changed(rows: list[Rating], by: int, *metrics: str) -> list[Rating]:
    return [r._replace(score=r.score + by) if r.metric in metrics else r for r in rows]


def test_a_judge_that_says_the_same_has_not_moved() -> None:
    found = shift(Ratings.of(STEADY), Ratings.of(STEADY))

    assert (found.difference, found.pairs, found.shifted) == (0, 40, ())
    assert found.interval is not None and (found.interval.low, found.interval.high) == (0, 0)


def test_a_judge_that_is_stricter_everywhere_has_moved_on_everything() -> None:
    found = shift(Ratings.of(changed(STEADY, -1, *METRIC_IDS)), Ratings.of(STEADY))

    assert found.difference == pytest.approx(-1)
    assert found.shifted == ("overall", *METRIC_IDS)


def test_one_metric_that_moved_is_named() -> None:
    found = shift(Ratings.of(changed(STEADY, 1, "fluency")), Ratings.of(STEADY))

    assert found.shifted == ("overall", "fluency")
    assert found.difference == pytest.approx(1 / 9)


def test_the_interval_is_students_t_over_scenarios() -> None:
    stored, fresh = noisy(1, 8, seed=1), noisy(1, 8, seed=2)
    per_scenario: dict[str, list[int]] = {}
    for new, old in zip(fresh, stored, strict=True):
        per_scenario.setdefault(str(new.scenario), []).append(new.score - old.score)
    means = [float(np.mean(differences)) for differences in per_scenario.values()]
    oracle = ttest_1samp(means, 0).confidence_interval(0.95)

    found = shift(Ratings.of(fresh), Ratings.of(stored))

    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


def test_the_order_of_rows_changes_nothing() -> None:
    fresh, stored = noisy(4, 6, seed=1), noisy(4, 6, seed=2)

    assert shift(Ratings.of(fresh[::-1]), Ratings.of(stored)) == shift(Ratings.of(fresh), Ratings.of(stored))


def test_one_scenario_shows_nothing() -> None:
    fresh, stored = noisy(4, 1, seed=1), noisy(4, 1, seed=2)

    found = shift(Ratings.of(fresh), Ratings.of(stored))

    assert (found.interval, found.shifted, found.pairs) == (None, (), 4)


def test_no_ratings_show_nothing() -> None:
    found = shift(Ratings.of([]), Ratings.of(STEADY))

    assert (found.difference, found.interval, found.pairs, found.shifted) == (None, None, 0, ())


def test_a_steady_judge_is_rarely_accused_and_one_that_moved_is_found() -> None:
    """Each score off by one in either direction in one case of ten, 40 dialogues; then half a point stricter."""
    chance = np.random.default_rng(7)
    repetitions, accused, found = 300, 0, 0
    stored = crossed(4, 10, lambda c, s, m: 3)
    for _ in range(repetitions):
        noise = chance.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=len(stored))
        fresh = [r._replace(score=3 + int(n)) for r, n in zip(stored, noise, strict=True)]
        accused += bool(shift(Ratings.of(fresh), Ratings.of(stored)).shifted)
        moved = [
            r._replace(score=r.score - int(x)) for r, x in zip(fresh, chance.random(len(fresh)) < 0.5, strict=True)
        ]
        found += bool(shift(Ratings.of(moved), Ratings.of(stored)).shifted)

    assert accused / repetitions <= 0.075  # 5 % and two standard errors of 300 repetitions
    assert found == repetitions
