"""The one model client: candidate, simulator, writer and judges are all called from here.

aiohttp and orjson, because the usual SDK costs ten times the processor time a call. What is sent is what the caller
made of the dialogue and nothing else; what comes back is text, or an error that a person can act on.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from services.kit import answer
from services.kit.endpoint import ChatError, Endpoint, Reply, Timeouts, Usage
from services.kit.net import Network, guarded_connector
from services.kit.quota import quota
from services.kit.unanswered import refusal, unreached

LARGEST = 2 << 20  # bytes of an answer; nine explanations take 4 kB, a reply of 256 tokens 2
LONGEST_WAIT = 120.0  # seconds we obey one Retry-After within a call; ``Stopped`` tells how much longer
# Seconds after which no further attempt begins. With the last one's timeout a call ends in 270, and a worker's job,
# which is given up after 300, never loses a failure and plays it again for ever.
PATIENCE = 150.0


class Stopped(Exception):
    """There is no reply because none is wanted any more. ``billed``: what answers of no use have cost by then.

    ``fault`` is what the last attempt met, if there was one, and ``pause`` the seconds that were left to wait after it.
    """

    def __init__(self, billed: Usage = Usage(), fault: ChatError | None = None, pause: float = 0.0) -> None:
        super().__init__()
        self.billed = billed
        self.fault = fault
        self.pause = pause


Attempt = Callable[[], Awaitable[Reply]]


class Door(Protocol):
    """What a call has to pass before it may begin: a seat, a rate, a budget."""

    async def call(self, attempt: Attempt, stopped: asyncio.Event | None) -> Reply:
        """Make the attempt once it may begin; ``Stopped`` if it may not any more."""


class ChatClient:
    """Calls endpoints; keeps their connections open. Close it in the end."""

    def __init__(
        self,
        allowed_networks: Collection[Network] = (),
        timeouts: Timeouts = Timeouts(),
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._allowed = tuple(allowed_networks)
        self._timeouts = timeouts
        self._sleep = sleep
        self._sessions: dict[bool, ClientSession] = {}

    async def complete(self, endpoint: Endpoint, body: Mapping[str, Any]) -> Reply:
        """One attempt: POST ``body`` as it is, and read the reply. Raises ``ChatError``."""
        started = time.perf_counter()
        status, headers, data = await self._post(endpoint, body)
        if status != 200:
            raise refusal(endpoint, status, headers, data)
        reply = (endpoint.read or answer.reply)(endpoint, headers, data, time.perf_counter() - started)
        told = quota(headers)
        return reply if told is None else replace(reply, quota=told)

    async def insist(
        self,
        endpoint: Endpoint,
        body: Mapping[str, Any],
        *,
        tries: int = 5,
        stopped: asyncio.Event | None = None,
        door: Door | None = None,
    ) -> Reply:
        """``complete``, again where that makes sense, with longer and longer pauses.

        Each attempt goes through ``door``; what is spent waiting there is not held against the endpoint. Once
        ``stopped`` is set no further attempt begins: ``Stopped``, or the fault of the last one. Else an endpoint whose
        every call lasts longer than a slice of work would be called for ever, and never have failed.

        Up to ``tries`` attempts for what may pass by itself, any number under a rate limit, and one for what stays
        wrong until somebody changes it; none begins after ``PATIENCE`` seconds of attempts and pauses.
        """
        asked = _Asked(tries)

        async def attempt() -> Reply:
            asked.started = time.perf_counter()
            return await self.complete(endpoint, body)

        while True:
            try:
                return asked.paid(await (attempt() if door is None else door.call(attempt, stopped)))
            except ChatError as error:
                await self._give_way(error, asked, stopped)
            except Stopped as error:
                raise Stopped(asked.spent, asked.fault) from error

    async def _give_way(self, error: ChatError, asked: "_Asked", stopped: asyncio.Event | None) -> None:
        """Wait until the next attempt; where none follows, raise what the caller is told."""
        pause = asked.failed(error)
        if pause is not None:
            left = await self._rest(pause, stopped)
            if stopped is None or not stopped.is_set():
                return
            if error.code == "rate_limited":
                raise Stopped(asked.spent, error, left + _beyond(error)) from error
        error.billed = asked.spent if asked.spent.calls else None
        raise error

    async def _rest(self, pause: float, stopped: asyncio.Event | None) -> float:
        """Sleep, but not past the moment when no attempt is wanted any more; returns the seconds that are left."""
        if stopped is None:
            await self._sleep(pause)
            return 0.0
        begun = time.perf_counter()
        resting = asyncio.ensure_future(self._sleep(pause))
        waking = asyncio.ensure_future(stopped.wait())
        try:
            await asyncio.wait((resting, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            resting.cancel()
            waking.cancel()
        return max(0.0, pause - (time.perf_counter() - begun))

    async def close(self) -> None:
        """Hang up."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _post(self, endpoint: Endpoint, body: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        try:
            request = self._session(endpoint.guarded).post(
                endpoint.url, data=orjson.dumps(body), headers=endpoint.sent_headers, allow_redirects=False
            )
            async with request as response:
                return response.status, response.headers, await _read(response)
        except ChatError:
            raise
        except (ClientError, OSError, TimeoutError, ValueError, TypeError) as error:
            raise unreached(endpoint, error, self._timeouts) from error

    def _session(self, guarded: bool) -> ClientSession:
        """One for what users named and one for what the operator set up, so that they share no connection."""
        session = self._sessions.get(guarded)
        if session is None:
            # How many calls may be in flight is known to the callers, so there is no cap here. No cookies: what one
            # dialogue left behind must not reach the next.
            self._sessions[guarded] = session = ClientSession(
                connector=guarded_connector(self._allowed) if guarded else TCPConnector(limit=0),
                timeout=ClientTimeout(
                    total=self._timeouts.total,
                    sock_connect=self._timeouts.connect,
                    sock_read=self._timeouts.first_byte,
                ),
                cookie_jar=DummyCookieJar(),
                headers={"User-Agent": "esrp"},
                trust_env=False,
            )
        return session


