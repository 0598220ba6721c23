"""A call without an answer, or with one that refuses: what a person can do about it."""

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientPayloadError,
    ClientResponseError,
    ConnectionTimeoutError,
    InvalidURL,
    SocketTimeoutError,
)

from services.kit.answer import parsed, their_words
from services.kit.endpoint import MESSAGE, ChatError, Endpoint, Timeouts, cleaned, passing
from services.kit.net import AddressRefused
from services.kit.quota import quota, retry_after

_NOTHING_FOUND = frozenset(
    number for number in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)) if number is not None
)


def unreached(endpoint: Endpoint, error: Exception, timeouts: Timeouts) -> ChatError:
    """No answer came, or only part of one."""
    match error:
        case ConnectionTimeoutError():
            return passing("timeout", f"{_host(endpoint)} accepted no connection within {timeouts.connect:g} s")
        case TimeoutError():
            seconds = timeouts.first_byte if isinstance(error, SocketTimeoutError) else timeouts.total
            return passing("timeout", f"{endpoint.shown} did not answer within {seconds:g} s")
        case ClientConnectorCertificateError() | ClientConnectorSSLError():
            return ChatError("connection_failed", f"no TLS connection to {_host(endpoint)}: {_tls(error)}")
        case ClientConnectorError():
            return _not_connected(endpoint, error.os_error)
        case ClientPayloadError():
            return passing("connection_failed", f"the answer of {endpoint.shown} broke off")
        case ClientResponseError():
            reason = cleaned(endpoint, error.message)
            return ChatError("bad_response", f"{endpoint.shown} does not speak proper HTTP: {reason}")
        case InvalidURL() | UnicodeError():
            return ChatError("bad_request", "the base_url is not a usable URL")
        case ClientError() | OSError():
            return passing("connection_failed", f"{_host(endpoint)} dropped the connection without an answer")
    # aiohttp refuses to write such headers, yarl such a port, orjson such numbers; the reason would show the key.
    return ChatError("bad_request", "the API key, a header, the base_url or the body is not fit to be sent over HTTP")


def _not_connected(endpoint: Endpoint, error: OSError) -> ChatError:
    host = endpoint.url.host
    match error:
        case AddressRefused():
            # Which address a name has inside is not told to who may not go there.
            hint = "the operator can allow its network with allowed_networks"
            return ChatError("address_refused", f"{host} is not a public address; {hint}")
        case socket.gaierror() if error.errno in _NOTHING_FOUND:
            return ChatError("connection_failed", f"the host {host} does not exist; check base_url")
        case socket.gaierror():
            return passing("connection_failed", f"the name {host} could not be looked up")
        case ConnectionRefusedError():
            return passing("connection_failed", f"{_host(endpoint)} refuses connections; is the server up?")
    return passing("connection_failed", f"no connection to {_host(endpoint)}: {error.strerror or 'unreachable'}")


def _host(endpoint: Endpoint) -> str:
    return f"{endpoint.url.host}:{endpoint.url.port}"


def _tls(error: Exception) -> str:
    reason = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    return (reason.reason if isinstance(reason, ssl.SSLError) and reason.reason else str(reason))[:MESSAGE]


# --- an answer that refuses -------------------------------------------------------------------------------------------


def refusal(endpoint: Endpoint, status: int, headers: Mapping[str, str], data: bytes) -> ChatError:
    """What a status other than 200 means."""
    answer = parsed(data)
    said = cleaned(endpoint, their_words(answer, data))
    words = f": {said}" if said else ""
    wait, told = retry_after(headers), quota(headers)
    if wait is None and told is not None and told.pause:
        wait = told.pause
    match status:
        case 401:
            return ChatError("unauthorized", f"the endpoint does not accept the API key (401){words}")
        case 402 | 403:
            return ChatError("forbidden", f"the API key may not use {endpoint.model} ({status}){words}")
        case 404 | 405:
            hint = f"base_url must end before /{endpoint.path}, and the model must exist"
            return ChatError("not_found", f"{endpoint.shown} answers {status} for {endpoint.model}{words} ({hint})")
        case 429 if "insufficient_quota" in _marks(answer):  # an empty account: waiting does not fill it
            return ChatError("rate_limited", f"the account has no quota left (429){words}")
        case 429:
            message = f"the endpoint limits the rate (429){words}"
            return passing("rate_limited", message, retry_after=wait, quota=told)
        case _ if status >= 500 or status in (408, 409, 425):
            return passing("server_error", f"the endpoint failed ({status}){words}", retry_after=wait)
        case _ if status >= 400:
            filtered = {"content_filter", "content_policy_violation"} & _marks(answer)
            code = "content_filter" if filtered else "bad_request"
            return ChatError(code, f"the endpoint rejects the request ({status}){words}")
    where = cleaned(endpoint, headers.get("Location", ""))
    hint = f" and sends us to {where}; redirects are not followed, give the final base_url" if where else ""
    return ChatError("bad_response", f"{endpoint.shown} answers {status}{hint}")


def _marks(answer: Any) -> set[str]:
    """The machine-readable marks of an error: its code and its type."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return {str(error.get("code")), str(error.get("type"))} if isinstance(error, dict) else set()
