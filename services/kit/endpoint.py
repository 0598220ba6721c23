"""An endpoint of a model, what it says and what that cost, or why there is no reply."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from multidict import CIMultiDict
from yarl import URL

from services.kit.quota import Quota

MESSAGE = 300  # characters of an endpoint's own words in our message


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
class Timeouts:
    """Seconds until a connection stands, without a byte of the answer, and until the whole answer is there."""

    connect: float = 10.0
    first_byte: float = 90.0
    total: float = 120.0


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


def passing(
    code: str,
    message: str,
    *,
    retry_after: float | None = None,
    billed: Usage | None = None,
    quota: Quota | None = None,
) -> ChatError:
    """A fault that may pass by itself."""
    return ChatError(code, message, retryable=True, retry_after=retry_after, billed=billed, quota=quota)


def cleaned(endpoint: Endpoint, text: str) -> str:
    """An endpoint's own words on one line, without the key or a header's value, and short."""
    # Endpoints like to repeat the key that they refuse. Values of few characters are no secrets, and would cut words.
    in_url = [endpoint.url.password or "", *endpoint.url.query.values()]
    secrets = [(endpoint.api_key or "").strip(), *endpoint.headers.values(), *in_url]
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 16 * MESSAGE]).split())
    return line if len(line) <= MESSAGE else line[: MESSAGE - 1] + "…"
