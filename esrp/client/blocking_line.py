# Generated from esrp/client/concurrent_line.py by `make client`: change that file, not this one.
"""What carries a flow's effects out, one after the other."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx2

from esrp.client.connection import STREAM_TIMEOUT, Connection, opened, reply
from esrp.client.flows import Effect, Hear, Listen, Outcome, Send, Sleep
from esrp.client.wire import Request


class Line:
    """Carries effects out, and holds the one stream that a flow may have open."""

    def __init__(self, http: httpx2.Client, connection: Connection, sleep: Callable[[float], None]) -> None:
        self._http = http
        self._connection = connection
        self._sleep = sleep
        self._open = ExitStack()
        self._heard: Iterator[httpx2.ServerSentEvent] | None = None

    def carry_out(self, effect: Effect) -> Outcome:
        """Do it; a failed connection is an outcome like any other."""
        try:
            return self._do(effect)
        except httpx2.RequestError as error:
            return self._connection.failed(error)

    def close(self) -> None:
        """Hang up."""
        self._open.close()

    def _do(self, effect: Effect) -> Outcome:
        match effect:
            case Send(request):
                arguments = self._connection.arguments(request)
                return reply(self._http.request(request.method, self._connection.at(request), **arguments))
            case Listen(request):
                return self._listen(request)
            case Hear():
                return next(self._heard, None) if self._heard else None
            case Sleep(seconds):
                self._sleep(seconds)
                return None

    def _listen(self, request: Request) -> Outcome:
        self.close()
        at, headers = self._connection.at(request), dict(request.headers)
        source = self._open.enter_context(self._http.sse(at, headers=headers, timeout=STREAM_TIMEOUT))
        if source.response.status_code != 200:
            source.response.read()
            return reply(source.response)
        self._heard = iter(source)
        return opened(source.response)
