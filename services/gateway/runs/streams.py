"""What happens to runs, told to everybody who follows them: one watcher a process asks for all of them at once."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from esrp.api import Phase, RunStatus
from services.gateway.runs import progress
from services.gateway.runs.events import Event, events_after
from services.kit.db import many, reading, row

log = structlog.get_logger()

PAUSE = 0.2  # seconds between looks
PROGRESS = 5  # looks; so progress is told at most once a second
KEPT = 500  # events of a run; who is further behind reads them from the table


@dataclass(frozen=True, slots=True)
class Told:
    """What a follower is told: an event with its id, or progress, which has none."""

    type: str
    data: Any
    id: int | None = None


@dataclass(slots=True)
class Watch:
    """What is known of one run that is followed: its events after ``since`` up to ``until``, and its progress."""

    since: int
    until: int
    followers: int = 0
    recent: deque[Event] = field(default_factory=deque)
    progress: Mapping[str, Any] | None = None
    is_over: bool = False  # final, or removed
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, found: "Sequence[_News]", progress: Mapping[str, Any] | None) -> None:
        """Keep what a look has found, and wake all who wait if that is anything."""
        more = [Event(one.id, one.type, one.data or {}) for one in found if one.id is not None and one.type]
        is_over = bool(found) and found[0].is_over and len(more) < KEPT
        changed = bool(more) or is_over != self.is_over or (progress is not None and progress != self.progress)
        for event in more:
            self.recent.append(event)
            self.until = event.id
        while len(self.recent) > KEPT:
            self.since = self.recent.popleft().id
        self.is_over, self.progress = is_over, progress or self.progress
        if changed:
            self.news.set()
            self.news = asyncio.Event()


@dataclass(frozen=True, slots=True)
class _News:
    run_id: UUID
    is_over: bool
    id: int | None
    type: str | None
    data: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Followed:
    id: UUID
    status: RunStatus
    phase: Phase | None
    dialogues: int
    outcome: Mapping[str, Any] | None


class Streams:
    """All runs that are followed in this process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._watches: dict[UUID, Watch] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._nudge = asyncio.Event()

    def nudge(self) -> None:
        """Something has happened in this very process: look now."""
        self._nudge.set()

    async def follow(self, run_id: UUID, last: int) -> AsyncGenerator[Told, None]:
        """The run's events after ``last``, and its progress when that has changed, until it is final or removed."""
        new = self._watches.get(run_id) or await self._begun(run_id)
        with self._watch(run_id, new) as watch:
            teller = _Teller()
            while True:
                news, over = watch.news, watch.is_over
                if teller.is_due(watch.progress, over):
                    yield teller.tell(watch.progress)
                more = await self._after(watch, run_id, last)
                for event in more:
                    last = event.id
                    yield Told(event.type, event.data, event.id)
                if over and not more:
                    return
                if not more:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(teller.patience(watch.progress)):
                            await news.wait()

    async def close(self) -> None:
        """Stop watching."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    async def _begun(self, run_id: UUID) -> Watch:
        async with reading(self._engine) as tx:
            newest = await _newest(tx, run_id)
            return Watch(newest, newest, progress=(await _progress(tx, [run_id])).get(run_id))

    @contextmanager
    def _watch(self, run_id: UUID, new: Watch) -> Iterator[Watch]:
        watch = self._watches.setdefault(run_id, new)
        watch.followers += 1
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._look())
        try:
            yield watch
        finally:
            watch.followers -= 1
            if not watch.followers:
                del self._watches[run_id]

    async def _after(self, watch: Watch, run_id: UUID, last: int) -> list[Event]:
        """What a follower has not been told yet: what is kept of it, or what the table has."""
        if last >= watch.since:
            return [event for event in watch.recent if event.id > last]
        async with reading(self._engine) as tx:
            return await events_after(tx, run_id, last)

    async def _look(self) -> None:
        """As long as anybody follows."""
        look = 0
        while self._watches:
            try:
                async with asyncio.timeout(10), reading(self._engine) as tx:
                    await self._read(tx, with_progress=look % PROGRESS == 0)
            except Exception as error:  # who follows waits until Postgres is back
                log.warning("streams.unread", error=repr(error)[:200])
            look += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await self._nudge.wait()
            self._nudge.clear()

    async def _read(self, tx: AsyncConnection, *, with_progress: bool) -> None:
        """One look at all of them; who has news is woken."""
        watches = dict(self._watches)
        until = [watch.until for watch in watches.values()]
        found: dict[UUID, list[_News]] = {}
        for news in await many(tx, _News, _NEWS, runs=list(watches), until=until, most=KEPT):
            found.setdefault(news.run_id, []).append(news)
        ended = [id for id, news in found.items() if news[0].is_over]
        progress = await _progress(tx, list(watches) if with_progress else ended)
        for id, watch in watches.items():
            watch.take(found.get(id, []), progress.get(id))


class _Teller:
    """Tells one follower of progress: at most once a second, and at the end."""

    def __init__(self) -> None:
        self._told: Mapping[str, Any] | None = None
        self._next = 0.0

    def is_due(self, progress: Mapping[str, Any] | None, over: bool) -> bool:
        return progress is not None and progress != self._told and (over or time.monotonic() >= self._next)

    def tell(self, progress: Mapping[str, Any] | None) -> "Told":
        self._told, self._next = progress, time.monotonic() + PAUSE * PROGRESS
        return Told("run.progress", progress)

    def patience(self, progress: Mapping[str, Any] | None) -> float | None:
        """Seconds until what it was not told yet may be told; ``None`` if there is no such thing."""
        return None if progress == self._told else max(0.0, self._next - time.monotonic())


async def _progress(tx: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    if not ids:
        return {}
    found = await many(
        tx,
        _Followed,
        "SELECT id, status, phase, (plan ->> 'dialogues')::int AS dialogues, outcome FROM gateway.runs"
        " WHERE id = ANY(CAST(:ids AS uuid[]))",
        ids=list(ids),
    )
    far = await progress.far(tx, found)
    return {run.id: progress.progress_event(run, far[run.id]) for run in found}


async def _newest(tx: AsyncConnection, run_id: UUID) -> int:
    found = await row(tx, "SELECT max(id) AS id FROM gateway.events WHERE run_id = :run", run=run_id)
    return 0 if found is None or found["id"] is None else int(found["id"])


# One statement sees the end of a run and its last event together.
_NEWS = """
    SELECT w.run_id, r.id IS NULL OR r.finished_at IS NOT NULL AS is_over, e.id, e.type, e.data
    FROM unnest(CAST(:runs AS uuid[]), CAST(:until AS bigint[])) AS w(run_id, until)
    LEFT JOIN gateway.runs r ON r.id = w.run_id
    LEFT JOIN LATERAL (
        SELECT id, type, data FROM gateway.events WHERE run_id = w.run_id AND id > w.until ORDER BY id LIMIT :most
    ) e ON true
    WHERE e.id IS NOT NULL OR r.id IS NULL OR r.finished_at IS NOT NULL ORDER BY e.id
"""
