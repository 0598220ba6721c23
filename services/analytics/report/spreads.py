"""How two runs of a suite differ: kept for plans, which say by it what so many dialogues can show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.analytics.runs import Run
from services.kit.db import count, json, many


@dataclass(frozen=True, slots=True)
class _Id:
    id: UUID


async def other_run(tx: AsyncConnection, run: Run) -> UUID | None:
    """The newest other run of the same suite by the same judges that has its report; who ends last sees both."""
    found = await many(
        tx,
        _Id,
        "SELECT r.id FROM gateway.runs_v1 r WHERE r.tenant_id = :tenant AND r.suite_id = :suite AND r.id <> :run"
        " AND r.status IN ('running', 'succeeded') AND r.judges @> CAST(:judges AS text[])"
        " AND r.judges <@ CAST(:judges AS text[])"
        " AND EXISTS (SELECT FROM analytics.reports p WHERE p.run_id = r.id AND p.revision = r.revision)"
        " ORDER BY r.created_at DESC LIMIT 1",
        tenant=run.tenant_id,
        suite=run.suite_id,
        run=run.id,
        judges=list(run.judges),
    )
    return found[0].id if found else None


async def save(tx: AsyncConnection, run: Run, document: Mapping[str, Any]) -> None:
    """Keep what the run and another one show."""
    await count(
        tx,
        "INSERT INTO analytics.spreads (tenant_id, suite_id, judges, document) VALUES (:tenant, :suite,"
        " CAST(:judges AS text[]), CAST(:document AS jsonb)) ON CONFLICT (tenant_id, suite_id, judges) DO UPDATE"
        " SET document = excluded.document, at = now()",
        tenant=run.tenant_id,
        suite=run.suite_id,
        judges=sorted(run.judges),
        document=json(document),
    )
