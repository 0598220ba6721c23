"""Ratings go in and figures come out, over the public API, beside a computation of their own (STATISTICS 1–4, 6)."""

import asyncio
import csv
import io
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import httpx2
import numpy as np
import pytest
import pytest_asyncio
from pyarrow.parquet import ParquetFile
from scipy.stats import t as student
from scipy.stats import weightedtau

from esrp.api import AgreementOut, DifferenceOut, Estimate, GroupBy, Report, Run
from esrp.client import ApiError
from esrp.metrics import DIMENSIONS, METRIC_IDS, metrics_of
from tests.pipeline.by_hand import (
    CANDIDATES,
    CHARACTERS,
    SCENARIOS,
    SCORES,
    Row,
    alpha_by_hand,
    assert_bounds,
    assert_same,
    by_hand,
    groups_by_hand,
    icc_by_hand,
    kappa_by_hand,
)
from tests.pipeline.conftest import KEY, Stack
from tests.pipeline.unseen_by_hand import interval

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Study:
    """The table, and a run of each candidate that it was imported for."""

    rows: list[Row]
    runs: dict[str, Run]

    def of(self, candidate: str) -> list[Row]:
        return [row for row in self.rows if row.candidate == candidate]

    def file(self, candidate: str, run: Run) -> list[str]:
        """The candidate's lines for a run."""
        return [f"{run.id},{r.character},{r.scenario},{r.metric},{r.rater},{r.score}" for r in self.of(candidate)]


HEADER = "run,character,scenario,metric,rater,score"


def the_table() -> list[Row]:
    """Scores that differ by candidate, character and scenario; some eight in a hundred are missing."""
    chance = random.Random(11)
    rows = []
    for level, candidate in enumerate(CANDIDATES):
        for character, scenario in itertools.product(CHARACTERS, SCENARIOS):
            common = 3.1 + 0.35 * level + chance.gauss(0, 0.5)
            for metric, rater in itertools.product(METRIC_IDS, ("ann", "bob")):
                score = round(min(5, max(1, common + chance.gauss(0.1 * (rater == "bob"), 0.7))))
                if chance.random() > 0.08:
                    rows.append(Row(candidate, character, str(scenario["id"]), metric, rater, score))
    return rows


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def study(services: Stack) -> Study:
    client = services.client
    await client.upload_suite(
        {
            "name": "birds",
            "language": "en",
            "characters": [{"id": id, "name": id, "work": "A book", "profile": "Somebody."} for id in CHARACTERS],
            "scenarios": SCENARIOS,
        }
    )
    found = Study(the_table(), {name: await a_run(services, name) for name in CANDIDATES})
    lines = [line for name, run in found.runs.items() for line in found.file(name, run)]
    stored = await client.import_ratings("\n".join([HEADER, *lines]).encode(), "text/csv")
    assert (stored.stored, stored.duplicates) == (len(found.rows), 0)
    return found


async def a_run(stack: Stack, candidate: str) -> Run:
    """A finished run over recorded conversations, which nobody has rated."""
    dialogues = [
        {
            "character": character,
            "scenario": scenario["id"],
            "turns": [{"user": scenario["question"], "assistant": f"{candidate} and {character} hear you, {word}."}],
        }
        for number, (character, scenario) in enumerate(itertools.product(CHARACTERS, SCENARIOS))
        for word in [f"dear friend number {number}"]
    ]
    transcript = await stack.client.import_transcript(candidate, "birds", dialogues)
    candidate_ = {"kind": "transcript", "transcript": transcript.id}
    return await stack.done(await stack.client.create_run({"suite": "birds", "candidate": candidate_, "judges": []}))


# --- reports and breakdowns -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("candidate", CANDIDATES)
async def test_a_report_says_what_a_computation_by_hand_says(stack: Stack, study: Study, candidate: str) -> None:
    report = await stack.client.report(study.runs[candidate].id)
    assert report.raters == "human"
    for name, found in scores_of(report).items():
        assert_same(found, by_hand(study.of(candidate), SCORES[name]))


