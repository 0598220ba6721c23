"""What moves a judge's scores, how steady it is, whom it favours: worked numbers, properties, coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from esrp.stats.intervals import Interval
from esrp.stats.judging import Figure, between, change, favour, slope, spread

BEFORE = {("a", "fluency"): 3, ("a", "coherence"): 5, ("b", "fluency"): 4, ("b", "coherence"): 2}


def test_a_lift_is_the_mean_of_what_each_score_gained_and_varies_by_dialogue() -> None:
    after = {("a", "fluency"): 5, ("a", "coherence"): 5, ("b", "fluency"): 4, ("b", "coherence"): 1}
    found = change(BEFORE, after)
    assert (found.pairs, found.dialogues, found.room, found.lost) == (4, 2, 3, 0)
    assert found.lift is not None and found.lift.interval is not None
    assert found.lift.value == pytest.approx((2 + 0 + 0 - 1) / 4)
    half = stats.t.ppf(0.975, 1) * math.sqrt(2 * 2 * 0.375**2)  # each dialogue's sum of deviations ÷ 4 is ±1.5 ÷ 4
    assert found.lift.interval.high - found.lift.value == pytest.approx(half)


def test_only_scores_below_five_can_flip_and_only_a_rise_is_a_flip() -> None:
    after = {("a", "fluency"): 5, ("a", "coherence"): 4, ("b", "fluency"): 3, ("b", "coherence"): 2}
    found = change(BEFORE, after)
    assert found.flips is not None and found.flips.value == pytest.approx(1 / 3)
    assert found.room == 3


def test_no_flip_in_twelve_dialogues_is_no_proof_that_there_is_none() -> None:
    before = {(f"d{n}", "fluency"): 3 for n in range(12)}
    flips = change(before, before).flips
    exact = stats.binomtest(0, 12).proportion_ci(method="exact")
    assert flips is not None and flips.interval is not None
    assert (flips.interval.low, flips.interval.high) == pytest.approx((exact.low, exact.high))
    always = change(before, dict.fromkeys(before, 5)).flips
    assert always is not None and always.interval is not None
    assert (always.interval.low, always.interval.high) == pytest.approx((1 - exact.high, 1))


def test_scores_that_are_gone_are_lost_and_count_in_no_mean() -> None:
    found = change(BEFORE, {("a", "fluency"): 4})
    assert (found.pairs, found.dialogues, found.lost) == (1, 1, 0.75)
    assert found.lift == Figure(1.0, None, 1)


def test_where_nothing_is_left_nothing_is_known_but_that() -> None:
    found = change(BEFORE, {})
    assert (found.lift, found.flips, found.lost) == (None, None, 1)
    assert change({}, BEFORE).lost is None


def test_the_spread_is_that_of_one_rating_around_the_judges_own_mean() -> None:
    once, again = {("a", "fluency"): 3, ("b", "fluency"): 4}, {("a", "fluency"): 5, ("b", "fluency"): 4}
    found = spread(once, again)
    assert found is not None
    assert (found.pairs, found.same) == (2, 0.5)
    assert found.sd == pytest.approx(math.sqrt(((5 - 3) ** 2 + 0) / 2 / 2))
    assert spread(once, {}) is None


def test_the_spread_of_independent_ratings_is_their_standard_deviation() -> None:
    random = np.random.default_rng(3)
    drawn = random.choice([2, 3, 4], size=(2, 20_000))
    once, again = ({(str(n), "fluency"): int(score) for n, score in enumerate(row)} for row in drawn)
    found = spread(once, again)
    assert found is not None and found.sd == pytest.approx(math.sqrt(2 / 3), abs=0.01)


def test_two_judges_are_compared_where_both_scored() -> None:
    found = between(BEFORE, {("a", "fluency"): 2, ("b", "fluency"): 4, ("c", "fluency"): 1})
    assert (found.n, found.acc, found.acc_soft, found.bias) == (2, 0.5, 1, 0.5)


def test_a_slope_is_that_within_each_group() -> None:
    """Two runs: one with long replies and low scores, one with short and high ones; within both longer is better."""
    size = [1.0, 2.0, 3.0, 11.0, 12.0, 13.0]
    score = [4.0, 4.1, 4.2, 2.0, 2.1, 2.2]
    found = slope(size, score, ["r1"] * 3 + ["r2"] * 3, ["s1", "s2", "s3"] * 2)
    assert found is not None and found.interval is not None
    assert found.value == pytest.approx(0.1)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.1, 0.1))


def test_without_clusters_to_speak_of_the_slope_is_the_ordinary_one() -> None:
    random = np.random.default_rng(5)
    size = random.normal(size=40)
    score = 0.5 * size + random.normal(size=40)
    found = slope(list(size), list(score), ["r"] * 40, [str(n) for n in range(40)])
    assert found is not None and found.value == pytest.approx(float(stats.linregress(size, score).slope))


def test_the_order_of_rows_changes_no_slope() -> None:
    random = np.random.default_rng(7)
    rows = [(random.normal(), random.normal(), f"r{n % 3}", f"s{n % 5}") for n in range(60)]
    first = slope(*zip(*rows, strict=True))
    random.shuffle(rows)
    second = slope(*zip(*rows, strict=True))
    assert first is not None and second is not None
    assert first.value == pytest.approx(second.value, abs=1e-12)


def test_what_does_not_vary_has_no_slope() -> None:
    assert slope([2.0, 2.0, 3.0], [1.0, 5.0, 3.0], ["r1", "r1", "r2"], ["a", "b", "c"]) is None
    assert slope([], [], [], []) is None


def test_a_favour_is_the_mean_difference_on_what_both_played() -> None:
    own = {("s1", "c1"): 4.5, ("s1", "c2"): 4.0, ("s2", "c1"): 4.0, ("s3", "c1"): 1.0}
    others = {("s1", "c1"): 4.0, ("s1", "c2"): 4.0, ("s2", "c1"): 3.0, ("s4", "c1"): 5.0}
    found = favour(own, others)
    assert found is not None and found.clusters == 2 and found.value == pytest.approx(0.5)
    assert favour(own, {}) is None


def test_ninety_five_percent_intervals_of_a_lift_hold_the_truth_about_so_often() -> None:
    """Twelve dialogues of nine metrics whose lifts hang together within a dialogue."""
    random, held, times = np.random.default_rng(11), 0, 600
    for _ in range(times):
        effect = random.normal(0.4, 0.5, size=12)
        before = {(str(d), str(m)): 2 for d in range(12) for m in range(9)}
        after = {(str(d), str(m)): 2 + int(np.floor(effect[d] + random.uniform())) for d in range(12) for m in range(9)}
        lift = change(before, after).lift
        assert lift is not None and isinstance(lift.interval, Interval)
        held += lift.interval.low <= 0.4 <= lift.interval.high
    assert 0.92 <= held / times <= 0.98
