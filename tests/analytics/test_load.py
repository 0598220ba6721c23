"""Attacks on what figures and imports cost: many raters, many groups, many faults. Each bound is a number."""

import asyncio
import io
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from httpx2 import ASGITransport, AsyncClient

from esrp.metrics import METRIC_IDS
from services.analytics.app import create_app
from services.analytics.imports.judge_names import Reserved
from services.analytics.imports.ratings import parse, resolve
from services.analytics.records import LISTED, LONGEST
from services.analytics.report import groups, kept
from services.analytics.report.agreements import without_agreement
from services.analytics.worker import summarise_run
from services.kit.aside import Aside, Pool, peak
from services.kit.ids import encode
from services.kit.web import INTERNAL
from tests.analytics.conftest import TENANT, World, csv

MB = 1 << 20


@dataclass
class Used:
    """What the process that computes figures has used."""

    cpu: float
    mb: float


@pytest.fixture
async def alone(world: World) -> AsyncIterator[World]:
    """A world whose figures have a process of their own, so that what they use can be read."""
    figures = Aside("alone", pool=Pool())
    resources = replace(world.resources, figures=figures)
    headers = {INTERNAL: world.resources.keys.internal_token}
    app = create_app(resources)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://a", headers=headers) as web:
        yield replace(world, resources=resources, client=web)
    await figures.close()


async def used(world: World) -> Used:
    figures = world.resources.figures
    return Used(await figures.do(time.process_time), await figures.do(peak) / MB)


async def rated_by(world: World, run: UUID, raters: int, metrics: Iterable[str] = METRIC_IDS) -> None:
    """Each rater has rated one of the run's dialogues."""
    ids = world.ids[run]
    await world.db.copy_records_to_table(
        "ratings",
        schema_name="analytics",
        columns=(
            *("tenant_id", "run_id", "dialogue_id", "character", "scenario", "replicate"),
            *("metric", "rater", "kind", "score"),
        ),
        records=[
            (TENANT, run, *ids[n % len(ids)], metric, f"rater {n:06}", "human", 1 + n % 5)
            for n in range(raters)
            for metric in metrics
        ],
    )


async def metrics(world: World, run: UUID, **query: str) -> Any:
    answer = await world.client.get(f"/internal/runs/{run}/metrics", params={"tenant": str(TENANT), **query})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(("raters", "cpu", "mb"), [(1_000, 6, 300), (100_000, 10, 500)])