@pytest.mark.parametrize("by", get_args(GroupBy))
async def test_a_breakdown_says_the_same_as_json_and_as_csv(stack: Stack, study: Study, by: GroupBy) -> None:
    run = study.runs["finch"].id
    found = await stack.client.metrics(run, by)
    expected = groups_by_hand(study.of("finch"), by)
    assert (found.group_by, found.raters, sorted(found.groups)) == (by, "human", sorted(expected))
    rows = list(csv.DictReader(io.StringIO((await stack.client.metrics_table(run, by)).decode())))
    assert len(rows) == len(expected) * len(SCORES)
    lines = {(row["group"], row["metric"]): row for row in rows}
    for label, group in found.groups.items():
        for name, estimate in scores_of(group).items():
            assert_same(estimate, by_hand(expected[label], SCORES[name]))
            assert read_back(lines[label, name]) == estimate


async def test_a_breakdown_as_parquet_has_the_promised_types(stack: Stack, study: Study) -> None:
    content = await stack.client.metrics_table(study.runs["wren"].id, "character", "parquet")
    table = ParquetFile(io.BytesIO(content)).read(use_threads=False)
    types = {field.name: str(field.type) for field in table.schema}
    assert (table.num_rows, types["group"], types["mean"], types["n"]) == (4 * 13, "string", "double", "int64")


async def test_a_breakdown_is_csv_for_whoever_accepts_csv(stack: Stack, study: Study) -> None:
    path = f"{stack.url}/v1/runs/{study.runs['wren'].id}/metrics?group_by=persona"
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}", "Accept": "text/csv"}) as client:
        answer = await client.get(path)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.splitlines()[0].startswith("run,suite,candidate,raters,group_by,group,metric,mean,n,ratings,se,")


async def test_a_report_holds_its_groups_examples_and_manifest(stack: Stack, study: Study) -> None:
    report = await stack.client.report(study.runs["lark"].id)
    assert list(report.groups) == ["character", "persona", "emotion", "location"]
    for by, groups in report.groups.items():
        expected = groups_by_hand(study.of("lark"), by)
        assert {label: row.overall.n for label, row in groups.items()} == {
            label: len({(r.character, r.scenario) for r in rows}) for label, rows in expected.items()
        }
    best, worst = report.examples["overall"].best[0], report.examples["overall"].worst[0]
    assert best.mean > worst.mean and best.link == f"/v1/dialogues/{best.dialogue}"
    assert (await stack.client.dialogue(best.dialogue)).character == best.character
    assert report.manifest["rounds"] == 1 or report.manifest["rounds"] == 2
    assert report.published is None


def scores_of(found: Any) -> dict[str, Estimate]:
    return {"overall": found.overall, **found.dimensions, **found.metrics}


def read_back(row: Mapping[str, str]) -> Estimate:
    """The estimate that a line of CSV stands for."""

    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    ends = {name: (number(f"{name}_low"), number(f"{name}_high")) for name in ("suite", "dialogue", "population")}
    ci = {name: None if None in bounds else bounds for name, bounds in ends.items()}
    counts = {"n": int(row["n"]), "ratings": int(row["ratings"])}
    return Estimate.model_validate({"mean": number("mean"), "se": number("se"), "ci": ci, "worst": None, **counts})


# --- agreement --------------------------------------------------------------------------------------------------------


async def test_agreement_is_computed_in_the_background_and_says_what_is_known_by_hand(
    stack: Stack, study: Study
) -> None:
    rows = study.of("wren")
    found = await agreement(stack, study.runs["wren"].id)
    cells: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    for row in rows:
        cells[row.character, row.scenario, row.metric][row.rater] = row.score
    both = [(cell["ann"], cell["bob"]) for cell in cells.values() if len(cell) == 2]
    assert (found.kind, found.cells, found.pairs) == ("human", len(both), len(both))
    x, y = np.array(both, dtype=float).T
    assert found.krippendorff_alpha == pytest.approx(alpha_by_hand(both), abs=1e-9)
    assert found.qwk == pytest.approx(kappa_by_hand(both), abs=1e-9)
    assert found.icc == pytest.approx(icc_by_hand(x, y), abs=1e-9)
    assert found.acc == pytest.approx(float((x == y).mean()), abs=1e-9)
    assert found.acc_soft == pytest.approx(float((abs(x - y) <= 1).mean()), abs=1e-9)
    assert found.weighted_tau == pytest.approx(weightedtau(x, y).statistic, abs=1e-9)
    chance = np.random.default_rng(3)
    null = [weightedtau(x, chance.permutation(y)).statistic for _ in range(100)]
    assert found.weighted_tau_null == pytest.approx(float(np.mean(null)), abs=0.03)


