"""Who follows a run is told everything once and in order, and many who follow cost as one."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.resources import Resources
from services.gateway.runs.streams import KEPT, Streams, Told
from services.kit.db import count, open_engine
from services.kit.ids import decode
from tests.builders import a_run_request


@pytest.fixture
async def run(client: httpx2.AsyncClient) -> UUID:
    """A run with one event: that it is queued."""
    return decode("run", (await client.post("/v1/runs", json=a_run_request())).json()["id"])


@pytest.fixture
async def streams(resources: Resources) -> AsyncIterator[Streams]:
    yield resources.streams
    await resources.streams.close()


async def tell(engine: AsyncEngine, run: UUID, first: int, last: int) -> None:
    async with engine.begin() as tx:
        await count(
            tx,
            "INSERT INTO gateway.events (tenant_id, run_id, type, key, data)"
            " SELECT tenant_id, id, 'warning', 'k' || n, jsonb_build_object('n', n)"
            " FROM gateway.runs, generate_series(CAST(:first AS int), CAST(:last AS int)) n WHERE id = :run ORDER BY n",
            run=run,
            first=first,
            last=last,
        )


async def finish(engine: AsyncEngine, run: UUID) -> None:
    async with engine.begin() as tx:
        await count(
            tx,
            "UPDATE gateway.runs SET status = 'succeeded', finished_at = now() WHERE id = :run",
            run=run,
        )


async def heard(streams: Streams, run: UUID, last: int = 0) -> list[Told]:
    return [told async for told in streams.follow(run, last)]


def numbers(told: list[Told]) -> list[int]:
    return [one.data["n"] for one in told if one.type == "warning"]


async def test_everybody_is_told_everything_once_whenever_they_came(
    streams: Streams, resources: Resources, run: UUID
) -> None:
    async with asyncio.timeout(20):
        following = [asyncio.create_task(heard(streams, run)) for _ in range(3)]
        await asyncio.sleep(0.3)
        await tell(resources.engine, run, 1, 3)
        await asyncio.sleep(0.5)
        following += [asyncio.create_task(heard(streams, run)) for _ in range(3)]
        await tell(resources.engine, run, 4, 6)
        await asyncio.sleep(0.3)
        await finish(resources.engine, run)
        told = await asyncio.gather(*following)
    assert [numbers(one) for one in told] == [[1, 2, 3, 4, 5, 6]] * 6
    ids = [one.id for one in told[0] if one.id is not None]
    assert ids == sorted(ids)
    again = await heard(streams, run, ids[3])
    assert [one.id for one in again if one.id is not None] == ids[4:]


async def test_more_than_is_kept_is_read_from_the_table(streams: Streams, resources: Resources, run: UUID) -> None:
    async with asyncio.timeout(20):
        following = asyncio.create_task(heard(streams, run))
        await asyncio.sleep(0.3)
        await tell(resources.engine, run, 1, 3 * KEPT + 7)
        await finish(resources.engine, run)
        assert numbers(await following) == list(range(1, 3 * KEPT + 8))


async def test_a_change_reaches_who_follows_within_a_third_of_a_second(
    streams: Streams, resources: Resources, run: UUID
) -> None:
    stream = streams.follow(run, 2**62)
    assert (await anext(stream)).type == "run.progress"
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(1.3)  # progress has not changed, so nothing was told
    assert not waiting.done()
    clock = asyncio.get_running_loop()
    began = clock.time()
    async with resources.engine.begin() as tx:
        await count(tx, "UPDATE gateway.runs SET status = 'running', phase = 'generating' WHERE id = :run", run=run)
    await finish(resources.engine, run)
    told = await waiting
    assert (told.type, told.data["status"]) == ("run.progress", "succeeded")
    assert clock.time() - began < 0.6  # a look each 0.2 s, on a machine that does other things too
    await stream.aclose()


async def test_who_follows_a_run_that_is_removed_is_let_go(streams: Streams, resources: Resources, run: UUID) -> None:
    async with asyncio.timeout(10):
        following = asyncio.create_task(heard(streams, run))
        await asyncio.sleep(0.3)
        async with resources.engine.begin() as tx:
            await count(tx, "DELETE FROM gateway.runs WHERE id = :run", run=run)
        assert [one.type for one in await following] == ["run.progress", "run.status"]


async def test_a_hundred_who_follow_ask_no_more_than_one(streams: Streams, resources: Resources, run: UUID) -> None:
    following = [asyncio.create_task(heard(streams, run, 2**62))]
    await asyncio.sleep(0.5)
    following += [asyncio.create_task(heard(streams, run, 2**62)) for _ in range(99)]
    await asyncio.sleep(0.5)
    asked: list[Any] = []
    event.listen(resources.engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    await asyncio.sleep(2)
    assert 5 <= len(asked) <= 16  # ten looks in two seconds, and twice three statements about progress
    await finish(resources.engine, run)
    async with asyncio.timeout(10):
        await asyncio.gather(*following)


async def test_the_watcher_outlives_a_database_that_is_away(
    streams: Streams, resources: Resources, run: UUID, database: str
) -> None:
    following = asyncio.create_task(heard(streams, run))
    await asyncio.sleep(0.3)
    other = open_engine(database, "postgres")
    async with other.begin() as tx:
        await count(
            tx,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'esrp_gateway' AND datname = current_database()",
        )
    await tell(other, run, 1, 2)
    await finish(other, run)
    await other.dispose()
    async with asyncio.timeout(10):
        assert numbers(await following) == [1, 2]
