"""The agreement of a run's raters as it is kept: for which ratings it was computed, and where it is still to be."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import FINAL, RaterKind
from services.analytics.runs import Run
from services.kit.db import count, json, row, rows

MOST_AGREEMENTS = 20  # that one look asks for: each takes a second or two of a processor


@dataclass(frozen=True, slots=True)
class Agreed:
    """Whose agreement: all ratings of a kind, by their hash."""

    kind: RaterKind
    ratings_sha256: str


async def agreement(tx: AsyncConnection, run_id: UUID, agreed: Agreed) -> dict[str, Any] | None:
    """The stored agreement of raters of that kind, if it is that of these ratings."""
    found = await row(
        tx,
        "SELECT document FROM analytics.agreements WHERE run_id = :run AND kind = :kind AND ratings_sha256 = :ratings",
        run=run_id,
        kind=agreed.kind,
        ratings=agreed.ratings_sha256,
    )
    return found["document"] if found else None


async def agreed(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether the agreement of the run's ratings as they are now is known."""
    found = await row(tx, "SELECT agreed >= changes AS known FROM analytics.rated WHERE run_id = :run", run=run_id)
    return found is None or bool(found["known"])


async def save_agreement(tx: AsyncConnection, run: Run, of: Agreed, document: Any) -> None:
    """Keep the agreement of these ratings."""
    await count(
        tx,
        "INSERT INTO analytics.agreements (run_id, kind, tenant_id, ratings_sha256, document)"
        " VALUES (:run, :kind, :tenant, :ratings, CAST(:document AS json)) ON CONFLICT (run_id, kind) DO UPDATE"
        " SET ratings_sha256 = excluded.ratings_sha256, document = excluded.document, created_at = now()",
        run=run.id,
        kind=of.kind,
        tenant=run.tenant_id,
        ratings=of.ratings_sha256,
        document=json(document),
    )


async def mark_agreed(tx: AsyncConnection, run_id: UUID, at: int) -> None:
    """The agreement of the run's ratings after so many changes is stored."""
    await count(
        tx,
        "UPDATE analytics.rated SET agreed = greatest(agreed, :at) WHERE run_id = :run",
        run=run_id,
        at=at,
    )


async def without_agreement(tx: AsyncConnection) -> list[UUID]:
    """Final runs whose ratings changed since their agreement was computed; those that changed first."""
    found = await rows(
        tx,
        "SELECT a.run_id FROM analytics.rated a JOIN gateway.runs_v1 r ON r.id = a.run_id"
        " WHERE a.agreed < a.changes AND r.status = ANY(:final) ORDER BY a.run_id LIMIT :most",
        final=list(FINAL),
        most=MOST_AGREEMENTS,
    )
    return [r["run_id"] for r in found]
