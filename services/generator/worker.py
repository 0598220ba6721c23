"""What the generator does when it is rung, and what it looks for by itself."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import orjson
import structlog
from cryptography.fernet import InvalidToken
from prometheus_client import Counter
from sqlalchemy import RowMapping

from esrp.api import EndpointCandidate
from esrp.suite import Suite
from services.generator import store
from services.generator.planning import planned, planned_from
from services.generator.resources import Resources
from services.generator.roleplay import Failure, Said, Scene, finished, play
from services.generator.speakers import Candidate, candidate
from services.generator.store import Claimed, Save
from services.jobs import AdvanceRun, JudgeSlice, PlanRun, PlaySlice
from services.kit.batch import GroupCommit
from services.kit.chat import ChatError, Usage
from services.kit.db import FAILURES, forget_deleted, is_away
from services.kit.lease import Slice
from services.kit.queue import Chime, Job
from services.kit.worker import Handler

log = structlog.get_logger()

DIALOGUES = Counter("esrp_generator_dialogues_total", "Dialogues that ended", ["state"])

SEATS = 256  # dialogues one slice plays at once; a cap above it is filled by several slices
GATHER = 0.01  # seconds: dialogues that end together are replaced by one claim


def handlers(resources: Resources) -> Mapping[type[Job], Handler]:
    """What is done for each message."""
    return {PlanRun: partial(plan_run, resources), PlaySlice: partial(play_slice, resources)}


async def look_around(resources: Resources) -> Sequence[Job]:
    """Find runs that were not written down, or have dialogues that nobody plays."""
    async with resources.engine.begin() as tx:
        await forget_deleted(tx, "generator.dialogues")
        await store.free_abandoned(tx)
        runs = await store.open_runs(tx)
    unplanned: list[Job] = [PlanRun(run["id"]) for run in runs if not run["planned"]]
    return unplanned + [PlaySlice(run["id"]) for run in runs if run["planned"] and run["free"]]


async def plan_run(resources: Resources, run_id: UUID) -> None:
    """Write down the run's dialogues; a transcript's are played already."""
    async with resources.engine.begin() as tx:
        run = await store.run(tx, run_id)
        if run is None or run["status"] not in ("queued", "running"):
            return
        if run["transcript_id"] is None:
            await store.add_dialogues(tx, run, planned(run))
        else:
            dialogues, positions = planned_from(run, await store.recorded(tx, run["transcript_id"]))
            await store.add_recorded(tx, run, dialogues, positions)
    if run["transcript_id"] is not None:
        return await resources.queue.ring(JudgeSlice(run_id), AdvanceRun(run_id))
    slices = -(-run["candidate"]["max_concurrency"] // SEATS)
    await resources.queue.ring(AdvanceRun(run_id), *[PlaySlice(run_id)] * slices)


async def play_slice(resources: Resources, run_id: UUID) -> None:
    """Play what waits of the run for some 20 seconds, as many at once as its endpoint allows."""
    async with resources.engine.begin() as tx:
        run = await store.run(tx, run_id)
        if run is None or run["status"] not in ("queued", "running") or run["transcript_id"] is not None:
            return
        sealed = await store.sealed_key(tx, run["secret_id"]) if run["secret_id"] else None
    if (bot := _bot(resources, run, sealed)) is None:
        return await _give_up(resources, run)
    stage = Stage(resources, run, candidate(bot, resources.chat))
    async with (
        Slice(resources.engine, "generator", run_id, run["tenant_id"]).held() as lease,
        Chime(resources.queue, JudgeSlice(run_id), AdvanceRun(run_id)) as chime,
    ):
        successor = asyncio.create_task(_succeeded(resources, lease))
        try:
            await stage.play(lease, chime)
        finally:
            successor.cancel()


async def _succeeded(resources: Resources, lease: Slice) -> None:
    """Ring the next slice as soon as this one's time is up, while its calls in flight still drain."""
    await lease.stopped.wait()
    if lease.expired:
        await resources.queue.ring(PlaySlice(lease.run_id))


