"""The one model client: candidate, simulator, writer and judges are all called from here.

aiohttp and orjson, because the usual SDK costs ten times the processor time a call. What is sent is what the caller
made of the dialogue and nothing else; what comes back is text, or an error that a person can act on.
"""

import asyncio
import json
import random
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import orjson
from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    InvalidURL,
    SocketTimeoutError,
    TCPConnector,
)
from multidict import CIMultiDict
from yarl import URL

from services.kit.net import AddressRefused, Network, guarded_connector
from services.kit.quota import Quota, quota, retry_after

LARGEST = 2 << 20  # bytes of an answer; nine explanations take 4 kB, a reply of 256 tokens 2
MESSAGE = 300  # characters of an endpoint's own words in our message
LONGEST_WAIT = 120.0  # seconds we obey one Retry-After within a call; ``Stopped`` tells how much longer
# Seconds after which no further attempt begins. With the last one's timeout a call ends in 270, and a worker's job,
# which is given up after 300, never loses a failure and plays it again for ever.
PATIENCE = 150.0

_NOTHING_FOUND = frozenset(
    number for number in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)) if number is not None
)
_THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint and one model of it. ``guarded`` ones were named by a user: see ``net``.

    It chats, unless ``path`` names something else that it does, and ``read`` what can be read of an answer to that.
    """

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    guarded: bool = False
    path: str = "chat/completions"
    read: "Reader | None" = None

    @cached_property
    def url(self) -> URL:
        """Where a call goes to."""
        base = URL(self.base_url)
        return (base / self.path).with_query(base.query)

    @cached_property
    def shown(self) -> str:
        """The URL as messages show it: what may hold a password or a key is left out."""
        return str(self.url.with_user(None).with_query(None))

    @cached_property
    def sent_headers(self) -> CIMultiDict[str]:
        """The headers of every call."""
        sent = CIMultiDict(self.headers)
        sent["Content-Type"] = "application/json"
        if key := (self.api_key or "").strip():
            sent["Authorization"] = f"Bearer {key}"
        return sent


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls that were answered, and the tokens that the endpoint counted for them."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said. Tokens and calls include those of answers that were thrown away on the way here.

    ``quota`` is what the endpoint told with it of its limits.
    """

    text: str
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    calls: int = 1
    quota: Quota | None = None


Reader = Callable[[Endpoint, Mapping[str, str], bytes, float], Reply]


class ChatError(Exception):
    """No reply, and why. ``message`` holds no key and no header's value; ``billed`` is what was paid all the same."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        billed: Usage | None = None,
        quota: Quota | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.billed = billed
        self.quota = quota


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a connection stands, without a byte of the answer, and until the whole answer is there."""

    connect: float = 10.0
    first_byte: float = 90.0
    total: float = 120.0


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
            raise _refusal(endpoint, status, headers, data)
        reply = (endpoint.read or _reply)(endpoint, headers, data, time.perf_counter() - started)
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
        spent, elapsed, attempts, failures = Usage(), 0.0, 0, 0
        started, fault = 0.0, None

        async def attempt() -> Reply:
            nonlocal started
            started = time.perf_counter()
            return await self.complete(endpoint, body)

        while True:
            try:
                reply = await (attempt() if door is None else door.call(attempt, stopped))
            except ChatError as error:
                attempts += 1
                failures += error.code != "rate_limited"
                spent += error.billed or Usage()
                pause = _pause(error, attempts)
                elapsed += time.perf_counter() - started + pause
                if not error.retryable or failures >= tries or elapsed > PATIENCE:
                    error.billed = spent if spent.calls else None
                    raise
                fault, left = error, await self._rest(pause, stopped)
                if stopped is not None and stopped.is_set():
                    if error.code == "rate_limited":
                        raise Stopped(spent, error, left + _beyond(error)) from error
                    error.billed = spent if spent.calls else None
                    raise
            except Stopped as error:
                raise Stopped(spent, fault) from error
            else:
                calls, asked, said = spent.calls + 1, spent.prompt_tokens, spent.completion_tokens
                return replace(
                    reply,
                    prompt_tokens=asked + reply.prompt_tokens,
                    completion_tokens=said + reply.completion_tokens,
                    calls=calls,
                )

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
            raise _unreached(endpoint, error, self._timeouts) from error

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


# --- no connection ----------------------------------------------------------------------------------------------------


