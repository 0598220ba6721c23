"""The runs that are reported on, as the gateway publishes them, and what is kept here of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import FINAL, RunStatus
from esrp.metrics import Language
from services.analytics.imports.imported import COUNTS
from services.kit.db import many, one, rows
from services.work import published
from services.work.published import columns

OF_A_RUN = tuple(
    f"analytics.{table}"
    for table in (
        *("ratings", "reports", "diversity_ratings", "imports", "rated", "packed", "agreements", "replies"),
        *("counted", "taken"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(published.Run):
    """A run with what a report says of its suite."""

    suite_sha256: str
    language: Language
    experimental: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A final run as a series or a leaderboard shows it; ``rated``: it has ratings that count."""

    id: UUID
    name: str | None
    status: RunStatus
    suite_label: str
    candidate_name: str
    judges: Sequence[str]
    labels: Mapping[str, str]
    manifest: Mapping[str, Any]
    created_at: datetime
    rated: bool


async def run_of(tx: AsyncConnection, run_id: UUID, tenant_id: UUID | None = None) -> Run | None:
    """The run, if it is there and the tenant's."""
    return await one(
        tx,
        Run,
        f"SELECT {_COLUMNS}, s.sha256 AS suite_sha256, s.language,"
        " coalesce((s.document ->> 'experimental')::boolean, false) AS experimental"
        " FROM gateway.runs_v1 r JOIN gateway.suites_v1 s ON s.id = r.suite_id"
        " WHERE r.id = :run AND r.tenant_id = coalesce(CAST(:tenant AS uuid), r.tenant_id)",
        run=run_id,
        tenant=tenant_id,
    )


async def finished(
    tx: AsyncConnection,
    tenant_id: UUID,
    *,
    suite: str | None = None,
    candidate: str | None = None,
    judge: str | None = None,
    most: int,
) -> list[FinishedRun]:
    """The tenant's newest final runs, newest first, and whether each is ``rated``; ``suite``: a name, or a version."""
    return await many(
        tx,
        FinishedRun,
        "SELECT id, name, status, suite_label, candidate_name, judges, labels, manifest, created_at,"
        f" EXISTS (SELECT FROM analytics.ratings t WHERE t.run_id = r.id AND {COUNTS}) AS rated"
        " FROM gateway.runs_v1 r WHERE tenant_id = :tenant AND status = ANY(:final)"
        " AND (CAST(:suite AS text) IS NULL OR :suite IN (suite_label, split_part(suite_label, '@', 1)))"
        " AND (CAST(:candidate AS text) IS NULL OR candidate_name = :candidate)"
        " AND (CAST(:judge AS text) IS NULL OR :judge = ANY(judges))"
        " ORDER BY created_at DESC, id DESC LIMIT :most",
        tenant=tenant_id,
        final=list(FINAL),
        suite=suite,
        candidate=candidate,
        judge=judge,
        most=most,
    )


async def judge_names(tx: AsyncConnection, tenant_id: UUID) -> list[str]:
    """Every judge that a run of the tenant has asked for."""
    found = await rows(
        tx, "SELECT DISTINCT unnest(judges) AS name FROM gateway.runs_v1 WHERE tenant_id = :tenant", tenant=tenant_id
    )
    return [r["name"] for r in found]


_COLUMNS = columns(published.Run, "r.")
