"""What a run can show: the figures of STATISTICS 6, and a simulation of the same assumptions."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from esrp.stats.power import (
    CORRELATION,
    METRIC_CLUSTERED_SDS,
    OVERALL_CLUSTERED_SD,
    Detectable,
    deciding_dialogues,
    detectable,
    needed_dialogues,
)


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


def test_an_estimate_twice_as_far_from_its_threshold_needs_a_quarter_of_the_dialogues() -> None:
    near = deciding_dialogues(0.05, 0.05, 1200, clusters=60)
    far = deciding_dialogues(0.10, 0.05, 1200, clusters=60)
    assert near is not None and far is not None
    assert near == pytest.approx(1200 * (1.6711 + 0.8416) ** 2, abs=1)
    assert far == pytest.approx(near / 4, abs=1)


def test_an_estimate_on_its_threshold_is_never_decided() -> None:
    assert deciding_dialogues(0, 0.05, 1200, clusters=60) is None
    assert deciding_dialogues(1e-9, 0.05, 1200, clusters=60) is None
