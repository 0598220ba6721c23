"""The one work loop: what waits is claimed under a lease, done and saved, until nothing waits or the time is up."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kit.db import FAILURES, is_away
from services.kit.group_commit import GroupCommit
from services.kit.queue import Chime, Job, Queue
from services.work.budget import Errand, Purse
from services.work.lease import Leases, Slice
from services.work.published import PlayedRun

log = structlog.get_logger()

GATHER = 0.01  # seconds: pieces that end together are replaced by one claim
LOOK = 0.5  # seconds between looks at what others may have freed
# Pieces that a process holds at once over all its slices; one is a task of some 10 KB. Shared evenly, each has a few.
ROOM, LEAST = 4096, 8
GROUP = 8  # a claim waits until an eighth of the places is free: some pieces wait for a seat, so that none is empty

Claimed = TypeVar("Claimed")
Save = TypeVar("Save")


class LeaseLost(Exception):
    """Somebody else does the piece now: what we have of it is not written."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One of those who do the work, a judge say, and how many pieces it holds at once. A slow one holds up no other."""

    name: str
    width: int


class Work(Protocol[Claimed, Save]):
    """What a slice is about: dialogues to be played, verdicts to be given, scenarios to be written."""

    @property
    def subject(self) -> UUID:
        """The run, or the set of scenarios, whose pieces they are."""

    @property
    def tenant_id(self) -> UUID:
        """Whose."""

    @property
    def of_run(self) -> bool:
        """Whether the subject is a run, which can be cancelled."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """Who does it."""

    @property
    def bells(self) -> Mapping[Job, float]:
        """Who is told while pieces end, at most every so many seconds, and once more at the slice's end."""

    def purse(self, lease: Slice) -> Purse | None:
        """What may be spent, if there is a limit."""

    async def expect(self, tx: AsyncConnection) -> None:
        """Write down what is to be done and is not yet."""

    async def claim(self, tx: AsyncConnection, lane: str, slice_id: UUID, wanted: int) -> list[Claimed]:
        """Lease what waits for a lane."""

    async def do(self, claimed: Claimed, held: "Held[Save]") -> None:
        """Do the piece and save how far it came. Faults of models are saved, and never raised."""

    async def save(self, tx: AsyncConnection, slice_id: UUID, saves: Sequence[Save]) -> list[bool]:
        """Save, fenced by the lease; says of each whether it was still ours."""

    async def is_left(self, tx: AsyncConnection) -> bool:
        """Whether something waits for somebody."""


@dataclass(frozen=True)
class RunWork:
    """What all work on a run has in common."""

    run: PlayedRun

    @property
    def subject(self) -> UUID:
        """The run."""
        return self.run.id

    @property
    def tenant_id(self) -> UUID:
        """See ``Work``."""
        return self.run.tenant_id

    @property
    def of_run(self) -> bool:
        """Yes."""
        return True

    def purse(self, lease: Slice) -> Purse | None:
        """The run's budget."""
        return Purse(lease, self.run) if self.run.budget else None


@dataclass(frozen=True, slots=True)
class Held(Generic[Save]):
    """A piece in our hands: on whose behalf calls are made for it, and how what came of them is kept."""

    errand: Errand
    lease: Slice
    saver: GroupCommit[Save, bool]

    async def save(self, save: Save) -> None:
        """Keep it; then its calls count as spent. ``LeaseLost`` if the piece is not ours any more."""
        if not await self.saver.save(save):
            raise LeaseLost
        self.errand.settle()


@dataclass(eq=False)
class Bench:
    """A slice that this process is at: ``rung`` says that it was rung for again, ``stir`` that there is news."""

    rung: bool = True
    stir: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self) -> None:
        """There may be more to do."""
        self.rung = True
        self.stir.set()


