"""Messages and the timer: verdicts become ratings, ratings become a report, and doing it twice changes nothing."""

import asyncio
import json
from uuid import uuid4

import pytest

from services.analytics.report import kept
from services.analytics.worker import handlers, look_around, store_ratings, summarise_run
from services.jobs import AdvanceRun, MeasureAgreement
from tests.analytics.conftest import World


async def test_scores_of_verdicts_are_taken_over_once_however_often_it_rings(world: World) -> None:
    run = await world.run()
    await world.judge(run, 0, 4)
    await world.judge(run, 1, None)
    await store_ratings(world.resources, run)
    await store_ratings(world.resources, run)
    assert await world.count("analytics.ratings") == 9
    assert world.queue.jobs == [AdvanceRun(run)]


async def test_two_workers_at_once_store_and_summarise_once(world: World) -> None:
    run = await world.run(phase="analysing")
    await world.judge_all(run)
    await asyncio.gather(*(store_ratings(world.resources, run) for _ in range(3)))
    assert world.queue.jobs == [AdvanceRun(run)]
    await asyncio.gather(*(summarise_run(world.resources, run) for _ in range(3)))
    assert await world.count("analytics.ratings") == 54
    assert await world.count("analytics.reports") == 1


async def test_a_report_takes_over_what_no_bell_has_brought(world: World) -> None:
    run = await world.run(phase="analysing")
    await world.judge_all(run)
    await summarise_run(world.resources, run)
    row = await world.db.fetchrow("SELECT revision, document ->> 'raters' AS raters FROM analytics.reports")
    assert row is not None and tuple(row) == (1, "judge")
    assert world.queue.jobs == [AdvanceRun(run), MeasureAgreement(run)]


async def test_a_report_twice_is_the_same_report(world: World) -> None:
    run = await world.run(phase="analysing")
    await world.judge_all(run)
    documents = []
    for _ in range(2):
        await summarise_run(world.resources, run)
        documents.append(await world.db.fetchval("SELECT document::text FROM analytics.reports"))
    assert documents[0] == documents[1]


async def test_a_late_message_about_a_run_that_went_on_writes_no_report(world: World) -> None:
    run = await world.run(phase="generating")
    await summarise_run(world.resources, run)
    await summarise_run(world.resources, uuid4())
    assert await world.count("analytics.reports") == 0
    assert world.queue.jobs == []


async def test_a_score_that_comes_late_drops_the_report(world: World) -> None:
    run = await world.run(status="cancelled", phase=None)
    await world.judge(run, 0, 4)
    await summarise_run(world.resources, run)
    await world.judge(run, 1, 2)
    await store_ratings(world.resources, run)
    assert await world.count("analytics.reports") == 0
    assert (await world.report(run))["overall"]["mean"] == 3


async def test_the_timer_finds_what_no_message_told_of(world: World) -> None:
    judging, analysing, ended = await world.run(), await world.run(phase="analysing"), await world.run(status="failed")
    for run in (judging, analysing, ended):
        await world.judge_all(run)
    await look_and_work(world)
    assert await world.db.fetchval("SELECT count(*) FROM analytics.ratings WHERE run_id = $1", judging) == 54
    assert [r["run_id"] for r in await world.db.fetch("SELECT run_id FROM analytics.reports")] == [analysing]
    await look_and_work(world)  # the judges are measured once the report is there
    assert await look_around(world.resources) == []


async def test_a_resumed_run_gets_a_report_of_its_new_revision(world: World) -> None:
    run = await world.run(phase="analysing")
    await world.judge_all(run)
    await look_and_work(world)
    await world.update(run, revision=2)
    await look_and_work(world)
    assert await world.db.fetchval("SELECT revision FROM analytics.reports") == 2


async def look_and_work(world: World) -> None:
    """What a worker does every few seconds."""
    for job in await look_around(world.resources):
        await handlers(world.resources)[type(job)](job.subject)


@pytest.mark.parametrize("last", [0, 1])
async def test_what_two_runs_of_a_suite_show_of_its_spread_is_kept_for_plans(world: World, last: int) -> None:
    runs = sorted([await world.run(7, 10, status="succeeded", phase=None) for _ in range(2)])
    await world.db.execute("UPDATE gateway.runs SET suite_id = (SELECT suite_id FROM gateway.runs LIMIT 1)")
    for place in (1 - last, last):
        for at in range(70):
            await world.judge(runs[place], at, 5 if place else 4 - (at == 0))
        await store_ratings(world.resources, runs[place])
        await summarise_run(world.resources, runs[place])
        await kept.agree(world.resources, runs[place])
    stored = await world.db.fetchrow("SELECT judges, document FROM analytics.spreads")
    assert stored is not None and stored["judges"] == ["default"]
    document = json.loads(stored["document"])
    assert (document["pairs"], set(document["low"])) == (70, {1.0})  # the newer beside the older, whoever ended last
