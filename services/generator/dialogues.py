"""A run's dialogues at work: each is played on from its last answer, and every answer is saved as it arrives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.generator import store
from services.generator.roleplay import Failure, Halt, Said, Scene, Speaker, finished, play
from services.generator.store import Claimed, Save
from services.jobs import AdvanceRun, JudgeSlice
from services.kit.endpoint import ChatError, Usage
from services.kit.queue import Job
from services.work.loop import Held, Lane, LeaseLost, RunWork

log = structlog.get_logger()

DIALOGUES = Counter("esrp_generator_dialogues_total", "Dialogues that ended, or go on after a fault", ["state"])

SOON = 0.2  # seconds: a judge as fast as the candidate runs out of dialogues within half a second
# Tries of a dialogue against faults that may pass, each of several calls, and the seconds between: an endpoint that is
# away for five minutes costs no dialogue. An answer that was saved starts the count anew.
ATTEMPTS = 5
BACKOFF = (5.0, 15.0, 60.0, 180.0)
LONGEST_PAUSE = 3600.0  # seconds that an endpoint may ask for between two tries


@dataclass(frozen=True)
class Dialogues(RunWork):
    """The dialogues of a run and its two speakers; ``width`` is how many are held at once."""

    candidate: Speaker
    simulator: Speaker
    width: int

    @property
    def lanes(self) -> Sequence[Lane]:
        """One: every dialogue needs the same two."""
        return (Lane("candidate", self.width),)

    @property
    def bells(self) -> Mapping[Job, float]:
        """Judges rate while dialogues are played."""
        return {JudgeSlice(self.run.id): SOON, AdvanceRun(self.run.id): 0.5}

    async def expect(self, tx: AsyncConnection) -> None:
        """Nothing: dialogues are written down when the run is planned."""

    async def claim(self, tx: AsyncConnection, lane: str, slice_id: UUID, wanted: int) -> list[Claimed]:
        """See ``Work``."""
        return await store.claim(tx, self.run.id, slice_id, wanted)

    async def save(self, tx: AsyncConnection, slice_id: UUID, saves: Sequence[Save]) -> list[bool]:
        """See ``Work``."""
        return await store.save(tx, slice_id, saves)

    async def is_left(self, tx: AsyncConnection) -> bool:
        """See ``Work``."""
        return await store.is_left(tx, self.run.id)

    async def do(self, claimed: Claimed, held: Held[Save]) -> None:
        """Play it on and save how far it came."""
        await _Playing(self, claimed, held, claimed.attempts).play()

    def scene(self, claimed: Claimed) -> Scene:
        """What decides what is said in it."""
        suite = self.run.suite
        return Scene(
            character=suite.character(claimed.character),
            scenario=suite.scenario(claimed.scenario),
            replicate=claimed.replicate,
            rounds=self.run.rounds,
            language=suite.language,
        )


@dataclass
class _Playing:
    """One dialogue while it is played; ``attempts`` have failed since its last answer."""

    work: Dialogues
    dialogue: Claimed
    held: Held[Save]
    attempts: int

    async def play(self) -> None:
        """Play it on, and save how it ended."""
        ended: Failure | Halt | None
        try:
            ended = await self._played()
        except LeaseLost:
            raise
        except Exception:
            # Played again it would break again, for ever and at the user's cost: the log has the reason.
            log.exception("dialogue.crashed", **self._named)
            ended = Failure("generator", ChatError("crashed", "the dialogue broke on our side; see the log"))
        match ended:
            case Failure():
                state = await self._failed(ended)
            case Halt():
                state = await self._halted(ended)
            case None:
                # It may also have been stopped after an answer but the last: then it is still ours, and goes back.
                state = "halted" if await self._gave_back() else "done"
        DIALOGUES.labels(state).inc()

    async def _played(self) -> Failure | Halt | None:
        scene = self.work.scene(self.dialogue)

        async def save(said: Said) -> None:
            reply = said.reply
            await self._save(
                "done" if finished(said.turns, scene.rounds) else "playing",
                turns=said.turns,
                role=said.role,
                usage=Usage(reply.calls, reply.prompt_tokens, reply.completion_tokens),
                cut=said.role == "candidate" and reply.finish_reason == "length",
            )
            self.attempts = 0

        work = self.work
        return await play(scene, self.dialogue.turns, work.candidate, work.simulator, save, self.held.errand)

    async def _failed(self, failure: Failure) -> str:
        error, role = failure.error, failure.role
        state = "waiting" if error.retryable and self.attempts + 1 < ATTEMPTS else "failed"
        pause = BACKOFF[min(self.attempts, len(BACKOFF) - 1)]
        spent, told = error.billed or Usage(), fault(role, error)
        await self._save(state, role=role, usage=spent, error=told, tried=True, pause=pause)
        log.info("dialogue.failed", **self._named, role=role, reason=error.code, state=state)
        return state

    async def _halted(self, halt: Halt) -> str:
        reason = None if halt.error is None else fault(halt.role, halt.error)
        pause = min(halt.pause, LONGEST_PAUSE)
        await self._save("waiting", role=halt.role, usage=halt.billed, error=reason, pause=pause)
        return "halted"

    async def _gave_back(self) -> bool:
        lease = self.held.lease
        return lease.stopped.is_set() and await self.held.saver.save(Save(self.dialogue.id, "waiting"))

    async def _save(self, state: str, **what: object) -> None:
        await self.held.save(Save(self.dialogue.id, state, **what))  # type: ignore[arg-type]  # Save's own fields

    @property
    def _named(self) -> dict[str, str]:
        return {"dialogue_id": str(self.dialogue.id), "run_id": str(self.work.run.id)}


def fault(role: str, error: ChatError) -> dict[str, str]:
    """A failure as it is kept and shown."""
    return {"code": f"{role}_error", "reason": error.code, "message": f"The {role}: {error.message}"}
