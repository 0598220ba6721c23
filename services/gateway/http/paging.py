"""Cursors: the place after which the next page begins."""

import base64
import binascii
from typing import Any

import orjson

from esrp.errors import InvalidInput


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
        raise InvalidInput.at("cursor", "this is not a cursor of this listing")
    return found
