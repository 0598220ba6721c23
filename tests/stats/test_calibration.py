"""Prediction-powered means: worked numbers, limits that are known, and whether the interval covers."""

import math
import random

import numpy as np
import pytest
from scipy.stats import t

from esrp.metrics import METRIC_IDS
from esrp.stats import Rating, Ratings, scores
from esrp.stats.calibration import Calibrated, calibrations, prediction_powered, rectified_difference
from esrp.stats.ratings import Floats
from tests.stats.builders import rating

NAN = math.nan


def study(*, labelled: float = 0.4, characters: int = 10, scenarios: int = 24, seed: int = 5) -> list[Rating]:
    """A judge that is 0.3 too high on average, and a random share of the dialogues rated by two people."""
    chance = np.random.default_rng(seed)
    latent = 3.4 + chance.normal(0, 0.3, (1, scenarios, 1)) + chance.normal(0, 0.7, (characters, scenarios, 9))
    judge = np.clip(np.rint(latent + 0.3 + chance.normal(0, 0.4, latent.shape)), 1, 5).astype(int)
    people = [np.clip(np.rint(latent + chance.normal(0, 0.4, latent.shape)), 1, 5).astype(int) for _ in range(2)]
    chosen = chance.random((characters, scenarios)) < labelled
    rows = []
    for c, s in np.ndindex(characters, scenarios):
        for m, metric in enumerate(METRIC_IDS):
            rows.append(rating(f"c{c}", f"s{s:02}", int(judge[c, s, m]), metric=metric, rater="j"))
            rows += [
                rating(f"c{c}", f"s{s:02}", int(table[c, s, m]), metric=metric, rater=f"p{n}", kind="human")
                for n, table in enumerate(people)
                if chosen[c, s]
            ]
    return rows


def test_worked_numbers() -> None:
    """Labelled: Y 5 3, f 4 2 in clusters 0 and 1. Unlabelled: f 4 1 in 0 and 1, f 1 in 2."""
    human = np.array([5, 3, NAN, NAN, NAN])
    judge = np.array([4.0, 2, 4, 1, 1])
    found = prediction_powered(human, judge, np.array([0, 1, 0, 1, 2]), 3)
    a = np.array([1, -1, 0]) / 2
    d = np.array([1, -1, 0]) / 2 - np.array([2, -1, -1]) / 3
    clipped = float(np.clip(a @ d / (d @ d), 0, 1))
    trust = found.lambda_
    assert trust == pytest.approx(clipped) and 0 < trust <= 1
    assert found.theta == pytest.approx(trust * 2 + (4 - trust * 3))
    without = np.array([np.delete(a, g) @ np.delete(d, g) / (np.delete(d, g) @ np.delete(d, g)) for g in range(3)])
    assert found.influence == pytest.approx(a - np.clip(without, 0, 1) * d)
    assert (found.labelled.tolist(), found.n, found.fitted) == ([True, True, False], 2, True)


def test_a_judge_that_says_what_people_say_is_trusted_and_nothing_else_enters() -> None:
    """With Y = f everywhere the estimate is what it would be had people rated everything the judge rated."""
    chance = np.random.default_rng(1)
    judge = chance.integers(1, 6, 4000).astype(float)
    cluster = np.arange(4000) % 50
    human = np.where(chance.random(4000) < 0.1, judge, NAN)
    found = prediction_powered(human, judge, cluster, 50)
    assert found.lambda_ == pytest.approx(0.9, abs=0.02)  # N / (N + n): the labelled dialogues count too
    assert found.theta == pytest.approx(judge.mean(), abs=0.005)


def test_a_judge_that_never_varies_is_not_used() -> None:
    human = np.array([5, 3, 4, NAN, NAN])
    found = prediction_powered(human, np.full(5, 4.0), np.arange(5), 5)
    assert (found.theta, found.n, found.lambda_, found.fitted) == (4, 3, 0, False)
    assert found.influence == pytest.approx(np.array([1, -1, 0, 0, 0]) / 3)


def test_a_judge_that_says_the_opposite_is_not_used() -> None:
    human = np.array([5, 1, 5, 1, NAN, NAN])
    judge = np.array([1.0, 5, 1, 5, 1, 5])
    assert prediction_powered(human, judge, np.arange(6), 6).lambda_ == 0


def test_where_people_rated_everything_the_calibrated_mean_is_theirs() -> None:
    rows = study(labelled=1.0)
    people = scores(Ratings.of([r for r in rows if r.kind == "human"]))
    found = calibrations(Ratings.of(rows))
    for calibrated, human in (
        (found.overall, people.overall),
        *((found.metrics[name], people.metrics[name]) for name in METRIC_IDS),
    ):
        assert calibrated is not None and calibrated.interval is not None and human.intervals.suite is not None
        assert calibrated.mean == pytest.approx(human.mean, abs=1e-12)
        assert calibrated.se == pytest.approx(human.se, abs=1e-12)
        assert calibrated.interval.low == pytest.approx(human.intervals.suite.low, abs=1e-12)
        assert calibrated.lambda_ == 0


