"""What a run can show: the figures of STATISTICS 6, and a simulation of the same assumptions."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from esrp.metrics import METRIC_IDS, columns_of
from esrp.stats import Rating, Ratings
from esrp.stats.estimates import estimate
from esrp.stats.paired import paired
from esrp.stats.power import (
    CORRELATION,
    METRIC_CLUSTERED_SDS,
    OVERALL_CLUSTERED_SD,
    Detectable,
    detectable,
    needed_dialogues,
    observed,
)
from esrp.stats.ratings import Units
from tests.stats.builders import crossed


@pytest.mark.parametrize(("dialogues", "metrics"), [(900, 0.10), (3600, 0.05), (225, 0.20), (120, 0.27)])
def test_a_margin_on_all_ten_endpoints_needs_the_dialogues_that_the_definition_states(
    dialogues: int, metrics: float
) -> None:
    assert detectable(dialogues).metrics == pytest.approx(metrics, abs=0.005)


def test_a_full_run_decides_a_margin_of_a_tenth_and_a_small_one_only_three_tenths() -> None:
    assert detectable(1200, scenarios=60).metrics < 0.10
    small = detectable(120, scenarios=60)
    assert (round(small.overall, 2), round(small.metrics, 1)) == (0.12, 0.3)


def test_one_endpoint_is_the_textbook_formula() -> None:
    exact = (norm.ppf(0.95) + norm.ppf(0.80)) * OVERALL_CLUSTERED_SD / math.sqrt(1200)
    assert detectable(1200).overall == pytest.approx(exact, rel=1e-12)


def test_simulated_studies_pass_with_80_percent_at_the_detectable_margin() -> None:
    chance = np.random.default_rng(4)
    common, own = chance.normal(size=(20_000, 1)), chance.normal(size=(20_000, 9))
    errors = math.sqrt(CORRELATION) * common + math.sqrt(1 - CORRELATION) * own
    bounds = (errors - norm.ppf(0.95)) * METRIC_CLUSTERED_SDS / math.sqrt(500)
    assert (bounds > -detectable(500).metrics).all(axis=1).mean() == pytest.approx(0.80, abs=0.01)


def test_needed_dialogues_is_the_inverse() -> None:
    for margin, scenarios in ((0.05, None), (0.1, None), (0.2, 60), (0.3, 60)):
        needed = needed_dialogues(margin, scenarios=scenarios)
        assert needed is not None
        assert detectable(needed, scenarios=scenarios).metrics <= margin
        assert detectable(needed - 1, scenarios=scenarios).metrics > margin


def test_a_margin_that_so_few_scenarios_can_never_show_needs_no_number_of_dialogues() -> None:
    assert needed_dialogues(0.01, scenarios=4) is None
    assert needed_dialogues(0.0) is None


def test_one_scenario_shows_nothing() -> None:
    assert detectable(1) == detectable(20, scenarios=1) == Detectable(4, 4)


def test_fewer_scenarios_show_less() -> None:
    margins = [detectable(240, scenarios=scenarios).metrics for scenarios in (60, 30, 12, 3)]
    assert margins == sorted(margins)


def as_rated(scores: NDArray[np.int64]) -> list[Rating]:
    return crossed(scores.shape[0], scores.shape[1], lambda c, s, m: int(scores[c, s, m]))


def study(seed: int, *, shift: float = 0.0, characters: int = 20, scenarios: int = 20) -> Units:
    """Paired differences of two equal bots with a part that a scenario's dialogues share."""
    random = np.random.default_rng(seed)
    latent = [
        3.6 + shift * n + random.normal(0, 0.3, (1, scenarios, 9)) + random.normal(0, 0.8, (characters, scenarios, 9))
        for n in range(2)
    ]
    rows = [as_rated(np.clip(np.rint(part), 1, 5).astype(int)) for part in latent]
    return paired(Ratings.of(rows[0]).units, Ratings.of(rows[1]).units)


def test_two_runs_show_how_their_differences_vary_among_scenarios_and_within() -> None:
    found = observed(study(1))
    assert found is not None
    assert (found.pairs, found.scenarios) == (400, 20)
    assert np.diag(found.within).mean() == pytest.approx(2 * (0.64 + 1 / 12), rel=0.12)
    assert np.diag(found.among).mean() == pytest.approx(2 * 0.09, rel=0.4)


def test_under_60_shared_pairs_the_sds_are_assumed() -> None:
    assert observed(study(1, characters=2, scenarios=29)) is None
    assert observed(study(1, characters=2, scenarios=30)) is not None
    assert detectable(240, scenarios=60).assumed


def test_what_was_observed_is_what_an_equal_bot_then_passes_with_80_percent() -> None:
    """Each of 60 pairs of studies is held to the margin that the pair before it named."""
    passed, before = 0, observed(study(0))
    for seed in range(1, 121):
        assert before is not None
        margin = detectable(400, scenarios=20, spread=before)
        assert not margin.assumed and margin.overall < margin.metrics
        units = study(seed)
        bounds = [estimate(units, columns_of(name)).bound(0.05) for name in (*METRIC_IDS, "overall")]
        passed += all(bound is not None and bound > -margin.metrics for bound in bounds)
        before = observed(units)
    assert 0.68 <= passed / 120 <= 0.90  # 80 % and three standard errors


def test_more_pairs_show_more() -> None:
    spread = observed(study(3))
    margins = [detectable(pairs, scenarios=20, spread=spread).metrics for pairs in (60, 120, 400)]
    assert margins == sorted(margins, reverse=True)
    assert detectable(1, scenarios=20, spread=spread) == Detectable(4, 4, assumed=False)
