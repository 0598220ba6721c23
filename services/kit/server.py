"""The sockets of a service: uvicorn, and what a client may take of it before, while and after it asks.

uvicorn with httptools has no limit on a header's size, on how long one may take, on connections, on requests sent
ahead of their answers, or on an answer that nobody reads. docs/limits.md lists what holds here.
"""

import asyncio
import logging
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httptools
import uvicorn
from prometheus_client import Counter
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from esrp.errors import EsrpError, Unavailable
from services.kit.settings import LimitSettings
from services.kit.web import problem

log = logging.getLogger("esrp.server")

ENDED = Counter("esrp_web_connections_ended_total", "Connections that a limit ended", ["limit"])
# Taken from the queue in one turn of the loop, before the first of them is looked at: by so many, and those of the
# turns until it is closed, a burst goes over the limit on connections.
BACKLOG = 100
AHEAD = 8  # requests on one connection that wait for the answer before them; browsers and clients send none ahead
STUCK = 5.0  # seconds without a byte read of an answer, after which its connection may have to make room
FULL = "All connections are taken; try again in a moment."


class HeaderTooLarge(EsrpError):
    """The request line and headers are over the limit."""

    status, code = 431, "header_too_large"


class NotHttp(EsrpError):
    """What came is no HTTP request."""

    status, code = 400, "not_http"


async def serve(app: ASGIApp, listen: str, limits: LimitSettings) -> None:
    """Serve on ``unix:/path`` or ``tcp:host:port`` until cancelled; answers under way may end."""
    kind, _, where = listen.partition(":")
    host, _, port = where.rpartition(":")
    at: dict[str, Any] = {"uds": where} if kind == "unix" else {"host": host, "port": int(port)}
    crowd = Crowd(limits)
    config = uvicorn.Config(
        app,
        http=partial(Connection, crowd),  # type: ignore[arg-type]  # it is called as the class is
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=limits.idle_seconds,
        backlog=BACKLOG,
        server_header=False,
        **at,
    )
    server = _Server(config, crowd)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: a process stops its web and working halves together."""

    def __init__(self, config: uvicorn.Config, crowd: "Crowd") -> None:
        super().__init__(config)
        self._crowd = crowd

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; once a second, connections that are over time are ended."""
        if counter % 10 == 0:
            self._crowd.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's."""
        yield


class Crowd:
    """All connections of a server, and which of them wait for their client: those make room, longest silent first."""

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = limits
        self.most = min(limits.connections, _affordable())
        self.connections: set[Connection] = set()
        self.waiting: dict[Connection, None] = {}
        self.refusal = raw(Unavailable(FULL, retry_after=2))

    def enter(self, connection: "Connection") -> bool:
        """Whether there is room for it; one that waits has to make it."""
        self.connections.add(connection)
        if len(self.connections) <= self.most:
            return True
        if self.waiting:
            next(iter(self.waiting)).end("connections")
            return True
        return False

    def leave(self, connection: "Connection") -> None:
        """It is gone, or as good as gone."""
        self.connections.discard(connection)
        self.waiting.pop(connection, None)

    def sweep(self, now: float) -> None:
        """End what is over time."""
        for connection in list(self.connections):
            if limit := connection.overdue(now):
                connection.end(limit)


