"""How both clients reach the service: its URL, the key, time limits, and what a failed connection is called."""

import os
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx2

from esrp import __version__
from esrp.client.errors import ConnectionFailed
from esrp.client.wire import Reply, Request
from esrp.errors import InvalidInput

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT = httpx2.Timeout(10.0, read=300.0, write=300.0)  # an upload may be 64 MiB over a slow line
# The service sends a sign of life more often than that; a line that is silent for longer is dead.
STREAM_TIMEOUT = httpx2.Timeout(10.0, read=45.0)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is and who is asking."""

    url: str
    api_key: str | None = None

    @classmethod
    def to(cls, url: str, api_key: str | None) -> "Connection":
        """Checked: a wrong URL or key is said here, and the key is never shown."""
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(httpx2.URL(url).host) and parts.port != 0
        except (ValueError, httpx2.InvalidURL):
            usable = False
        if not usable:
            raise InvalidInput.at("url", f"{url!r} is not the URL of a server; one looks like {DEFAULT_URL}.")
        key = api_key.strip() if api_key else None
        if key and not (key.isascii() and key.isprintable() and " " not in key):
            raise InvalidInput.at("api_key", "The API key holds characters that no key has; was it copied in full?")
        return cls(url.rstrip("/"), key)

    def options(self) -> dict[str, Any]:
        """Arguments for an ``httpx2`` client. A proxy is never asked for what runs on this machine."""
        headers = {"User-Agent": f"esrp/{__version__}", "Accept": "application/json, */*"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return {"headers": headers, "timeout": TIMEOUT, "trust_env": not _local(httpx2.URL(self.url).host)}

    def arguments(self, request: Request) -> dict[str, Any]:
        """Arguments that send ``request``."""
        return {"params": dict(request.params), "headers": dict(request.headers), "content": request.content}

    def at(self, request: Request) -> str:
        """The full URL of ``request``, without its parameters."""
        return self.url + request.path

    def failed(self, error: Exception) -> ConnectionFailed:
        """One error for all that can go wrong on the way."""
        return ConnectionFailed(self.url, _reason(error))


def reply(response: httpx2.Response) -> Reply:
    """A response that was read, as a value."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, response.content, str(response.url.copy_with(query=None)))


def opened(response: httpx2.Response) -> Reply:
    """The head of a response whose body is a stream."""
    return Reply(response.status_code, {}, b"", str(response.url))


def _local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    return _cause(error) or str(error).strip(" .") or type(error).__name__


def _cause(error: BaseException | None) -> str | None:
    """What the operating system said, which the libraries above it wrap: ``Connection refused``."""
    said = None
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            said = os.strerror(error.errno) if error.errno > 0 else error.strerror  # below 0: of the name service
        error = error.__cause__ or error.__context__
    return said
