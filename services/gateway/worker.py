"""What moves a run: only the gateway does, from what the other services publish."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

import structlog
from prometheus_client import Counter

from services.gateway.gates import verdicts
from services.gateway.resources import Resources
from services.gateway.runs import events, progress, store
from services.gateway.runs.advance import advanced, failure
from services.gateway.runs.rows import LockedRun, Place
from services.jobs import AdvanceRun, DiversitySlice, GiveVerdict, JudgeSlice, PlanRun, SummariseRun
from services.kit.queue import Job
from services.kit.unit import Unit, unit
from services.kit.worker import Handler, coalesced

log = structlog.get_logger()

RUNS = Counter("esrp_gateway_runs_total", "Runs that became final", ["status"])
AT_ONCE = 4  # runs moved at the same time, each with a connection: most of the pool is for who asks
PAUSE = 0.1  # seconds until a run that somebody else has is looked at again; a move takes some 10 ms


def handlers(resources: Resources) -> Mapping[type[Job], Handler]:
    """What is done for each message."""
    return {
        AdvanceRun: coalesced(partial(advance_run, resources), at_once=AT_ONCE),
        GiveVerdict: coalesced(partial(give_verdict, resources)),
    }


async def look_around(resources: Resources) -> Sequence[Job]:
    """Every run that is not final may have moved on."""
    async with unit(resources.engine, resources.queue) as work:
        await store.forget_old(work.tx)
        return [AdvanceRun(run_id) for run_id in await store.open_runs(work.tx)]


async def advance_run(resources: Resources, run_id: UUID) -> bool:
    """Look how far the run is, put it where it stands now, and ring who is next. True if it must be looked at again.

    Where somebody else has the run, the news may be too new for them: it is ours to look once they are done.
    """
    async with unit(resources.engine, resources.queue) as work:
        run = await store.lock_open_run(work.tx, run_id)
        is_held = run is None and await store.is_open(work.tx, run_id)
        moved = run is not None and await _advance(work, run)
    if moved:
        resources.streams.nudge()
    if is_held:
        await asyncio.sleep(PAUSE)
    return is_held


async def give_verdict(resources: Resources, run_id: UUID) -> bool:
    """Hold a run that would have succeeded against its gate: with the verdict it has. True as in ``advance_run``."""
    async with unit(resources.engine, resources.queue) as work:
        run = await store.lock_open_run(work.tx, run_id)
        is_held = run is None and await store.is_open(work.tx, run_id)
        ours = run is not None and await _place(work, run) is None and await verdicts.claim(work.tx, run)
    if run is not None and ours:
        await verdicts.settle(resources, run)
    if is_held:
        await asyncio.sleep(PAUSE)
    return is_held


async def _advance(work: Unit, run: LockedRun) -> bool:
    """Put the run where it stands; whether that is somewhere else."""
    await events.follow(work.tx, run)
    place = await _place(work, run)
    if place is None:
        work.ring(GiveVerdict(run.id))
        return False
    moved = place != Place(run.status, run.phase)
    if moved:
        await store.move(work.tx, run, place, await progress.outcome(work.tx, run) if place.is_final else None)
        log.info("run.moved", run_id=str(run.id), status=place.status, phase=place.phase)
        if place.is_final:
            RUNS.labels(place.status).inc()
    work.ring(*_next(run.id, place, moved=moved))
    return moved


async def _place(work: Unit, run: LockedRun) -> Place | None:
    """Where the run stands now; ``None`` where it would have succeeded if it had its gate's verdict."""
    counts = await progress.counts(work.tx, run)
    place = advanced(run, counts)
    if place.status == "failed":
        return replace(place, error=failure(run, counts, await events.reasons(work.tx, run.id)))
    return None if place.status == "succeeded" and run.gate is not None and run.verdict is None else place


def _next(run_id: UUID, place: Place, *, moved: bool) -> list[Job]:
    if place.status == "queued":
        return [PlanRun(run_id)]
    # Once: a slice that finds nothing to do rings for us, and would be rung again at once, for ever.
    if not moved:
        return []
    if place.phase == "judging":
        return [JudgeSlice(run_id), DiversitySlice(run_id)]
    return [SummariseRun(run_id)] if place.phase == "analysing" or place.status == "cancelled" else []
