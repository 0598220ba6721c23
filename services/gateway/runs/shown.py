"""Runs as clients see them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Links, ManifestSummary, PaceChange, Pacing, Plan, Run, RunError, RunUsage
from esrp.policies import Policy
from services.gateway.runs import progress, store
from services.gateway.runs.rows import Far, ShownRun
from services.kit.ids import encode


async def shown(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> Run:
    """One run, how far it is, and how its endpoints were paced; ``NotFound`` if the tenant has none of that id."""
    run = await store.find_run(tx, tenant_id, id)
    return run_out(run, (await progress.far(tx, [run]))[id], await progress.pacing(tx, run))


def run_out(run: ShownRun, far: Far, pacing: Mapping[str, Sequence[progress.PaceChange]] | None = None) -> Run:
    """A run; the candidate without its key, and with its headers' names only."""
    id = encode("run", run.id)
    return Run(
        id=id,
        name=run.name,
        status=run.status,
        phase=run.phase,
        suite=run.suite_label,
        candidate=dict(run.candidate),
        rounds=run.rounds,
        round2="live" if run.frozen_id is None else {"frozen": encode("trn", run.frozen_id)},
        replicates=run.replicates,
        sample=run.sample and dict(run.sample),
        budget=run.budget and dict(run.budget),
        prices=run.prices and dict(run.prices),
        labels=dict(run.labels),
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        plan=Plan.model_validate(run.plan),
        progress=progress.progress_out(run, far),
        usage=RunUsage.model_validate(far.usage),
        pacing={role: _pacing(changes) for role, changes in (pacing or {}).items()},
        manifest=ManifestSummary(
            sha256=run.manifest_sha256,
            suite=f"{run.suite_label}#{run.suite_sha256[:12]}",
            judges=list(run.judges),
            simulator=run.simulator,
        ),
        gate=run.gate and (run.gate["name"] or Policy.model_validate(run.gate["policy"])),
        verdict=run.verdict,
        error=run.error and RunError.model_validate(run.error),
        warnings=list(run.warnings),
        links=links(id),
        source=encode("run", run.source_id) if run.source_id else None,
    )


def links(id: str) -> Links:
    """Where to go on from a run."""
    return Links(
        self=f"/v1/runs/{id}",
        events=f"/v1/runs/{id}/events",
        cancel=f"/v1/runs/{id}/cancel",
        report=f"/v1/runs/{id}/report",
    )


def _pacing(changes: Sequence[progress.PaceChange]) -> Pacing:
    history = [PaceChange(at=change.at, limit=change.limit, cause=change.cause) for change in changes]
    return Pacing(limit=history[-1].limit, history=history)
