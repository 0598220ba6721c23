"""The three intervals: worked numbers, what does not change them, and whether they cover."""

import math
import random
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import t

from esrp.metrics import METRIC_IDS
from esrp.stats import Interval, Rating, Ratings, scores
from esrp.stats.bootstrap import key, resampled
from esrp.stats.intervals import intervals
from esrp.stats.ratings import SCORES, Floats
from esrp.stats.unseen import Sides, seen, widened
from tests.stats.builders import crossed, noisy, rating

FLUENCY = [METRIC_IDS.index("fluency")]


def of_fluency(ratings: list[Rating]) -> tuple[float, Interval | None, Interval | None, Interval | None]:
    score = scores(Ratings.of(ratings)).metrics["fluency"]
    assert score.mean is not None
    return score.mean, score.intervals.suite, score.intervals.dialogue, score.intervals.population


def around(values: Sequence[float], variance: float, degrees: int, *, mean: float | None = None) -> Interval:
    """Student's interval with what so few dialogues, of these values, cannot exclude."""
    middle = np.array(statistics.fmean(values) if mean is None else mean)
    half = float(t.ppf(0.975, degrees)) * math.sqrt(variance)
    low, high = widened(middle, Sides(middle - half, middle + half), seen(np.array(values, float), SCORES), 0.95)
    return Interval(pytest.approx(float(low), abs=1e-12), pytest.approx(float(high), abs=1e-12))  # type: ignore[arg-type]  # compares as a float


# Two characters × three scenarios: a 5 4 3, b 4 4 1. Mean 3.5; deviations 1.5 .5 -.5, .5 .5 -2.5, each over 6.
WORKED = [rating(c, f"s{s}", score) for c, row in (("a", (5, 4, 3)), ("b", (4, 4, 1))) for s, score in enumerate(row)]
SCORED = (5, 4, 3, 4, 4, 1)
BY_SCENARIO = 3 / 2 * (2**2 + 1**2 + 3**2) / 36
BY_CHARACTER = 2 / 1 * (1.5**2 + 1.5**2) / 36
BY_DIALOGUE = 6 / 5 * (1.5**2 + 0.5**2 + 0.5**2 + 0.5**2 + 0.5**2 + 2.5**2) / 36


def test_worked_numbers() -> None:
    mean, suite, dialogue, population = of_fluency(WORKED)
    assert mean == 3.5
    assert suite == around(SCORED, BY_SCENARIO, 2)
    assert dialogue == around(SCORED, BY_DIALOGUE, 5)  # six pairs are too few for a percentile bootstrap
    assert population == around(SCORED, BY_CHARACTER + BY_SCENARIO - BY_DIALOGUE, 1)
    assert scores(Ratings.of(WORKED)).metrics["fluency"].se == pytest.approx(math.sqrt(BY_SCENARIO))


def test_a_two_way_variance_below_zero_gives_way_to_the_larger_one_way_variance() -> None:
    checkered = [rating(c, s, score) for c, s, score in (("a", "1", 5), ("a", "2", 1), ("b", "1", 1), ("b", "2", 5))]
    _, _, _, population = of_fluency(checkered)
    assert population == around((5, 1, 1, 5), 0, 1)  # every character and every scenario has the same mean


def test_replicates_belong_to_their_pair() -> None:
    pooled = [rating("a", "s1", 5, dialogue="1"), rating("a", "s1", 5, dialogue="2"), rating("b", "s1", 2)]
    _, suite, dialogue, population = of_fluency(pooled)
    assert suite is None and population is None
    assert dialogue == around((5, 2), 2 * (2**2 + 2**2) / 9, 1, mean=4)


def test_fewer_than_two_units_have_no_interval() -> None:
    assert of_fluency([rating("a", "s1", 4)]) == (4, None, None, None)


def test_one_character_has_no_population_interval() -> None:
    _, suite, dialogue, population = of_fluency([rating("a", "s1", 4), rating("a", "s2", 2)])
    assert suite == dialogue == around((4, 2), 2 * (1 + 1) / 4, 1)
    assert population is None


def test_conversations_from_own_logs_are_their_own_clusters() -> None:
    logs = [rating("a", None, score, dialogue=f"d{n}") for n, score in enumerate((5, 3, 4, 2))]
    _, suite, dialogue, _ = of_fluency(logs)
    assert suite == dialogue == around((5, 3, 4, 2), 4 / 3 * (1.5**2 + 0.5**2 + 0.5**2 + 1.5**2) / 16, 3)


