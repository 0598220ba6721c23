"""Pages and their cursors: a cursor is the place after which the next page begins."""

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import orjson
from pydantic import TypeAdapter, ValidationError

from esrp.api import Page
from esrp.errors import InvalidInput

Item = TypeVar("Item")
Found = TypeVar("Found")


def cursor(*place: Any) -> str:
    """The place as an opaque word of A–Z a–z 0–9 - _."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def place(cursor: str | None, *kinds: type) -> list[Any] | None:
    """The place of a cursor, ``None`` for the beginning; a bad one is ``InvalidInput``."""
    if cursor is None:
        return None
    try:
        found = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    if (
        not isinstance(found, list)
        or [type(part) for part in found] != list(kinds)
        or any(isinstance(part, int) and not 0 <= part < 1 << 31 for part in found)
    ):
        raise _bad()
    return found


def time_and_id(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The place of a cursor over what is listed in the order (created_at, id)."""
    if (found := place(cursor, str, str)) is None:
        return None
    try:
        return TypeAdapter(datetime).validate_python(found[0]), UUID(found[1])
    except (ValidationError, ValueError) as error:
        raise _bad() from error


def after_id(cursor: str | None) -> UUID | None:
    """The place of a cursor that is an id."""
    try:
        return UUID(found[0]) if (found := place(cursor, str)) else None
    except ValueError as error:
        raise _bad() from error


def page(found: Sequence[Found], limit: int, out: Callable[[Found], Item], at: Callable[[Found], Any]) -> Page[Item]:
    """A page of what was found, one more than fits if there is more; ``at`` is an item's place, a part or a tuple."""
    return Page(data=[out(item) for item in found[:limit]], next_cursor=after(found, limit, at))


def after(found: Sequence[Found], limit: int, at: Callable[[Found], Any]) -> str | None:
    """The cursor of the next page, if there is one."""
    if len(found) <= limit:
        return None
    last = at(found[limit - 1])
    return cursor(*last) if isinstance(last, tuple) else cursor(last)


def short(items: Sequence[Item], limit: int, cursor_: str | None) -> Page[Item]:
    """A page of a short list that is there as a whole, by position."""
    start = (place(cursor_, int) or [0])[0]
    more = start + limit < len(items)
    return Page(data=list(items[start : start + limit]), next_cursor=cursor(start + limit) if more else None)


def _bad() -> InvalidInput:
    return InvalidInput.at("cursor", "this is not a cursor of this listing")
