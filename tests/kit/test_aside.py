"""Processes aside: they answer, are bounded, and are replaced."""

import asyncio
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from esrp.errors import Fault, InvalidInput, NotComparable, Unavailable
from services.kit.aside import NICER, Aside, Pool


@asynccontextmanager
async def aside(**options: Any) -> AsyncIterator[Aside]:
    opened = Aside("test", **options)
    try:
        yield opened
    finally:
        await opened.close()


def refuse(kind: str) -> None:
    raise NotComparable(["suite"]) if kind == "differs" else InvalidInput.at("/x", "it is wrong")


def held() -> int:
    return os.nice(0)


async def gone(pid: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rsplit(") ")[-1][0] != "Z":
                await asyncio.sleep(0.02)
                continue
        return True
    return False


async def outcome(asked: Awaitable[Any]) -> Any:
    try:
        return await asked
    except Unavailable as error:
        return error


async def test_work_is_done_in_one_other_process_that_is_nicer() -> None:
    async with aside() as there:
        pids = [await there.do(os.getpid) for _ in range(3)]
        assert len({*pids}) == 1 and pids[0] != os.getpid()
        assert await there.do(held) == os.nice(0) + NICER
        assert await there.do(len, b"x" * 50_000_000) == 50_000_000
        assert len(await there.do(operator.mul, b"y", 50_000_000)) == 50_000_000


async def test_an_error_of_ours_comes_as_it_was_raised() -> None:
    async with aside() as there:
        with pytest.raises(NotComparable) as differs:
            await there.do(refuse, "differs")
        assert differs.value.extra == {"differs": ["suite"]} and "suite" in differs.value.detail
        with pytest.raises(InvalidInput) as wrong:
            await there.do(refuse, "wrong")
        assert wrong.value.errors == (Fault("/x", "it is wrong"),)


async def test_a_crash_tells_where_and_the_process_goes_on() -> None:
    async with aside() as there:
        pid = await there.do(os.getpid)
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            await there.do(operator.truediv, 1, 0)
        assert await there.do(os.getpid) == pid


async def test_what_takes_too_long_is_stopped_and_is_not_to_be_tried_again() -> None:
    async with aside(seconds=0.5) as there:
        first = await there.do(os.getpid)
        with pytest.raises(Unavailable, match=r"longer than 0\.5 s") as error:
            await there.do(time.sleep, 60)
        assert (error.value.retryable, await gone(first)) == (False, True)
        assert await outcome(there.do(os.getpid)) != first


async def test_what_takes_too_much_memory_is_told_and_the_next_is_answered() -> None:
    async with aside(pool=Pool(memory=256 << 20)) as there:
        with pytest.raises(Unavailable, match="more than 256 MiB") as error:
            await there.do(bytearray, 512 << 20)
        assert not error.value.retryable
        assert await there.do(len, b"abc") == 3


@pytest.mark.parametrize("kill", [lambda: os._exit(3), None])
async def test_a_process_that_dies_is_replaced(kill: Callable[[], Any] | None) -> None:
    async with aside() as there:
        pid = await there.do(os.getpid)
        if kill is None:  # while nobody needs it: nobody notices
            os.kill(pid, signal.SIGKILL)
            assert await gone(pid)
        else:
            with pytest.raises(Unavailable, match="ended") as error:
                await there.do(os._exit, 3)
            assert error.value.retryable and error.value.retry_after
        assert await there.do(os.getpid) != pid


async def test_whoever_comes_when_the_line_is_full_is_told_when_to_come_again() -> None:
    async with aside(waiting=2) as there:
        await there.do(os.getpid)
        asked = [asyncio.create_task(outcome(there.do(time.sleep, 0.3))) for _ in range(3)]
        await asyncio.sleep(0.1)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="Too much") as error:
            await there.do(os.getpid)
        assert time.monotonic() - began < 0.1
        assert error.value.retryable and error.value.retry_after
        async with there.slot(patient=True) as do:  # our own work waits, whoever else does
            assert await do(len, b"ab") == 2
        assert await asyncio.gather(*asked) == [None] * 3


async def test_nobody_waits_longer_than_the_limit() -> None:
    async with aside(seconds=1) as there:
        await there.do(os.getpid)
        asked = [asyncio.create_task(outcome(there.do(time.sleep, 0.7))) for _ in range(3)]
        found = await asyncio.gather(*asked)
        assert [isinstance(one, Unavailable) for one in found] == [False, False, True]
        assert found[2].retryable and "still being computed" in found[2].detail


async def test_work_whose_caller_has_gone_is_stopped() -> None:
    async with aside() as there:
        pid = await there.do(os.getpid)
        asked = asyncio.create_task(there.do(time.sleep, 60))
        await asyncio.sleep(0.1)
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        assert await gone(pid)
        assert await there.do(len, b"abc") == 3


ORPHAN = """
import asyncio, os, sys, time
from services.kit.aside import Aside
async def main():
    there = Aside("orphan")
    print(await there.do(os.getpid), flush=True)
    await there.do(time.sleep, 60)
asyncio.run(main())
"""


async def test_a_process_does_not_outlive_who_began_it_even_in_the_middle_of_work() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await asyncio.to_thread(parent.stdout.readline))
    parent.kill()
    parent.wait()
    assert await gone(pid)


async def test_the_event_loop_goes_on_while_something_is_computed() -> None:
    async with aside() as there:
        await there.do(os.getpid)
        asked = asyncio.create_task(there.do(sum, range(20_000_000)))
        latest, worst = time.monotonic(), 0.0
        while not asked.done():
            await asyncio.sleep(0.005)
            latest, worst = time.monotonic(), max(worst, time.monotonic() - latest)
        assert await asked == sum(range(20_000_000))
        assert worst < 0.25
