"""Taking over what changed since one last looked: each published row that ended says in which transaction.

A reader keeps up to where it has seen everything: transactions that were still open when it looked come again, so what
is done with the rows must be safe to do twice. Transaction numbers never pass through Python but as text.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.db import count, one


@dataclass(frozen=True, slots=True)
class Look:
    """Rows with ``changed_in`` from ``since`` on are to be taken over; after that everything before ``upto`` is."""

    since: str
    upto: str


def usable(mark: str) -> str:
    """An expression: the mark, or the beginning of all where there is none.

    A mark that lies ahead is of another cluster, whose data was restored into this one: then all is looked at again.
    """
    return f"CASE WHEN {mark} <= pg_snapshot_xmin(pg_current_snapshot()) THEN {mark} ELSE '0' END"


def since(table: str, run: str) -> str:
    """An expression: from which transaction on the keeper of ``table`` has to look at a run's rows."""
    return f"coalesce((SELECT {usable('w.upto')} FROM {table} w WHERE w.run_id = {run}), '0')"


def changed(row: str) -> str:
    """A condition on a published row: it changed since the look whose ``since`` is bound."""
    return f"{row}.changed_in >= CAST(CAST(:since AS text) AS xid8)"


async def look(tx: AsyncConnection, table: str, run_id: UUID) -> Look:
    """What a run's rows have to be looked at for, now."""
    sql = f"SELECT ({since(table, ':run')})::text AS since, pg_snapshot_xmin(pg_current_snapshot())::text AS upto"
    found = await one(tx, Look, sql, run=run_id)
    assert found is not None
    return found


async def seen(tx: AsyncConnection, table: str, run_id: UUID, tenant_id: UUID, looked: Look) -> None:
    """Everything of the run up to the look is taken over."""
    if looked.since == looked.upto:
        return
    await count(
        tx,
        f"INSERT INTO {table} (run_id, tenant_id, upto) VALUES (:run, :tenant, CAST(CAST(:upto AS text) AS xid8))"
        " ON CONFLICT (run_id) DO UPDATE SET upto = excluded.upto",
        run=run_id,
        tenant=tenant_id,
        upto=looked.upto,
    )
