"""What carries a flow's effects out for asyncio. Its twin for the client that waits is generated, as that is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx2

from esrp.client.connection import STREAM_TIMEOUT, Connection, opened, reply
from esrp.client.flows import Effect, Hear, Listen, Outcome, Send, Sleep
from esrp.client.wire import Request


class Line:
    """Carries effects out, and holds the one stream that a flow may have open."""

    def __init__(
        self, http: httpx2.AsyncClient, connection: Connection, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._http = http
        self._connection = connection
        self._sleep = sleep
        self._open = AsyncExitStack()
        self._heard: AsyncIterator[httpx2.ServerSentEvent] | None = None

    async def carry_out(self, effect: Effect) -> Outcome:
        """Do it; a failed connection is an outcome like any other."""
        try:
            return await self._do(effect)
        except httpx2.RequestError as error:
            return self._connection.failed(error)

    async def aclose(self) -> None:
        """Hang up."""
        await self._open.aclose()

    async def _do(self, effect: Effect) -> Outcome:
        match effect:
            case Send(request):
                arguments = self._connection.arguments(request)
                return reply(await self._http.request(request.method, self._connection.at(request), **arguments))
            case Listen(request):
                return await self._listen(request)
            case Hear():
                return await anext(self._heard, None) if self._heard else None
            case Sleep(seconds):
                await self._sleep(seconds)
                return None

    async def _listen(self, request: Request) -> Outcome:
        await self.aclose()
        at, headers = self._connection.at(request), dict(request.headers)
        source = await self._open.enter_async_context(self._http.sse(at, headers=headers, timeout=STREAM_TIMEOUT))
        if source.response.status_code != 200:
            await source.response.aread()
            return reply(source.response)
        self._heard = aiter(source)
        return opened(source.response)