class Slices:
    """The slices that a process is at: at most one for a job, for one that is rung again looks again."""

    def __init__(self, engine: AsyncEngine, queue: Queue, schema: str) -> None:
        self.engine, self.queue = engine, queue
        self._leases = Leases(engine, schema)
        self.benches: dict[Job, Bench] = {}

    @property
    def room(self) -> int:
        """How many pieces each slice may hold."""
        return max(LEAST, ROOM // max(1, len(self.benches)))

    async def work(self, job: Job, begin: Callable[[], Awaitable[Work[Claimed, Save] | None]]) -> bool:
        """Work a slice of what ``begin`` finds; false if there was nothing, or this process is at it already."""
        if (bench := self.benches.get(job)) is not None:
            bench.ring()
            return False
        bench = self.benches[job] = Bench()
        try:
            if (work := await begin()) is None:
                return False
            async with AsyncExitStack() as stack:
                hold = self._leases.hold(work.subject, work.tenant_id, of_run=work.of_run, stir=bench.stir)
                lease = await stack.enter_async_context(hold)
                chimes = [
                    await stack.enter_async_context(Chime(self.queue, bell, pause=pause))
                    for bell, pause in work.bells.items()
                ]
                await _Loop(self, job, work, bench, lease, chimes).run()
        finally:
            self.leave(job, bench)
        return True

    def leave(self, job: Job, bench: Bench) -> None:
        """From here on a bell starts a new slice; after the time is up another one may be worked already."""
        if self.benches.get(job) is bench:
            del self.benches[job]


class _Loop(Generic[Claimed, Save]):
    """One slice at work."""

    def __init__(
        self,
        slices: Slices,
        job: Job,
        work: Work[Claimed, Save],
        bench: Bench,
        lease: Slice,
        chimes: Sequence[Chime],
    ) -> None:
        self._slices, self._job, self._work, self._bench = slices, job, work, bench
        self._lease, self._chimes = lease, chimes
        self._saver: GroupCommit[Save, bool] = GroupCommit(self._write)
        self._purse = work.purse(lease)
        self._busy: Counter[str] = Counter()
        self._dry: set[str] = set()  # lanes for which nothing more was waiting at the last claim
        self._looked_at = 0.0

    async def run(self) -> None:
        """Claim, do and save until nothing waits or the slice is stopped; then let the calls in flight end."""
        async with asyncio.TaskGroup() as pieces:
            while not self._lease.stopped.is_set() and await self._begin(pieces):
                await self._news()
            self._slices.leave(self._job, self._bench)
            if self._lease.expired:
                await self._slices.queue.ring(self._job)

    async def _begin(self, pieces: asyncio.TaskGroup) -> bool:
        """Begin what is ours to begin; false once there is nothing left to wait for."""
        self._bench.stir.clear()
        try:
            await self._look()
            for lane in self._work.lanes:
                for claimed in await self._claimed(lane):
                    self._busy[lane.name] += 1
                    pieces.create_task(self._one(lane.name, claimed))
            return self._busy.total() > 0 or self._bench.rung or await self._is_left()
        except FAILURES as error:  # calls in flight are paid for: they go on while Postgres restarts
            log.warning("work.unclaimed", job=type(self._job).__name__, subject=str(self._job.subject),
                error=repr(error)[:200])  # fmt: skip
            self._bench.rung = True
            return True

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._bench.rung:
            self._bench.rung = False
            async with self._slices.engine.begin() as tx:
                await self._work.expect(tx)
        elif now - self._looked_at < LOOK:
            return
        self._looked_at = now
        self._dry.clear()

    async def _claimed(self, lane: Lane) -> list[Claimed]:
        room = self._slices.room
        wanted = min(lane.width - self._busy[lane.name], room - self._busy.total())
        few = wanted < min(lane.width, room) // GROUP and self._busy[lane.name] > 0
        if wanted <= 0 or lane.name in self._dry or few:
            return []
        async with self._slices.engine.begin() as tx:
            claimed = await self._work.claim(tx, lane.name, self._lease.id, wanted)
        if len(claimed) < wanted:
            self._dry.add(lane.name)
        return claimed

    async def _is_left(self) -> bool:
        async with self._slices.engine.begin() as tx:
            return await self._work.is_left(tx)

    async def _news(self) -> None:
        """A piece ended, the bell rang, the slice was stopped, or it is time to look at what others have freed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await self._bench.stir.wait()
                await asyncio.sleep(GATHER)

    async def _one(self, lane: str, claimed: Claimed) -> None:
        errand = Errand(self._lease.stopped, self._purse, of=self._lease.subject)
        held = Held(errand, self._lease, self._saver)
        try:
            await self._work.do(claimed, held)
            for chime in self._chimes:
                chime.news()
        except LeaseLost:
            log.warning("work.lost", job=type(self._job).__name__, subject=str(self._job.subject),
                id=str(getattr(claimed, "id", None)))  # fmt: skip
        finally:
            self._busy[lane] -= 1
            self._bench.stir.set()

    async def _write(self, saves: Sequence[Save]) -> list[bool]:
        """Save through a restart of Postgres: what was paid for is worth waiting for."""
        while True:
            try:
                async with self._slices.engine.begin() as tx:
                    return await self._work.save(tx, self._lease.id, saves)
            except FAILURES as error:
                if not is_away(error):
                    raise
                log.warning("work.unsaved", job=type(self._job).__name__, count=len(saves), error=repr(error)[:200])
                await asyncio.sleep(0.5)