async def agreement(stack: Stack, run: str) -> AgreementOut:
    """As soon as it is known."""
    async with asyncio.timeout(60):
        while (found := (await stack.client.report(run)).agreement) is None:
            await asyncio.sleep(0.1)
    return found


# --- comparisons, leaderboards, series --------------------------------------------------------------------------------


async def test_a_comparison_pairs_dialogues_as_one_does_by_hand(stack: Stack, study: Study) -> None:
    found = await stack.client.compare(study.runs["wren"].id, study.runs["lark"].id)
    assert (found.raters, found.suite) == ("human", "birds@1")
    for name, difference in {"overall": found.overall, **found.dimensions, **found.metrics}.items():
        assert_paired(difference, study.of("lark"), study.of("wren"), SCORES[name])
    turned = await stack.client.compare(study.runs["lark"].id, study.runs["wren"].id)
    assert turned.overall.difference == pytest.approx(-(found.overall.difference or 0), abs=1e-9)


def assert_paired(found: DifferenceOut, ours: Sequence[Row], theirs: Sequence[Row], metrics: Sequence[str]) -> None:
    """Means over raters, subtracted where both were rated; errors clustered by scenario; what was not seen."""
    apart: dict[str, dict[tuple[str, str], float]] = {}
    for metric in metrics:
        a, b = (cell_means([row for row in rows if row.metric == metric]) for rows in (ours, theirs))
        apart[metric] = {unit: a[unit] - b[unit] for unit in a.keys() & b.keys()}
    means = {metric: sum(of.values()) / len(of) for metric, of in apart.items()}
    sums: dict[str, float] = defaultdict(float)
    for metric, of in apart.items():
        for (_, scenario), value in of.items():
            sums[scenario] += (value - means[metric]) / len(of) / len(metrics)
    se = math.sqrt(10 / 9 * math.fsum(value**2 for value in sums.values()))
    mean = sum(means.values()) / len(means)
    half = float(student.ppf(0.975, 9)) * se
    assert found.difference == pytest.approx(mean, abs=1e-9) and found.se == pytest.approx(se, abs=1e-9)
    assert found.n == len({unit for of in apart.values() for unit in of})
    complete = set.intersection(*(set(of) for of in apart.values()))
    values = [sum(of[unit] for of in apart.values()) / len(metrics) for unit in complete]
    assert_bounds(found.ci.suite, interval(mean, mean - half, mean + half, values, (-4, 4)), 1e-9)
    assert found.ci.dialogue is not None and found.ci.dialogue[0] < mean < found.ci.dialogue[1]


def cell_means(rows: Iterable[Row]) -> dict[tuple[str, str], float]:
    given: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        given[row.character, row.scenario].append(row.score)
    return {unit: sum(scores) / len(scores) for unit, scores in given.items()}


async def test_runs_of_another_suite_cannot_be_compared_and_the_answer_says_in_what(stack: Stack, study: Study) -> None:
    other = await stack.done(await stack.run(judges=[]))
    with pytest.raises(ApiError) as raised:
        await stack.client.compare(other.id, study.runs["wren"].id)
    assert (raised.value.status, raised.value.code) == (409, "not_comparable")
    body = {"baseline": other.id, "candidate": study.runs["wren"].id}
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
        answer = await client.post(f"{stack.url}/v1/comparisons", json=body)
    assert answer.json()["differs"][0] == "suite"


async def test_a_leaderboard_ranks_candidates_by_what_chance_does_not_explain(stack: Stack, study: Study) -> None:
    found = await stack.client.leaderboard("birds", reference=study.runs["finch"].id)
    overall = {name: by_hand(study.of(name), METRIC_IDS).mean or 0 for name in CANDIDATES}
    order = sorted(CANDIDATES, key=lambda name: -overall[name])
    assert [row.candidate for row in found.rows] == order
    assert [row.rank for row in found.rows] == sorted(row.rank or 0 for row in found.rows)
    assert (found.raters, found.reference, found.published) == ("human", study.runs["finch"].id, None)
    for row in found.rows:
        for name, estimate in scores_of(row).items():
            assert_same(estimate, by_hand(study.of(row.candidate), SCORES[name]))
        if row.candidate == "finch":
            assert row.difference is None
        else:
            assert row.difference is not None
            apart = overall[row.candidate] - overall["finch"]
            assert row.difference.overall.difference == pytest.approx(apart, abs=1e-9)
            low, high = row.difference.overall.ci.dialogue or (0, 0)
            assert low < apart < high
        tied = {other.run for other in found.rows if row.run in other.tied_with}
        assert tied == set(row.tied_with)


