"""How rows are shared out over workers, as pieces of SQL: who is alive, what is free, what a deleted run leaves."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.db import count, rows

# The leases' table is ``{schema}.slices``; a row that is at work names its lease in ``slice_id``.


def alive(schema: str, slice_id: str) -> str:
    """A condition: the lease named by an expression has not run out."""
    return f"EXISTS (SELECT FROM {schema}.slices l WHERE l.id = {slice_id} AND l.expires_at > now())"


def free(schema: str, row: str, at_work: str, *, paused: bool = True) -> str:
    """A condition: nobody holds the row, for it waits and may be begun now, or its holder's lease is over.

    ``at_work`` is the state of a row that is held; ``paused``: rows that wait may say ``not_before`` when.
    """
    may_begin = f" AND ({row}.not_before IS NULL OR {row}.not_before <= now())" if paused else ""
    held = f"{row}.state = '{at_work}' AND NOT {alive(schema, f'{row}.slice_id')}"
    return f"({row}.state = 'waiting'{may_begin} OR {held})"


def goes_on(run: str) -> str:
    """A condition: calls may begin for the run that an expression names."""
    return f"EXISTS (SELECT FROM gateway.runs_v1 r WHERE r.id = {run} AND r.status IN ('queued', 'running'))"


def chosen(table: str, row: str, *conditions: str, order: str = "id") -> str:
    """A CTE ``free``: up to ``:wanted`` rows for the lease ``:slice``, without waiting for whoever claims others."""
    where = " AND ".join((*conditions, alive(table.partition(".")[0], ":slice")))
    return (
        f"WITH free AS (SELECT {row}.id FROM {table} {row} WHERE {where}"
        f" ORDER BY {row}.{order} LIMIT :wanted FOR UPDATE SKIP LOCKED)"
    )


async def saved(tx: AsyncConnection, sql: str, slice_id: UUID, ids: Sequence[UUID], **columns: object) -> list[bool]:
    """Write with one statement that is fenced by the lease; says of each row whether it was still ours."""
    written = await rows(tx, sql, slice=slice_id, ids=ids, **columns)
    ours = {found["id"] for found in written}
    return [id in ours for id in ids]


async def free_abandoned(tx: AsyncConnection, table: str, at_work: str, *, waiting: str = "'waiting'") -> None:
    """Give back what dead leases hold, whatever became of the run: one that was cancelled waits for it."""
    schema = table.partition(".")[0]
    await count(
        tx,
        f"UPDATE {table} t SET state = {waiting}, slice_id = NULL"
        f" WHERE t.state = '{at_work}' AND NOT {alive(schema, 't.slice_id')}",
    )


async def forget_leases(tx: AsyncConnection, schema: str) -> None:
    """Leases that ran out a minute ago name nothing any more."""
    await count(tx, f"DELETE FROM {schema}.slices WHERE expires_at < now() - interval '1 minute'")


async def forget_deleted(tx: AsyncConnection, *tables: str) -> None:
    """Remove what the caller's own tables hold of runs that were deleted."""
    for table in tables:
        await count(tx, f"DELETE FROM {table} t USING gateway.deletions_v1 d WHERE t.run_id = d.run_id")
