"""The doors to endpoints: how many calls are in flight at each, agreed by all workers through Postgres.

A worker lets its calls in as far as it was granted seats; a few times a second, and at once while there is something to
decide, it says what it heard and is granted anew. What is granted over all workers never exceeds the endpoint's pace,
nor its hard caps.
"""

import asyncio
import time
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit.chat import Attempt, Stopped
from services.kit.db import FAILURES
from services.kit.endpoint import ChatError, Reply
from services.kit.quota import Quota
from services.work.ledger import Book, Granted, Ledger
from services.work.pace import Heard, Pace, adjusted, shares
from services.work.turns import Turns

log = structlog.get_logger()

OPERATOR = UUID(int=0)  # whose the endpoints of the configuration are
PAUSE = 0.25  # seconds between agreements; one is two statements, some 2 ms
QUICK = 0.1  # the same while a rate gives the pace: what it fills in a quarter of a second is all that it holds
SOONEST = 0.05
GATHER = 0.01  # answers that come together are heard together
# Seconds for which nobody enters once every call is refused, where the endpoint does not say how long itself.
SHUT, LONGEST_SHUT = 1.0, 60.0
ALL_REFUSED = 3  # refusals in a row, and none in flight that may be answered
CONTRADICTED = 3  # answers since "none is left" that say so again: then it is not so, and not believed any more
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


@dataclass(frozen=True, slots=True)
class _Taken:
    """A seat: the era of the pace that it was taken in, and the tokens held back for it."""

    era: int
    tokens: float


@dataclass(slots=True)
class _Waiting:
    entered: asyncio.Future[_Taken]
    stopped: asyncio.Event | None

    @property
    def is_stopped(self) -> bool:
        return self.stopped is not None and self.stopped.is_set()


@dataclass(slots=True)
class _News:
    """What was heard since the last agreement, of calls of the present era."""

    begun: int = 0
    answered: int = 0
    seconds: float = 0.0
    refused: int = 0
    borne: int = 0
    saturated: bool = False
    paced: bool = False


