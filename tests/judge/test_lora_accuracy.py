"""Table 3: what is counted, what clusters, and what stands beside it."""

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from esrp.metrics import METRIC_IDS
from services.judge.lora.accuracy import AVERAGE, Row, accuracy, most_frequent, published, table

PAPER = Path(__file__).parents[3] / "shared" / "data" / "paper_tables.json"
SHORT = ("Cons.", "Flu.", "Coh.", "CK", "SS", "BH", "EV", "ES", "DM")


def rows_of(scores: dict[str, list[int]], metric: str = "fluency") -> list[Row]:
    """Human scores by dialogue, a rater each."""
    return [
        Row(name, "c1", name, metric, f"rater-{n}", score)
        for name, found in scores.items()
        for n, score in enumerate(found)
    ]


def test_each_human_rating_counts_once() -> None:
    rows = rows_of({"s1": [4, 5], "s2": [1, 4], "s3": [3]})
    found = accuracy("j", rows, {("s1", "fluency"): 4, ("s2", "fluency"): 4, ("s3", "fluency"): 4}).metrics["fluency"]
    assert found.acc.mean == pytest.approx(2 / 5) and found.acc_soft.mean == pytest.approx(4 / 5)
    assert found.bias.mean == pytest.approx((0 - 1 + 3 + 0 + 1) / 5)
    assert (found.ratings, found.dialogues, found.missing) == (5, 3, 0)


def test_kappa_is_weighted_by_the_square_of_the_distance_and_its_average_is_of_nine() -> None:
    given = {"s1": 1, "s2": 2, "s3": 3, "s4": 4}
    human = {"s1": [1], "s2": [4], "s3": [3], "s4": [2]}
    judged = {(name, metric): score for name, score in given.items() for metric in METRIC_IDS}
    observed, by_chance = 0 + 4 + 0 + 4, sum((a - b) ** 2 for a in given.values() for (b,) in human.values()) / 4
    one = accuracy("j", rows_of(human), judged)
    assert one.metrics["fluency"].qwk == pytest.approx(1 - observed / by_chance)
    assert one.metrics["coherence"].qwk is None and one.average.qwk is None
    all_nine = accuracy("j", [row for metric in METRIC_IDS for row in rows_of(human, metric)], judged)
    assert all_nine.average.qwk == pytest.approx(1 - observed / by_chance)


def test_always_the_same_score_agrees_no_better_than_chance() -> None:
    found = accuracy("j", rows_of({"s1": [4, 5], "s2": [3]}), {("s1", "fluency"): 4, ("s2", "fluency"): 4})
    assert found.metrics["fluency"].qwk == 0


def test_what_the_judge_did_not_score_is_missing_and_not_wrong() -> None:
    found = accuracy("j", rows_of({"s1": [4, 4], "s2": [1]}), {("s2", "fluency"): 1}).metrics["fluency"]
    assert (found.acc.mean, found.ratings, found.missing) == (1.0, 1, 2)


def test_a_judge_without_any_score_has_none() -> None:
    found = accuracy("j", rows_of({"s1": [4]}), {})
    assert found.metrics["fluency"].acc.mean is None and found.average.acc.interval is None
    assert found.metrics["fluency"].missing == 1


def test_the_average_is_the_plain_mean_of_nine_and_unknown_with_fewer() -> None:
    rows = [row for metric in METRIC_IDS for row in rows_of({"s1": [4], "s2": [4]}, metric)]
    rows += rows_of({"s3": [1, 1, 1, 1]})
    given = {(f"s{n}", metric): 4 for n in (1, 2, 3) for metric in METRIC_IDS}
    assert accuracy("j", rows, given).average.acc.mean == pytest.approx((8 + 2 / 6) / 9)
    assert accuracy("j", rows_of({"s1": [4]}), given).average.acc.mean is None


def test_the_interval_clusters_by_dialogue_and_stays_inside_what_is_possible() -> None:
    alone = rows_of({f"s{n}": [4 if n % 2 else 1] for n in range(200)})
    together = rows_of({f"s{n}": [4 if n % 2 else 1] * 4 for n in range(50)})
    given = {(f"s{n}", "fluency"): 4 for n in range(200)}
    widths = []
    for rows in (alone, together):
        interval = accuracy("j", rows, given).metrics["fluency"].acc.interval
        assert interval is not None and interval.low < 0.5 < interval.high
        widths.append(interval.high - interval.low)
    assert 1.7 < widths[1] / widths[0] < 2.3  # a fourth of the clusters: twice as wide, though as many ratings
    few = accuracy("j", rows_of({"s1": [4], "s2": [4], "s3": [1]}), given).metrics["fluency"].acc.interval
    assert few is not None and (few.low, few.high) == (0, 1)