@dataclass
class _Asked:
    """What was tried of one call: attempts, those among them that no rate limit excuses, seconds and costs."""

    tries: int
    attempts: int = 0
    failures: int = 0
    elapsed: float = 0.0
    started: float = 0.0
    spent: Usage = field(default_factory=Usage)
    fault: ChatError | None = None

    def failed(self, error: ChatError) -> float | None:
        """Count it; the seconds to wait before another attempt, if it may pass and there is patience left."""
        self.attempts += 1
        self.failures += error.code != "rate_limited"
        self.spent += error.billed or Usage()
        self.fault = error
        pause = _pause(error, self.attempts)
        self.elapsed += time.perf_counter() - self.started + pause
        is_last = not error.retryable or self.failures >= self.tries or self.elapsed > PATIENCE
        return None if is_last else pause

    def paid(self, reply: Reply) -> Reply:
        """The reply, with what the attempts before it have cost."""
        return replace(
            reply,
            prompt_tokens=self.spent.prompt_tokens + reply.prompt_tokens,
            completion_tokens=self.spent.completion_tokens + reply.completion_tokens,
            calls=self.spent.calls + 1,
        )


def _pause(error: ChatError, attempts: int) -> float:
    """Seconds to wait: what the endpoint asks for, else twice as long each time; never all callers at once."""
    spread = random.random() / 2  # noqa: S311 - no secret
    if error.retry_after is not None:
        wait = min(error.retry_after, LONGEST_WAIT)
        return wait + spread * min(1.0, wait / 4)  # a last call that is refused holds up the whole run
    return min(0.5 * 2.0 ** (attempts - 1), 8.0) * (0.5 + spread)


def _beyond(error: ChatError) -> float:
    """Seconds that the endpoint asks for beyond what is obeyed here."""
    return max(0.0, (error.retry_after or 0.0) - LONGEST_WAIT)


async def _read(response: ClientResponse) -> bytes:
    """The body; what is over ``LARGEST``, also once unpacked, is never held."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            response.close()
            raise ChatError("reply_too_large", f"the answer is over {LARGEST >> 20} MiB; is this a chat endpoint?")
    return b"".join(parts)
