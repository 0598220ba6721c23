"""How a run is moved on: what is new is told once, whoever is at it, and what it came to is kept."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.resources import Resources
from services.gateway.worker import advance_run, look_around
from services.jobs import AdvanceRun, SummariseRun
from services.kit.db import count, open_engine, row, rows
from services.kit.ids import decode
from services.kit.queue import RecordedQueue
from services.kit.settings import JudgeSettings
from tests.builders import a_run_request
from tests.gateway import pipeline
from tests.gateway.conftest import BOOTSTRAP, caller

JUDGES = [JudgeSettings(name=name, base_url="http://127.0.0.1:1/v1", model=name) for name in ("default", "other")]


@pytest.fixture
async def others(database: str) -> AsyncIterator[AsyncEngine]:
    """The rights of all other services."""
    engine = open_engine(database, "postgres")
    yield engine
    await engine.dispose()


async def a_run(client: httpx2.AsyncClient, **fields: Any) -> UUID:
    answer = await client.post("/v1/runs", json=a_run_request(**fields))
    assert answer.status_code == 202, answer.text
    return decode("run", answer.json()["id"])


async def told(engine: AsyncEngine, run: UUID, type: str) -> list[Any]:
    async with engine.begin() as tx:
        found = await rows(
            tx, "SELECT data FROM gateway.events WHERE run_id = :run AND type = :type ORDER BY id", run=run, type=type
        )
    return [event["data"] for event in found]


async def version(engine: AsyncEngine, run: UUID) -> Any:
    """Which transaction wrote the run's row last."""
    async with engine.begin() as tx:
        found = await row(tx, "SELECT xmin::text AS version FROM gateway.runs WHERE id = :run", run=run)
    assert found is not None
    return found["version"]


async def test_what_ended_is_told_once_and_no_news_changes_nothing(
    client: httpx2.AsyncClient, resources: Resources, others: AsyncEngine
) -> None:
    run = await a_run(client)
    async with others.begin() as tx:
        ids = await pipeline.write(tx, run)
        await pipeline.end(tx, ids[:2])
    await advance_run(resources, run)
    async with others.begin() as tx:
        await pipeline.end(tx, ids[2:3], "failed", cut=1)
        await pipeline.end(tx, ids[3:5], "failed")
    await advance_run(resources, run)
    await advance_run(resources, run)
    before = await version(others, run)
    await advance_run(resources, run)
    assert await version(others, run) == before
    events = await told(others, run, "dialogue.completed")
    assert [(event["scenario"], event["state"]) for event in events] == [
        *((f"s{n}", "done") for n in (0, 1)),
        *((f"s{n}", "failed") for n in (2, 3, 4)),
    ]
    warned = [event["message"] for event in await told(others, run, "warning")]
    assert sorted(warned) == [
        "Some replies of the candidate ended at max_tokens, in the middle of what was said.",
        "The candidate: no reply",
    ]
    assert sorted((await client.get("/v1/runs")).json()["data"][0]["warnings"]) == sorted(warned)


async def test_what_was_saved_by_a_transaction_that_was_open_is_told_when_it_is_committed(
    client: httpx2.AsyncClient, resources: Resources, others: AsyncEngine
) -> None:
    run = await a_run(client)
    async with others.begin() as tx:
        ids = await pipeline.write(tx, run)
    async with others.begin() as slow:
        await pipeline.end(slow, ids[:1])
        async with others.begin() as tx:
            await pipeline.end(tx, ids[1:2])
        await advance_run(resources, run)
        assert [event["scenario"] for event in await told(others, run, "dialogue.completed")] == ["s1"]
    await advance_run(resources, run)
    await advance_run(resources, run)
    assert [event["scenario"] for event in await told(others, run, "dialogue.completed")] == ["s1", "s0"]


async def test_a_run_that_somebody_has_is_not_waited_for_and_not_forgotten(
    client: httpx2.AsyncClient, resources: Resources, others: AsyncEngine
) -> None:
    run = await a_run(client)
    async with others.begin() as tx:
        await pipeline.write(tx, run)
    async with others.begin() as tx:
        await row(tx, "SELECT id FROM gateway.runs WHERE id = :run FOR UPDATE", run=run)
        async with asyncio.timeout(2):
            assert await advance_run(resources, run) is True  # look again
    assert await advance_run(resources, run) is False
    statuses = [event["status"] for event in await told(others, run, "run.status")]
    assert statuses == ["queued", "running"]