def _unreached(endpoint: Endpoint, error: Exception, timeouts: Timeouts) -> ChatError:
    """No answer came, or only part of one."""
    match error:
        case ConnectionTimeoutError():
            return _passing("timeout", f"{_host(endpoint)} accepted no connection within {timeouts.connect:g} s")
        case TimeoutError():
            seconds = timeouts.first_byte if isinstance(error, SocketTimeoutError) else timeouts.total
            return _passing("timeout", f"{endpoint.shown} did not answer within {seconds:g} s")
        case ClientConnectorCertificateError() | ClientConnectorSSLError():
            return ChatError("connection_failed", f"no TLS connection to {_host(endpoint)}: {_tls(error)}")
        case ClientConnectorError():
            return _not_connected(endpoint, error.os_error)
        case ClientPayloadError():
            return _passing("connection_failed", f"the answer of {endpoint.shown} broke off")
        case ClientResponseError():
            reason = _clean(endpoint, error.message)
            return ChatError("bad_response", f"{endpoint.shown} does not speak proper HTTP: {reason}")
        case InvalidURL() | UnicodeError():
            return ChatError("bad_request", "the base_url is not a usable URL")
        case ClientError() | OSError():
            return _passing("connection_failed", f"{_host(endpoint)} dropped the connection without an answer")
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
            return _passing("connection_failed", f"the name {host} could not be looked up")
        case ConnectionRefusedError():
            return _passing("connection_failed", f"{_host(endpoint)} refuses connections; is the server up?")
    return _passing("connection_failed", f"no connection to {_host(endpoint)}: {error.strerror or 'unreachable'}")


def _passing(
    code: str,
    message: str,
    *,
    retry_after: float | None = None,
    billed: Usage | None = None,
    quota: Quota | None = None,
) -> ChatError:
    """A fault that may pass by itself."""
    return ChatError(code, message, retryable=True, retry_after=retry_after, billed=billed, quota=quota)


def _host(endpoint: Endpoint) -> str:
    return f"{endpoint.url.host}:{endpoint.url.port}"


def _tls(error: Exception) -> str:
    reason = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    return (reason.reason if isinstance(reason, ssl.SSLError) and reason.reason else str(reason))[:MESSAGE]


# --- an answer that refuses -------------------------------------------------------------------------------------------


def _refusal(endpoint: Endpoint, status: int, headers: Mapping[str, str], data: bytes) -> ChatError:
    answer = _parsed(data)
    said = _clean(endpoint, _their_words(answer, data))
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
            return _passing("rate_limited", message, retry_after=wait, quota=told)
        case _ if status >= 500 or status in (408, 409, 425):
            return _passing("server_error", f"the endpoint failed ({status}){words}", retry_after=wait)
        case _ if status >= 400:
            filtered = {"content_filter", "content_policy_violation"} & _marks(answer)
            code = "content_filter" if filtered else "bad_request"
            return ChatError(code, f"the endpoint rejects the request ({status}){words}")
    where = _clean(endpoint, headers.get("Location", ""))
    hint = f" and sends us to {where}; redirects are not followed, give the final base_url" if where else ""
    return ChatError("bad_response", f"{endpoint.shown} answers {status}{hint}")


def _their_words(answer: Any, data: bytes) -> str:
    """What the endpoint says is wrong, in whichever of the usual places."""
    found = answer
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    if found is None:
        text = data[:4096].decode("utf-8", "replace")
        return "" if text.lstrip()[:1] == "<" else text
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _marks(answer: Any) -> set[str]:
    """The machine-readable marks of an error: its code and its type."""
    error = answer.get("error") if isinstance(answer, dict) else None
    return {str(error.get("code")), str(error.get("type"))} if isinstance(error, dict) else set()


def _clean(endpoint: Endpoint, text: str) -> str:
    """On one line, without the key or a header's value, and short."""
    # Endpoints like to repeat the key that they refuse. Values of few characters are no secrets, and would cut words.
    in_url = [endpoint.url.password or "", *endpoint.url.query.values()]
    secrets = [(endpoint.api_key or "").strip(), *endpoint.headers.values(), *in_url]
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 16 * MESSAGE]).split())
    return line if len(line) <= MESSAGE else line[: MESSAGE - 1] + "…"


# --- an answer that answers -------------------------------------------------------------------------------------------


def _reply(endpoint: Endpoint, headers: Mapping[str, str], data: bytes, seconds: float) -> Reply:
    answer = _streamed(endpoint, data) if _is_stream(headers, data) else _parsed(data)
    if answer is None:
        raise _passing("not_json", _why_not_json(endpoint, headers, data))
    usage, (choice, message) = _usage(answer), _first_choice(endpoint, answer)
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else None
    said = _content(message)
    text = without_thoughts(said)
    if not text.strip():
        raise _silence(endpoint, message, finish, usage, thought=bool(said.strip()))
    return Reply(text, finish, usage.prompt_tokens, usage.completion_tokens, seconds)


