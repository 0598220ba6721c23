"""Ratings go in and figures come out, over the public API, beside a computation of their own (STATISTICS 1–4, 6)."""

import asyncio
import csv
import io
import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

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
from tests.pipeline.conftest import KEY, Stack
from tests.pipeline.unseen_by_hand import interval

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANDIDATES = ("wren", "finch", "lark")
CHARACTERS = [f"c{n}" for n in range(4)]
SCENARIOS = [
    {
        "id": f"s{n}",
        "persona": f"persona {n % 3}",
        "emotion": f"emotion {n % 4}",
        "location": f"place {n % 2}",
        "event": "Something happened.",
        "question": f"Question number {n}?",
    }
    for n in range(10)
]
SCORES: dict[str, Sequence[str]] = {
    "overall": METRIC_IDS,
    **{str(dimension): metrics_of(dimension) for dimension in DIMENSIONS},
    **{metric: (metric,) for metric in METRIC_IDS},
}


class Row(NamedTuple):
    """A line of the table; there is none where a rating is missing."""

    candidate: str
    character: str
    scenario: str
    metric: str
    rater: str
    score: int


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


# --- the same by hand -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    mean: float | None
    n: int
    ratings: int
    se: float | None
    suite: tuple[float, float] | None
    population: tuple[float, float] | None
    dialogue: tuple[float, float] | None
    resampled: bool


def by_hand(rows: Sequence[Row], metrics: Sequence[str]) -> Expected:
    """Sum ÷ count of each metric, the mean over metrics, clustered errors and what was not seen, one by one."""
    mine = [row for row in rows if row.metric in metrics]
    given: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in mine:
        given[row.character, row.scenario][row.metric].append(row.score)
    counts = Counter(row.metric for row in mine)
    n, total = len(given), sum(counts.values())
    if any(counts[metric] == 0 for metric in metrics):
        return Expected(None, n, total, None, None, None, None, False)
    score = {metric: sum(r.score for r in mine if r.metric == metric) / counts[metric] for metric in metrics}
    mean = sum(score.values()) / len(metrics)
    error = {
        unit: sum((sum(of[m]) - score[m] * len(of[m])) / counts[m] for m in metrics) / len(metrics)
        for unit, of in given.items()
    }

    def variance(cluster: Callable[[tuple[str, str]], Any]) -> tuple[float, int] | None:
        held = min(len({cluster((r.character, r.scenario)) for r in mine if r.metric == m}) for m in metrics)
        if held < 2:
            return None
        sums: dict[Any, float] = defaultdict(float)
        for unit, value in error.items():
            sums[cluster(unit)] += value
        return held / (held - 1) * math.fsum(value**2 for value in sums.values()), held

    complete = [of for of in given.values() if all(of[m] for m in metrics)]
    values = [sum(sum(of[m]) / len(of[m]) for m in metrics) / len(metrics) for of in complete]

    def around(found: tuple[float, int] | None) -> tuple[float, float] | None:
        if found is None:
            return None
        half = float(student.ppf(0.975, found[1] - 1)) * math.sqrt(found[0])
        return interval(mean, mean - half, mean + half, values)

    scenario, character, unit = variance(lambda u: u[1]), variance(lambda u: u[0]), variance(lambda u: u)
    both = None
    if scenario and character and unit:
        value = scenario[0] + character[0] - unit[0]
        both = (value if value > 0 else max(scenario[0], character[0])), min(scenario[1], character[1])
    resampled = unit is not None and unit[1] >= 30
    return Expected(
        mean=mean,
        n=n,
        ratings=total,
        se=math.sqrt(scenario[0]) if scenario else None,
        suite=around(scenario),
        population=around(both),
        dialogue=interval(mean, *percentiles(list(given.values()), metrics), values) if resampled else around(unit),
        resampled=resampled,
    )


def percentiles(units: Sequence[Mapping[str, Sequence[int]]], metrics: Sequence[str]) -> tuple[float, float]:
    """The percentile bootstrap over dialogues, with a generator of numpy's own."""
    sums = np.array([[sum(unit.get(metric, ())) for metric in metrics] for unit in units])
    counts = np.array([[len(unit.get(metric, ())) for metric in metrics] for unit in units])
    drawn = np.random.default_rng(5).integers(len(units), size=(5000, len(units)))
    means = (sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def assert_same(found: Estimate, expected: Expected) -> None:
    assert (found.n, found.ratings) == (expected.n, expected.ratings)
    for value, wanted in ((found.mean, expected.mean), (found.se, expected.se)):
        assert value == (None if wanted is None else pytest.approx(wanted, abs=1e-9))
    for name in ("suite", "population"):
        assert_bounds(getattr(found.ci, name), getattr(expected, name), 1e-9)
    within = (expected.se or 0) / 4 if expected.resampled else 1e-9
    assert_bounds(found.ci.dialogue, expected.dialogue, within)


def assert_bounds(found: Sequence[float] | None, expected: Sequence[float] | None, within: float) -> None:
    if expected is None:
        assert found is None
    else:
        assert found is not None and list(found) == pytest.approx(list(expected), abs=within)


def groups_by_hand(rows: Iterable[Row], by: str) -> dict[str, list[Row]]:
    labels = {str(scenario["id"]): scenario for scenario in SCENARIOS}
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        own = by in ("character", "scenario", "rater")
        found[getattr(row, by) if own else str(labels[row.scenario][by])].append(row)
    return dict(found)


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


def alpha_by_hand(pairs: Sequence[tuple[int, int]]) -> float:
    """Krippendorff's alpha of pairs with the ordinal metric, from its definition."""
    given = Counter(score for pair in pairs for score in pair)

    def apart(a: int, b: int) -> float:
        low, high = min(a, b), max(a, b)
        return (sum(given[level] for level in range(low, high + 1)) - (given[a] + given[b]) / 2) ** 2

    total = 2 * len(pairs)
    observed = sum(2 * apart(a, b) for a, b in pairs) / total
    levels = list(given)
    expected = sum(given[a] * given[b] * apart(a, b) for a in levels for b in levels) / (total * (total - 1))
    return 1 - observed / expected


def kappa_by_hand(pairs: Sequence[tuple[int, int]]) -> float:
    ours, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    seen = sum((a - b) ** 2 for a, b in pairs) / len(pairs)
    by_chance = sum((a - b) ** 2 * ours[a] * theirs[b] for a in ours for b in theirs) / len(pairs) ** 2
    return 1 - seen / by_chance


def icc_by_hand(x: Any, y: Any) -> float:
    """ICC(2,1) from the mean squares of a two-way analysis of variance."""
    table = np.column_stack([x, y])
    n, k = table.shape
    grand = table.mean()
    rows = k * ((table.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    columns = n * ((table.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + grand
    error = (rest**2).sum() / ((n - 1) * (k - 1))
    return float((rows - error) / (rows + (k - 1) * error + k * (columns - error) / n))


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
