"""Tables that leave the service: CSV, JSONL and Parquet, with the types that docs/exports.md promises.

Long ones are read in pages by key: a reader who is slow holds no connection to the database.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Literal, Protocol, TypeAlias
from uuid import UUID

import orjson
import pyarrow
from pyarrow.parquet import ParquetWriter
from sqlalchemy.ext.asyncio import AsyncEngine

from esrp.render.tables import Columns
from esrp.text import guarded
from services.analytics.ratings import diversity_ratings, exported, rated_dialogues
from services.kit.ids import encode

Format: TypeAlias = Literal["csv", "jsonl", "parquet"]
Row: TypeAlias = Sequence[Any]

TYPES: dict[str, str] = {
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
PAGE = 400  # dialogues: some 10,000 ratings, or a megabyte of text

_TEXT = pyarrow.string()
_TYPES = {str: _TEXT, float: pyarrow.float64(), int: pyarrow.int64()}
RATINGS = pyarrow.schema(
    [
        *((name, _TEXT) for name in ("run", "dialogue", "character", "scenario")),
        ("replicate", pyarrow.int32()),
        *((name, _TEXT) for name in ("metric", "rater", "rater_kind")),
        ("score", pyarrow.int8()),
    ]
)
DIVERSITY = pyarrow.schema(
    [
        *((name, _TEXT) for name in ("run", "character")),
        ("batch", pyarrow.int32()),
        *((name, _TEXT) for name in ("rater", "rater_kind")),
        ("score", pyarrow.int8()),
    ]
)


async def ratings(engine: AsyncEngine, run_id: UUID, format: Format) -> AsyncIterator[bytes]:
    """All ratings of the run."""
    async for chunk in written(_ratings(engine, run_id), RATINGS, format):
        yield chunk


async def diversity(engine: AsyncEngine, run_id: UUID, format: Format) -> AsyncIterator[bytes]:
    """All ratings of the run's batches."""
    async with engine.begin() as tx:
        found = sorted(await diversity_ratings(tx, run_id))

    async def pages() -> AsyncIterator[list[Row]]:
        yield [(encode("run", run_id), *rating) for rating in found]

    async for chunk in written(pages(), DIVERSITY, format):
        yield chunk


async def written(pages: AsyncIterator[list[Row]], schema: pyarrow.Schema, format: Format) -> AsyncIterator[bytes]:
    """The rows of all pages in the columns of the schema, page by page."""
    write = _writer(schema, format)
    async for page in pages:
        if chunk := write.rows(page):
            yield chunk
    yield write.end()


def whole(rows: Sequence[Row], columns: Columns, format: Format) -> bytes:
    """A table that fits in memory."""
    write = _writer(pyarrow.schema([(name, _TYPES[type]) for name, type in columns]), format)
    return write.rows(rows) + write.end()


async def _ratings(engine: AsyncEngine, run_id: UUID) -> AsyncIterator[list[Row]]:
    """Pages of dialogues, each read in a transaction of its own."""
    async with engine.begin() as tx:
        ids = await rated_dialogues(tx, run_id)
    for start in range(0, len(ids), PAGE):
        async with engine.begin() as tx:
            found = await exported(tx, run_id, ids[start : start + PAGE])
        yield [(encode("run", row.run_id), encode("dlg", row.dialogue_id), *row[2:]) for row in found]


# --- formats ----------------------------------------------------------------------------------------------------------


class _Writer(Protocol):
    """Turns rows into the bytes of a file, part by part."""

    def rows(self, rows: Sequence[Row]) -> bytes:
        """What these rows add."""

    def end(self) -> bytes:
        """What is left to be written."""


def _writer(schema: pyarrow.Schema, format: Format) -> _Writer:
    if format == "parquet":
        return _Parquet(schema)
    return _Csv(schema) if format == "csv" else _Jsonl(schema)


class _Csv:
    """A header, then a line a row; what is unknown is empty. ``end`` is the header alone where there was no row.

    A text that a spreadsheet would take for a formula begins with an apostrophe, which an import takes off again.
    """

    def __init__(self, schema: pyarrow.Schema) -> None:
        self._header: Iterable[str] = [",".join(schema.names) + "\n"]

    def rows(self, rows: Sequence[Row]) -> bytes:
        """The lines of these rows."""
        out = io.StringIO()
        out.writelines(self._header)
        self._header = ()
        csv.writer(out, lineterminator="\n").writerows(map(guarded, row) for row in rows)
        return out.getvalue().encode()

    def end(self) -> bytes:
        """What is left to be written."""
        return "".join(self._header).encode()


class _Jsonl:
    """An object a line."""

    def __init__(self, schema: pyarrow.Schema) -> None:
        self._names = schema.names

    def rows(self, rows: Sequence[Row]) -> bytes:
        """The lines of these rows."""
        return b"".join(orjson.dumps(dict(zip(self._names, row, strict=True))) + b"\n" for row in rows)

    def end(self) -> bytes:
        """Nothing is left."""
        return b""


class _Parquet:
    """A row group a page; the file's footer in the end."""

    def __init__(self, schema: pyarrow.Schema) -> None:
        self._schema, self._out = schema, _Sink()
        self._writer = ParquetWriter(self._out, schema)

    def rows(self, rows: Sequence[Row]) -> bytes:
        """The bytes of these rows."""
        columns = list(zip(*rows, strict=True)) or [()] * len(self._schema)
        arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))
        return self._out.taken()

    def end(self) -> bytes:
        """The footer."""
        self._writer.close()
        return self._out.taken()


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken, and knows how much that ever was."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, part: Any) -> int:
        """Keep it."""
        data = bytes(part)
        self._parts.append(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        """The place in the file."""
        return self._size

    def taken(self) -> bytes:
        """What was written since."""
        parts, self._parts = self._parts, []
        return b"".join(parts)
