"""Runs as clients see them: one document each, with the fields of ``esrp.api.Run``."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Run
from esrp.policies import Policy
from services.gateway.runs import progress, store
from services.gateway.runs.rows import Far, ShownRun
from services.kit.ids import encode

PLAN = ("dialogues", "candidate_calls", "simulator_calls", "judge_calls", "tokens", "cost", "detectable", "probed")


async def shown(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> Run:
    """One run, how far it is, and how its endpoints were paced; ``NotFound`` if the tenant has none of that id."""
    return Run.model_validate(await shown_document(tx, tenant_id, id))


async def shown_document(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> dict[str, Any]:
    """The same, to be sent as it is."""
    run = await store.find_paced(tx, tenant_id, id)
    return document(run, (await progress.far(tx, [run]))[id], run.paced)


def document(run: ShownRun, far: Far, paced: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """A run; the candidate without its key, and with its headers' names only.

    No model is made of it: fifty of them took 4 ms of a processor, which is half of what a list takes.
    """
    id = encode("run", run.id)
    return {
        "id": id,
        "name": run.name,
        "status": run.status,
        "phase": run.phase,
        "suite": run.suite_label,
        "candidate": run.candidate,
        "rounds": run.rounds,
        "round2": "live" if run.frozen_id is None else {"frozen": encode("trn", run.frozen_id)},
        "replicates": run.replicates,
        "sample": run.sample,
        "budget": run.budget,
        "prices": run.prices,
        "labels": run.labels,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "plan": {name: run.plan.get(name) for name in PLAN},
        "progress": progress.progress_out(run, far),
        "usage": far.usage,
        "pacing": {role: _pacing(list(changes)) for role, changes in groupby(paced, itemgetter("role"))},
        "manifest": _manifest(run),
        "gate": run.gate and (run.gate["name"] or Policy.model_validate(run.gate["policy"]).model_dump(mode="json")),
        "verdict": run.verdict,
        "error": run.error,
        "warnings": run.warnings,
        "links": _links(id),
        "source": encode("run", run.source_id) if run.source_id else None,
    }


def _manifest(run: ShownRun) -> dict[str, Any]:
    suite = f"{run.suite_label}#{run.suite_sha256[:12]}"
    return {"sha256": run.manifest_sha256, "suite": suite, "judges": run.judges, "simulator": run.simulator}


def _links(id: str) -> dict[str, str]:
    """Where to go on from a run."""
    here = f"/v1/runs/{id}"
    return {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel", "report": f"{here}/report"}


def _pacing(changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    history = [{"at": _time(change["at"]), "limit": change["limit"], "cause": change["cause"]} for change in changes]
    return {"limit": changes[-1]["limit"], "history": history}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
