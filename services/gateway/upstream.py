"""The other services, for a person's single read: one HTTP call, no queue."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import orjson

from esrp.api import Problem
from esrp.errors import EsrpError, Fault, Unavailable
from services.kit.settings import ServiceUrls
from services.kit.uploads import Upload
from services.kit.web import INTERNAL

Peer = Literal["generator", "judge", "analytics"]
STREAM = aiohttp.ClientTimeout(total=None, sock_read=60)  # as long as it goes on
PEERS: tuple[Peer, ...] = ("generator", "judge", "analytics")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A peer's answer."""

    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Peers:
    """Calls to the other services, over unix sockets or TCP. Sessions are opened at the first call."""

    def __init__(self, urls: ServiceUrls, token: str) -> None:
        self._urls: dict[Peer, str] = {peer: getattr(urls, peer) for peer in PEERS}
        self._token = token
        self._sessions: dict[Peer, aiohttp.ClientSession] = {}

    async def call(
        self,
        peer: Peer,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | Upload | None = None,
        content_type: str = "application/json",
        seconds: float = 60,
    ) -> Forwarded:
        """The peer's answer. Its problems become ours; ``Unavailable`` if it does not answer."""
        headers = {"Content-Type": content_type, INTERNAL: self._token}
        if isinstance(body, Upload):
            headers["Content-Length"] = str(body.size)
        try:
            async with self._session(peer).request(
                method,
                self._base(peer) + path,
                params=query,
                data=body.parts() if isinstance(body, Upload) else body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                answer = Forwarded(response.status, await response.read(), response.content_type, response.headers)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"The {peer} service does not answer; try again in a moment.", retry_after=2) from error
        if answer.status >= 400:
            raise _problem(peer, answer)
        return answer

    async def stream(self, peer: Peer, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """A long answer as it comes; ``Unavailable`` if it does not begin."""
        try:
            async with self._session(peer).get(
                self._base(peer) + path, params=query, headers={INTERNAL: self._token}, timeout=STREAM
            ) as response:
                if response.status >= 400:
                    body = await response.read()
                    raise _problem(peer, Forwarded(response.status, body, response.content_type, response.headers))
                async for chunk in response.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"The {peer} service does not answer; try again in a moment.", retry_after=2) from error

    async def ready(self) -> dict[str, bool]:
        """Whether each answers that it is ready."""
        return {peer: await self._is_ready(peer) for peer in PEERS}

    async def close(self) -> None:
        """Close the sessions."""
        for session in self._sessions.values():
            await session.close()

    async def _is_ready(self, peer: Peer) -> bool:
        try:
            query = {"models": "false"}
            return (await self.call(peer, "GET", "/readyz", query=query, seconds=3)).status == 200
        except EsrpError:
            return False

    def _session(self, peer: Peer) -> aiohttp.ClientSession:
        if peer not in self._sessions:
            url = self._urls[peer]
            connector = aiohttp.UnixConnector(url.removeprefix("unix:")) if url.startswith("unix:") else None
            self._sessions[peer] = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self._sessions[peer]

    def _base(self, peer: Peer) -> str:
        url = self._urls[peer]
        return f"http://{peer}" if url.startswith("unix:") else url.rstrip("/")


def _problem(peer: Peer, answer: Forwarded) -> EsrpError:
    try:
        document: dict[str, Any] = orjson.loads(answer.body)
        faults = [Fault(fault["pointer"], fault["message"]) for fault in document.get("errors", [])]
        error = EsrpError(document["detail"], errors=faults)
        error.status, error.code, error.retryable = answer.status, document["code"], document["retryable"]
        wait = answer.headers.get("Retry-After", "")
        error.retry_after = float(wait) if wait.isdigit() else None
        error.extra = {name: value for name, value in document.items() if name not in Problem.model_fields}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return Unavailable(f"The {peer} service answered with status {answer.status}.")
    return error
