"""How many dialogues would decide: the predictive chance of one endpoint by hand, and what always holds."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from esrp.metrics import METRIC_IDS
from esrp.stats.estimates import Estimate
from esrp.stats.predicted import Needed, Open, needed, shrunk
from esrp.stats.ratings import DIFFERENCES
from esrp.stats.unseen import Seen

SCENARIOS = 60


def found(mean: float, se: float, *, turn: int = 0) -> Estimate:
    """An estimate whose errors in ``SCENARIOS`` scenarios are waves; those of two turns are uncorrelated."""
    wave = np.cos(2 * np.pi * (1 + turn) * np.arange(SCENARIOS) / SCENARIOS)
    errors = se * wave / np.linalg.norm(wave)
    seen = Seen(np.array(480), np.array(-0.5), np.array(0.5), np.array(480), DIFFERENCES)
    return Estimate(mean, {f"s{n}": float(e) for n, e in enumerate(errors)}, SCENARIOS - 1, seen)


def one(mean: float, se: float, margin: float, **changes: float) -> Needed:
    item = Open("diversity", "margin", -margin, found(mean, se), changes.get("pull", 0.0))
    return needed([item], [], dialogues=480, most=int(changes.get("most", 48_000)), alpha=0.05, fractions=())


def test_one_endpoint_is_the_predictive_chance_by_hand() -> None:
    advised = one(0.0, 0.05, 0.1)
    assert advised.dialogues is not None
    f = 480 / advised.dialogues
    sd = 0.05 * math.sqrt(1 - f)  # (1 − f)² S + f (1 − f) S
    passes = norm.sf((float(t.ppf(1 - 0.05 * 480 / f / 48_000, 59)) * 0.05 * math.sqrt(f) - 0.1) / sd)
    assert advised.chance == pytest.approx(passes, abs=0.02)
    assert 0.80 <= advised.chance < 0.81


def test_what_sits_at_its_margin_is_not_promised() -> None:
    advised = one(-0.1, 0.05, 0.1, most=1200)
    assert advised.dialogues is None and advised.chance < 0.5


def test_the_nearer_to_its_margin_the_more_dialogues() -> None:
    numbers = [one(mean, 0.05, 0.1).dialogues for mean in (0.05, 0.02, 0.0, -0.02)]
    known = [number for number in numbers if number is not None]
    assert known == sorted(known) and len(set(known)) == len(known) >= 3


def test_nothing_is_left_to_play_where_all_was_played() -> None:
    assert one(0.0, 0.05, 0.1, most=480) == Needed(None, 0.0)


def test_what_missing_ratings_take_makes_a_pass_dearer() -> None:
    plain, pulled = one(0.0, 0.05, 0.1), one(0.0, 0.05, 0.1, pull=0.03)
    assert plain.dialogues is not None and pulled.dialogues is not None and pulled.dialogues > plain.dialogues


def test_a_decision_needs_all_endpoints_and_metrics_lend_each_other_strength() -> None:
    """Nine metrics of which one looks bad by chance: shrunk, fewer dialogues decide than it would take alone."""
    means = [0.02, 0.01, -0.02, 0.0, 0.01, -0.01, 0.02, -0.06, 0.0]
    metrics = [found(mean, 0.04, turn=turn) for turn, mean in enumerate(means)]
    items = [Open(name, "margin", -0.1, metric, 0.0) for name, metric in zip(METRIC_IDS, metrics, strict=True)]
    together = needed(items, metrics, dialogues=480, most=None, alpha=0.05)
    apart = needed(items, [], dialogues=480, most=None, alpha=0.05)
    assert together.dialogues is not None and apart.dialogues is not None
    assert 480 < together.dialogues < apart.dialogues


def test_metrics_that_scatter_no_more_than_chance_are_nearly_all_their_mean() -> None:
    """θ ~ N(μ, 0.02²) and μ ~ N(0, 0.05²): by the two variances of the mean and of what is around it."""
    means, posterior = shrunk(np.linspace(-0.05, 0.05, 9), 0.01 * np.eye(9))
    kept = 0.02**2 / (0.02**2 + 0.01)
    assert means == pytest.approx(kept * np.linspace(-0.05, 0.05, 9), abs=1e-8)
    level = 1 / (9 / 0.01 + 1 / 0.05**2)
    assert posterior == pytest.approx(kept * 0.01 * (np.eye(9) - 1 / 9) + level, rel=1e-6)


def test_the_mean_of_all_is_drawn_to_none_as_releases_seldom_differ_much() -> None:
    means, _ = shrunk(np.full(9, 0.1), 0.01 * np.eye(9))
    assert means == pytest.approx(np.full(9, 0.1 * 0.05**2 / (0.05**2 + 0.01 / 9)))


def test_metrics_that_scatter_far_more_than_chance_stay_as_they_are() -> None:
    seen = np.linspace(-2, 2, 9)
    means, posterior = shrunk(seen, 0.0001 * np.eye(9))
    assert means == pytest.approx(seen, abs=0.001)
    assert np.diag(posterior) == pytest.approx(np.full(9, 0.0001), rel=0.01)


def test_the_same_evidence_gives_the_same_advice() -> None:
    assert one(0.01, 0.05, 0.1) == one(0.01, 0.05, 0.1)
