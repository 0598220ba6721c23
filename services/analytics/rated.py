"""A run's ratings change in turn, and it is counted how often: what rests on them is of one state."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.db import count, row


async def lock(tx: AsyncConnection, *run_ids: UUID) -> None:
    """Until the end of the transaction nobody else changes these runs' ratings or reports."""
    for run_id in sorted(run_ids):  # always in the same order: two imports of the same runs must not wait in a ring
        await row(tx, "SELECT pg_advisory_xact_lock(hashtextextended('analytics:' || :run, 0))", run=str(run_id))


async def changes(tx: AsyncConnection, run_id: UUID) -> int:
    """How often the run's ratings have changed: what is read together with it is of that state."""
    found = await row(tx, "SELECT changes FROM analytics.rated WHERE run_id = :run", run=run_id)
    return found["changes"] if found else 0


async def drop_reports(tx: AsyncConnection, run_ids: Sequence[UUID]) -> None:
    """The runs' ratings changed: reports and figures say nothing any more; their agreement is to be computed anew."""
    if not run_ids:
        return
    await count(tx, "DELETE FROM analytics.reports WHERE run_id = ANY(CAST(:runs AS uuid[]))", runs=list(run_ids))
    await count(tx, "DELETE FROM analytics.figures WHERE run_ids && CAST(:runs AS uuid[])", runs=list(run_ids))
    await count(
        tx,
        "INSERT INTO analytics.rated (run_id, tenant_id) SELECT id, tenant_id FROM gateway.runs_v1"
        " WHERE id = ANY(CAST(:runs AS uuid[])) ON CONFLICT (run_id) DO UPDATE SET changes = rated.changes + 1",
        runs=list(run_ids),
    )
