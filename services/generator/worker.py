"""What the generator does when it is rung, and what it looks for by itself."""

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

import orjson
import structlog
from cryptography.fernet import InvalidToken
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import EndpointCandidate
from services.generator import scenarios, store
from services.generator.dialogues import Dialogues, fault
from services.generator.planning import planned, planned_from
from services.generator.resources import Resources
from services.generator.roleplay import Speaker
from services.generator.speakers import Frozen, Simulator, candidate, door
from services.jobs import AdvanceRun, JudgeSlice, PlanRun, PlaySlice
from services.kit.endpoint import ChatError
from services.kit.queue import Job
from services.kit.unit import Unit, unit
from services.kit.worker import Handler
from services.work.claims import forget_deleted
from services.work.published import PlayedRun, played_run

log = structlog.get_logger()

SEATS = 4096  # dialogues one slice holds at once; calls beyond that are reached by several workers


def handlers(resources: Resources) -> Mapping[type[Job], Handler]:
    """What is done for each message."""
    return {
        PlanRun: partial(plan_run, resources),
        PlaySlice: partial(play_slice, resources),
        **scenarios.handlers(resources),
    }


async def look_around(resources: Resources) -> Sequence[Job]:
    """Find runs that were not written down, or have dialogues that nobody plays."""
    async with resources.engine.begin() as tx:
        await forget_deleted(tx, *store.OF_A_RUN)
        await store.free_abandoned(tx)
        runs = await store.open_runs(tx)
    unplanned: list[Job] = [PlanRun(run.id) for run in runs if not run.planned]
    unplanned += await scenarios.look_around(resources)
    return unplanned + [PlaySlice(run.id) for run in runs if run.planned and run.free]


async def plan_run(resources: Resources, run_id: UUID) -> None:
    """Write down the run's dialogues; a transcript's are played already. What is to be tried again waits again."""
    async with unit(resources.engine, resources.queue) as work:
        run = await played_run(work.tx, run_id)
        if run is None or not run.goes_on:
            return
        await (_write_down(work, run) if run.transcript_id is None else _take_over(work, run, run.transcript_id))
    if run.transcript_id is None:
        await play_slice(resources, run_id)


async def _write_down(work: Unit, run: PlayedRun) -> None:
    for dialogues in planned(run):
        await store.add_dialogues(work.tx, run, dialogues)
    await store.retry_failed(work.tx, run)
    work.ring(AdvanceRun(run.id))


async def _take_over(work: Unit, run: PlayedRun, transcript_id: UUID) -> None:
    dialogues, positions = planned_from(run, await store.recorded(work.tx, transcript_id))
    await store.add_recorded(work.tx, run, dialogues, positions)
    work.ring(JudgeSlice(run.id), AdvanceRun(run.id))


async def play_slice(resources: Resources, run_id: UUID) -> None:
    """Play what waits of the run for some 20 seconds, as many at once as its endpoints allow."""

    async def begin() -> Dialogues | None:
        async with resources.engine.begin() as tx:
            run = await played_run(tx, run_id)
            if run is None or not run.goes_on or run.transcript_id is not None:
                return None
            sealed = await store.sealed_key(tx, run.secret_id) if run.secret_id else None
            simulator = await _simulator(resources, run, tx)
        if (bot := _bot(resources, run, sealed)) is None:
            await _give_up(resources, run)
            return None
        seats = resources.seats.at(run.tenant_id, *door(bot))
        return Dialogues(run, candidate(bot, resources.chat, seats), simulator, _width(resources, run))

    await resources.slices.work(PlaySlice(run_id), begin)


def _width(resources: Resources, run: PlayedRun) -> int:
    """Dialogues to hold: half as many again as calls fit to both sides, so that neither waits for the other."""
    seats = int(run.candidate["max_concurrency"])
    if run.rounds > 1 and isinstance(resources.simulator, Simulator):
        seats += resources.simulator.model.max_concurrency
    return min(SEATS, seats + seats // 2 + 1)


async def _simulator(resources: Resources, run: PlayedRun, tx: AsyncConnection) -> Speaker:
    return resources.simulator if run.frozen_id is None else Frozen(await store.said(tx, run.frozen_id))


def _bot(resources: Resources, run: PlayedRun, sealed: bytes | None) -> EndpointCandidate | None:
    """The candidate with its secrets; ``None`` if no key of ours opens them."""
    try:
        secret = {} if sealed is None else orjson.loads(resources.keys.open(sealed))
    except InvalidToken:
        return None
    return EndpointCandidate.model_validate({**run.candidate, **secret})


async def _give_up(resources: Resources, run: PlayedRun) -> None:
    """No dialogue of the run can be played: say so in each, rather than try for ever."""
    log.error("run.sealed", run_id=str(run.id))
    message = "the candidate's key cannot be read: it was sealed with a key that is not in the key file any more"
    async with unit(resources.engine, resources.queue) as work:
        await store.fail_waiting(work.tx, run.id, fault("generator", ChatError("sealed", message)))
        work.ring(AdvanceRun(run.id))