async def test_a_leaderboard_has_the_columns_of_the_papers_first_table(stack: Stack, study: Study) -> None:
    rows = list(csv.DictReader(io.StringIO((await stack.client.leaderboard_table("birds")).decode())))
    printed = [name for d in DIMENSIONS for name in (*metrics_of(d), d)]
    assert list(rows[0])[:4] == ["rank", "last_rank", "candidate", "run"]
    assert list(rows[0])[4:17] == [*printed, "overall"]
    assert float(rows[0]["overall"]) == pytest.approx(by_hand(study.of(rows[0]["candidate"]), METRIC_IDS).mean)
    text = (await stack.client.leaderboard_table("birds", "md")).decode()
    assert f"| rank | candidate | {' | '.join(printed)} | overall |" in text
    assert "Published reference" not in text


async def test_a_series_tells_each_metric_run_by_run(stack: Stack, study: Study) -> None:
    found = await stack.client.series(suite="birds", candidate="wren")
    report = await stack.client.report(study.runs["wren"].id)
    point = next(point for point in found.data if point.run == report.run)
    assert (point.overall, point.metrics, point.status) == (report.overall, report.metrics, "succeeded")
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
        answer = await client.get(f"{stack.url}/v1/metrics/series?suite=birds&format=csv")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(lines) >= 3 * len(SCORES) and lines[0]["metric"] == "overall"


# --- exports, and the same bytes --------------------------------------------------------------------------------------


async def test_an_export_holds_every_rating_in_all_three_formats_and_can_be_imported(
    stack: Stack, study: Study
) -> None:
    run = study.runs["finch"]
    text = (await stack.client.export_ratings(run.id)).decode()
    lines = list(csv.DictReader(io.StringIO(text)))
    expected = sorted((r.character, r.scenario, r.metric, r.rater, r.score) for r in study.of("finch"))
    assert sorted((r["character"], r["scenario"], r["metric"], r["rater"], int(r["score"])) for r in lines) == expected
    again = await stack.client.import_ratings(text.encode(), "text/csv")
    assert (again.stored, again.duplicates) == (0, len(expected))
    jsonl = (await stack.client.export_ratings(run.id, "jsonl")).splitlines()
    table = ParquetFile(io.BytesIO(await stack.client.export_ratings(run.id, "parquet"))).read(use_threads=False)
    assert (len(jsonl), table.num_rows) == (len(expected), len(expected))
    assert sorted(table.column("score").to_pylist()) == sorted(r.score for r in study.of("finch"))


async def test_the_same_ratings_in_any_order_with_duplicates_over_restarts_give_the_same_hash(
    stack: Stack, study: Study
) -> None:
    first = await stack.client.report(study.runs["lark"].id)
    run = await a_run(stack, "lark")
    lines = study.file("lark", run)
    random.Random(2).shuffle(lines)
    parts = [lines[:100], lines[50:300], lines[250:]]
    for part in parts:
        await stack.client.import_ratings("\n".join([HEADER, *part, *part[:20]]).encode(), "text/csv")
        await stack.client.report(run.id)
        await stack.kill("analytics")
        await stack.start("analytics")
        await stack.ready()
    second = await stack.client.report(run.id)
    assert second.run != first.run
    assert second.sha256 == first.sha256
    assert dump(second) == dump(first)
    assert await worst_of(stack, second) == await worst_of(stack, first)


async def worst_of(stack: Stack, report: Report) -> list[tuple[str, str | None]]:
    """Of which character and scenario the worst dialogues are, in their order."""
    found = [await stack.client.dialogue(id) for id in report.worst]
    return [(dialogue.character, dialogue.scenario) for dialogue in found]


def dump(report: Report) -> dict[str, Any]:
    """All that is not of the run alone or of how its ratings came, nor computed later."""
    return report.model_dump(exclude={"run", "examples", "worst", "agreement", "imported"})
