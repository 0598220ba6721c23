"""One slice of one run at work: dialogues are claimed, played and saved, as fast as their endpoints take the calls."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from esrp.suite import Suite
from services.generator import store
from services.generator.roleplay import Failure, Halt, Said, Scene, Speaker, finished, play
from services.generator.store import Claimed, Save
from services.kit.chat import ChatError, Usage
from services.kit.db import FAILURES, is_away
from services.kit.group_commit import GroupCommit
from services.kit.queue import Chime
from services.work.budget import Errand, Purse
from services.work.lease import Slice

log = structlog.get_logger()

DIALOGUES = Counter("esrp_generator_dialogues_total", "Dialogues that ended, or go on after a fault", ["state"])

SEATS = 512  # dialogues one slice holds at once; more calls in flight are reached by several slices
GATHER = 0.01  # seconds: dialogues that end together are replaced by one claim
LOOK = 0.5  # seconds between looks whether the slice has ended
# Tries of a dialogue against faults that may pass, each of several calls, and the seconds between: an endpoint that is
# away for five minutes costs no dialogue. An answer that was saved starts the count anew.
ATTEMPTS = 5
BACKOFF = (5.0, 15.0, 60.0, 180.0)
LONGEST_PAUSE = 3600.0  # seconds that an endpoint may ask for between two tries


@dataclass
class Stage:
    """A run, its two speakers, and the lease under which they speak; ``width`` is how many dialogues are held."""

    engine: AsyncEngine
    run: RowMapping
    candidate: Speaker
    simulator: Speaker
    lease: Slice
    chimes: Sequence[Chime]
    width: int
    purse: Purse | None = None
    busy: int = 0
    stir: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._suite = Suite.model_validate(self.run["suite"])
        self._saver: GroupCommit[Save, bool] = GroupCommit(self._write)

    async def play(self) -> None:
        """Claim, play and save until nothing waits or the slice is stopped; then let the calls in flight end."""
        async with asyncio.TaskGroup() as playing:
            while not self.lease.stopped.is_set() and await self._begin(playing):
                await self._news()

    async def _begin(self, playing: asyncio.TaskGroup) -> bool:
        """Begin what is ours to begin; false once there is nothing at play."""
        self.stir.clear()
        if (wanted := self.width - self.busy) > 0:
            for dialogue in await self._claim(wanted):
                self.busy += 1
                playing.create_task(self._one(dialogue))
        return self.busy > 0

    async def _news(self) -> None:
        """A dialogue ended, or it is time to look whether the slice has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await self.stir.wait()
                await asyncio.sleep(GATHER)

    async def _one(self, dialogue: Claimed) -> None:
        errand = Errand(self.lease.stopped, self.purse, of=self.run["id"])
        try:
            await self._played(dialogue, errand)
            errand.settle()
        except LeaseLost:
            log.warning("dialogue.lost", dialogue_id=str(dialogue.id), run_id=str(self.run["id"]))
        finally:
            self.busy -= 1
            self.stir.set()

    async def _played(self, dialogue: Claimed, errand: Errand) -> None:
        """Play it on and save how far it came."""
        scene, attempts = self._scene(dialogue), dialogue.attempts

        async def save(said: Said) -> None:
            nonlocal attempts
            reply = said.reply
            await self._save(
                dialogue,
                "done" if finished(said.turns, scene.rounds) else "playing",
                turns=said.turns,
                role=said.role,
                usage=Usage(reply.calls, reply.prompt_tokens, reply.completion_tokens),
                cut=said.role == "candidate" and reply.finish_reason == "length",
            )
            errand.settle()
            attempts = 0

        ended: Failure | Halt | None
        try:
            ended = await play(scene, dialogue.turns, self.candidate, self.simulator, save, errand)
        except LeaseLost:
            raise
        except Exception:
            # Played again it would break again, for ever and at the user's cost: the log has the reason.
            log.exception("dialogue.crashed", dialogue_id=str(dialogue.id), run_id=str(self.run["id"]))
            ended = Failure("generator", ChatError("crashed", "the dialogue broke on our side; see the log"))
        await self._end(dialogue, ended, attempts)

    async def _end(self, dialogue: Claimed, ended: Failure | Halt | None, attempts: int) -> None:
        """Save how it ended, where that was not by its last answer; ``attempts`` have failed since that."""
        match ended:
            case Failure(role, error):
                state = "waiting" if error.retryable and attempts + 1 < ATTEMPTS else "failed"
                pause = BACKOFF[min(attempts, len(BACKOFF) - 1)]
                spent, told = error.billed or Usage(), fault(role, error)
                await self._save(dialogue, state, role=role, usage=spent, error=told, tried=True, pause=pause)
                log.info("dialogue.failed", dialogue_id=str(dialogue.id), role=role, reason=error.code, state=state)
            case Halt(role, billed, met, left):
                state, pause = "halted", min(left, LONGEST_PAUSE)
                reason = None if met is None else fault(role, met)
                await self._save(dialogue, "waiting", role=role, usage=billed, error=reason, pause=pause)
            case None:
                # It may also have been stopped after an answer but the last: then it is still ours, and goes back.
                state = "halted" if await self._kept(dialogue) else "done"
        DIALOGUES.labels(state).inc()
        for chime in self.chimes:
            chime.news()

    async def _kept(self, dialogue: Claimed) -> bool:
        return self.lease.stopped.is_set() and await self._saver.save(Save(dialogue.id, self.lease.id, "waiting"))

    async def _save(self, dialogue: Claimed, state: str, **what: object) -> None:
        if not await self._saver.save(Save(dialogue.id, self.lease.id, state, **what)):  # type: ignore[arg-type]  # Save's own fields
            raise LeaseLost

    def _scene(self, dialogue: Claimed) -> Scene:
        return Scene(
            character=self._suite.character(dialogue.character),
            scenario=self._suite.scenario(dialogue.scenario),
            replicate=dialogue.replicate,
            rounds=self.run["rounds"],
            language=self._suite.language,
        )

    async def _claim(self, wanted: int) -> list[Claimed]:
        try:
            async with self.engine.begin() as tx:
                return await store.claim(tx, self.run["id"], self.lease.id, wanted)
        except FAILURES as error:  # calls in flight are paid for: they go on while Postgres restarts
            log.warning("dialogues.unclaimed", run_id=str(self.run["id"]), error=repr(error)[:200])
            return []

    async def _write(self, saves: Sequence[Save]) -> list[bool]:
        """Save through a restart of Postgres: what was paid for is worth waiting for."""
        while True:
            try:
                async with self.engine.begin() as tx:
                    return await store.save(tx, saves)
            except FAILURES as error:
                if not is_away(error):
                    raise
                log.warning("dialogues.unsaved", count=len(saves), error=repr(error)[:200])
                await asyncio.sleep(0.5)


class LeaseLost(Exception):
    """Somebody else plays the dialogue now: our answer is not written."""


def fault(role: str, error: ChatError) -> dict[str, str]:
    """A failure as it is kept and shown."""
    return {"code": f"{role}_error", "reason": error.code, "message": f"The {role}: {error.message}"}
