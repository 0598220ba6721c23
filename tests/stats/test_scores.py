"""Means, counts and worst cases, on numbers that can be checked by hand."""

import pytest

from esrp.metrics import METRIC_IDS
from esrp.stats import Interval, Intervals, Ratings, Score, scores
from tests.stats.builders import crossed, noisy, rating


def test_a_metric_is_the_sum_over_the_count_of_all_its_ratings() -> None:
    found = scores(Ratings.of([rating("a", "s1", 5), rating("a", "s1", 4, rater="r2"), rating("b", "s2", 3)]))
    assert found.metrics["fluency"].mean == 4
    assert (found.metrics["fluency"].n, found.metrics["fluency"].ratings) == (2, 3)


def test_dimensions_and_overall_are_unweighted_means_of_metrics_however_many_ratings_each_has() -> None:
    by_metric = crossed(2, 2, lambda c, s, m: 1 + m % 3)  # 1, 2, 3 in every dimension
    more = [rating("c00", "s00", 3, metric="coherence", rater=f"more{n}") for n in range(40)]
    found = scores(Ratings.of(by_metric + more))
    assert {name: score.mean for name, score in found.dimensions.items()} == {"BDC": 2, "RPC": 2, "ESC": 2}
    assert found.overall.mean == pytest.approx(2, abs=1e-15)
    assert (found.overall.n, found.overall.ratings) == (4, 36 + 40)


def test_overall_is_unknown_where_a_metric_has_no_rating() -> None:
    found = scores(Ratings.of([r for r in noisy(3, 4) if r.metric != "emotional_value"]))
    nothing = Score(None, 12, 96, None, Intervals(None, None, None), None)
    assert found.overall == nothing
    assert found.dimensions["ESC"].mean is None
    assert found.dimensions["BDC"].mean is not None


def test_nothing_rated_means_nothing_known() -> None:
    found = scores(Ratings.of([]))
    nothing = Score(None, 0, 0, None, Intervals(None, None, None), None)
    assert found.overall == nothing
    assert list(found.metrics.values()) == [nothing] * 9


def test_worst_cases_set_what_is_missing_to_1_and_to_5() -> None:
    found = scores(Ratings.of([rating("a", "s1", 4), rating("b", "s1", 4)]), {"fluency": 2})
    assert found.metrics["fluency"].worst == Interval(2.5, 4.5)
    assert found.metrics["fluency"].mean == 4


def test_worst_cases_of_overall_are_means_of_the_metrics() -> None:
    found = scores(Ratings.of(crossed(1, 2, lambda c, s, m: 3)), dict.fromkeys(METRIC_IDS, 2))
    assert found.overall.worst == Interval(2, 4)


def test_a_replicate_is_a_dialogue_of_its_own_and_part_of_its_pair() -> None:
    twice = [rating("a", "s1", 5, dialogue="first"), rating("a", "s1", 2, dialogue="second"), rating("b", "s2", 4)]
    ratings = Ratings.of(twice)
    assert scores(ratings).metrics["fluency"].n == 3
    assert ratings.units.pairs == (("a", "s1"), ("b", "s2"))


def test_a_metric_that_is_none_of_the_nine_is_refused() -> None:
    with pytest.raises(ValueError, match="charm"):
        Ratings.of([rating("a", "s1", 5, metric="charm")])
