"""Uploads: on disk while they arrive, worked on in turn, refused when too much is under way."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from fastapi import Request

from esrp.errors import Unavailable
from services.kit.uploads import Uploads

KB, MB = 1 << 10, 1 << 20


def request(*parts: bytes, pause: float = 0) -> Request:
    """A request whose body comes in these parts."""
    coming = iter(parts)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(pause)
        part = next(coming, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}, receive)


async def pieces(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


@pytest.mark.parametrize("size", [0, 1, 64 * KB, 3 * MB + 7])
async def test_what_came_is_there_whole_and_in_parts(size: int) -> None:
    body = bytes(n % 251 for n in range(size))
    parts = [body[at : at + 70_000] for at in range(0, size, 70_000)]
    async with Uploads(64 * MB).received(request(*parts)) as upload:
        assert (upload.size, upload.sha256) == (size, sha256(body).hexdigest())
        assert await upload.whole() == body == await pieces(upload.parts())


async def test_so_many_bytes_are_worked_on_at_once_in_the_order_of_coming() -> None:
    uploads, at_work, most, order = Uploads(100 * KB), 0, 0, list[int]()

    async def work(number: int, size: int) -> None:
        nonlocal at_work, most
        async with uploads.received(request(b"x" * size)):
            order.append(number)
            at_work += size
            most = max(most, at_work)
            await asyncio.sleep(0.05)
            at_work -= size

    sizes = [60 * KB, 60 * KB, 30 * KB, 500 * KB, 10 * KB]
    tasks = []
    for number, size in enumerate(sizes):
        tasks.append(asyncio.create_task(work(number, size)))
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]
    assert most == 500 * KB  # what is larger than the room is worked on alone


async def test_who_comes_when_too_many_wait_and_who_waits_too_long_are_told_when_to_come_again() -> None:
    uploads = Uploads(KB, waiting=1, seconds=0.2)
    async with uploads.received(request(b"x" * KB)):

        async def second() -> None:
            async with uploads.received(request(b"y")):
                raise AssertionError

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable, match="Too many") as full:
            async with uploads.received(request(b"z")):
                raise AssertionError
        with pytest.raises(Unavailable, match="still being worked on") as late:
            await waiting
    assert [error.value.retry_after for error in (full, late)] == [10, 10]
    async with uploads.received(request(b"z")) as upload:  # the line is empty again
        assert upload.size == 1


async def test_a_slow_client_keeps_nobody_waiting() -> None:
    uploads = Uploads(KB)
    arriving = asyncio.create_task(uploads.received(request(b"x", b"y", pause=5)).__aenter__())
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1), uploads.received(request(b"z" * KB)) as upload:
        assert upload.size == KB
    arriving.cancel()
    await asyncio.gather(arriving, return_exceptions=True)


async def test_what_lies_on_disk_is_bounded_over_all_uploads_and_is_given_back() -> None:
    uploads = Uploads(64 * MB, disk=3 * MB)
    async with uploads.received(request(b"x" * (2 * MB))):
        with pytest.raises(Unavailable, match="Too much is being uploaded"):
            async with uploads.received(request(b"y" * (2 * MB))):
                raise AssertionError
    async with uploads.received(request(b"y" * (2 * MB))) as upload:
        assert upload.size == 2 * MB


async def test_one_who_leaves_the_line_leaves_room_for_the_others() -> None:
    uploads = Uploads(KB)
    reached = asyncio.Event()

    async def third() -> None:
        async with uploads.received(request(b"z" * KB)):
            reached.set()

    async with uploads.received(request(b"x" * KB)):
        second = asyncio.create_task(uploads.received(request(b"y" * KB)).__aenter__())
        last = asyncio.create_task(third())
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
    async with asyncio.timeout(2):
        await reached.wait()
        await last
