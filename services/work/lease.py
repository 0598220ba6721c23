"""A slice of work: a lease that says who works on which rows, alive while its holder is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit.db import FAILURES, count, rows
from services.work.published import GOING_ON

log = structlog.get_logger()

LEASE = 15.0  # seconds; a dead worker's rows are free again after it
HEARTBEAT = 4.0  # three may fail before the lease is lost
LENGTH = 20.0  # seconds of claiming; then a successor is rung and the calls in flight drain
LOOK = 0.5  # seconds between looks whether the runs still want to go on; one statement for all slices of a process


@dataclass(eq=False)
class Slice:
    """One lease on the rows of a run, or of another ``subject``.

    ``stopped``: no new call may start, for it is cancelled, lost, or its time is up (``expired``); ``stir`` is set then
    too, for whoever waits for news.
    """

    engine: AsyncEngine
    schema: str
    subject: UUID
    tenant_id: UUID
    of_run: bool = True  # else ``subject`` is something that nobody stops
    stir: asyncio.Event = field(default_factory=asyncio.Event)
    id: UUID = field(default_factory=uuid4)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    expired: bool = False
    began_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    extended_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Let no new call start."""
        self.stopped.set()
        self.stir.set()


class Leases:
    """The leases that a process of a service holds, kept alive together."""

    def __init__(self, engine: AsyncEngine, schema: str) -> None:
        self._engine, self._schema = engine, schema
        self._held: dict[UUID, Slice] = {}
        self._beats: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def hold(
        self, subject: UUID, tenant_id: UUID, *, of_run: bool = True, stir: asyncio.Event | None = None
    ) -> AsyncIterator[Slice]:
        """Hold a lease for the length of the block; rows still claimed then are free at once."""
        lease = Slice(self._engine, self._schema, subject, tenant_id, of_run, stir or asyncio.Event())
        async with self._engine.begin() as tx:
            await count(
                tx,
                f"INSERT INTO {self._schema}.slices (id, tenant_id, run_id, expires_at)"
                " VALUES (:id, :tenant, :subject, now() + make_interval(secs => :lease))",
                id=lease.id, tenant=tenant_id, subject=subject, lease=LEASE,
            )  # fmt: skip
        self._held[lease.id] = lease
        if self._beats is None or self._beats.done():
            self._beats = asyncio.create_task(self._beat())
        try:
            yield lease
        finally:
            del self._held[lease.id]
            with suppress(*FAILURES):  # it expires by itself then
                async with self._engine.begin() as tx:
                    await count(tx, f"DELETE FROM {self._schema}.slices WHERE id = :id", id=lease.id)

    async def _beat(self) -> None:
        """Extend what is held, and look at the same time whether the runs still want to go on."""
        while self._held:
            await asyncio.sleep(LOOK)
            try:
                await self._look()
                await self._extend()
            except FAILURES as error:
                log.warning("slices.unheard", slices=len(self._held), error=repr(error)[:200])
            now = asyncio.get_running_loop().time()
            for lease in self._held.values():
                if now - lease.began_at >= LENGTH:
                    lease.expired = True
                    lease.stop()

    async def _look(self) -> None:
        """Stop the slices of runs that were cancelled, have ended or are gone."""
        looked = [lease for lease in self._held.values() if lease.of_run and not lease.stopped.is_set()]
        if not looked:
            return
        async with self._engine.begin() as tx:
            found = await rows(
                tx,
                "SELECT id FROM gateway.runs_v1 WHERE id = ANY(CAST(:runs AS uuid[])) AND status = ANY(:going_on)",
                runs=list({lease.subject for lease in looked}),
                going_on=list(GOING_ON),
            )
        wanted = {run["id"] for run in found}
        for lease in looked:
            if lease.subject not in wanted:
                lease.stop()

    async def _extend(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [lease for lease in self._held.values() if now - lease.extended_at >= HEARTBEAT]
        if not due:
            return
        for lease in due:
            lease.extended_at = now
        alive = await self._extended(due)
        for lease in due:
            if lease.id not in alive:
                log.warning("slice.lost", slice_id=str(lease.id), run_id=str(lease.subject))
                lease.stop()

    async def _extended(self, due: Sequence[Slice]) -> set[UUID]:
        async with self._engine.begin() as tx:
            extended = await rows(
                tx,
                f"UPDATE {self._schema}.slices SET expires_at = now() + make_interval(secs => :lease)"
                " WHERE id = ANY(CAST(:ids AS uuid[])) AND expires_at > now() RETURNING id",
                ids=[lease.id for lease in due], lease=LEASE,
            )  # fmt: skip
        return {row["id"] for row in extended}
