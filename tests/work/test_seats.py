"""AllSeats of several workers on one Postgres: together they never exceed what is agreed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit.chat import ChatError, Reply, Stopped
from services.kit.db import open_engine, rows
from services.work.seats import AllSeats, Caps, Seats

TENANT = uuid4()


@dataclass
class Endpoint:
    """Counts what is in flight; refuses what is over ``most``."""

    most: int = 10_000
    seconds: float = 0.02
    busy: int = 0
    peak: int = 0
    answered: int = 0
    refused: int = 0

    async def call(self) -> Reply:
        if self.busy >= self.most:
            self.refused += 1
            raise ChatError("rate_limited", "too many", retryable=True)
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        await asyncio.sleep(self.seconds)
        self.busy -= 1
        self.answered += 1
        return Reply("hi", "stop", 30, 20, self.seconds)


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database, "esrp_generator")
    yield engine
    await engine.dispose()


async def changes(engine: AsyncEngine) -> list[tuple[int, str]]:
    async with engine.begin() as tx:
        found = await rows(tx, 'SELECT "limit", cause FROM generator.pace_changes ORDER BY id')
    return [(change["limit"], change["cause"]) for change in found]


async def work(seats: Seats, endpoint: Endpoint, calls: int) -> None:
    async def one() -> None:
        while True:
            try:
                await seats.call(endpoint.call, None)
                return
            except ChatError:
                await asyncio.sleep(0.05)

    await asyncio.gather(*(one() for _ in range(calls)))


async def test_calls_in_flight_double_up_to_the_cap_and_never_exceed_it(engine: AsyncEngine) -> None:
    all_seats, endpoint = AllSeats(engine, "generator"), Endpoint(seconds=0.05)
    await work(all_seats.at(TENANT, "bot", Caps(40)), endpoint, 600)
    assert endpoint.peak == 40
    assert await changes(engine) == [(16, "started"), (32, "doubled"), (40, "doubled")]
    await all_seats.close()


async def test_workers_share_one_cap(engine: AsyncEngine) -> None:
    endpoint = Endpoint()
    workers = [AllSeats(engine, "generator") for _ in range(3)]
    await asyncio.gather(*(work(all_seats.at(TENANT, "bot", Caps(12)), endpoint, 150) for all_seats in workers))
    assert (endpoint.answered, endpoint.peak <= 12) == (450, True)
    for all_seats in workers:
        await all_seats.close()


async def test_a_refusing_endpoint_gets_fewer_calls(engine: AsyncEngine) -> None:
    all_seats, endpoint = AllSeats(engine, "generator"), Endpoint(most=20, seconds=0.05)
    await work(all_seats.at(TENANT, "bot", Caps(256)), endpoint, 400)
    assert (16, "refused") in await changes(engine)
    assert endpoint.answered == 400
    await all_seats.close()


async def test_a_server_error_is_no_reason_to_slow_down(engine: AsyncEngine) -> None:
    async def broken() -> Reply:
        raise ChatError("server_error", "500", retryable=True)

    all_seats = AllSeats(engine, "generator")
    seats = all_seats.at(TENANT, "bot", Caps(64))
    results = await asyncio.gather(*(seats.call(broken, None) for _ in range(50)), return_exceptions=True)
    assert all(isinstance(result, ChatError) for result in results)
    assert await changes(engine) == [(16, "started")]
    await all_seats.close()


async def test_who_waits_for_a_seat_leaves_once_it_is_stopped(engine: AsyncEngine) -> None:
    all_seats, endpoint, stopped = AllSeats(engine, "generator"), Endpoint(seconds=5), asyncio.Event()
    seats = all_seats.at(TENANT, "bot", Caps(1))
    first = asyncio.create_task(seats.call(endpoint.call, None))
    second = asyncio.create_task(seats.call(endpoint.call, stopped))
    while not endpoint.busy:
        await asyncio.sleep(0.01)
    stopped.set()
    with pytest.raises(Stopped):
        await second
    assert endpoint.peak == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await all_seats.close()


async def test_a_cancelled_call_gives_its_seat_back(engine: AsyncEngine) -> None:
    all_seats, slow, quick = AllSeats(engine, "generator"), Endpoint(seconds=60), Endpoint()
    seats = all_seats.at(TENANT, "bot", Caps(2))
    calls = [asyncio.create_task(seats.call(slow.call, None)) for _ in range(5)]
    while slow.busy < 2:
        await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await work(seats, quick, 4)
    assert quick.answered == 4
    await all_seats.close()


async def test_a_dead_workers_seats_are_free_again(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    dead, alive = AllSeats(engine, "generator"), AllSeats(engine, "generator")
    await work(dead.at(TENANT, "bot", Caps(4)), Endpoint(), 4)
    seats = dead.at(TENANT, "bot", Caps(4))
    assert seats._keeper is not None
    seats._keeper.cancel()  # as a kill does: it neither says anything more nor gives anything back
    async with engine.begin() as tx:
        await rows(tx, "UPDATE generator.seats SET granted = 4, wanted = 4 RETURNING worker")
    endpoint = Endpoint()
    await work(alive.at(TENANT, "bot", Caps(4)), endpoint, 8)
    assert endpoint.answered == 8
    await alive.close()


async def test_calls_a_minute_are_a_hard_limit(engine: AsyncEngine) -> None:
    all_seats, endpoint, stopped = AllSeats(engine, "generator"), Endpoint(), asyncio.Event()
    seats = all_seats.at(TENANT, "bot", Caps(64, calls_per_minute=60))
    calls = [asyncio.create_task(seats.call(endpoint.call, stopped)) for _ in range(30)]
    while endpoint.answered < 2:
        await asyncio.sleep(0.05)
    stopped.set()
    results: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    assert endpoint.answered < 10
    assert sum(isinstance(result, Stopped) for result in results) == 30 - endpoint.answered
    await all_seats.close()


async def test_what_calls_took_of_the_tokens_is_what_they_came_to_whatever_was_expected_of_them(
    engine: AsyncEngine,
) -> None:
    async def long() -> Reply:
        await asyncio.sleep(0)
        return Reply("hi", "stop", 2000, 1000, 0.0)

    seats = AllSeats(engine, "generator").at(TENANT, "bot", Caps(64, tokens_per_minute=600_000))
    seats._keeper = asyncio.create_task(asyncio.sleep(60))  # nothing is agreed meanwhile
    seats._granted, seats._usable, seats._tokens = 64, 64.0, 1_000_000.0
    await asyncio.gather(*(seats.call(long, None) for _ in range(40)))
    assert seats._tokens == pytest.approx(1_000_000 - 40 * 3000)
    seats._keeper.cancel()
