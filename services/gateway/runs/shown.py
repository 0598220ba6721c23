"""Rows as clients see them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping

from esrp.api import (
    DialogueOut,
    Links,
    ManifestSummary,
    PaceChange,
    Pacing,
    Plan,
    Progress,
    RatingOut,
    Run,
    RunError,
    RunUsage,
    VerdictOut,
)
from esrp.dialogue import Turn
from esrp.policies import Policy
from services.gateway.runs.plan import Counts
from services.kit.ids import encode

Used = Mapping[str, Mapping[str, int]]


def run_out(
    run: RowMapping, counts: Counts, used: Used, pacing: Mapping[str, Sequence[RowMapping]] | None = None
) -> Run:
    """A run; the candidate without its key, and with its headers' names only."""
    id = encode("run", run["id"])
    return Run(
        id=id,
        name=run["name"],
        status=run["status"],
        phase=run["phase"],
        suite=run["suite_label"],
        candidate=run["candidate"],
        rounds=run["rounds"],
        round2="live" if run["frozen_id"] is None else {"frozen": encode("trn", run["frozen_id"])},
        replicates=run["replicates"],
        sample=run["sample"],
        budget=run["budget"],
        prices=run["prices"],
        labels=run["labels"],
        created_at=run["created_at"],
        started_at=run["started_at"],
        finished_at=run["finished_at"],
        plan=Plan.model_validate(run["plan"]),
        progress=_progress(run, counts),
        usage=RunUsage.model_validate(used),
        pacing={role: _pacing(changes) for role, changes in (pacing or {}).items()},
        manifest=ManifestSummary(
            sha256=run["manifest_sha256"],
            suite=f"{run['suite_label']}#{run['suite_sha256'][:12]}",
            judges=run["judges"],
            simulator=run["simulator"],
        ),
        gate=run["gate"] and (run["gate"]["name"] or Policy.model_validate(run["gate"]["policy"])),
        verdict=run["verdict"],
        error=run["error"] and RunError.model_validate(run["error"]),
        warnings=run["warnings"],
        links=links(id),
        source=encode("run", run["source_id"]) if run["source_id"] else None,
    )


def links(id: str) -> Links:
    """Where to go on from a run."""
    return Links(
        self=f"/v1/runs/{id}",
        events=f"/v1/runs/{id}/events",
        cancel=f"/v1/runs/{id}/cancel",
        report=f"/v1/runs/{id}/report",
    )


def progress(run: RowMapping, counts: Counts, used: Used | None) -> dict[str, Any]:
    """The data of a ``run.progress`` event."""
    return {
        "status": run["status"],
        "phase": run["phase"],
        **_progress(run, counts).model_dump(),
        "usage": RunUsage.model_validate(used or {}).model_dump(),
    }


def dialogue_out(dialogue: RowMapping) -> DialogueOut:
    """A dialogue; a verdict's raw reply where it went wrong. A round without its answer is not shown."""
    return DialogueOut(
        id=encode("dlg", dialogue["id"]),
        run=encode("run", dialogue["run_id"]),
        character=dialogue["character"],
        scenario=dialogue["scenario"],
        replicate=dialogue["replicate"],
        state=dialogue["state"],
        turns=[Turn(**turn) for turn in dialogue["turns"] if turn["assistant"] is not None],
        ratings=[RatingOut(**rating) for rating in dialogue["ratings"]],
        verdicts=[VerdictOut(**verdict) for verdict in dialogue["verdicts"]],
        attempts=dialogue["attempts"],
        error=dialogue["error"] and RunError.model_validate(dialogue["error"]),
    )


def _pacing(changes: Sequence[RowMapping]) -> Pacing:
    history = [PaceChange(at=c["at"], limit=c["limit"], cause=c["cause"]) for c in changes]
    return Pacing(limit=history[-1].limit, history=history)


def _progress(run: RowMapping, counts: Counts) -> Progress:
    return Progress(
        dialogues=run["plan"]["dialogues"],
        generated=counts.done,
        judged=counts.judged if run["judges"] else 0,
        failed=counts.failed,
    )