@dataclass(frozen=True)
class Stage:
    """One slice of one run at work."""

    resources: Resources
    run: RowMapping
    speaker: Candidate

    async def play(self, lease: Slice, chime: Chime) -> None:
        """Claim, play and save until nothing waits or the slice is stopped; then let the calls in flight end."""
        suite = Suite.model_validate(self.run["suite"])
        saver: GroupCommit[Save, bool] = GroupCommit(self._write)
        playing: set[asyncio.Task[None]] = set()
        try:
            while True:
                if not lease.stopped.is_set():
                    for dialogue in await self._claim(lease, SEATS - len(playing)):
                        scene = self._scene(suite, dialogue)
                        playing.add(asyncio.create_task(self._one(dialogue, scene, saver, lease, chime)))
                if not playing:
                    return
                done, playing = await asyncio.wait(playing, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                await asyncio.sleep(GATHER)
        finally:
            for task in playing:
                task.cancel()
            await asyncio.gather(*playing, return_exceptions=True)

    async def _one(
        self,
        dialogue: Claimed,
        scene: Scene,
        saver: GroupCommit[Save, bool],
        lease: Slice,
        chime: Chime,
    ) -> None:
        async def save(said: Said) -> None:
            state = "done" if finished(said.turns, scene.rounds) else "playing"
            usage = Usage(said.reply.calls, said.reply.prompt_tokens, said.reply.completion_tokens)
            if not await saver.save(Save(dialogue.id, lease.id, state, said.turns, said.role, usage)):
                raise LeaseLost

        try:
            failure = await play(scene, dialogue.turns, self.speaker, self.resources.simulator, save, lease.stopped)
        except LeaseLost:
            log.warning("dialogue.lost", dialogue_id=str(dialogue.id), run_id=str(self.run["id"]))
            return
        except Exception:
            # Played again it would break again, for ever and at the user's cost: the log has the reason.
            log.exception("dialogue.crashed", dialogue_id=str(dialogue.id), run_id=str(self.run["id"]))
            failure = Failure("generator", ChatError("crashed", "the dialogue broke on our side; see the log"))
        if failure is not None:
            billed = failure.error.billed or Usage()
            await saver.save(Save(dialogue.id, lease.id, "failed", None, failure.role, billed, _error(failure)))
            log.info("dialogue.failed", dialogue_id=str(dialogue.id), role=failure.role, reason=failure.error.code)
            DIALOGUES.labels("failed").inc()
        elif lease.stopped.is_set() and await saver.save(Save(dialogue.id, lease.id, "waiting")):
            return  # stopped before it was complete: somebody goes on with it
        else:
            DIALOGUES.labels("done").inc()
        chime.news()

    def _scene(self, suite: Suite, dialogue: Claimed) -> Scene:
        return Scene(
            character=suite.character(dialogue.character),
            scenario=suite.scenario(dialogue.scenario),
            replicate=dialogue.replicate,
            rounds=self.run["rounds"],
            language=suite.language,
        )

    async def _claim(self, lease: Slice, wanted: int) -> list[Claimed]:
        try:
            async with self.resources.engine.begin() as tx:
                return await store.claim(tx, self.run, lease.id, wanted)
        except FAILURES as error:  # calls in flight are paid for: they go on while Postgres restarts
            log.warning("dialogues.unclaimed", run_id=str(self.run["id"]), error=repr(error)[:200])
            return []

    async def _write(self, saves: Sequence[Save]) -> list[bool]:
        """Save through a restart of Postgres: what was paid for is worth waiting for."""
        while True:
            try:
                async with self.resources.engine.begin() as tx:
                    return await store.save(tx, saves)
            except FAILURES as error:
                if not is_away(error):
                    raise
                log.warning("dialogues.unsaved", count=len(saves), error=repr(error)[:200])
                await asyncio.sleep(0.5)


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
        await store.fail_waiting(tx, run["id"], _error(Failure("generator", ChatError("sealed", message))))
    await resources.queue.ring(AdvanceRun(run["id"]))


class LeaseLost(Exception):
    """Somebody else plays the dialogue now: our answer is not written."""


def _error(failure: Failure) -> dict[str, str]:
    return {
        "code": f"{failure.role}_error",
        "reason": failure.error.code,
        "message": f"The {failure.role}: {failure.error.message}",
    }