async def test_what_a_breakdown_by_rater_costs_is_bounded_however_many_raters_there_are(
    alone: World, raters: int, cpu: float, mb: float
) -> None:
    run = await alone.run(2, 60, status="succeeded", phase=None, judges=())
    await rated_by(alone, run, raters, METRIC_IDS[: max(2, 9_000 // raters)])
    before = await used(alone)
    found = (await metrics(alone, run, group_by="rater")).json()
    after = await used(alone)
    assert (len(found["groups"]), found["count"]) == (100, raters)
    assert (after.cpu - before.cpu < cpu, after.mb < mb) == (True, True), (before, after)


async def test_every_group_is_on_one_page_and_its_mean_does_not_depend_on_which(alone: World) -> None:
    run = await alone.run(2, 60, status="succeeded", phase=None, judges=())
    await rated_by(alone, run, 250, METRIC_IDS[:1])
    pages = [(await metrics(alone, run, group_by="rater", start=str(at), limit="100")).json() for at in (0, 100, 200)]
    assert [len(page["groups"]) for page in pages] == [100, 100, 50]
    together = {name: scores for page in pages for name, scores in page["groups"].items()}
    assert len(together) == 250
    alone_ = (await metrics(alone, run, group_by="rater", start="117", limit="1")).json()["groups"]
    (name,) = alone_
    assert alone_[name]["metrics"]["fluency"]["mean"] == together[name]["metrics"]["fluency"]["mean"]


async def test_a_page_of_a_grouping_has_the_numbers_of_the_whole(alone: World) -> None:
    run = await alone.run(4, 10, status="succeeded", phase=None, judges=())
    await alone.send(csv([{**row, "score": 1 + n % 5} for n, row in enumerate(alone.rows(run))]))
    whole = (await metrics(alone, run, group_by="scenario")).json()["groups"]
    answer = await metrics(alone, run, group_by="scenario", start="3", limit="4")
    assert list(answer.json()["groups"].items()) == list(whole.items())[3:7]
    assert answer.headers["X-ESRP-Count"] == "10"


async def test_a_report_names_a_hundred_groups_and_says_how_many_there_are(alone: World) -> None:
    run = await alone.run(120, 1, status="succeeded", phase=None, judges=())
    await alone.send(csv(alone.rows(run)))
    found = await alone.report(run)
    assert len(found["groups"]["character"]) == groups.MOST_GROUPS
    assert any(limit.startswith("Of 120 groups by character the first 100") for limit in found["limits"])


async def test_who_asks_when_much_is_computed_is_told_when_to_come_again(world: World) -> None:
    figures = Aside("narrow", waiting=0)
    headers = {INTERNAL: world.resources.keys.internal_token}
    app = create_app(replace(world.resources, figures=figures))
    run = await world.run(status="succeeded", phase=None, judges=())
    async with AsyncClient(transport=ASGITransport(app), base_url="http://a", headers=headers) as web:
        async with figures.slot():
            query = {"tenant": str(TENANT), "group_by": "rater"}
            answer = await web.get(f"/internal/runs/{run}/metrics", params=query)
    await figures.close()
    assert (answer.status_code, answer.json()["retryable"], answer.headers["Retry-After"]) == (503, True, "5")


async def test_reports_of_runs_that_end_do_not_wait_for_what_is_asked(world: World) -> None:
    run = await world.run(phase="analysing")
    async with world.resources.figures.slot():  # somebody's figures are being computed
        async with asyncio.timeout(30):
            await summarise_run(world.resources, run)
    assert await world.count("analytics.reports") == 1


async def test_agreement_that_takes_too_long_is_not_tried_again_until_ratings_change(world: World) -> None:
    run = await world.run(status="succeeded", phase=None, judges=())
    narrow = replace(world.resources, figures=Aside("narrow", seconds=0.001))
    await world.send(csv(world.rows(run)))
    async with world.resources.engine.begin() as tx:
        assert await without_agreement(tx) == [run]
    await kept.agree(narrow, run)
    await narrow.figures.close()
    async with world.resources.engine.begin() as tx:
        assert await without_agreement(tx) == []
    assert await world.count("analytics.agreements") == 0


# --- files ------------------------------------------------------------------------------------------------------------

HEADER = b"run,character,scenario,metric,rater,score\n"


def wrong_rows(count: int) -> bytes:
    run = encode("run", UUID(int=7))
    return HEADER + f"{run},c0,s0,fluency,somebody,4\n".encode() * count


def refused(body: bytes, kind: str = "text/csv") -> Any:
    with pytest.raises(Exception) as error:
        resolve(parse(body, kind), {}, Reserved([]), replace=False)
    return error.value


def test_of_a_hundred_thousand_faults_a_hundred_are_kept_and_all_are_counted() -> None:
    found = refused(wrong_rows(100_000))
    assert len(found.errors) == LISTED
    assert "And 99,900 more" in found.detail


def test_fewer_faults_are_all_told() -> None:
    found = refused(wrong_rows(3))
    assert len(found.errors) == 3 and "more" not in found.detail


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (HEADER + b"," * (32 * MB), "text/csv"),
        (b"," * (32 * MB), "text/csv"),
        (HEADER + b'"' + b"x" * (32 * MB), "text/csv"),
        (HEADER + "\N{GRINNING FACE}".encode() * (8 * MB), "text/csv"),
        (b"[" + b"[]," * (10 * MB) + b"1]", "application/x-ndjson"),
        (b"\n" * (4 * MB), "application/x-ndjson"),
        (b'{"' + b"k" * (32 * MB) + b'":1}', "application/x-ndjson"),
    ],
    ids=["commas", "header", "quote", "wide", "lists", "empty lines", "key"],
)
def test_no_file_makes_its_reader_hold_more_than_8_mib(body: bytes, kind: str) -> None:
    source = io.BytesIO(body)
    tracemalloc.start()
    try:
        parse(source, kind)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 8 * MB


def test_a_long_line_is_told_by_its_number() -> None:
    found = parse(HEADER + b"x" * (LONGEST + 1), "text/csv")
    assert [(wrong.line, "longer" in wrong.message) for wrong in found.wrong] == [(2, True)]
    found = parse(b'{"a":1}\n' + b"x" * (LONGEST + 1), "application/x-ndjson")
    assert [wrong.line for wrong in found.wrong] == [1, 2]


def test_columns_that_nobody_reads_are_named_a_hundred_times_at_most() -> None:
    row = '{"run":"r","character":"c","scenario":"s","metric":"fluency","rater":"r","score":1,"x%d":1}'
    found = parse("\n".join(row % n for n in range(1000)).encode(), "application/x-ndjson")
    assert len(found.ignored_columns) == LISTED


def test_a_long_value_is_told_by_its_beginning() -> None:
    row = '{"run":"r","character":"c","scenario":"s","metric":"%s","rater":"r","score":1}' % ("x" * 50_000)
    (wrong,) = parse(row.encode(), "application/x-ndjson").wrong
    assert len(wrong.message) < 500