@pytest.mark.parametrize(("given", "low", "high"), [(4, 0.025 ** (1 / 40), 1), (1, 0, 1 - 0.025 ** (1 / 40))])
def test_all_hit_or_all_missed_is_no_certainty(given: int, low: float, high: float) -> None:
    rows = rows_of({f"s{n}": [4, 4] for n in range(40)})
    found = accuracy("j", rows, {(f"s{n}", "fluency"): given for n in range(40)}).metrics["fluency"]
    assert found.acc.interval is not None and found.bias.interval is not None
    assert (found.acc.interval.low, found.acc.interval.high) == pytest.approx((low, high))
    exact = binomtest(40 if given == 4 else 0, 40).proportion_ci(method="exact")
    assert (found.acc.interval.low, found.acc.interval.high) == pytest.approx((exact.low, exact.high))


def test_where_no_dialogue_differs_from_another_what_40_cannot_exclude_remains() -> None:
    rows = rows_of({f"s{n}": [4, 5] for n in range(40)})
    found = accuracy("j", rows, {(f"s{n}", "fluency"): 4 for n in range(40)}).metrics["fluency"]
    assert found.acc.mean == 0.5 and found.acc.interval is not None
    unseen = (1 - 0.025 ** (1 / 40)) / 2
    assert (found.acc.interval.low, found.acc.interval.high) == pytest.approx((0.5 - unseen, 0.5 + unseen))


def test_one_dialogue_has_no_interval() -> None:
    found = accuracy("j", rows_of({"s1": [4, 4, 4]}), {("s1", "fluency"): 4}).metrics["fluency"]
    assert found.acc.mean == 1.0 and found.acc.interval is None


def test_candidates_of_one_scenario_are_one_cluster() -> None:
    rows = [Row(f"r{run}/s{n}", "c1", f"s{n}", "fluency", "a", 4) for run in range(6) for n in range(2)]
    given = {(f"r{run}/s{n}", "fluency"): 4 if n else 3 for run in range(6) for n in range(2)}
    found = accuracy("j", rows, given).metrics["fluency"]
    assert found.dialogues == 12
    assert found.acc.interval is not None and (found.acc.interval.low, found.acc.interval.high) == (0, 1)


def test_the_same_rows_in_another_order_give_the_same_numbers() -> None:
    rows = rows_of({f"s{n}": [n % 5 + 1, 3] for n in range(40)})
    given = {(f"s{n}", "fluency"): 3 for n in range(40)}
    assert accuracy("j", reversed(rows), given) == accuracy("j", rows, given)


def test_the_commonest_score_is_the_lower_of_equals_and_unknown_where_nobody_rated() -> None:
    counts = {"fluency": {"1": 0, "2": 3, "3": 1, "4": 3, "5": 0}, "coherence": dict.fromkeys("12345", 0)}
    assert most_frequent(counts) == {"fluency": 2}


def test_the_published_table_is_the_papers() -> None:
    if not PAPER.exists():
        pytest.skip("the paper's tables are not here")
    printed = json.loads(PAPER.read_text("utf-8"))["table3_judge_accuracy"]
    ours, *panel = published()
    assert ours == "Qwen3-8B, LoRA r = 8" and panel == ["Gemini-2.5-Flash-Preview", "GPT-4.1", "Qwen-Max"]
    for short, metric in zip((*SHORT, "Avg."), (*METRIC_IDS, AVERAGE), strict=True):
        found = {judge: published()[judge][metric].model_dump() for judge in published()}
        assert found == {ours if judge == "our_model" else judge: cell for judge, cell in printed[short].items()}


def test_the_table_has_a_line_a_metric_and_the_papers_columns_marked() -> None:
    rows = [row for metric in METRIC_IDS for row in rows_of({f"s{n}": [4] for n in range(40)}, metric)]
    mine = accuracy("judge@abc", rows, {(f"s{n}", metric): 4 for n in range(40) for metric in METRIC_IDS})
    lines = table([mine, accuracy("panel-1", rows, {})]).splitlines()
    assert lines[0].split() == ["judge@abc", "acc", "acc_soft", "bias", "qwk", "ratings", "dialogues", "missing"]
    assert [line.split()[0] for line in lines[1:11]] == [*METRIC_IDS, AVERAGE]
    assert lines[12].count("paper: ") == 4 and "panel-1" in lines[12]
    assert lines[13].split()[:3] == ["consistency", "1.00/1.00", "–"]
    assert lines[22].split()[-4:] == ["0.73/0.96", "0.43/0.84", "0.46/0.87", "0.54/0.90"]
