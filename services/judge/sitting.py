"""One slice of one run at work: what waits is claimed, rated and saved, as many at once as each judge allows."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.judge.resources import Bench, Resources
from services.kit.db import FAILURES, is_away
from services.kit.group_commit import GroupCommit
from services.kit.queue import Chime, Job
from services.work.budget import Errand, Purse
from services.work.lease import Slice

log = structlog.get_logger()

SEATS = 256  # verdicts one slice works at once over all judges; a higher cap is filled by several workers
GATHER = 0.01  # seconds: calls that end together are replaced by one claim
LOOK = 0.5  # seconds between looks at places that others may have freed

Claimed = TypeVar("Claimed")
Given = TypeVar("Given")


class Docket(Protocol[Claimed, Given]):
    """What a slice is about: dialogues, or batches of replies."""

    @property
    def job(self) -> Job:
        """The bell that starts such a slice of this run."""

    @property
    def judges(self) -> Sequence[str]:
        """Who rates."""

    async def expect(self, tx: AsyncConnection) -> None:
        """Write down what is to be rated and is not yet."""

    async def claim(self, tx: AsyncConnection, judge: str, slice_id: UUID, *, wanted: int, cap: int) -> list[Claimed]:
        """Lease what waits for a judge."""

    async def rate(self, claimed: Claimed, errand: Errand) -> Given:
        """Rate it; a judge that fails, and a crash of ours, are said in what is given."""

    async def save(self, tx: AsyncConnection, slice_id: UUID, given: Sequence[Given]) -> list[bool]:
        """Save what was given; says of each whether it was still ours."""

    def count(self, claimed: Claimed, given: Given) -> None:
        """Tell metrics and log of what was saved."""

    async def is_left(self, tx: AsyncConnection) -> bool:
        """Whether something waits for somebody."""


class Sitting(Generic[Claimed, Given]):
    """One slice of one run at work."""

    def __init__(
        self,
        resources: Resources,
        run: RowMapping,
        docket: Docket[Claimed, Given],
        bench: Bench,
        lease: Slice,
        chime: Chime,
    ) -> None:
        self._resources, self._docket, self._bench = resources, docket, bench
        self._lease, self._chime = lease, chime
        self._saver: GroupCommit[Given, bool] = GroupCommit(self._write)
        self._purse = Purse(lease, run) if run["budget"] else None
        self._busy = 0

    async def sit(self) -> None:
        """Claim, rate and save until nothing waits or the slice is stopped; then let the calls in flight end."""
        async with asyncio.TaskGroup() as calls:
            while not self._lease.stopped.is_set() and await self._take(calls):
                await self._news()
            leave(self._resources, self._docket.job, self._bench)
            if self._lease.expired:
                await self._resources.queue.ring(self._docket.job)

    async def _take(self, calls: asyncio.TaskGroup) -> bool:
        """Begin what is ours to begin; false once there is nothing left to wait for."""
        self._bench.stir.clear()
        try:
            if self._bench.rung:
                self._bench.rung = False
                async with self._resources.engine.begin() as tx:
                    await self._docket.expect(tx)
            for judge in self._docket.judges:
                for claimed in await self._claimed(judge):
                    self._busy += 1
                    calls.create_task(self._one(claimed))
            return self._busy > 0 or self._bench.rung or await self._is_left()
        except FAILURES as error:
            log.warning("verdicts.unclaimed", run_id=str(self._lease.run_id), error=repr(error)[:200])
            self._bench.rung = True
            return True

    async def _claimed(self, judge: str) -> list[Claimed]:
        wanted, cap = SEATS - self._busy, self._resources.rater(judge).max_concurrency
        async with self._resources.engine.begin() as tx:
            return await self._docket.claim(tx, judge, self._lease.id, wanted=wanted, cap=cap)

    async def _is_left(self) -> bool:
        async with self._resources.engine.begin() as tx:
            return await self._docket.is_left(tx)

    async def _news(self) -> None:
        """A call ended, the bell rang, or it is time to look at places that others have freed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await self._bench.stir.wait()
                await asyncio.sleep(GATHER)

    async def _one(self, claimed: Claimed) -> None:
        errand = Errand(self._lease.stopped, self._purse, of=self._lease.run_id)
        try:
            given = await self._docket.rate(claimed, errand)
            saved = await self._saver.save(given)
            errand.settle()
            if saved:
                self._docket.count(claimed, given)
                self._chime.news()
            else:
                log.warning("verdict.lost", run_id=str(self._lease.run_id), id=str(_id(claimed)))
        finally:
            self._busy -= 1
            self._bench.stir.set()

    async def _write(self, given: Sequence[Given]) -> list[bool]:
        """Save through a restart of Postgres: what was paid for is worth waiting for."""
        while True:
            try:
                async with self._resources.engine.begin() as tx:
                    return await self._docket.save(tx, self._lease.id, given)
            except FAILURES as error:
                if not is_away(error):
                    raise
                log.warning("verdicts.unsaved", count=len(given), error=repr(error)[:200])
                await asyncio.sleep(0.5)


def leave(resources: Resources, job: Job, bench: Bench) -> None:
    """From here on a bell for the run starts a new slice; after the time is up another one may sit already."""
    if resources.benches.get(job) is bench:
        del resources.benches[job]


def _id(claimed: Any) -> UUID | None:
    return getattr(claimed, "id", None)