def test_a_metric_is_the_formula_on_the_dialogues_mean_ratings() -> None:
    rows = study()
    said: dict[tuple[str, str], list[int]] = {}
    for r in rows:
        if r.metric == "fluency":
            said.setdefault((r.dialogue, r.kind), []).append(r.score)
    dialogues = sorted({name for name, _ in said})
    judge = np.array([np.mean(said[name, "judge"]) for name in dialogues])
    human = np.array([np.mean(said[name, "human"]) if (name, "human") in said else NAN for name in dialogues])
    scenario = np.array([int(name[-2:]) for name in dialogues])
    wanted = prediction_powered(human, judge, scenario, 24)
    clusters = int(wanted.labelled.sum())
    se = math.sqrt(clusters / (clusters - 2) * float(wanted.influence @ wanted.influence))
    found = calibrations(Ratings.of(rows)).metrics["fluency"]
    assert found is not None and found.interval is not None
    assert (found.n_human, found.clusters, found.degrees) == (wanted.n, clusters, clusters - 2)
    assert (found.mean, found.se, found.lambda_) == pytest.approx((wanted.theta, se, wanted.lambda_))
    assert found.interval.high - found.mean == pytest.approx(float(t.ppf(0.975, clusters - 2)) * se)


def test_overall_is_the_mean_of_the_metrics_and_narrower_than_any() -> None:
    found = calibrations(Ratings.of(study()))
    metrics = [metric for metric in found.metrics.values() if metric is not None]
    assert found.overall is not None and found.overall.se is not None and len(metrics) == 9
    assert found.overall.mean == pytest.approx(np.mean([metric.mean for metric in metrics]))
    assert found.overall.se < min(metric.se for metric in metrics if metric.se is not None)
    bdc = found.dimensions["BDC"]
    assert bdc is not None and bdc.mean == pytest.approx(np.mean([metric.mean for metric in metrics[:3]]))


def test_under_60_labelled_dialogues_there_is_nothing() -> None:
    rows = study(labelled=1.0, characters=6, scenarios=12)
    people = sorted({r.dialogue for r in rows})
    short = [r for r in rows if r.kind == "judge" or r.dialogue in people[:59]]
    enough = [r for r in rows if r.kind == "judge" or r.dialogue in people[:60]]
    assert calibrations(Ratings.of(short)).overall is None
    found = calibrations(Ratings.of(enough)).overall
    assert found is not None and found.n_human == 60


def test_one_metric_short_of_labels_leaves_its_dimension_and_overall_unknown() -> None:
    rows = [r for r in study() if r.kind == "judge" or r.metric != "fluency"]
    found = calibrations(Ratings.of(rows))
    assert found.metrics["fluency"] is None and found.dimensions["BDC"] is None and found.overall is None
    assert found.dimensions["ESC"] is not None


def test_without_judges_or_people_nothing_is_calibrated() -> None:
    rows = study()
    for kind in ("judge", "human"):
        assert calibrations(Ratings.of([r for r in rows if r.kind == kind])).overall is None
    assert calibrations(Ratings.of([])).overall is None


def test_one_scenario_has_a_mean_and_no_interval() -> None:
    found = calibrations(Ratings.of(study(labelled=0.9, characters=100, scenarios=1))).overall
    assert isinstance(found, Calibrated)
    assert found.se is None and found.interval is None


def test_neither_the_order_of_rows_nor_the_names_of_dialogues_change_a_bit() -> None:
    rows = study()
    first = calibrations(Ratings.of(rows))
    names = {name: f"z{999 - n}" for n, name in enumerate(sorted({r.dialogue for r in rows}))}
    renamed = [r._replace(dialogue=names[r.dialogue]) for r in rows]
    random.Random(2).shuffle(renamed)
    assert calibrations(Ratings.of(renamed)) == first


def test_conversations_from_own_logs_are_their_own_clusters() -> None:
    rows = [r._replace(scenario=None) for r in study(characters=10, scenarios=12, labelled=0.9)]
    found = calibrations(Ratings.of(rows)).overall
    assert found is not None and found.clusters == found.n_human


def test_a_difference_from_oneself_is_0_without_error() -> None:
    ratings = Ratings.of(study())
    found = rectified_difference(ratings, ratings).estimate(range(9))
    assert found is not None
    assert (found.mean, found.se) == (0, 0)


def test_a_difference_is_taken_on_what_judges_rated_of_both() -> None:
    rows, other = study(seed=1), study(seed=2)
    part = [r for r in other if r.scenario != "s03"]
    found = rectified_difference(Ratings.of(rows), Ratings.of(part)).estimate(range(9))
    same = rectified_difference(Ratings.of([r for r in rows if r.scenario != "s03"]), Ratings.of(part))
    assert found == same.estimate(range(9))
    assert found is not None and found.n_human > 0


def test_nominal_95_percent_covers_about_95_percent() -> None:
    """400 studies of 20 characters × 30 scenarios, 120 dialogues labelled at random; the judge alone never covers."""
    chance = np.random.default_rng(7)
    character = chance.normal(0, 0.2, (20, 1))
    truth = drawn(chance, character, 20_000)[0].mean()
    cluster = np.tile(np.arange(30), (20, 1)).ravel()
    hits = alone = 0
    for _ in range(400):
        human, judge = (table.ravel() for table in drawn(chance, character, 30))
        human[chance.permutation(600)[120:]] = NAN
        found = prediction_powered(human, judge, cluster, 30)
        degrees = int(found.labelled.sum()) - 2
        variance = (degrees + 2) / degrees * float(found.influence @ found.influence)
        half = float(t.ppf(0.975, degrees)) * math.sqrt(variance)
        hits += abs(found.theta - truth) <= half
        alone += abs(float(judge.mean()) - truth) <= half
    assert 0.92 <= hits / 400 <= 0.98
    assert alone == 0


def drawn(chance: np.random.Generator, character: Floats, scenarios: int) -> list[Floats]:
    shape = (20, scenarios)
    latent = 3.4 + character + chance.normal(0, 0.2, (1, scenarios)) + chance.normal(0, 0.7, shape)
    return [np.clip(np.rint(latent + shift + chance.normal(0, 0.5, shape)), 1, 5) for shift in (0, 0.5)]
