"""What all workers agreed on an endpoint, in Postgres: its pace, who has how many seats, what is left of the rates."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kit.db import count, json, row
from services.work.pace import Cause, Pace, refilled

SILENT = 5  # seconds after which a worker that says nothing has lost its seats
FORGOTTEN = 60  # seconds without a call after which an endpoint is approached anew


@dataclass(frozen=True, slots=True)
class Granted:
    """A worker's seats, how many it wanted, and its hard cap."""

    granted: int
    wanted: int
    cap: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """Under a rate: what is left for all, and how much more a worker may use than it has in hand."""

    left: float
    more: float
    paced: bool


class Ledger:
    """One endpoint's entry, in the hands of one worker."""

    def __init__(self, engine: AsyncEngine, schema: str, tenant_id: UUID, endpoint: str) -> None:
        self._engine, self._schema = engine, schema
        self._names = {"tenant": tenant_id, "endpoint": endpoint}
        self._worker = uuid4()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Book"]:
        """What is agreed so far, locked for the others until what is written into it stands."""
        async with self._engine.begin() as tx:
            yield Book(tx, self._schema, self._names, self._worker, await self._read(tx))

    async def leave(self) -> None:
        """Give our seats back, and those of workers long dead."""
        async with self._engine.begin() as tx:
            await count(
                tx,
                f"DELETE FROM {self._schema}.seats WHERE worker = :worker"
                " OR heard_at < now() - interval '1 minute' AND tenant_id = :tenant AND endpoint = :endpoint",
                worker=self._worker,
                **self._names,
            )

    async def _read(self, tx: AsyncConnection) -> RowMapping:
        """The entry; forgotten after a minute without calls."""
        read = f"""
            SELECT CASE WHEN p.heard_at > now() - interval '{FORGOTTEN} s' THEN p.pace END AS pace,
                p.calls_left, p.tokens_left, extract(epoch FROM clock_timestamp())::float8 AS now,
                extract(epoch FROM clock_timestamp() - p.heard_at)::float8 AS elapsed,
                coalesce((SELECT jsonb_agg(jsonb_build_object('granted', s.granted, 'wanted', s.wanted, 'cap', s.cap)
                    ORDER BY s.worker) FROM {self._schema}.seats s WHERE s.tenant_id = p.tenant_id
                    AND s.endpoint = p.endpoint AND s.worker <> :worker
                    AND s.heard_at > now() - interval '{SILENT} s'), '[]') AS others
            FROM {self._schema}.pacing p WHERE p.tenant_id = :tenant AND p.endpoint = :endpoint"""
        # Locked by a statement of its own: one that waits for a lock sees other tables as they were before.
        lock = f"SELECT 1 FROM {self._schema}.pacing WHERE tenant_id = :tenant AND endpoint = :endpoint FOR UPDATE"
        if await row(tx, lock, **self._names) is None:
            await count(
                tx,
                f"INSERT INTO {self._schema}.pacing (tenant_id, endpoint, calls_left, tokens_left)"
                " VALUES (:tenant, :endpoint, 1, 1) ON CONFLICT DO NOTHING",
                **self._names,
            )
            await row(tx, lock, **self._names)
        found = await row(tx, read, worker=self._worker, **self._names)
        assert found is not None
        return found


class Book:
    """The entry while it is open, as it was found."""

    def __init__(
        self, tx: AsyncConnection, schema: str, names: dict[str, object], worker: UUID, found: RowMapping
    ) -> None:
        self._tx, self._schema, self._names, self._worker, self._found = tx, schema, names, worker, found
        self.now: float = found["now"]  # Postgres's clock, by epoch seconds
        self.is_new = found["pace"] is None
        self.pace = Pace.stored(found["pace"], self.now)
        self.others: Sequence[Granted] = [Granted(**seats) for seats in found["others"]]

    def allowed(self, name: str, per_minute: float | None, *, in_hand: float, wanted: float) -> Allowance:
        """What we have in hand goes back first, then we take what we want of all that is there."""
        if per_minute is None:
            return Allowance(0.0, -in_hand, paced=False)
        there = refilled(self._found[f"{name}_left"] + in_hand, per_minute, self._found["elapsed"])
        ours = min(there, wanted)
        return Allowance(there - ours, ours - in_hand, paced=True)

    async def write(self, pace: Pace, ours: Granted, *, calls_left: float, tokens_left: float) -> None:
        """What holds from now on."""
        await count(
            self._tx,
            f"""
            WITH seats AS (
                INSERT INTO {self._schema}.seats (tenant_id, endpoint, worker, granted, wanted, cap, heard_at)
                VALUES (:tenant, :endpoint, :worker, :granted, :wanted, :own_cap, now())
                ON CONFLICT (tenant_id, endpoint, worker) DO UPDATE SET granted = excluded.granted,
                    wanted = excluded.wanted, cap = excluded.cap, heard_at = excluded.heard_at)
            UPDATE {self._schema}.pacing SET pace = CAST(:pace AS jsonb), calls_left = :calls, tokens_left = :tokens,
                heard_at = clock_timestamp() WHERE tenant_id = :tenant AND endpoint = :endpoint""",
            worker=self._worker,
            granted=ours.granted,
            wanted=ours.wanted,
            own_cap=ours.cap,
            pace=json(pace.storable()),
            calls=calls_left,
            tokens=tokens_left,
            **self._names,
        )

    async def remember(self, limit: int, cause: Cause | None) -> None:
        """Tell users of a change."""
        await count(
            self._tx,
            f'INSERT INTO {self._schema}.pace_changes (tenant_id, endpoint, "limit", cause)'
            " VALUES (:tenant, :endpoint, :limit, :cause)",
            limit=limit,
            cause=cause,
            **self._names,
        )
