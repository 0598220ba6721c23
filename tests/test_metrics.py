"""What a score is a mean of, by its name."""

import pytest

from esrp.comparable import differs, way
from esrp.metrics import DIMENSIONS, ENDPOINTS, METRIC_IDS, PRINTED, columns_of, metrics_of


def test_every_score_is_a_mean_of_metrics() -> None:
    assert list(ENDPOINTS) == ["overall", "BDC", "RPC", "ESC", *METRIC_IDS]
    assert metrics_of("overall") == METRIC_IDS
    assert metrics_of("BDC") == ("consistency", "fluency", "coherence")
    assert metrics_of("fluency") == ("fluency",)
    assert (columns_of("ESC"), columns_of("coherence")) == ([6, 7, 8], [2])
    assert tuple(metric for name in DIMENSIONS for metric in metrics_of(name)) == METRIC_IDS


def test_what_is_no_score_has_no_metrics() -> None:
    with pytest.raises(KeyError):
        metrics_of("diversity")


def test_the_papers_tables_have_each_dimension_behind_its_metrics() -> None:
    assert (PRINTED[:4], PRINTED[-2:]) == (("consistency", "fluency", "coherence", "BDC"), ("ESC", "overall"))
    assert sorted(PRINTED) == sorted(ENDPOINTS)


def test_runs_that_were_measured_alike_may_be_compared() -> None:
    one = {"suite": "tiny@1", "simulator": {"model": "a"}, "judges": [], "rounds": 2, "candidate": "x"}
    other = {**one, "candidate": "y"}
    assert (differs(one, other), way(one) == way(other)) == ([], True)
    moved = {**one, "rounds": 3, "judges": ["j"]}
    assert (differs(one, moved), way(one) == way(moved)) == (["judges", "rounds"], False)
    assert differs({}, {"suite": None}) == []
