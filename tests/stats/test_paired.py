"""Differences on the same (character, scenario)."""

import math

import pytest

from esrp.stats import Rating, Ratings, differences
from tests.stats.builders import crossed, noisy, rating


def shifted(rows: list[Rating], by: int) -> list[Rating]:
    return [r._replace(score=r.score + by) for r in rows]


def test_a_constant_difference_is_found_exactly_but_is_no_certainty() -> None:
    rows = crossed(6, 8, lambda c, s, m: 2 + (3 * c + 5 * s + m) % 3)
    found = differences(Ratings.of(shifted(rows, 1)), Ratings.of(rows))
    assert found.overall.difference == 1 and found.overall.n == 48
    for score in (found.overall, *found.dimensions.values(), *found.metrics.values()):
        for interval in (score.intervals.suite, score.intervals.dialogue):
            assert interval is not None
            wide = 2 * (1 - 0.025 ** (1 / 48))
            assert (interval.low, interval.high) == pytest.approx((1 - wide, 1 + wide), abs=1e-9)


def test_worked_numbers() -> None:
    ours = [rating("a", "s1", 5), rating("a", "s1", 4, rater="r2"), rating("a", "s2", 3), rating("a", "s3", 5)]
    theirs = [rating("a", "s1", 4), rating("a", "s2", 3), rating("a", "s3", 3), rating("a", "s4", 1)]
    found = differences(Ratings.of(ours), Ratings.of(theirs)).metrics["fluency"]
    assert found.difference == pytest.approx((0.5 + 0 + 2) / 3, abs=1e-9)
    assert found.n == 3  # nobody rated s4 for the candidate
    deviations = [0.5 - 2.5 / 3, -2.5 / 3, 2 - 2.5 / 3]
    assert found.se == pytest.approx(math.sqrt(3 / 2 * sum(d * d for d in deviations)) / 3, abs=1e-9)


def test_the_other_way_round_only_the_sign_changes() -> None:
    ours, theirs = Ratings.of(noisy(6, 8, seed=1)), Ratings.of(noisy(6, 8, seed=2))
    forth, back = differences(ours, theirs), differences(theirs, ours)
    assert forth.seed == back.seed
    assert forth.overall.difference == pytest.approx(-(back.overall.difference or 0), abs=1e-12)
    a, b = forth.overall.intervals.dialogue, back.overall.intervals.dialogue
    assert a is not None and b is not None
    assert (a.low, a.high) == pytest.approx((-b.high, -b.low), abs=1e-12)


def test_own_logs_have_nothing_to_be_paired_with() -> None:
    logs = Ratings.of([rating("a", None, 4, dialogue="d1"), rating("a", None, 2, dialogue="d2")])
    found = differences(logs, logs)
    assert found.overall.difference is None and found.metrics["fluency"].n == 0


def test_a_pair_that_varies_together_has_a_narrower_interval_than_its_parts() -> None:
    rows = noisy(8, 10)
    better = [r._replace(score=min(5, r.score + (n % 7 == 0))) for n, r in enumerate(rows)]
    found = differences(Ratings.of(better), Ratings.of(rows)).overall.intervals.suite
    assert found is not None and 0 < found.low < found.high < 0.2
