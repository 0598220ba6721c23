"""What the generator does for a scenario set: write its drafts under a lease, then compare them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import RowMapping

from esrp.grid import Grid
from esrp.similarity import likenesses
from services.generator import drafts
from services.generator.drafts import Claimed, Save
from services.generator.resources import Resources
from services.generator.writing import Answered, Writer, write, writer
from services.jobs import WriteScenarios
from services.kit.chat import ChatError, Stopped, Usage
from services.kit.db import FAILURES, is_away
from services.kit.group_commit import GroupCommit
from services.kit.queue import Job
from services.kit.worker import Handler
from services.work.lease import Slice
from services.work.seats import OPERATOR, Caps

log = structlog.get_logger()

SCENARIOS = Counter("esrp_generator_scenarios_total", "Scenario drafts that ended", ["state"])

FINAL = ("written", "failed")
SEATS = 256  # drafts one slice has in work at once
GATHER = 0.01  # seconds: drafts that end together are replaced by one claim


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
    async with resources.engine.begin() as tx:
        set_ = await drafts.find_set(tx, set_id)
        if set_ is None:
            return
        await drafts.add(tx, set_, Grid.model_validate(set_["grid"]).slots())
    if (model := resources.settings.writer) is None:
        await _give_up(resources, set_id)
    else:
        seats = resources.seats.at(OPERATOR, "writer", Caps(model.max_concurrency))
        desk = Desk(resources, set_, writer(model, set_["language"], resources.chat, seats))
        async with Slice(resources.engine, "generator", set_id, set_["tenant_id"], of_run=False).held() as lease:
            successor = asyncio.create_task(_succeeded(resources, lease))
            try:
                await desk.work(lease)
            finally:
                successor.cancel()
    await compare(resources, set_id)


async def compare(resources: Resources, set_id: UUID) -> None:
    """Find the near-duplicates of a set that is written; nothing while it is not, or if that was done."""
    async with resources.engine.begin() as tx:
        written = await drafts.uncompared(tx, set_id)
        found = await asyncio.to_thread(likenesses, [(draft["event"], draft["question"]) for draft in written])
        await drafts.compare(tx, [draft["id"] for draft in written], found)


async def _succeeded(resources: Resources, lease: Slice) -> None:
    """Ring the next slice as soon as this one's time is up, while its calls in flight still drain."""
    await lease.stopped.wait()
    if lease.expired:
        await resources.queue.ring(WriteScenarios(lease.run_id))


async def _give_up(resources: Resources, set_id: UUID) -> None:
    """There is no writer any more: say so in each draft, rather than look for ever."""
    log.error("scenarios.unwritable", set_id=str(set_id))
    message = "scenarios need a writer, and none is configured"
    async with resources.engine.begin() as tx:
        await drafts.fail_waiting(tx, set_id, _error(ChatError("not_configured", message)))


@dataclass(frozen=True)
class Desk:
    """One slice of one set at work."""

    resources: Resources
    set_: RowMapping
    writer: Writer

    async def work(self, lease: Slice) -> None:
        """Claim, write and save until nothing waits or the slice is stopped; then let the calls in flight end."""
        saver: GroupCommit[Save, bool] = GroupCommit(self._save)
        writing: set[asyncio.Task[None]] = set()
        try:
            while True:
                if not lease.stopped.is_set():
                    for draft in await self._claim(lease, SEATS - len(writing)):
                        writing.add(asyncio.create_task(self._one(draft, saver, lease)))
                if not writing:
                    return
                done, writing = await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                await asyncio.sleep(GATHER)
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)

    async def _one(self, draft: Claimed, saver: GroupCommit[Save, bool], lease: Slice) -> None:
        state = "waiting"
        last: Save | None = None

        async def save(answered: Answered) -> None:
            nonlocal state
            state = "written" if answered.draft else "failed" if answered.last else "writing"
            if not await saver.save(self._saved(draft, lease, state, answered)):
                raise LeaseLost

        try:
            await write(draft.slot, draft.asked, self.writer, save, lease.stopped)
            if state not in FINAL:  # stopped before it was done: somebody goes on with it
                last = Save(draft.id, lease.id, "waiting")
        except LeaseLost:
            log.warning("scenario.lost", draft_id=str(draft.id), set_id=str(self.set_["id"]))
            return
        except Stopped as stop:
            last = Save(draft.id, lease.id, "waiting", usage=stop.billed)
        except ChatError as error:
            last = self._failed(draft, lease, error)
            if error.retryable and lease.stopped.is_set():  # its tries were not over
                last = replace(last, state="waiting")
        except Exception:
            # Written again it would break again, for ever and at the operator's cost: the log has the reason.
            log.exception("scenario.crashed", draft_id=str(draft.id), set_id=str(self.set_["id"]))
            last = self._failed(draft, lease, ChatError("crashed", "the scenario broke on our side; see the log"))
        if last is not None:
            await saver.save(last)
            state = last.state
        if state in FINAL:
            SCENARIOS.labels(state).inc()

    def _saved(self, draft: Claimed, lease: Slice, state: str, answered: Answered) -> Save:
        reply = answered.reply
        return Save(
            draft.id,
            lease.id,
            state,
            asks=1,
            usage=Usage(reply.calls, reply.prompt_tokens, reply.completion_tokens),
            draft=answered.draft,
            writer=self.writer.described if answered.draft else None,
            raw=None if answered.draft else reply.text,
            error=_malformed(answered.fault) if answered.fault and state == "failed" else None,
        )

    def _failed(self, draft: Claimed, lease: Slice, error: ChatError) -> Save:
        log.info("scenario.failed", draft_id=str(draft.id), reason=error.code)
        return Save(draft.id, lease.id, "failed", usage=error.billed or Usage(), error=_error(error))

    async def _claim(self, lease: Slice, wanted: int) -> list[Claimed]:
        try:
            async with self.resources.engine.begin() as tx:
                cap = self.writer.model.max_concurrency
                return await drafts.claim(tx, self.set_["id"], lease.id, wanted=wanted, cap=cap)
        except FAILURES as error:  # calls in flight are paid for: they go on while Postgres restarts
            log.warning("scenarios.unclaimed", set_id=str(self.set_["id"]), error=repr(error)[:200])
            return []

    async def _save(self, saves: Sequence[Save]) -> list[bool]:
        """Save through a restart of Postgres: what was paid for is worth waiting for."""
        while True:
            try:
                async with self.resources.engine.begin() as tx:
                    return await drafts.save(tx, saves)
            except FAILURES as error:
                if not is_away(error):
                    raise
                log.warning("scenarios.unsaved", count=len(saves), error=repr(error)[:200])
                await asyncio.sleep(0.5)


class LeaseLost(Exception):
    """Somebody else writes the draft now: our answer is not kept."""


def _malformed(fault: str) -> dict[str, str]:
    return {"code": "malformed", "message": f"The writer: {fault}"}


def _error(error: ChatError) -> dict[str, str]:
    return {"code": "writer_error", "reason": error.code, "message": f"The writer: {error.message}"}