def test_the_clusters_of_the_sparsest_metric_decide_for_a_mean_of_metrics() -> None:
    full = crossed(2, 4, lambda c, s, m: 1 + (c + s + m) % 5)
    sparse = [r for r in full if r.metric != "fluency" or r.scenario == "s00"]
    found = scores(Ratings.of(sparse))
    assert found.overall.mean is not None and found.overall.se is None
    assert found.overall.intervals.suite is None
    assert found.metrics["coherence"].intervals.suite is not None


def test_the_bootstrap_agrees_with_a_plain_one() -> None:
    ratings = Ratings.of(noisy(5, 12))
    found = scores(ratings).overall.intervals.dialogue
    chance = np.random.default_rng(3)
    means = ratings.units.sums / ratings.units.counts
    plain = np.quantile([means[chance.integers(0, 60, 60)].mean() for _ in range(5000)], [0.025, 0.975])
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(plain), abs=0.01)


def test_a_resample_is_the_ratio_of_sums_and_counts() -> None:
    uneven = [rating("a", f"s{s}", 5, rater=f"r{n}") for s in range(20) for n in range(3)]
    uneven += [rating("b", f"s{s}", 2) for s in range(20)]
    found = resampled(Ratings.of(uneven).units, key("x"), replicates=200)[:, FLUENCY[0]]
    for value in found:  # k pairs of a among 40: (15 k + 2 (40 - k)) / (3 k + 40 - k)
        k = (40 * value - 80) / (13 - 2 * value)
        assert k == pytest.approx(round(k), abs=1e-9)


def test_neither_the_order_of_rows_nor_the_size_of_chunks_changes_a_bit() -> None:
    rows = noisy(6, 10)
    own = [rating("c00", None, 1 + n % 5, dialogue=f"log{n}") for n in range(20)]
    first = scores(Ratings.of(rows + own))
    random.Random(5).shuffle(rows)
    renamed = [r._replace(dialogue=f"z{19 - n}") for n, r in enumerate(own)]
    assert scores(Ratings.of(renamed + rows)) == first
    units = Ratings.of(rows).units
    small, large = (resampled(units, key("x"), replicates=50, chunk=chunk) for chunk in (7, 50))
    assert small.tobytes() == large.tobytes()


def test_one_changed_rating_is_another_seed() -> None:
    rows = noisy(3, 4)
    changed = [rows[0]._replace(score=6 - rows[0].score if rows[0].score != 3 else 4), *rows[1:]]
    assert scores(Ratings.of(rows)).seed != scores(Ratings.of(changed)).seed
    assert (
        scores(Ratings.of([r._replace(dialogue=f"other {r.dialogue}") for r in rows])).seed
        == scores(Ratings.of(rows)).seed
    )


def test_the_random_words_are_those_that_were_published_with_the_method() -> None:
    """The same bytes on every machine and with every numpy: a change here needs a new ``VERSION``."""
    found = resampled(Ratings.of(WORKED).units, key("x"), replicates=5)[:, FLUENCY[0]]
    assert [round(float(value), 10) for value in found] == [4.0, 4.3333333333, 3.8333333333, 2.8333333333, 3.8333333333]


def test_nominal_95_percent_covers_about_95_percent() -> None:
    """300 studies of 8 characters × 32 scenarios, new scenarios each time: `suite` covers; `dialogue` must not."""
    chance = np.random.default_rng(11)
    character = chance.normal(0, 0.4, (8, 1))
    truth = 10_000 * [0.0]
    for n in range(len(truth)):
        truth[n] = float(drawn(chance, character, 1).mean())
    mean = statistics.fmean(truth)
    hits = {"suite": 0, "dialogue": 0}
    for _ in range(300):
        table = drawn(chance, character, 32)
        rows = [rating(f"c{c}", f"s{s:02}", int(table[c, s])) for c in range(8) for s in range(32)]
        units = Ratings.of(rows).units
        found = intervals(units, FLUENCY, resampled(units, key(str(_)), replicates=400))
        for name in hits:
            interval = getattr(found, name)
            hits[name] += interval.low <= mean <= interval.high
    assert 0.92 <= hits["suite"] / 300 <= 0.98
    assert hits["dialogue"] / 300 < 0.90


def drawn(chance: np.random.Generator, character: Floats, scenarios: int) -> Floats:
    latent = 3.2 + character + chance.normal(0, 0.5, (1, scenarios)) + chance.normal(0, 0.8, (8, scenarios))
    return np.clip(np.rint(latent), 1, 5)
