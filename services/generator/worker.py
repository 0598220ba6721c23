"""What the generator does when it is rung, and what it looks for by itself."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

import orjson
import structlog
from cryptography.fernet import InvalidToken
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import EndpointCandidate
from services.generator import scenarios, store
from services.generator.planning import planned, planned_from
from services.generator.resources import Resources
from services.generator.roleplay import Speaker
from services.generator.speakers import Frozen, Simulator, candidate, door
from services.generator.stage import SEATS, Stage, fault
from services.jobs import AdvanceRun, JudgeSlice, PlanRun, PlaySlice
from services.kit.chat import ChatError
from services.kit.db import forget_deleted
from services.kit.queue import Chime, Job
from services.kit.worker import Handler
from services.work.budget import Purse
from services.work.lease import Slice

log = structlog.get_logger()

SOON = 0.2  # seconds: a judge as fast as the candidate runs out of dialogues within half a second


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
        await forget_deleted(tx, "generator.dialogues", "generator.tallies")
        await store.free_abandoned(tx)
        runs = await store.open_runs(tx)
    unplanned: list[Job] = [PlanRun(run["id"]) for run in runs if not run["planned"]]
    unplanned += await scenarios.look_around(resources)
    return unplanned + [PlaySlice(run["id"]) for run in runs if run["planned"] and run["free"]]


async def plan_run(resources: Resources, run_id: UUID) -> None:
    """Write down the run's dialogues; a transcript's are played already. What is to be tried again waits again."""
    async with resources.engine.begin() as tx:
        run = await store.run(tx, run_id)
        if run is None or run["status"] not in ("queued", "running"):
            return
        if run["transcript_id"] is None:
            await store.add_dialogues(tx, run, planned(run))
            await store.retry_failed(tx, run)
        else:
            dialogues, positions = planned_from(run, await store.recorded(tx, run["transcript_id"]))
            await store.add_recorded(tx, run, dialogues, positions)
    if run["transcript_id"] is not None:
        return await resources.queue.ring(JudgeSlice(run_id), AdvanceRun(run_id))
    others = -(-_width(resources, run) // SEATS) - 1
    await resources.queue.ring(AdvanceRun(run_id), *[PlaySlice(run_id)] * others)
    await play_slice(resources, run_id)


async def play_slice(resources: Resources, run_id: UUID) -> None:
    """Play what waits of the run for some 20 seconds, as many at once as its endpoints allow."""
    async with resources.engine.begin() as tx:
        run = await store.run(tx, run_id)
        if run is None or run["status"] not in ("queued", "running") or run["transcript_id"] is not None:
            return
        sealed = await store.sealed_key(tx, run["secret_id"]) if run["secret_id"] else None
        simulator = await _simulator(resources, run, tx)
    if (bot := _bot(resources, run, sealed)) is None:
        return await _give_up(resources, run)
    async with (
        Slice(resources.engine, "generator", run_id, run["tenant_id"]).held() as lease,
        Chime(resources.queue, JudgeSlice(run_id), pause=SOON) as judging,
        Chime(resources.queue, AdvanceRun(run_id)) as advancing,
    ):
        stage = Stage(
            engine=resources.engine,
            run=run,
            candidate=candidate(bot, resources.chat, resources.seats.at(run["tenant_id"], *door(bot))),
            simulator=simulator,
            lease=lease,
            chimes=(judging, advancing),
            width=min(SEATS, _width(resources, run)),
            purse=Purse(lease, run) if run["budget"] else None,
        )
        successor = asyncio.create_task(_succeeded(resources, lease))
        try:
            await stage.play()
        finally:
            successor.cancel()


def _width(resources: Resources, run: RowMapping) -> int:
    """Dialogues to hold: half as many again as calls fit to both sides, so that neither waits for the other."""
    seats = run["candidate"]["max_concurrency"]
    if run["rounds"] > 1 and isinstance(resources.simulator, Simulator):
        seats += resources.simulator.model.max_concurrency
    return int(seats + seats // 2 + 1)


async def _simulator(resources: Resources, run: RowMapping, tx: AsyncConnection) -> Speaker:
    if run["frozen_id"] is None:
        return resources.simulator
    return Frozen(await store.said(tx, run["frozen_id"]))


async def _succeeded(resources: Resources, lease: Slice) -> None:
    """Ring the next slice as soon as this one's time is up, while its calls in flight still drain."""
    await lease.stopped.wait()
    if lease.expired:
        await resources.queue.ring(PlaySlice(lease.run_id))


def _bot(resources: Resources, run: RowMapping, sealed: bytes | None) -> EndpointCandidate | None:
    """The candidate with its secrets; ``None`` if no key of ours opens them."""
    try:
        secret = {} if sealed is None else orjson.loads(resources.keys.open(sealed))
    except InvalidToken:
        return None
    return EndpointCandidate.model_validate({**run["candidate"], **secret})


async def _give_up(resources: Resources, run: RowMapping) -> None:
    """No dialogue of the run can be played: say so in each, rather than try for ever."""
    log.error("run.sealed", run_id=str(run["id"]))
    message = "the candidate's key cannot be read: it was sealed with a key that is not in the key file any more"
    async with resources.engine.begin() as tx:
        await store.fail_waiting(tx, run["id"], fault("generator", ChatError("sealed", message)))
    await resources.queue.ring(AdvanceRun(run["id"]))
