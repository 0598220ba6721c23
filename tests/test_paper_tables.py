import json
from pathlib import Path

import pytest

from esrp.metrics import DIMENSIONS, METRIC_IDS, metrics_of
from esrp.paper_tables import published

PRINTED = Path(__file__).parents[2] / "shared" / "data" / "paper_tables.json"
SHORT = ("Cons.", "Flu.", "Coh.", "CK", "SS", "BH", "EV", "ES", "DM")


@pytest.mark.parametrize(("raters", "title"), [("judge", "Table 4"), ("human", "Table 1"), ("calibrated", "Table 1")])
def test_each_kind_of_raters_has_its_table_beside_the_published_suite_alone(raters: str, title: str) -> None:
    found = published("chatanime@1", raters)  # type: ignore[arg-type]  # parametrised
    assert found is not None and (found.title, found.reference) == (title, True)
    assert published("esrp-zh@1", raters) is None  # type: ignore[arg-type]  # parametrised
    assert published("chatanime@1", None) is None


@pytest.mark.parametrize("raters", ["judge", "human"])
def test_dimensions_are_the_means_of_their_metrics_as_far_as_two_digits_tell(raters: str) -> None:
    table = published("chatanime", raters)  # type: ignore[arg-type]  # parametrised
    assert table is not None
    for row in table.rows:
        for dimension in DIMENSIONS:
            mean = sum(row.metrics[id] for id in metrics_of(dimension)) / 3
            assert row.dimensions[dimension] == pytest.approx(mean, abs=0.02), (row.candidate, dimension)
        assert row.overall == pytest.approx(sum(row.metrics.values()) / 9, abs=0.011), row.candidate


@pytest.mark.parametrize(("raters", "key"), [("judge", "table4_llm_scores"), ("human", "table1_human_scores")])
def test_every_number_is_the_printed_one(raters: str, key: str) -> None:
    if not PRINTED.exists():
        pytest.skip("the printed tables are not here")
    printed, table = json.loads(PRINTED.read_text("utf-8"))[key], published("chatanime", raters)  # type: ignore[arg-type]  # parametrised
    assert table is not None and [row.candidate for row in table.rows] == list(printed)
    for row in table.rows:
        wanted = printed[row.candidate]
        assert row.overall == wanted["overall"]
        assert [row.metrics[id] for id in METRIC_IDS] == [wanted[name] for name in SHORT]
        assert [row.dimensions[d] for d in DIMENSIONS] == [wanted[f"{d}_avg"] for d in DIMENSIONS]
