"""A run's ratings as bytes: names as JSON, then numbers as arrays. Pure, and for a process aside."""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from esrp.api import RaterKind
from esrp.metrics import METRIC_IDS
from esrp.stats import Ratings
from esrp.stats.ratings import OWN_LOG

Row: TypeAlias = Sequence[Any]
"""Dialogue, character, scenario, rater, kind, and the nine scores as the digits of one number, the first the last."""

NAMES = ("dialogue", "character", "scenario", "rater", "kind")
SAMPLED = ("", "drawn", "random")  # how a dialogue that people rated was chosen, by its number
HEAD = 8  # bytes of the names' length
KINDS: tuple[RaterKind, ...] = ("judge", "human")


@dataclass(frozen=True, slots=True)
class Document:
    """A run's packed ratings, the hash of what is in them, and the kinds of raters."""

    content: bytes
    sha256: str
    kinds: Sequence[RaterKind]


@dataclass(frozen=True, eq=False)
class Unpacked:
    """A run's ratings by the kinds of raters that there are, and how dialogues that people rated were chosen."""

    ratings: Mapping[RaterKind, Ratings]
    sampling: Mapping[str, str]


def of_kind(ratings: Mapping[RaterKind, Ratings], kind: RaterKind | None) -> Ratings:
    """The ratings of a kind of raters, which may be none."""
    return ratings[kind] if kind is not None and kind in ratings else Ratings.of(())


def pack(rows: Iterable[Row], sampling: Iterable[tuple[str, str]] = ()) -> Document:
    """The same ratings give the same bytes, in whatever order they come."""
    columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * (len(NAMES) + 1)
    named = dict(zip(NAMES, columns, strict=False))
    named["scenario"] = [scenario or OWN_LOG for scenario in named["scenario"]]
    levels = {name: sorted(set(column)) for name, column in named.items()}
    codes = np.stack([_numbered(named[name], levels[name]) for name in NAMES], axis=1)
    scores = _digits(np.array([digits or 0 for digits in columns[-1]], dtype=np.int64))
    order = np.lexsort(codes.T[::-1])
    chosen = dict(sampling)
    names = orjson.dumps({name: levels[name] for name in NAMES})
    parts = (
        len(names).to_bytes(HEAD),
        names,
        np.array([SAMPLED.index(chosen.get(id, "")) for id in levels["dialogue"]], dtype=np.uint8).tobytes(),
        codes[order].T.astype("<i4").tobytes(),
        scores[order].tobytes(),
    )
    content = b"".join(parts)
    kinds = [kind for kind in KINDS if kind in levels["kind"]]
    return Document(zlib.compress(content, 1), hashlib.sha256(content).hexdigest(), kinds)


def unpack(document: Document) -> Unpacked:
    """What was packed."""
    content = zlib.decompress(document.content)
    start = HEAD + int.from_bytes(content[:HEAD])
    levels: dict[str, list[str]] = orjson.loads(content[HEAD:start])
    dialogues = levels["dialogue"]
    sampled = content[start : start + len(dialogues)]
    rest = np.frombuffer(content, dtype=np.uint8, offset=start + len(dialogues))
    rows = len(rest) // (4 * len(NAMES) + len(METRIC_IDS))
    codes = rest[: 4 * len(NAMES) * rows].view("<i4").reshape(len(NAMES), rows)
    scores = rest[4 * len(NAMES) * rows :].reshape(rows, len(METRIC_IDS))
    kind = np.array(levels["kind"])[codes[-1]] if rows else np.zeros(0, dtype=str)
    of = {name: _of_table(levels, codes[:, kind == name], scores[kind == name]) for name in KINDS}
    return Unpacked(
        {name: ratings for name, ratings in of.items() if len(ratings)},
        {id: SAMPLED[how] for id, how in zip(dialogues, sampled, strict=True) if how},
    )


def _of_table(levels: Mapping[str, Sequence[str]], codes: NDArray[Any], scores: NDArray[Any]) -> Ratings:
    return Ratings.of_table(levels, dict(zip(NAMES, codes, strict=True)), scores)


def _numbered(column: Sequence[str], levels: Sequence[str]) -> NDArray[np.int64]:
    number = {name: code for code, name in enumerate(levels)}.__getitem__
    return np.fromiter(map(number, column), dtype=np.int64, count=len(column))


def _digits(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Numbers × the nine metrics."""
    powers = 10 ** np.arange(len(METRIC_IDS), dtype=np.int64)
    return (numbers[:, None] // powers % 10).astype(np.uint8)
