"""What moves a run: only the gateway does, from what the other services publish."""

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.gateway.gates import verdicts
from services.gateway.resources import Resources
from services.gateway.runs import store
from services.gateway.runs.plan import Place, advanced
from services.jobs import AdvanceRun, DiversitySlice, JudgeSlice, PlanRun, SummariseRun
from services.kit.queue import Job
from services.kit.worker import Handler

log = structlog.get_logger()

RUNS = Counter("esrp_gateway_runs_total", "Runs that became final", ["status"])


def handlers(resources: Resources) -> Mapping[type[Job], Handler]:
    """What is done for each message."""
    return {AdvanceRun: partial(advance_run, resources)}


async def look_around(resources: Resources) -> Sequence[Job]:
    """Every run that is not final may have moved on."""
    async with resources.engine.begin() as tx:
        await store.forget_old(tx)
        return [AdvanceRun(run_id) for run_id in await store.open_runs(tx)]


async def advance_run(resources: Resources, run_id: UUID) -> None:
    """Look how far the run is, put it where it stands now, and ring who is next."""
    async with resources.engine.begin() as tx:
        run = await store.lock_open_run(tx, run_id)
        if run is None:
            return
        counts = (await store.counts(tx, [run_id]))[run_id]
        await store.add_dialogue_events(tx, run)
        await store.warn_of_failures(tx, run)
        place = advanced(run, counts, await store.reasons(tx, run_id) if counts.summarised else [])
        gated = place.status == "succeeded" and run["gate"] is not None and run["verdict"] is None
        ours = gated and await verdicts.claim(tx, run)
        if not gated and place != Place(run["status"], run["phase"]):
            await store.move(tx, run, place)
            log.info("run.moved", run_id=str(run_id), status=place.status, phase=place.phase)
            if place.status not in ("queued", "running", "cancelling"):
                RUNS.labels(place.status).inc()
    if not gated:
        await resources.queue.ring(*_next(run_id, place, moved=place != Place(run["status"], run["phase"])))
    elif ours and await verdicts.settle(resources, run):
        await resources.queue.ring(AdvanceRun(run_id))


def _next(run_id: UUID, place: Place, *, moved: bool) -> list[Job]:
    if place.status == "queued":
        return [PlanRun(run_id)]
    if place.phase == "judging":
        # Once: a slice that finds nothing to do rings for us, and would be rung again at once, for ever.
        return [JudgeSlice(run_id), DiversitySlice(run_id)] if moved else []
    if place.phase == "analysing" or place.status == "cancelled":
        return [SummariseRun(run_id)]
    return []
