"""Saves that arrive together are written together."""

import asyncio
from collections.abc import Sequence

import pytest

from services.kit.group_commit import GroupCommit


async def test_what_arrives_during_a_write_is_the_next_batch() -> None:
    batches: list[list[int]] = []
    gate = asyncio.Event()

    async def write(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        await gate.wait()
        return [item * 10 for item in items]

    commit = GroupCommit(write)
    first = asyncio.create_task(commit.save(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(commit.save(item)) for item in (2, 3)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(first, *rest) == [10, 20, 30]
    assert batches == [[1], [2, 3]]


async def test_a_failed_write_is_everybodys_and_the_next_one_works() -> None:
    broken = [True]

    async def write(items: Sequence[int]) -> list[int]:
        if broken.pop():
            broken.append(False)
            raise OSError("disk")
        return list(items)

    commit = GroupCommit(write)
    with pytest.raises(OSError, match="disk"):
        await commit.save(1)
    broken[:] = [False, False]
    assert await commit.save(2) == 2
