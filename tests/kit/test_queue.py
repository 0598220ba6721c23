"""The doorbell on a real Valkey: heard, lost without harm, and never an error for who rings."""

import asyncio
from uuid import UUID, uuid4

import pytest
import redis.asyncio

from services.jobs import AdvanceRun, PlanRun
from services.kit.queue import ArqQueue, Chime, Job, RecordedQueue
from services.kit.worker import work

RUN = uuid4()


async def test_a_message_reaches_its_handler_and_a_failing_handler_does_not_stop_the_worker(redis_url: str) -> None:
    heard: list[UUID] = []
    enough = asyncio.Event()

    async def handler(run_id: UUID) -> None:
        heard.append(run_id)
        if len(heard) == 1:
            raise ValueError("broken")
        enough.set()

    queue = ArqQueue(redis_url)
    worker = asyncio.create_task(work("generator", redis_url, {PlanRun: handler}, nothing))
    await queue.ring(PlanRun(RUN), PlanRun(RUN))
    async with asyncio.timeout(20):
        await enough.wait()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    await queue.close()
    assert heard == [RUN, RUN]


async def test_what_is_found_by_looking_around_is_worked_without_redis() -> None:
    heard = asyncio.Event()

    async def handler(run_id: UUID) -> None:
        assert run_id == RUN
        heard.set()

    async def look_around() -> list[Job]:
        return [PlanRun(RUN), PlanRun(RUN)]

    worker = asyncio.create_task(work("generator", "unix:///nowhere.sock", {PlanRun: handler}, look_around))
    async with asyncio.timeout(20):
        await heard.wait()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def nothing() -> list[Job]:
    return []


async def test_ringing_where_nobody_hears_is_no_error() -> None:
    queue = ArqQueue("unix:///nowhere.sock")
    await queue.ring(PlanRun(RUN))
    assert await queue.ping() is False


async def test_messages_are_json_and_not_pickle(redis_url: str) -> None:
    queue = ArqQueue(redis_url)
    await queue.ring(PlanRun(RUN))
    client = redis.asyncio.Redis.from_url(redis_url)
    [key] = [key async for key in client.scan_iter("arq:job:*")]
    assert str(RUN).encode() in (await client.get(key) or b"")
    assert (await client.get(key))[:1] == b"{"
    await client.aclose()
    await queue.close()


async def test_a_chime_rings_for_news_and_once_more_at_the_end() -> None:
    queue = RecordedQueue()
    async with Chime(queue, AdvanceRun(RUN)) as chime:
        chime.news()
        await asyncio.sleep(0.05)
        assert queue.jobs == [AdvanceRun(RUN)]
        chime.news()
        chime.news()
    assert queue.jobs == [AdvanceRun(RUN)] * 2


async def test_a_bell_is_heard_at_once_and_not_at_the_next_look(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kit.worker.DEAF", 3600)  # seconds: no look comes in time
    heard = asyncio.Event()

    async def handler(run_id: UUID) -> None:
        heard.set()

    queue = ArqQueue(redis_url)
    worker = asyncio.create_task(work("generator", redis_url, {PlanRun: handler}, nothing))
    async with asyncio.timeout(20):
        while not heard.is_set():  # until it listens
            await queue.ring(PlanRun(RUN))
            await asyncio.sleep(0.05)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    await queue.close()
