"""What the generator does for a scenario set: write its drafts under a lease, then compare them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.grid import Grid
from esrp.similarity import likenesses
from services.generator import drafts
from services.generator.drafts import Claimed, Save, ScenarioSet
from services.generator.resources import Resources
from services.generator.writing import Answered, Writer, write, writer
from services.jobs import WriteScenarios
from services.kit.chat import Stopped
from services.kit.endpoint import ChatError, Usage
from services.kit.queue import Job
from services.kit.worker import Handler
from services.work.budget import Purse
from services.work.lease import Slice
from services.work.loop import Held, Lane, LeaseLost
from services.work.seats import OPERATOR, Caps

log = structlog.get_logger()

SCENARIOS = Counter("esrp_generator_scenarios_total", "Scenario drafts that ended", ["state"])

FINAL = ("written", "failed")


def handlers(resources: Resources) -> Mapping[type[Job], Handler]:
    """What is done for each message."""
    return {WriteScenarios: partial(write_scenarios, resources)}


async def look_around(resources: Resources) -> Sequence[Job]:
    """Find sets whose drafts nobody writes or has compared."""
    async with resources.engine.begin() as tx:
        await drafts.free_abandoned(tx)
        return [WriteScenarios(set_id) for set_id in await drafts.open_sets(tx)]


async def write_scenarios(resources: Resources, set_id: UUID) -> None:
    """Write what waits of the set for some 20 seconds; once all is written, compare it."""

    async def begin() -> Drafts | None:
        async with resources.engine.begin() as tx:
            set_ = await drafts.find_set(tx, set_id)
            if set_ is None:
                return None
            await drafts.add(tx, set_, Grid.model_validate(set_.grid).slots())
        if (model := resources.settings.writer) is None:
            await _give_up(resources, set_id)
            return None
        seats = resources.seats.at(OPERATOR, "writer", Caps(model.max_concurrency))
        return Drafts(set_, writer(model, set_.language, resources.chat, seats))

    await resources.slices.work(WriteScenarios(set_id), begin)
    await compare(resources, set_id)


async def compare(resources: Resources, set_id: UUID) -> None:
    """Find the near-duplicates of a set that is written; nothing while it is not, or if that was done."""
    async with resources.engine.begin() as tx:
        written = await drafts.uncompared(tx, set_id)
        found = await asyncio.to_thread(likenesses, [(draft.event, draft.question) for draft in written])
        await drafts.compare(tx, [draft.id for draft in written], found)


async def _give_up(resources: Resources, set_id: UUID) -> None:
    """There is no writer any more: say so in each draft, rather than look for ever."""
    log.error("scenarios.unwritable", set_id=str(set_id))
    message = "scenarios need a writer, and none is configured"
    async with resources.engine.begin() as tx:
        await drafts.fail_waiting(tx, set_id, _error(ChatError("not_configured", message)))


@dataclass(frozen=True)
class Drafts:
    """The drafts of a set, and who writes them."""

    set_: ScenarioSet
    writer: Writer
    of_run: bool = False

    @property
    def subject(self) -> UUID:
        """The set."""
        return self.set_.id

    @property
    def tenant_id(self) -> UUID:
        """See ``Work``."""
        return self.set_.tenant_id

    @property
    def lanes(self) -> Sequence[Lane]:
        """One writer: some drafts wait at its seats, so that none is empty while one is saved."""
        seats = self.writer.model.max_concurrency
        return (Lane("writer", seats + seats // 2 + 1),)

    @property
    def bells(self) -> Mapping[Job, float]:
        """Nobody waits for drafts."""
        return {}

    def purse(self, lease: Slice) -> Purse | None:
        """A set has no budget."""
        return None

    async def expect(self, tx: AsyncConnection) -> None:
        """Nothing: drafts are written down when a slice begins."""

    async def claim(self, tx: AsyncConnection, lane: str, slice_id: UUID, wanted: int) -> list[Claimed]:
        """See ``Work``."""
        return await drafts.claim(tx, self.set_.id, slice_id, wanted)

    async def save(self, tx: AsyncConnection, slice_id: UUID, saves: Sequence[Save]) -> list[bool]:
        """See ``Work``."""
        return await drafts.save(tx, slice_id, saves)

    async def is_left(self, tx: AsyncConnection) -> bool:
        """See ``Work``."""
        return await drafts.is_left(tx, self.set_.id)

    async def do(self, claimed: Claimed, held: Held[Save]) -> None:
        """Have it written, and save each answer as it arrives."""
        state = "waiting"

        async def save(answered: Answered) -> None:
            nonlocal state
            state = "written" if answered.draft else "failed" if answered.last else "writing"
            await held.save(self._saved(claimed, state, answered))

        last = await self._written(claimed, held.lease, save)
        if last is None and state not in FINAL:  # stopped before it was done: somebody goes on with it
            last = Save(claimed.id, "waiting")
        if last is not None:
            await held.save(last)
            state = last.state
        if state in FINAL:
            SCENARIOS.labels(state).inc()

    async def _written(self, draft: Claimed, lease: Slice, save: Callable[[Answered], Awaitable[None]]) -> Save | None:
        """Its end, where that is no answer."""
        try:
            await write(draft.slot, draft.asked, self.writer, save, lease.stopped)
        except LeaseLost:
            raise
        except Stopped as stop:
            return Save(draft.id, "waiting", usage=stop.billed)
        except ChatError as error:
            failed = self._failed(draft, error)
            # Its tries were not over where the slice was stopped meanwhile.
            return replace(failed, state="waiting") if error.retryable and lease.stopped.is_set() else failed
        except Exception:
            # Written again it would break again, for ever and at the operator's cost: the log has the reason.
            log.exception("scenario.crashed", draft_id=str(draft.id), set_id=str(self.set_.id))
            return self._failed(draft, ChatError("crashed", "the scenario broke on our side; see the log"))
        return None

    def _saved(self, draft: Claimed, state: str, answered: Answered) -> Save:
        reply = answered.reply
        return Save(
            draft.id,
            state,
            asks=1,
            usage=Usage(reply.calls, reply.prompt_tokens, reply.completion_tokens),
            draft=answered.draft,
            writer=self.writer.described if answered.draft else None,
            raw=None if answered.draft else reply.text,
            error=_malformed(answered.fault) if answered.fault and state == "failed" else None,
        )

    def _failed(self, draft: Claimed, error: ChatError) -> Save:
        log.info("scenario.failed", draft_id=str(draft.id), reason=error.code)
        return Save(draft.id, "failed", usage=error.billed or Usage(), error=_error(error))


def _malformed(fault: str) -> dict[str, str]:
    return {"code": "malformed", "message": f"The writer: {fault}"}


def _error(error: ChatError) -> dict[str, str]:
    return {"code": "writer_error", "reason": error.code, "message": f"The writer: {error.message}"}