async def test_the_clock_looks_at_a_run_that_is_played_only_when_something_has_ended(
    client: httpx2.AsyncClient, resources: Resources, others: AsyncEngine
) -> None:
    run = await a_run(client)
    assert await look_around(resources) == [AdvanceRun(run)]
    async with others.begin() as tx:
        ids = await pipeline.write(tx, run)
    await advance_run(resources, run)
    assert await look_around(resources) == []
    async with others.begin() as tx:
        await pipeline.end(tx, ids[:1])
    assert await look_around(resources) == [AdvanceRun(run)]
    await advance_run(resources, run)
    assert await look_around(resources) == []
    async with others.begin() as tx:
        await count(
            tx,
            "INSERT INTO judge.exhausted (run_id, tenant_id, revision)"
            " SELECT id, tenant_id, revision FROM gateway.runs",
        )
    assert await look_around(resources) == [AdvanceRun(run)]


async def test_two_gateways_tell_everything_once(
    client: httpx2.AsyncClient, resources: Resources, others: AsyncEngine
) -> None:
    run = await a_run(client)
    async with others.begin() as tx:
        ids = await pipeline.write(tx, run)

    async def look() -> None:
        for _ in range(20):
            await advance_run(resources, run)

    looking = [asyncio.create_task(look()) for _ in range(4)]
    for id in ids:
        async with others.begin() as tx:
            await pipeline.end(tx, [id])
        await asyncio.sleep(0.02)
    await asyncio.gather(*looking)
    while await advance_run(resources, run):
        pass
    events = await told(others, run, "dialogue.completed")
    assert sorted(event["scenario"] for event in events) == [f"s{n}" for n in range(6)]
    assert (await told(others, run, "run.status"))[-1]["phase"] == "judging"


async def test_a_report_that_is_there_already_ends_the_run_at_once(
    client: httpx2.AsyncClient, resources: Resources, others: AsyncEngine
) -> None:
    run, queue = await a_run(client), RecordedQueue()
    async with others.begin() as tx:
        ids = await pipeline.write(tx, run)
        await pipeline.end(tx, ids)
    heard = replace(resources, queue=queue)
    await advance_run(heard, run)
    async with others.begin() as tx:
        await pipeline.judge(tx, ids)
        await pipeline.report(tx, run)
    queue.jobs.clear()
    await advance_run(heard, run)
    moves = [(event["status"], event["phase"]) for event in await told(others, run, "run.status")]
    assert moves[-2:] == [("running", "judging"), ("succeeded", None)]
    assert [event["status"] for event in await told(others, run, "run.finished")] == ["succeeded"]
    assert SummariseRun(run) not in queue.jobs


async def test_how_far_it_came_is_kept_exactly_and_read_from_there(resources: Resources, others: AsyncEngine) -> None:
    settings = resources.settings.model_copy(update={"judges": JUDGES})
    async with caller(replace(resources, settings=settings), BOOTSTRAP) as client:
        suite = {"name": "tiny", "language": "en", "metrics": "esrp", **SUITE}
        assert (await client.post("/v1/suites", json=suite)).status_code == 201
        run = await a_run(client, judges=["default", "other"])
        async with others.begin() as tx:
            ids = await pipeline.write(tx, run)
            await pipeline.end(tx, ids[:5])
            await pipeline.end(tx, ids[5:], "failed")
            await pipeline.judge(tx, ids[:4], "default")
            await pipeline.judge(tx, ids[4:5], "default", "failed")
            await pipeline.judge(tx, ids[1:5], "other")
        bound = (await client.get("/v1/runs")).json()["data"][0]["progress"]
        assert bound == {"dialogues": 6, "generated": 5, "judged": 4, "failed": 1}  # the least of its judges
        async with others.begin() as tx:
            await count(tx, "UPDATE gateway.runs SET status = 'cancelling' WHERE id = :run", run=run)
        await advance_run(resources, run)
        ended = (await client.get("/v1/runs")).json()["data"][0]
        assert ended["status"] == "cancelled"
        assert ended["progress"] == {"dialogues": 6, "generated": 5, "judged": 4, "failed": 1}
        assert (ended["usage"]["candidate"]["calls"], ended["usage"]["judge"]["calls"]) == (12, 9)
        async with others.begin() as tx:  # what is kept is what is shown
            await count(tx, "DELETE FROM generator.tallies WHERE run_id = :run", run=run)
        assert (await client.get(ended["links"]["self"])).json()["progress"] == ended["progress"]
        assert (await client.post(f"/v1/runs/run_{run.hex}/resume")).json()["progress"]["generated"] == 0  # counted


SUITE = {
    "characters": [{"id": f"c{n}", "name": f"N{n}", "work": "w", "profile": "p"} for n in (1, 2)],
    "scenarios": [
        {"id": f"s{n}", "persona": "p", "emotion": "e", "location": "l", "event": "v", "question": "q?"}
        for n in (1, 2, 3)
    ],
}
