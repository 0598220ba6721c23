"""Many rows at once, which the event loop only passes on: Postgres writes them as JSON, and who computes reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
HEADER = 19  # bytes before the first row of a binary COPY, where it has no extension


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as Postgres copied them."""

    copied: bytes = b""

    def __iter__(self) -> Iterator[Any]:
        """Each row, as parsed JSON."""
        data, at = memoryview(self.copied), HEADER
        while at + 2 < len(data):  # a row is how many fields it has (one), the field's size and the field
            start = at + 6
            at = start + int.from_bytes(data[at + 2 : start])
            yield orjson.loads(data[start:at])

    def of(self, row: type[T]) -> list[T]:
        """Each row, an object, as a value of the class whose fields it has."""
        return [row(**found) for found in self]


async def copied(tx: AsyncConnection, sql: str) -> Rows:
    """The rows of a statement that reads, whose one column is of type ``json``; it takes no values.

    97,200 ratings take a hundredth of the event loop's time that they take as rows.
    """
    connection = (await tx.get_raw_connection()).driver_connection
    assert connection is not None
    found = bytearray()

    async def add(part: bytes) -> None:
        found.extend(part)

    await connection.copy_from_query(sql, output=add, format="binary")
    return Rows(bytes(found))
