"""What takes more than one request, written once for both clients: retries, paging, following a run.

A flow is a generator: it yields what it wants done (an ``Effect``) and is sent what came of it (an ``Outcome``);
what it has found for the caller it yields as ``Emit``. The clients only carry the effects out.
"""

import json
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from httpx2 import ServerSentEvent

from esrp.api import FINAL, Page, Run, ScenarioSetDetail
from esrp.client import calls
from esrp.client.errors import ApiError, ConnectionFailed
from esrp.client.wire import Call, Reply, Request, problem, unexpected

T = TypeVar("T")
U = TypeVar("U")
R = TypeVar("R")

ATTEMPTS = 6
LONGEST_PAUSE = 60.0  # a rate limit's window is a minute; whoever asks for more is answered with the error
PATIENCE = 180.0  # seconds without any answer before a follower gives up; a server is restarted in less
FIRST_PAUSE, LAST_PAUSE = 0.5, 5.0
NO_STREAM = {405, 406, 408, 425, 429}  # refusals that say nothing about the run: reading it may well work
READ_EVERY = 0.5  # seconds at least between two reads of a followed run
LOOK_EVERY = 1.0  # seconds between two reads of what has no stream


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request; outcome: the reply."""

    request: Request


@dataclass(frozen=True, slots=True)
class Listen:
    """Open the stream of events, closing the one before; outcome: the reply, without content if it is 200."""

    request: Request


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait for the stream's next event; outcome: the event, ``None`` at the end."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit(Generic[T]):
    """Something for the caller of the flow."""

    item: T


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """The flow has ended with this value."""

    value: R


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a run. ``id`` is ``None`` where the run was polled because no stream could be had."""

    type: str
    data: dict[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is lost; the next try is in ``seconds``."""

    reason: str
    seconds: float


Effect: TypeAlias = Send | Listen | Hear | Sleep
Outcome: TypeAlias = Reply | ServerSentEvent | ConnectionFailed | None
Flow: TypeAlias = Generator[Effect, Outcome, R]
Stream: TypeAlias = Generator[Effect | Emit[T], Outcome, R]
Signal: TypeAlias = Event | Run | Lost


def advance(flow: Generator[T, Outcome, R], outcome: Outcome = None) -> T | Done[R]:
    """Hand ``outcome`` to the flow and take its next wish."""
    try:
        return flow.send(outcome)
    except StopIteration as end:
        return Done(end.value)


def ask(call: Call[R]) -> Flow[R]:
    """Send, wait and send again where that can help, read the answer."""
    return call.read((yield from _send(call.request)))


def each(call: Call[Page[Any]]) -> Stream[Any, None]:
    """Every item of a list, page after page."""
    cursor: str | None = None
    while True:
        page = call.read((yield from _send(call.request.at(cursor))))
        for item in page.data:
            yield Emit(item)
        cursor = page.next_cursor
        if cursor is None:
            return


def events(run: str, last: str | None = None) -> Stream[Event, None]:
    """A run's events until it has ended; over lost connections, none twice and none left out."""
    yield from _handled(_Follower(run, last, reads=False).follow(), _as_events)


def wait(run: str, on_progress: Callable[[Run], None] | None, on_lost: Callable[[Lost], None] | None) -> Flow[Run]:
    """Follow a run to its end; ``on_progress`` is told the run as it is, about once a second."""
    state = yield from ask(calls.run(run))
    follower = _Follower(run, None, reads=True, reached=True)

    def tell(signal: Signal) -> Iterable[Emit[None]]:
        nonlocal state
        if isinstance(signal, Run):
            state = signal
            if on_progress:
                on_progress(signal)
        elif isinstance(signal, Lost) and on_lost:
            on_lost(signal)
        return ()

    tell(state)
    if state.status not in FINAL:
        silent = _handled(follower.follow(), tell)
        step = advance(silent)
        while not isinstance(step, Done):
            step = advance(silent, None if isinstance(step, Emit) else (yield step))
    return state


def written(
    id: str,
    on_progress: Callable[[ScenarioSetDetail], None] | None,
    on_lost: Callable[[Lost], None] | None,
) -> Flow[ScenarioSetDetail]:
    """Read a scenario set every second until all of it is written, over lost connections."""
    state = yield from ask(calls.scenario_set(id))
    tries, waited = 0, 0.0
    while True:
        if on_progress and not tries:
            on_progress(state)
        if state.status in FINAL:
            return state
        seconds = min(LOOK_EVERY * 2**tries, LAST_PAUSE)
        yield Sleep(seconds)
        try:
            state = yield from ask(calls.scenario_set(id))
            tries, waited = 0, 0.0
        except (ConnectionFailed, ApiError) as error:
            tries, waited = tries + 1, waited + seconds
            if waited >= PATIENCE or (isinstance(error, ApiError) and error.status < 500):
                raise
            if on_lost:
                on_lost(Lost(error.reason if isinstance(error, ConnectionFailed) else error.detail, seconds))


def _send(request: Request) -> Flow[Reply]:
    for attempt in range(ATTEMPTS):
        reply = _received((yield Send(request)))
        if 200 <= reply.status < 300:
            return reply
        error = problem(reply)
        seconds = error.retry_after if error.retry_after is not None else FIRST_PAUSE * 2**attempt
        if not (request.repeatable and _passing(error)) or attempt == ATTEMPTS - 1 or seconds > LONGEST_PAUSE:
            raise error
        yield Sleep(seconds)
    raise AssertionError("the last attempt returns or raises")


def _passing(error: ApiError) -> bool:
    return error.status in {429, 503} or error.code == "idempotency_key_in_flight"


def _received(outcome: Outcome) -> Reply:
    if isinstance(outcome, ConnectionFailed):
        raise outcome
    assert isinstance(outcome, Reply)
    return outcome


class _Follower:
    """Follows one run: by its stream of events while that can be had, by reading the run while it cannot."""

    def __init__(self, run: str, last: str | None, *, reads: bool, reached: bool = False) -> None:
        self._run = run
        self._last = last
        self._reads = reads  # read the run when an event says that it moved on
        self._reached = reached  # the service has answered before, so that it is worth waiting for
        self._heard_end = False  # the stream said `run.finished`
        self._seen_end = False  # the run was read at its end while there was no stream
        self._tries = 0
        self._waited = 0.0
        self._read_at = float("-inf")

    def follow(self) -> Stream[Signal, None]:
        """Everything there is to tell, until the run has ended."""
        while True:
            reason = yield from self._listen()
            if reason is None:
                return
            yield from self._pause(reason)
            if (yield from self._poll()):
                return

    def _listen(self) -> Stream[Signal, str | None]:
        """Hear the stream to its end: ``None`` once the run has ended, else why there was nothing more to hear."""
        try:
            reply = _received((yield Listen(calls.events(self._run, self._last))))
            if reply.status != 200:
                raise problem(reply)
            self._reached = True
            return (yield from self._hear(reply))
        except ConnectionFailed as error:
            if not self._reached:
                raise
            return error.reason
        except ApiError as error:
            if 400 <= error.status < 500 and error.status not in NO_STREAM:
                raise
            return error.detail

    def _hear(self, reply: Reply) -> Stream[Signal, str | None]:
        while True:
            heard = yield Hear()
            if isinstance(heard, ConnectionFailed):
                raise heard
            if heard is None:
                return ""
            assert isinstance(heard, ServerSentEvent)
            self._tries = 0
            self._last = heard.id or self._last
            event = Event(heard.event, _data(heard, reply), heard.id or None)
            yield Emit(event)
            if (yield from self._react(event)):
                return None

    def _react(self, event: Event) -> Stream[Signal, bool]:
        """Read the run if the event asks for it; true once it has ended.

        A run that was cancelled and resumed has a ``run.finished`` in its past, so the run itself is asked.
        """
        finished = event.type == "run.finished"
        self._heard_end = self._heard_end or finished
        due = event.type == "run.status" or time.monotonic() - self._read_at >= READ_EVERY
        if not finished and not (self._reads and event.type.startswith("run.") and due):
            return False
        run = yield from ask(calls.run(self._run))
        self._read_at = time.monotonic()
        self._heard_end = run.status in FINAL
        if self._reads:
            yield Emit(run)
        return self._heard_end

    def _pause(self, reason: str) -> Stream[Signal, None]:
        seconds = min(FIRST_PAUSE * 2**self._tries, LAST_PAUSE)
        self._tries += 1
        self._waited += seconds
        if reason:
            yield Emit(Lost(reason, seconds))
        yield Sleep(seconds)

    def _poll(self) -> Stream[Signal, bool]:
        """Read the run, as there is no stream to hear; true once there is nothing more to be told."""
        try:
            run = yield from ask(calls.run(self._run))
        except (ConnectionFailed, ApiError) as error:
            if self._waited >= PATIENCE or (isinstance(error, ApiError) and error.status < 500):
                raise
            return False
        self._waited = 0.0
        ended = run.status in FINAL
        # Whoever wants every event gets one more try at the stream for those that were missed.
        enough = ended and (self._reads or self._heard_end or self._seen_end)
        self._seen_end = ended
        if self._reads or not ended or (enough and not self._heard_end):
            yield Emit(run)
        return enough


def _data(heard: ServerSentEvent, reply: Reply) -> dict[str, Any]:
    try:
        data = json.loads(heard.data or "{}")
    except ValueError as error:
        raise unexpected(reply) from error
    return data if isinstance(data, dict) else {"data": data}


def _as_events(signal: Signal) -> Iterable[Emit[Event]]:
    if isinstance(signal, Event):
        yield Emit(signal)
    elif isinstance(signal, Run):
        kind = "run.finished" if signal.status in FINAL else "run.progress"
        yield Emit(Event(kind, signal.model_dump(mode="json")))


def _handled(flow: Stream[T, R], take: Callable[[T], Iterable[Emit[U]]]) -> Stream[U, R]:
    """``flow`` with each item that it emits replaced by what ``take`` makes of it."""
    step = advance(flow)
    while not isinstance(step, Done):
        if isinstance(step, Emit):
            yield from take(step.item)
            step = advance(flow)
        else:
            step = advance(flow, (yield step))
    return step.value