def reply_or_silence(endpoint: Endpoint, headers: Mapping[str, str], data: bytes, seconds: float) -> Reply:
    """The reply of a chat, also where it is empty: for whoever knows better than to ask the same again."""
    try:
        return _reply(endpoint, headers, data, seconds)
    except ChatError as error:
        if error.code != "empty_reply" or error.billed is None:
            raise
        return Reply("", None, error.billed.prompt_tokens, error.billed.completion_tokens, seconds)


def storable(text: str) -> str:
    """``text`` as UTF-8 and Postgres can hold it: NUL and halves of surrogate pairs become U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def without_thoughts(text: str) -> str:
    """The reply without ``<think>…</think>``, also where a template ate the first mark or the end never came."""
    if "think>" not in text:
        return text
    text = _THOUGHT.sub("", text)
    if "</think>" in text:
        text = text.rpartition("</think>")[2].lstrip()
    return text.partition("<think>")[0]


def _parsed(data: bytes) -> Any:
    """The JSON in ``data``, or ``None``. Bytes that are not UTF-8 are replaced; orjson is strict, json is not."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None


def _is_stream(headers: Mapping[str, str], data: bytes) -> bool:
    return headers.get("Content-Type", "").startswith("text/event-stream") or data.startswith(b"data:")


def _streamed(endpoint: Endpoint, data: bytes) -> Any:
    """The answer whose pieces these server-sent events are, as if it had come in one; ``None`` if they hold none."""
    events = [line[5:].strip() for line in data.splitlines() if line.startswith(b"data:")]
    pieces = [_parsed(event) for event in events if event != b"[DONE]"]
    message, finish, usage = dict.fromkeys(("content", "reasoning_content", "refusal"), ""), None, None
    for piece in pieces:
        match piece:
            case {"error": error} if error:
                return piece
            case {"choices": [{"delta": {} as delta} as choice, *_]}:
                finish = choice.get("finish_reason") or finish
                for name, said in message.items():
                    message[name] = said + (delta[name] if isinstance(delta.get(name), str) else "")
        usage = (piece.get("usage") if isinstance(piece, dict) else None) or usage
    if not any(isinstance(piece, dict) for piece in pieces):
        return None
    if finish is None and b"[DONE]" not in events:
        raise _passing("connection_failed", f"the answer of {endpoint.shown} broke off")
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def _first_choice(endpoint: Endpoint, answer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    match answer:
        case {"choices": [{"message": {} as message} as choice, *_]}:
            return choice, message
        case {"error": _}:
            said = _clean(endpoint, _their_words(answer, b""))
            raise _passing("bad_response", f"the endpoint answers 200 with an error: {said}")
    raise _passing("bad_response", f"{endpoint.shown} answers JSON without choices; is this a chat endpoint?")


def _content(message: dict[str, Any]) -> str:
    """The text of a message, which some endpoints send in parts."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    return storable(content) if isinstance(content, str) else ""


def _usage(answer: Any) -> Usage:
    usage = answer.get("usage") if isinstance(answer, dict) else None
    return Usage(1, _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens"))


def _tokens(usage: Any, name: str) -> int:
    count = usage.get(name) if isinstance(usage, dict) else None
    # More than any model reads at once is a mistake of the endpoint.
    return count if isinstance(count, int) and 0 <= count <= 10_000_000 else 0


def _silence(
    endpoint: Endpoint, message: dict[str, Any], finish: str | None, usage: Usage, *, thought: bool
) -> ChatError:
    """Why there is no text."""
    if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
        return ChatError("refused", f"the model refuses: {_clean(endpoint, refusal)}", billed=usage)
    if finish == "content_filter":
        return ChatError("content_filter", "the endpoint's content filter took the reply away", billed=usage)
    # What is cut off before its first word went into thoughts, shown or not.
    if thought or finish == "length" or message.get("reasoning_content") or message.get("reasoning"):
        spent = f"its {usage.completion_tokens} tokens" if usage.completion_tokens else "its tokens"
        hint = "raise max_tokens or turn thinking off"
        return ChatError(
            "reasoning_only", f"the model spent {spent} thinking and answered nothing: {hint}", billed=usage
        )
    what = "called a tool instead of answering" if message.get("tool_calls") else "answered with an empty text"
    return _passing("empty_reply", f"the model {what}", billed=usage)


def _why_not_json(endpoint: Endpoint, headers: Mapping[str, str], data: bytes) -> str:
    kind = headers.get("Content-Type", "").partition(";")[0].strip()
    if kind == "text/event-stream":
        return f"{endpoint.shown} answers with a stream that holds no answer"
    if kind == "text/html" or data.lstrip()[:1] == b"<":
        return f"{endpoint.shown} answers with a web page, not JSON; base_url often ends in /v1"
    start = _clean(endpoint, data[:200].decode("utf-8", "replace"))
    return f"{endpoint.shown} answers with {f'{start[:80]!r}, not JSON' if start else 'an empty body'}"
