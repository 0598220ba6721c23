"""What a call is: a request to send, and how to read what comes back. No I/O."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from esrp.api import Page
from esrp.client.errors import ApiError
from esrp.errors import Fault

JSON = "application/json"
NDJSON = "application/x-ndjson"
PAGE = 100  # the most that the API gives at once
Answer = TypeVar("Answer", bound=BaseModel)
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``repeatable``: sending it twice does no more than sending it once."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    @property
    def repeatable(self) -> bool:
        """Reads, and what carries an idempotency key."""
        return self.method in {"GET", "PUT", "DELETE"} or "Idempotency-Key" in self.headers

    def at(self, cursor: str | None) -> "Request":
        """The same list from ``cursor`` on."""
        return replace(self, params={**self.params, "cursor": cursor}) if cursor else self


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; ``url`` is where from. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """A request and the reading of its answer."""

    request: Request
    read: Callable[[Reply], T_co]


# --- requests ---------------------------------------------------------------------------------------------------------


def listing(path: str, item: type[Answer], **filters: str | None) -> Call[Page[Answer]]:
    """A list's first page, of the ``filters`` that are given."""
    params = {name: value for name, value in filters.items() if value is not None}
    # A page of `item` is a class made at run time, which a type checker cannot see.
    page: type[Page[Answer]] = Page[item]  # type: ignore[valid-type]
    return Call(Request("GET", path, {"limit": str(PAGE), **params}), model(page))


def post(
    path: str, body: BaseModel | Mapping[str, Any] | bytes, content_type: str = JSON, *, key: str | None = None
) -> Request:
    """A ``POST``; with ``key`` it may be sent again."""
    content = body if isinstance(body, bytes) else json.dumps(as_document(body), ensure_ascii=False).encode()
    headers = {"Content-Type": content_type} | ({"Idempotency-Key": key} if key else {})
    return Request("POST", path, headers=headers, content=content)


def as_document(body: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of ``body``: only what was set, so that a service with other defaults keeps its own; secrets bare."""
    if not isinstance(body, BaseModel):
        return dict(body)
    document: dict[str, Any] = body.model_dump(mode="json", exclude_unset=True)
    if "candidate" in document:
        _bare(getattr(body, "candidate", None), document["candidate"])
    for candidate, sent in zip(getattr(body, "candidates", ()), document.get("candidates", ()), strict=False):
        _bare(candidate, sent)
    return document


def _bare(candidate: Any, document: dict[str, Any]) -> None:
    if secret := getattr(candidate, "api_key", None):
        document["api_key"] = secret.get_secret_value()
    if kind := getattr(candidate, "kind", None):
        document["kind"] = kind


def chosen(**given: str | None) -> dict[str, str]:
    """Parameters that are not the default."""
    return {name: value for name, value in given.items() if value not in (None, "auto")}


def quoted(part: str) -> str:
    """One part of a path; ``@`` stands in a suite's name and stays."""
    return quote(part, safe="@")


def new_key() -> str:
    """An idempotency key that nobody has used."""
    return str(uuid4())


# --- replies ----------------------------------------------------------------------------------------------------------


def model(kind: type[Answer]) -> Callable[[Reply], Answer]:
    """Reads a reply as ``kind``."""

    def read(reply: Reply) -> Answer:
        try:
            return kind.model_validate_json(reply.content)
        except ValidationError as error:
            raise unexpected(reply) from error

    return read


def as_bytes(reply: Reply) -> bytes:
    """A file, as it is."""
    return reply.content


def as_text(reply: Reply) -> str:
    """A text."""
    return reply.content.decode("utf-8", "replace")


def unexpected(reply: Reply) -> ApiError:
    """An answer that is none of this API's."""
    message = f"{reply.url} answered {reply.status} with something that is not ESRP's API. Is this the right URL?"
    return ApiError(reply.status, "unexpected_answer", message, request_id=reply.headers.get("x-request-id"))


def problem(reply: Reply) -> ApiError:
    """The error that a reply other than 2xx stands for."""
    try:
        document = json.loads(reply.content)
        detail = str(document["detail"])
    except (ValueError, KeyError, TypeError):
        return _foreign(reply)
    return ApiError(
        reply.status,
        str(document.get("code", f"http_{reply.status}")),
        detail,
        errors=[Fault(str(item.get("pointer", "")), str(item.get("message", ""))) for item in _errors(document)],
        request_id=document.get("request_id") or reply.headers.get("x-request-id"),
        retryable=bool(document.get("retryable", False)),
        retry_after=retry_after(reply.headers.get("retry-after")),
    )


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds in a ``Retry-After`` header: a number or a date; ``None`` if there is none that can be read."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds()) if then.tzinfo else None


def _errors(document: dict[str, Any]) -> list[dict[str, Any]]:
    errors = document.get("errors")
    return [item for item in errors if isinstance(item, dict)] if isinstance(errors, list) else []


def _foreign(reply: Reply) -> ApiError:
    """No problem document: something before the service answered, or the URL is another server's."""
    reason = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else ""
    answered = f"{reply.url} answered {reply.status} {reason}".strip()
    if 300 <= reply.status < 400:
        message = f"{answered} and points to {reply.headers.get('location', 'another place')}: use that server's URL."
    else:
        message = f"{answered} without saying why. Is this the URL of an ESRP server?"
    headers = reply.headers
    seconds, id = retry_after(headers.get("retry-after")), headers.get("x-request-id")
    return ApiError(reply.status, f"http_{reply.status}", message, request_id=id, retry_after=seconds)
