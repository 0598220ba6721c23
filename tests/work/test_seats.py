"""AllSeats of several workers on one Postgres: together they never exceed what is agreed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit.chat import Stopped
from services.kit.db import open_engine, rows
from services.kit.endpoint import ChatError, Reply
from services.kit.quota import Quota
from services.work.budget import Errand
from services.work.seats import OPERATOR, AllSeats, Caps, Seats

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
    assert await changes(engine) == [(32, "started"), (40, "doubled")]
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
    assert await changes(engine) == [(32, "started")]
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
    seats._granted, seats._tokens, seats._tokens_paced = 64, 1_000_000.0, True
    await asyncio.gather(*(seats.call(long, None) for _ in range(40)))
    assert seats._tokens == pytest.approx(1_000_000 - 40 * 3000)
    seats._keeper.cancel()


async def test_a_small_run_does_not_wait_behind_a_large_one(engine: AsyncEngine) -> None:
    all_seats, endpoint, ended = AllSeats(engine, "generator"), Endpoint(), []
    seats = all_seats.at(TENANT, "bot", Caps(4))

    async def one(run: str) -> None:
        await seats.call(endpoint.call, None, run)
        ended.append(run)

    large = [asyncio.create_task(one("large")) for _ in range(200)]
    while endpoint.answered < 8:
        await asyncio.sleep(0.005)
    await asyncio.gather(*(one("small") for _ in range(10)))
    assert ended.count("large") < 8 + 10 + 2 * 4  # one for one, and what was in flight before and after
    await asyncio.gather(*large)
    await all_seats.close()


async def test_an_errand_says_whom_its_calls_are_for(engine: AsyncEngine) -> None:
    all_seats, endpoint, ended = AllSeats(engine, "generator"), Endpoint(), []
    seats = all_seats.at(TENANT, "bot", Caps(1))

    async def one(run: str) -> None:
        door = Errand(of=run).door(seats, {"messages": []}, "candidate")
        assert door is not None
        await door.call(endpoint.call, None)
        ended.append(run)

    await asyncio.gather(*(one(run) for run in ["a"] * 4 + ["b"] * 2))
    assert ended == ["a", "b", "a", "b", "a", "a"]
    await all_seats.close()


@dataclass
class Script:
    """Answers or refuses call by call, as the list says; each call takes 20 ms."""

    says: list[Reply | ChatError]
    began: list[float] = field(default_factory=list)

    async def call(self) -> Reply:
        self.began.append(asyncio.get_running_loop().time())
        said = self.says.pop(0)
        await asyncio.sleep(0.02)
        if isinstance(said, ChatError):
            raise said
        return said


def refused(after: float | None = None, told: Quota | None = None) -> ChatError:
    return ChatError("rate_limited", "too many", retryable=True, retry_after=after, quota=told)


def replied(told: Quota | None = None) -> Reply:
    return Reply("hi", "stop", 30, 20, 0.02, quota=told)


async def one_after_the_other(seats: Seats, script: Script) -> list[float]:
    """Seconds between the calls' beginnings."""
    for _ in range(len(script.says)):
        with suppress(ChatError):
            await seats.call(script.call, None)
    return [later - earlier for earlier, later in pairwise(script.began)]


async def test_one_refused_call_does_not_keep_the_others_out(engine: AsyncEngine) -> None:
    all_seats = AllSeats(engine, "generator")
    script = Script([replied(), refused(after=30), replied(), refused(after=30), replied()])
    gaps = await one_after_the_other(all_seats.at(TENANT, "bot", Caps(1)), script)
    assert max(gaps) < 2
    await all_seats.close()


async def test_where_everything_is_refused_nobody_enters_until_the_endpoint_says_and_then_one_tries(
    engine: AsyncEngine,
) -> None:
    all_seats = AllSeats(engine, "generator")
    script = Script([*[refused(after=0.6)] * 4, *[replied()] * 20])
    seats = all_seats.at(TENANT, "bot", Caps(3))
    results = await asyncio.gather(*(seats.call(script.call, None) for _ in range(24)), return_exceptions=True)
    assert sum(isinstance(result, ChatError) for result in results) == 4
    began = [moment - script.began[0] for moment in script.began]
    assert began[2] < 0.5  # three at once, and all of them refused
    assert [began[3] > 0.59, began[4] - began[3] > 0.59] == [True, True]  # one tries, and another one
    assert began[5] - began[4] > 0.019  # and after its answer the others
    await all_seats.close()


