"""What is new in every run of the same seeds, by a name that stays: ids, times, addresses, seconds."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pyarrow.parquet import read_table
from pydantic import BaseModel

ID = re.compile(r"\b([a-z]{3})_([0-9a-f]{32})\b")
UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?")
# How an endpoint was paced depends on how fast its answers came; what is kept of it is that the field is there.
FIELDS = {"seconds", "age_days", "request_id", "pacing"}
DIGITS = 9  # of a number: beyond them processors add up differently


@dataclass
class Masks:
    """The names of what was made: an id that nobody named gets a number, anew in each file."""

    known: dict[str, str] = field(default_factory=dict)

    def name(self, what: str, name: str) -> None:
        """Let this id or address have this name, in every file."""
        self.known[what] = name

    def text(self, text: str) -> str:
        """A text with names for what is new."""
        for address in sorted((what for what in self.known if "://" in what), key=len, reverse=True):
            text = text.replace(address, self.known[address])
        text = ID.sub(self._numbered(lambda found: found[1]), text)
        text = UUID.sub(self._numbered(lambda _: "uuid"), text)
        return TIME.sub("<time>", text)

    def json(self, document: Any) -> str:
        """A document with names for what is new, indented; the order of its keys is its own."""
        plain = document.model_dump(mode="json", by_alias=True) if isinstance(document, BaseModel) else document
        return self.text(json.dumps(masked(plain), ensure_ascii=False, indent=2) + "\n")

    def parquet(self, content: bytes) -> str:
        """A Parquet file's schema and rows."""
        table = read_table(BytesIO(content))
        schema = {column.name: str(column.type) for column in table.schema}
        rows = [json.dumps(masked(row), ensure_ascii=False) for row in table.to_pylist()]
        return self.text("\n".join([json.dumps(schema), *rows]) + "\n")

    def _numbered(self, kind: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
        numbers: dict[str, str] = {}

        def named(found: re.Match[str]) -> str:
            if found[0] not in self.known and found[0] not in numbers:
                times = sum(name.startswith(f"{kind(found)}_") for name in numbers.values())
                numbers[found[0]] = f"{kind(found)}_{times + 1}"
            return self.known.get(found[0]) or numbers[found[0]]

        return named


def masked(document: Any) -> Any:
    """The document without what clocks put into it, its numbers as short as two machines agree on."""
    match document:
        case dict():
            return {key: _field(key, value) for key, value in document.items()}
        case list():
            return [masked(item) for item in document]
        case float():
            return float(f"{document:.{DIGITS}g}")
    return document


def _field(key: str, value: Any) -> Any:
    return f"<{key}>" if key in FIELDS and value is not None else masked(value)
