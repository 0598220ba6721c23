"""A coarse look at what ``benchmarks.coverage`` measures: intervals cover, and the gate seldom errs."""

import pytest

from benchmarks.coverage import INTERVALS, JUDGE, VERDICTS, World, measure
from benchmarks.coverage import ratings as rated
from esrp.stats.power import METRIC_SDS, OVERALL_SD

STUDIES = 100  # two Monte Carlo SDs are 4.4 points


@pytest.mark.parametrize("name", INTERVALS)
def test_an_interval_covers_under_its_own_design(name: str) -> None:
    assert measure(name, INTERVALS[name], STUDIES, (0.89, 1.0)).holds


@pytest.mark.parametrize("name", VERDICTS)
def test_the_gate_seldom_errs(name: str) -> None:
    assert measure(name, VERDICTS[name], STUDIES, (0.0, 0.12)).holds


def test_the_simulated_bots_differ_about_as_much_as_the_plan_assumes() -> None:
    world = World(1)
    baseline = world.bot()
    ours, theirs = (
        rated(world.rated(latent, JUDGE)).units.sums for latent in world.latent(world.bot(like=baseline), baseline)
    )
    apart = ours - theirs
    assert apart.std(axis=0).mean() == pytest.approx(METRIC_SDS.mean(), rel=0.15)
    assert apart.mean(axis=1).std() == pytest.approx(OVERALL_SD, rel=0.15)
