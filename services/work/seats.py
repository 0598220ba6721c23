"""The doors to endpoints: how many calls are in flight at each, agreed by all workers through Postgres.

A worker lets its calls in as far as it was granted seats; a few times a second it says what it heard and is
granted anew. What is granted over all workers never exceeds the endpoint's pace, nor its hard caps.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from uuid import UUID, uuid4

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kit.chat import Attempt, ChatError, Reply, Stopped
from services.kit.db import FAILURES, count, json, row
from services.work.pace import Cause, Heard, Pace, adjusted, refilled, shares

log = structlog.get_logger()

OPERATOR = UUID(int=0)  # whose the endpoints of the configuration are
PAUSE = 0.25  # seconds between agreements; one is two statements, some 2 ms
SOONEST = 0.05
SILENT = 5  # seconds after which a worker that says nothing has lost its seats
FORGOTTEN = 60  # seconds without a call after which an endpoint is approached anew
# A refused call's seat stays empty until 20 others were answered: a jam that the debounce does not cut yet is met by
# five refusals in a hundred calls at most.
RECOVERY = 0.05
# Seconds for which nobody enters after a refusal that left no seat, where the endpoint does not say how long itself.
SHUT, LONGEST_SHUT = 1.0, 60.0
IDLE = 8  # agreements without a call after which a worker gives its seats back


@dataclass(frozen=True, slots=True)
class Caps:
    """Hard limits of an endpoint over all workers: calls in flight, calls and tokens a minute."""

    in_flight: int
    calls_per_minute: int | None = None
    tokens_per_minute: int | None = None


class AllSeats:
    """All seats of one process of a service, whose schema holds what is agreed."""

    def __init__(self, engine: AsyncEngine, schema: str) -> None:
        self._engine, self._schema = engine, schema
        self._all: dict[str, Seats] = {}

    def at(self, tenant_id: UUID, endpoint: str, caps: Caps) -> "Seats":
        """The seats at a tenant's endpoint; the newest caller's caps hold."""
        key = f"{tenant_id} {endpoint}"
        seats = self._all.get(key)
        if seats is None:
            seats = self._all[key] = Seats(self._engine, self._schema, tenant_id, endpoint, caps)
        seats.caps = caps
        return seats

    async def close(self) -> None:
        """Give all seats back."""
        for seats in self._all.values():
            await seats.close()


@dataclass(slots=True)
class _Waiting:
    entered: asyncio.Future[float]
    stopped: asyncio.Event | None


class Seats:
    """One endpoint's seats in one process. Calls wait here, first come first served, until there is a seat."""

    def __init__(self, engine: AsyncEngine, schema: str, tenant_id: UUID, endpoint: str, caps: Caps) -> None:
        self.caps = caps
        self._engine, self._schema = engine, schema
        self._tenant_id, self._endpoint, self._worker = tenant_id, endpoint, uuid4()
        self._waiting: deque[_Waiting] = deque()
        self._busy = self._granted = self._limit = 0
        self._calls = self._tokens = 0.0  # what may still begin before the next agreement, under the rates
        self._mean = 500.0  # tokens a call, as far as known
        self._usable = 0.0  # seats of those granted that were not lost to refusals
        self._shut_until = 0.0  # of the event loop's clock
        self._answered, self._seconds, self._refused = 0, 0.0, 0
        self._saturated = False
        self._keeper: asyncio.Task[None] | None = None
        self._stir = asyncio.Event()

    async def call(self, attempt: Attempt, stopped: asyncio.Event | None) -> Reply:
        """Make the attempt once there is a seat; ``Stopped`` if none is wanted any more."""
        taken, tokens = await self._enter(stopped), 0
        try:
            reply = await attempt()
            tokens = reply.prompt_tokens + reply.completion_tokens
            self._answered += 1
            self._seconds += reply.seconds
            self._usable = min(self._granted, self._usable + RECOVERY)
            return reply
        except ChatError as error:
            if error.billed is not None:
                tokens = error.billed.prompt_tokens + error.billed.completion_tokens
            if error.code == "rate_limited" and error.retryable:
                self._refusal(SHUT if error.retry_after is None else min(error.retry_after, LONGEST_SHUT))
            raise
        finally:
            self._tokens += taken - tokens
            if tokens:
                self._mean += (tokens - self._mean) / 20
            self._busy -= 1
            self._let_in()

    async def close(self) -> None:
        """Give the seats back."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(*FAILURES, asyncio.CancelledError):
                await self._keeper
            with suppress(*FAILURES):
                await self._leave()

    # --- in and out ---------------------------------------------------------------------------------------------------

    async def _enter(self, stopped: asyncio.Event | None) -> float:
        """Wait for a seat; returns the tokens that are held back for the call."""
        if stopped is not None and stopped.is_set():
            raise Stopped
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        if not self._waiting and self._is_open():
            return self._take()
        waiting = _Waiting(asyncio.get_running_loop().create_future(), stopped)
        self._waiting.append(waiting)
        self._saturated = True
        try:
            return await waiting.entered
        except asyncio.CancelledError:
            if waiting.entered.done() and not waiting.entered.cancelled() and waiting.entered.exception() is None:
                self._busy -= 1  # let in, and gone in the same moment
                self._let_in()
            raise

    def _is_open(self) -> bool:
        return (
            self._busy < min(self._granted, max(1, int(self._usable)))
            and asyncio.get_running_loop().time() >= self._shut_until
            and (self.caps.calls_per_minute is None or self._calls >= 1)
            and (self.caps.tokens_per_minute is None or self._tokens > 0)
        )

    def _take(self) -> float:
        self._busy += 1
        self._calls -= 1
        self._tokens -= self._mean
        return self._mean

    def _let_in(self) -> None:
        while self._waiting and self._is_open():
            first = self._waiting.popleft()
            if first.entered.done():
                continue
            if first.stopped is not None and first.stopped.is_set():
                first.entered.set_exception(Stopped())
                continue
            first.entered.set_result(self._take())
        if self._waiting and self._answered >= self._limit < self.caps.in_flight:
            self._stir.set()  # a full round at this limit: time to look whether it pays to have more

    def _refusal(self, seconds: float) -> None:
        self._refused += 1
        self._usable = min(self._usable, self._busy - 1)
        if self._usable < 1:  # the one seat that is always left must not be tried by one call after the other
            loop = asyncio.get_running_loop()
            self._shut_until = loop.time() + seconds
            loop.call_at(self._shut_until, self._let_in)
        self._stir.set()

    def _send_away(self) -> None:
        """Those who wait for nothing any more."""
        staying: deque[_Waiting] = deque()
        for waiting in self._waiting:
            if waiting.stopped is None or not waiting.stopped.is_set():
                staying.append(waiting)
            elif not waiting.entered.done():
                waiting.entered.set_exception(Stopped())
        self._waiting = staying

    # --- the agreement ------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Agree with the others while there are calls; then give the seats back."""
        idle, heard_at = 0, 0.0
        while True:
            await asyncio.sleep(max(0.0, heard_at + SOONEST - time.monotonic()))
            self._stir.clear()
            heard_at = time.monotonic()
            try:
                await self._agree()
            except FAILURES as error:  # Postgres restarts: what was granted still holds
                log.warning("seats.unheard", endpoint=self._endpoint, error=repr(error)[:200])
            self._send_away()
            self._let_in()
            idle = 0 if self._busy or self._waiting else idle + 1
            if idle > IDLE:
                self._granted = 0
                with suppress(*FAILURES):
                    await self._leave()
                if not (self._busy or self._waiting):
                    self._keeper = None
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE):
                    await self._stir.wait()

    async def _agree(self) -> None:
        async with self._engine.begin() as tx:
            shared = await self._shared(tx)
            heard = self._heard(shared)
            cap = min([self.caps.in_flight, *(seats["cap"] for seats in shared["others"])])
            fresh = shared["pace"] is None
            pace, cause = adjusted(Pace(**(shared["pace"] or {"changed_at": shared["now"]})), heard, shared["now"], cap)
            granted = self._grant(min(pace.limit, cap), shared["others"])
            calls = _Allowance.of(shared, "calls", self.caps.calls_per_minute, self._calls, self._wanted)
            allowed = self.caps.tokens_per_minute
            tokens = _Allowance.of(shared, "tokens", allowed, self._tokens, self._wanted * self._mean)
            await self._write(tx, pace, cap, granted, calls=calls.left, tokens=tokens.left)
            if fresh or cause:
                await self._remember(tx, pace, cap, "started" if fresh else cause)
        self._usable = granted if cause == "refused" else min(granted, self._usable + max(0, granted - self._granted))
        self._limit, self._granted = pace.limit, granted
        self._calls += calls.more  # added, for calls may have begun meanwhile
        self._tokens += tokens.more

    @property
    def _wanted(self) -> int:
        return self._busy + len(self._waiting)

    def _heard(self, shared: RowMapping) -> Heard:
        """What is told now, and is not told again."""
        others = sum(seats["granted"] for seats in shared["others"])
        saturated = self._saturated and self._wanted >= self._granted
        heard = Heard(self._answered, self._seconds, self._refused, int(self._usable) + others, saturated)
        self._answered, self._seconds, self._refused = 0, 0.0, 0
        self._saturated = bool(self._waiting)
        return heard

    def _grant(self, limit: int, others: list[Mapping[str, int]]) -> int:
        """Our part, as far as the others have not still more than theirs."""
        wanted = {str(place): seats["wanted"] for place, seats in enumerate(others)} | {"": self._wanted}
        free = limit - sum(seats["granted"] for seats in others)
        return max(min(shares(limit, wanted)[""], free), 0)

    async def _shared(self, tx: AsyncConnection) -> RowMapping:
        """What is agreed so far; the row is locked. Forgotten after a minute without calls."""
        read = f"""
            SELECT CASE WHEN p.heard_at > now() - interval '{FORGOTTEN} s' THEN p.pace END AS pace,
                p.calls_left, p.tokens_left, extract(epoch FROM clock_timestamp())::float8 AS now,
                extract(epoch FROM clock_timestamp() - p.heard_at)::float8 AS elapsed,
                coalesce((SELECT jsonb_agg(jsonb_build_object('granted', s.granted, 'wanted', s.wanted, 'cap', s.cap)
                    ORDER BY s.worker) FROM {self._schema}.seats s WHERE s.tenant_id = p.tenant_id
                    AND s.endpoint = p.endpoint AND s.worker <> :worker
                    AND s.heard_at > now() - interval '{SILENT} s'), '[]') AS others
            FROM {self._schema}.pacing p WHERE p.tenant_id = :tenant AND p.endpoint = :endpoint"""
        names = {"tenant": self._tenant_id, "endpoint": self._endpoint}
        # Locked by a statement of its own: one that waits for a lock sees other tables as they were before.
        lock = f"SELECT 1 FROM {self._schema}.pacing WHERE tenant_id = :tenant AND endpoint = :endpoint FOR UPDATE"
        if await row(tx, lock, **names) is None:
            await count(
                tx,
                f"INSERT INTO {self._schema}.pacing (tenant_id, endpoint, calls_left, tokens_left)"
                " VALUES (:tenant, :endpoint, 1, 1) ON CONFLICT DO NOTHING",
                **names,
            )
            await row(tx, lock, **names)
        found = await row(tx, read, worker=self._worker, **names)
        assert found is not None
        return found

    async def _write(
        self, tx: AsyncConnection, pace: Pace, cap: int, granted: int, *, calls: float, tokens: float
    ) -> None:
        await count(
            tx,
            f"""
            WITH seats AS (
                INSERT INTO {self._schema}.seats (tenant_id, endpoint, worker, granted, wanted, cap, heard_at)
                VALUES (:tenant, :endpoint, :worker, :granted, :wanted, :own_cap, now())
                ON CONFLICT (tenant_id, endpoint, worker) DO UPDATE SET granted = excluded.granted,
                    wanted = excluded.wanted, cap = excluded.cap, heard_at = excluded.heard_at)
            UPDATE {self._schema}.pacing SET pace = CAST(:pace AS jsonb), calls_left = :calls, tokens_left = :tokens,
                heard_at = clock_timestamp() WHERE tenant_id = :tenant AND endpoint = :endpoint""",
            tenant=self._tenant_id,
            endpoint=self._endpoint,
            worker=self._worker,
            granted=max(granted, self._busy),  # what is in flight cannot be taken back
            wanted=self._wanted,
            own_cap=self.caps.in_flight,
            pace=json(asdict(pace)),
            calls=calls,
            tokens=tokens,
        )

    async def _remember(self, tx: AsyncConnection, pace: Pace, cap: int, cause: Cause | None) -> None:
        await count(
            tx,
            f'INSERT INTO {self._schema}.pace_changes (tenant_id, endpoint, "limit", cause)'
            " VALUES (:tenant, :endpoint, :limit, :cause)",
            tenant=self._tenant_id,
            endpoint=self._endpoint,
            limit=min(pace.limit, cap),
            cause=cause,
        )

    async def _leave(self) -> None:
        async with self._engine.begin() as tx:
            await count(
                tx,
                f"DELETE FROM {self._schema}.seats WHERE worker = :worker"
                " OR heard_at < now() - interval '1 minute' AND tenant_id = :tenant AND endpoint = :endpoint",
                worker=self._worker,
                tenant=self._tenant_id,
                endpoint=self._endpoint,
            )


@dataclass(frozen=True, slots=True)
class _Allowance:
    """Under a rate: what is left for all, and how much more we may use than we have in hand."""

    left: float
    more: float

    @classmethod
    def of(cls, shared: RowMapping, name: str, per_minute: int | None, in_hand: float, wanted: float) -> "_Allowance":
        """What we have in hand goes back first, then we take what we want of all that is there."""
        if per_minute is None:
            return cls(0.0, 0.0)
        there = refilled(shared[f"{name}_left"] + in_hand, per_minute, shared["elapsed"])
        ours = min(there, wanted)
        return cls(there - ours, ours - in_hand)
