"""One at a time for each subject, and no news is lost."""

import asyncio
from random import Random
from uuid import UUID, uuid4

import pytest

from services.kit.worker import coalesced

ONE, OTHER = uuid4(), uuid4()


class Desk:
    """Works each subject when it is told to, and counts how many are at it."""

    def __init__(self, *left: bool) -> None:
        self.looks: list[UUID] = []
        self.most = 0
        self.opened = asyncio.Event()
        self._left = list(left)
        self._at_work = 0

    async def look(self, subject: UUID) -> bool:
        self.looks.append(subject)
        self._at_work += 1
        self.most = max(self.most, self._at_work)
        await self.opened.wait()
        await asyncio.sleep(0)
        self._at_work -= 1
        return self._left.pop(0) if self._left else False


async def test_any_number_of_messages_during_a_look_are_one_more_look() -> None:
    desk = Desk()
    handler = coalesced(desk.look)
    first = asyncio.ensure_future(handler(ONE))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await asyncio.gather(*(handler(ONE) for _ in range(100)))  # they wait for nobody
    assert desk.looks == [ONE]
    desk.opened.set()
    await first
    assert (desk.looks, desk.most) == ([ONE, ONE], 1)


async def test_a_look_that_leaves_something_is_followed_by_another() -> None:
    desk = Desk(True, True)
    desk.opened.set()
    await coalesced(desk.look)(ONE)
    assert desk.looks == [ONE] * 3


async def test_no_news_is_lost_however_messages_and_looks_fall_together() -> None:
    news = known = 0

    async def look(_: UUID) -> bool:
        nonlocal known
        await asyncio.sleep(0)
        seen = news
        await asyncio.sleep(0)
        known = seen
        return False

    handler, chance = coalesced(look), Random(7)
    tasks: list[asyncio.Future[None]] = []
    for _ in range(300):
        news += 1
        tasks.append(asyncio.ensure_future(handler(ONE)))
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert known == news == 300


async def test_other_subjects_are_worked_beside_it_as_many_as_there_are_seats_for() -> None:
    desk = Desk()
    handler = coalesced(desk.look, at_once=2)
    tasks = [asyncio.ensure_future(handler(subject)) for subject in (ONE, OTHER, uuid4(), uuid4())]
    await asyncio.sleep(0.01)
    assert desk.looks == [ONE, OTHER]
    desk.opened.set()
    await asyncio.gather(*tasks)
    assert (len(desk.looks), desk.most) == (4, 2)


async def test_after_a_failure_the_subject_is_free() -> None:
    async def broken(_: UUID) -> bool:
        raise ValueError("broken")

    handler = coalesced(broken)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await handler(ONE)