def _affordable() -> int:
    """Half of what may be open: Postgres, models and the burst that BACKLOG lets in need descriptors too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, soft // 2)


class Connection(HttpToolsProtocol):
    """uvicorn's connection, within limits. What costs per request is a few additions and two operations on a dict."""

    def __init__(self, crowd: Crowd, **given: Any) -> None:
        super().__init__(**given)
        self._crowd, self._limits = crowd, crowd.limits
        self._began: float | None = 0.0  # when a request began to come; None between requests
        self._heard = 0.0  # when the last byte came
        self._overhead = 0  # bytes since the request began or since the last byte of its body
        self._in_body = False  # its header is complete, its body is not
        self._refusal: EsrpError | None = None
        self._unread, self._read_at = 0, 0.0  # bytes of answers that lie here, and when that last changed

    # --- coming and going ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Let it in if there is room."""
        super().connection_made(transport)
        self._began = self._heard = self.loop.time()
        if self._crowd.enter(self):
            return self._place()
        log.warning("connections.refused: all %d are at work", self._crowd.most)
        transport.write(self._crowd.refusal)
        self.end("connections", at_once=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone."""
        self._crowd.leave(self)
        super().connection_lost(exc)

    def end(self, limit: str, *, at_once: bool = True) -> None:
        """Close it, with what is still to be sent or ``at_once`` without."""
        ENDED.labels(limit).inc()
        if at_once:
            self._crowd.leave(self)
            self.transport.abort()
        else:
            self._crowd.waiting.pop(self, None)
            self._heard = self._read_at = self.loop.time()
            self.transport.close()

    def _place(self) -> None:
        """To the end of those that wait for their client, or out of them while it is we who are at work."""
        self._crowd.waiting.pop(self, None)
        if not (self._is_working() or self.transport.is_closing()):
            self._crowd.waiting[self] = None

    def _is_working(self) -> bool:
        answering = self.cycle is not None and not self.cycle.response_complete and not self._in_body
        return answering or self.flow.write_paused

    # --- what comes ---------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse what is over a limit or no HTTP."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._heard = self.loop.time()
        if self._began is None:
            self._began = self._heard
        self._overhead += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # answered as the HTTP/1.1 request that it is
        except httptools.HttpParserError:
            return self._refuse(self._refusal or NotHttp("This is not an HTTP/1.1 request."))
        if self._overhead > self._limits.header_bytes:
            return self._refuse(self._too_large())
        self._place()

    def on_headers_complete(self) -> None:
        """The request begins, unless its header is over a limit or too many wait before it."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self._limits.header_bytes or len(self.headers) > self._limits.header_count:
            self._refusal = self._too_large()
            raise self._refusal
        if len(self.pipeline) >= AHEAD:
            self._refusal = NotHttp(f"More than {AHEAD} requests were sent ahead of their answers.")
            raise self._refusal
        self._in_body = True
        self._overhead = 0
        super().on_headers_complete()
        self.headers = []  # what trailers bring is no header of the request, and is thrown away

    def on_body(self, body: bytes) -> None:
        """Some of the body: what came was not only overhead."""
        self._overhead = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here as a whole."""
        self._overhead, self._in_body, self._began = 0, False, None
        super().on_message_complete()

    def _too_large(self) -> EsrpError:
        size, number = self._limits.header_bytes, self._limits.header_count
        return HeaderTooLarge(f"Request line and headers are over {size} bytes, or over {number} headers.")

    def _refuse(self, error: EsrpError) -> None:
        """Say so, if that would not get into the middle of an answer, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            return self.end(error.code)
        self.transport.write(raw(error))
        self.end(error.code, at_once=False)

    # --- what goes ----------------------------------------------------------------------------------------------------

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of a body that nobody wanted."""
        super().on_response_complete()
        if self._in_body:
            self._began = self.loop.time()
        self._place()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._place()

    def overdue(self, now: float) -> str | None:
        """The limit in time that it is over, if any. Between requests uvicorn's own timer holds."""
        limits = self._limits
        if (unread := self.transport.get_write_buffer_size()) != self._unread:
            self._unread, self._read_at = unread, now
        if unread:
            return self._stalled(now - self._read_at)
        if self.transport.is_closing() or self._is_working():
            return None
        answered = self.cycle is None or self.cycle.response_complete
        if self._in_body and not answered:
            silent = now - self._heard > limits.body_seconds and not self.flow.read_paused
            return "body_seconds" if silent else None
        late = self._began is not None and now - self._began > limits.header_seconds
        return "header_seconds" if late else None

    def _stalled(self, seconds: float) -> str | None:
        """The client does not read: first its place is up for another, then it is ended."""
        if seconds > STUCK and not self.transport.is_closing():
            self._crowd.waiting.setdefault(self)
        return "send_seconds" if seconds > self._limits.send_seconds else None


def raw(error: EsrpError) -> bytes:
    """The problem as a whole HTTP answer, for a client that no app has heard."""
    answer = problem(error)
    headers = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
    return b"".join((STATUS_LINE[error.status], *headers, b"connection: close\r\n\r\n", bytes(answer.body)))