async def test_a_fault_that_is_no_refusal_lets_the_others_in_again(engine: AsyncEngine) -> None:
    all_seats = AllSeats(engine, "generator")
    broken = ChatError("server_error", "500", retryable=True)
    script = Script([*[refused(after=0.2)] * 3, broken, *[replied()] * 4])
    seats = all_seats.at(TENANT, "bot", Caps(2))
    await asyncio.gather(*(seats.call(script.call, None) for _ in range(8)), return_exceptions=True)
    assert (len(script.began), seats._scouting) == (8, False)
    await all_seats.close()


async def test_nobody_enters_while_none_is_left_of_the_endpoints_quota(engine: AsyncEngine) -> None:
    all_seats = AllSeats(engine, "generator")
    script = Script([replied(), replied(Quota(pause=0.7)), replied(), replied()])
    gaps = await one_after_the_other(all_seats.at(TENANT, "bot", Caps(4)), script)
    assert [gap > 0.67 for gap in gaps] == [False, True, False]
    await all_seats.close()


async def test_who_says_that_none_is_left_and_answers_all_the_same_is_not_believed(engine: AsyncEngine) -> None:
    all_seats, told = AllSeats(engine, "generator"), Quota(pause=50.0)
    script = Script([replied(told) for _ in range(40)])
    seats = all_seats.at(TENANT, "bot", Caps(4))
    async with asyncio.timeout(20):
        await asyncio.gather(*(seats.call(script.call, None) for _ in range(40)))
    await all_seats.close()


async def test_calls_keep_to_the_rate_that_the_endpoint_tells(engine: AsyncEngine) -> None:
    all_seats, endpoint = AllSeats(engine, "generator"), Endpoint()

    async def told() -> Reply:
        return replace(await endpoint.call(), quota=Quota(calls_per_minute=600))

    seats = all_seats.at(TENANT, "bot", Caps(4))
    await seats.call(told, None)
    await asyncio.sleep(0.4)  # agreed
    started = asyncio.get_running_loop().time()
    await asyncio.gather(*(seats.call(told, None) for _ in range(20)))
    assert 1.2 < asyncio.get_running_loop().time() - started < 10
    await all_seats.close()


async def test_a_slow_endpoint_holds_no_seat_of_another(engine: AsyncEngine) -> None:
    all_seats, slow, quick = AllSeats(engine, "generator"), Endpoint(seconds=60), Endpoint()
    waiting = [
        asyncio.create_task(all_seats.at(OPERATOR, "judge slow", Caps(64)).call(slow.call, None)) for _ in range(200)
    ]
    while slow.busy < 32:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        await work(all_seats.at(OPERATOR, "judge quick", Caps(64)), quick, 200)
    assert (quick.answered, slow.answered) == (200, 0)
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await all_seats.close()


async def test_random_refusals_do_not_take_seats_away(engine: AsyncEngine) -> None:
    all_seats, endpoint, dice = AllSeats(engine, "generator"), Endpoint(seconds=0.05), Random(3)

    async def flaky() -> Reply:
        if dice.random() < 0.1:
            raise refused()
        return await endpoint.call()

    seats = all_seats.at(TENANT, "bot", Caps(48))

    async def one() -> None:
        while True:
            with suppress(ChatError):
                await seats.call(flaky, None)
                return

    await asyncio.gather(*(one() for _ in range(1500)))
    assert (endpoint.answered, endpoint.peak > 40) == (1500, True)  # a refused call keeps its seat for a while
    assert seats._pace.noise > 0.03
    await all_seats.close()


async def test_two_workers_find_the_limit_of_an_endpoint_together(engine: AsyncEngine) -> None:
    endpoint, workers = Endpoint(most=20, seconds=0.05), [AllSeats(engine, "generator") for _ in range(2)]
    await asyncio.gather(*(work(all_seats.at(TENANT, "bot", Caps(256)), endpoint, 500) for all_seats in workers))
    assert endpoint.answered == 1000
    assert endpoint.refused < 100
    for all_seats in workers:
        await all_seats.close()