class Seats:
    """One endpoint's seats in one process. Calls wait here until there is a seat: those for one run, or whomever they
    are for, first come first served, and those for several in turn."""

    def __init__(self, engine: AsyncEngine, schema: str, tenant_id: UUID, endpoint: str, caps: Caps) -> None:
        self.caps = caps
        self._endpoint = endpoint
        self._ledger = Ledger(engine, schema, tenant_id, endpoint)
        self._waiting: Turns[_Waiting] = Turns()
        self._pace = Pace()  # as last agreed
        self._busy = self._granted = 0
        # Seats of refused calls, kept empty for as long as an answered call takes: until the pace is lowered, a full
        # endpoint is not asked more often than one that answers.
        self._empty = 0
        self._typical: float | None = None  # seconds of an answered call
        self._taken = 0  # calls in flight at the last refusal
        self._in_a_row = 0  # refusals without an answer
        self._scouting = False  # everything was refused: one call tries, and its answer opens for the others
        self._calls = self._tokens = 0.0  # what may still begin before the next agreement, under the rates
        self._calls_paced = self._tokens_paced = False
        self._mean = 500.0  # tokens a call, as far as known
        self._quota: Quota | None = None  # as last told
        self._none_left_until = self._shut_until = 0.0  # of the event loop's clock
        self._contradictions = 0
        self._news = _News()
        self._keeper: asyncio.Task[None] | None = None
        self._stir = asyncio.Event()

    async def call(self, attempt: Attempt, stopped: asyncio.Event | None, of: Hashable = None) -> Reply:
        """Make the attempt once there is a seat; ``Stopped`` if none is wanted any more.

        ``of`` is whom the call is for: who wants many calls does not keep the others waiting.
        """
        taken, tokens = await self._enter(stopped, of), 0
        try:
            reply = await attempt()
            tokens = reply.prompt_tokens + reply.completion_tokens
            self._answer(reply, taken)
            return reply
        except ChatError as error:
            if error.billed is not None:
                tokens = error.billed.prompt_tokens + error.billed.completion_tokens
            if error.code == "rate_limited" and error.retryable:
                self._refusal(error, taken)
            else:
                self._in_a_row, self._scouting = 0, False
            raise
        finally:
            self._tokens += (taken.tokens - tokens) if self._tokens_paced else 0.0
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
                await self._ledger.leave()

    # --- in and out ---------------------------------------------------------------------------------------------------

    async def _enter(self, stopped: asyncio.Event | None, of: Hashable) -> _Taken:
        """Wait for a seat."""
        if stopped is not None and stopped.is_set():
            raise Stopped
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())
        if not self._waiting and self._is_open():
            return self._take()
        waiting = _Waiting(asyncio.get_running_loop().create_future(), stopped)
        self._waiting.join(of, waiting)
        self._notice_who_waits()
        try:
            return await waiting.entered
        except asyncio.CancelledError:
            if waiting.entered.done() and not waiting.entered.cancelled() and waiting.entered.exception() is None:
                self._busy -= 1  # let in, and gone in the same moment
                self._let_in()
            raise

    def _is_open(self) -> bool:
        return (
            self._has_seat()
            and asyncio.get_running_loop().time() >= self._shut_until
            and (not self._calls_paced or self._calls >= 1)
            and (not self._tokens_paced or self._tokens > 0)
        )

    def _has_seat(self) -> bool:
        return self._busy == 0 < self._granted if self._scouting else self._busy + self._empty < self._granted

    def _take(self) -> _Taken:
        self._busy += 1
        self._news.begun += 1
        self._calls -= 1 if self._calls_paced else 0
        self._tokens -= self._mean if self._tokens_paced else 0
        return _Taken(self._pace.era, self._mean)

    def _let_in(self) -> None:
        while self._waiting and self._is_open():
            first = self._waiting.next()
            if first.entered.done():
                continue
            if first.is_stopped:
                first.entered.set_exception(Stopped())
                continue
            first.entered.set_result(self._take())
        self._notice_who_waits()

    def _notice_who_waits(self) -> None:
        if not self._waiting:
            return
        if self._has_seat():
            self._news.paced |= self._calls_paced and self._calls < 1
        else:
            self._news.saturated = True
        if self._is_worth_a_look():
            self._stir.set()

    def _is_worth_a_look(self) -> bool:
        """While each answer admits one more, that is any; else some calls of a trial, or a round of calls."""
        pace, news = self._pace, self._news
        if pace.trial is not None:
            return news.answered + news.refused >= max(8, pace.limit // 2)
        if pace.limit >= self.caps.in_flight:
            return False
        return news.answered >= (1 if pace.doubling else max(8, pace.limit))

    def _send_away(self) -> None:
        """Those who wait for nothing any more."""

        def is_wanted(waiting: _Waiting) -> bool:
            if waiting.is_stopped and not waiting.entered.done():
                waiting.entered.set_exception(Stopped())
            return not waiting.is_stopped

        self._waiting.keep(is_wanted)

    # --- what comes back ----------------------------------------------------------------------------------------------

    def _answer(self, reply: Reply, taken: _Taken) -> None:
        self._in_a_row, self._scouting = 0, False
        self._typical = reply.seconds if self._typical is None else self._typical + (reply.seconds - self._typical) / 20
        self._news.borne = max(self._news.borne, self._busy)
        if taken.era == self._pace.era:
            self._news.answered += 1
            self._news.seconds += reply.seconds
        self._hear_quota(reply.quota)

    def _refusal(self, error: ChatError, taken: _Taken) -> None:
        """It keeps its seat for a while; the pace is asked, where refusals are more than the usual."""
        self._in_a_row += 1
        self._hear_quota(error.quota)
        if (self._in_a_row >= ALL_REFUSED and self._busy == 1) or self._scouting:
            self._scouting = True
            self._shut(SHUT if error.retry_after is None else error.retry_after)
        if taken.era != self._pace.era:
            return
        news = self._news
        news.refused += 1
        self._taken = self._busy - 1
        self._empty += 1
        asyncio.get_running_loop().call_later(self._typical or SHUT, self._fill, taken.era)
        if news.refused > 1 + 2 * self._pace.noise * news.begun:
            self._stir.set()

    def _fill(self, era: int) -> None:
        """A refused call's seat is free again, if it was not all counted anew meanwhile."""
        if era == self._pace.era:
            self._empty = max(0, self._empty - 1)
            self._let_in()

    def _hear_quota(self, told: Quota | None) -> None:
        """Where nothing is left nobody enters until there is; who says so and answers all the same is not believed."""
        now = asyncio.get_running_loop().time()
        if told is None or self._contradictions >= CONTRADICTED:
            self._quota = None
            return
        self._quota = told
        if not told.pause:
            return
        if now >= self._none_left_until:
            self._none_left_until = now + told.pause
            self._contradictions = 0
            self._shut(told.pause)
            return
        self._contradictions += 1
        if self._contradictions >= CONTRADICTED:
            log.warning("seats.quota_not_believed", endpoint=self._endpoint)
            self._quota, self._shut_until = None, 0.0

    def _shut(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._shut_until = max(self._shut_until, loop.time() + min(seconds, LONGEST_SHUT))
        loop.call_at(self._shut_until, self._let_in)

    # --- the agreement ------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Agree with the others while there are calls; then give the seats back."""
        idle = 0
        while True:
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
                    await self._ledger.leave()
                if not (self._busy or self._waiting):
                    self._keeper = None
                    return
            await self._rest(heard_at)

    async def _rest(self, heard_at: float) -> None:
        """Until the next agreement is due, or there is something to decide."""
        with suppress(TimeoutError):
            async with asyncio.timeout(QUICK if self._calls_paced or self._tokens_paced else PAUSE):
                await self._stir.wait()
        await asyncio.sleep(max(GATHER, heard_at + SOONEST - time.monotonic()) if self._stir.is_set() else 0)

    async def _agree(self) -> None:
        async with self._ledger.opened() as book:
            heard = self._heard(book)
            cap = min([self.caps.in_flight, *(seats.cap for seats in book.others)])
            pace, cause = adjusted(book.pace, heard, book.now, cap)
            granted = self._grant(min(pace.limit, cap), book.others)
            told = self._quota or Quota()
            rate = _least(self.caps.calls_per_minute, pace.rate, told.calls_per_minute)
            calls = book.allowed("calls", rate, in_hand=self._calls, wanted=self._wanted)
            rate = _least(self.caps.tokens_per_minute, told.tokens_per_minute)
            tokens = book.allowed("tokens", rate, in_hand=self._tokens, wanted=self._wanted * self._mean)
            # What is in flight cannot be taken back.
            ours = Granted(max(granted, self._busy), self._wanted, self.caps.in_flight)
            await book.write(pace, ours, calls_left=calls.left, tokens_left=tokens.left)
            if book.is_new or cause:
                await book.remember(min(pace.limit, cap), "started" if book.is_new else cause)
        if pace.era != self._pace.era:
            self._news, self._empty, self._taken = _News(saturated=self._news.saturated), 0, 0
        self._pace, self._granted = pace, granted
        self._calls += calls.more  # added, for calls may have begun meanwhile
        self._tokens += tokens.more
        self._calls_paced, self._tokens_paced = calls.paced, tokens.paced

    @property
    def _wanted(self) -> int:
        return self._busy + len(self._waiting)

    def _heard(self, book: Book) -> Heard:
        """What is told now, and is not told again. Of an era that others have ended it is worth nothing."""
        news, self._news = self._news, _News(saturated=bool(self._waiting) and not self._has_seat())
        saturated = news.saturated and self._wanted >= self._granted
        if book.pace.era != self._pace.era:
            return Heard(saturated=saturated, borne=news.borne)
        others = sum(seats.granted for seats in book.others)
        return Heard(
            begun=news.begun,
            answered=news.answered,
            seconds=news.seconds,
            refused=news.refused,
            in_flight=self._taken + others,
            borne=news.borne,
            saturated=saturated,
            paced=news.paced,
        )

    def _grant(self, limit: int, others: Sequence[Granted]) -> int:
        """Our part, as far as the others have not still more than theirs."""
        wanted = {str(place): seats.wanted for place, seats in enumerate(others)} | {"": self._wanted}
        free = limit - sum(seats.granted for seats in others)
        return max(min(shares(limit, wanted)[""], free), 0)


def _least(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)
