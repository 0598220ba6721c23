"""Ids: uuid7 for what people create, uuid5 for what follows from it; on the wire a prefix says which."""

import os
import time
from typing import Literal
from uuid import UUID, uuid5

from esrp.errors import NotFound

Prefix = Literal["run", "dlg", "ste", "trn", "key", "ten", "scs", "scn", "shl"]
WORDS: dict[Prefix, str] = {
    "run": "run",
    "dlg": "dialogue",
    "ste": "suite",
    "trn": "transcript",
    "key": "key",
    "ten": "tenant",
    "scs": "scenario set",
    "scn": "scenario",
    "shl": "shortlist",
}


def uuid7() -> UUID:
    """A new id that sorts by its time of birth (RFC 9562, 5.7). The standard library has it from Python 3.14 on."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 7 << 76
    return UUID(int=value & ~(0x3 << 62) | 2 << 62)


def dialogue_id(run: UUID, character: str, scenario: str | None, replicate: int, position: int) -> UUID:
    """The id of a run's dialogue; a conversation without a scenario is known by its position."""
    return uuid5(run, "\x1f".join((character, scenario if scenario is not None else f"#{position}", str(replicate))))


def verdict_id(dialogue: UUID, judge: str) -> UUID:
    """The id of a judge's verdict on a dialogue."""
    return uuid5(dialogue, judge)


def encode(prefix: Prefix, id: UUID) -> str:
    """``run_0198…``: the id as clients see it."""
    return f"{prefix}_{id.hex}"


def decode(prefix: Prefix, text: str) -> UUID:
    """The id in a client's text; what is not an id names nothing: ``NotFound``."""
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != 32:
        raise NotFound(WORDS[prefix], text)
    try:
        return UUID(hex=digits)
    except ValueError:
        raise NotFound(WORDS[prefix], text) from None
