"""A slice of work: a lease that says who works on which rows, alive while its holder is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit.db import FAILURES, count, row, rows

log = structlog.get_logger()

LEASE = 15.0  # seconds; a dead worker's rows are free again after it
HEARTBEAT = 4.0  # three may fail before the lease is lost
LENGTH = 20.0  # seconds of claiming; then a successor is rung and the calls in flight drain


class Slice:
    """One lease on a run's rows. ``stopped``: no new call may start, for it is cancelled, lost, or time is up."""

    def __init__(self, engine: AsyncEngine, schema: str, run_id: UUID, tenant_id: UUID, *, of_run: bool = True) -> None:
        self.id = uuid4()
        self.of_run = of_run  # else ``run_id`` is of something that nobody stops
        self.run_id, self.tenant_id = run_id, tenant_id
        self.stopped = asyncio.Event()
        self.expired = False
        self.engine, self.schema = engine, schema

    @asynccontextmanager
    async def held(self) -> AsyncIterator["Slice"]:
        """Hold the lease for the length of the block; rows still claimed then are free at once."""
        async with self.engine.begin() as tx:
            await rows(
                tx,
                f"INSERT INTO {self.schema}.slices (id, tenant_id, run_id, expires_at)"
                " VALUES (:id, :tenant, :run, now() + make_interval(secs => :lease)) RETURNING id",
                id=self.id, tenant=self.tenant_id, run=self.run_id, lease=LEASE,
            )  # fmt: skip
        beats = asyncio.create_task(self._beat())
        try:
            yield self
        finally:
            beats.cancel()
            with suppress(*FAILURES):  # it expires by itself then
                async with self.engine.begin() as tx:
                    await count(tx, f"DELETE FROM {self.schema}.slices WHERE id = :id", id=self.id)

    async def _beat(self) -> None:
        """Extend the lease, and look at the same time whether the run still wants to go on."""
        elapsed = 0.0
        last = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(0.5)
            elapsed += 0.5
            try:
                if not await self._wanted():
                    self.stopped.set()
                if asyncio.get_running_loop().time() - last >= HEARTBEAT:
                    last = asyncio.get_running_loop().time()
                    if not await self._extended():
                        log.warning("slice.lost", slice_id=str(self.id), run_id=str(self.run_id))
                        self.stopped.set()
            except FAILURES as error:
                log.warning("slice.unheard", slice_id=str(self.id), error=repr(error)[:200])
            if elapsed >= LENGTH:
                self.expired = True
                self.stopped.set()

    async def _wanted(self) -> bool:
        if not self.of_run:
            return True
        async with self.engine.begin() as tx:
            run = await row(tx, "SELECT status FROM gateway.runs_v1 WHERE id = :run", run=self.run_id)
        return run is not None and run["status"] in ("queued", "running")

    async def _extended(self) -> bool:
        async with self.engine.begin() as tx:
            extended = await count(
                tx,
                f"UPDATE {self.schema}.slices SET expires_at = now() + make_interval(secs => :lease)"
                " WHERE id = :id AND expires_at > now()",
                id=self.id, lease=LEASE,
            )  # fmt: skip
        return extended == 1
