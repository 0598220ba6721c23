"""Reports as they are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import FINAL, RaterKind, RunStatus
from esrp.metrics import Language
from services.analytics.report.computing import Written
from services.analytics.runs import Run
from services.kit.db import count, one, row, rows


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """A final run's stored report and the agreement of its raters as text, with what its judges' cards need."""

    id: UUID
    tenant_id: UUID
    status: RunStatus
    judges: Sequence[str]
    manifest: Mapping[str, Any]
    language: Language
    document: str
    limits: str
    agreement: str | None


async def report(tx: AsyncConnection, run_id: UUID, tenant_id: UUID | None) -> KeptReport | None:
    """A final run's report, if there is one.

    One without limits was written when these were sentences in it: it is made again.
    """
    return await one(
        tx,
        KeptReport,
        """
        SELECT r.id, r.tenant_id, r.status, r.judges, r.manifest, s.language, p.document::text AS document,
            p.limits::text AS limits, a.document::text AS agreement
        FROM gateway.runs_v1 r JOIN analytics.reports p ON p.run_id = r.id AND p.revision = r.revision
        JOIN gateway.suites_v1 s ON s.id = r.suite_id
        LEFT JOIN analytics.agreements a
            ON a.run_id = r.id AND a.kind = p.agreement_kind AND a.ratings_sha256 = p.agreement_sha256
        WHERE r.id = :run AND r.tenant_id = coalesce(CAST(:tenant AS uuid), r.tenant_id) AND r.status = ANY(:final)
            AND p.limits IS NOT NULL
        """,
        run=run_id,
        tenant=tenant_id,
        final=list(FINAL),
    )


async def documents(tx: AsyncConnection, run_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The stored reports of those of the final runs that have one, as text."""
    found = await rows(
        tx,
        "SELECT r.id, p.document::text AS document FROM gateway.runs_v1 r"
        " JOIN analytics.reports p ON p.run_id = r.id AND p.revision = r.revision"
        " WHERE r.id = ANY(CAST(:runs AS uuid[]))",
        runs=list(run_ids),
    )
    return {r["id"]: r["document"] for r in found}


async def reported(tx: AsyncConnection, run_ids: Sequence[UUID]) -> dict[UUID, RaterKind | None]:
    """Those of the final runs that have a stored report, and whose ratings it covers: calibrated means are judges'."""
    found = await rows(
        tx,
        "SELECT r.id, nullif(replace(p.document ->> 'raters', 'calibrated', 'judge'), '') AS raters"
        " FROM gateway.runs_v1 r JOIN analytics.reports p ON p.run_id = r.id AND p.revision = r.revision"
        " WHERE r.id = ANY(CAST(:runs AS uuid[]))",
        runs=list(run_ids),
    )
    return {r["id"]: r["raters"] for r in found}


async def is_reported(tx: AsyncConnection, run_id: UUID, revision: int) -> bool:
    """Whether the report of the run's revision, by its ratings as they are, is stored."""
    sql = "SELECT 1 FROM analytics.reports WHERE run_id = :run AND revision = :revision"
    return await row(tx, sql, run=run_id, revision=revision) is not None


async def save_report(
    tx: AsyncConnection,
    run: Run,
    written: Written,
) -> None:
    """Keep the report of the run's revision, in place of any before; a reader of an old revision comes too late."""
    agreed = written.agreed
    await count(
        tx,
        "INSERT INTO analytics.reports (run_id, tenant_id, revision, ratings_sha256, document, limits, sha256,"
        " agreement_kind, agreement_sha256) VALUES (:run, :tenant, :revision, :ratings, CAST(:document AS json),"
        " CAST(:limits AS json), :sha256, :kind, :agreement)"
        " ON CONFLICT (run_id) DO UPDATE SET revision = excluded.revision, ratings_sha256 = excluded.ratings_sha256,"
        " document = excluded.document, limits = excluded.limits, sha256 = excluded.sha256,"
        " agreement_kind = excluded.agreement_kind, agreement_sha256 = excluded.agreement_sha256, created_at = now()"
        " WHERE reports.revision <= excluded.revision",
        run=run.id,
        tenant=run.tenant_id,
        revision=run.revision,
        ratings=written.ratings_sha256,
        document=written.document.decode(),
        limits=written.limits.decode(),
        sha256=written.sha256,
        kind=agreed.kind if agreed else None,
        agreement=agreed.ratings_sha256 if agreed else None,
    )
