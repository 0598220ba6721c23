"""Results from elsewhere, such as a crisis suite's: sent for a run, and required by policies that name them."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import ExternalCheck, ExternalCheckOut
from services.gateway.runs.rows import StoredRun
from services.kit.db import count, many


async def note(tx: AsyncConnection, run: StoredRun, check: ExternalCheck) -> None:
    """Keep the newest result of that name."""
    await count(
        tx,
        "INSERT INTO gateway.checks (run_id, tenant_id, name, outcome, url) VALUES (:run, :tenant, :name, :outcome,"
        " :url) ON CONFLICT (run_id, name) DO UPDATE SET outcome = excluded.outcome, url = excluded.url, at = now()",
        run=run.id,
        tenant=run.tenant_id,
        **check.model_dump(),
    )


async def of_run(tx: AsyncConnection, run_id: UUID) -> list[ExternalCheckOut]:
    """The run's results, by name."""
    found = await many(
        tx,
        ExternalCheckOut,
        "SELECT name, outcome, url, at FROM gateway.checks WHERE run_id = :run ORDER BY name",
        run=run_id,
    )
    return list(found)
