"""The records of an uploaded file, one at a time, and what is wrong with them: no more than a line of it is held."""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Generic, NamedTuple, TypeAlias, TypeVar

import orjson

from esrp.errors import Fault, InvalidInput

L = TypeVar("L")
LISTED = 100  # faults; a file with more is wrong as a whole
LONGEST = 65_536  # characters of a line, or bytes of a JSON object: a rating has some hundred
MOST_PLAIN = 50_000  # different fields that are remembered
SHOWN = 200  # characters of what is wrong
QUOTED = re.compile(r"'+[=+\-@]")

Record: TypeAlias = Mapping[str, Any]
Records: TypeAlias = Iterator[tuple[int, Record]]


class Columns(NamedTuple):
    """The columns that a file must have, and those that it may have."""

    required: tuple[str, ...]
    optional: tuple[str, ...]


class Wrong(NamedTuple):
    """A line that cannot be stored, and why."""

    line: int
    message: str


class Faults:
    """What is wrong with a file: all is counted, the first hundred kept."""

    def __init__(self, found: Iterable[Wrong] = ()) -> None:
        self.kept = list(found)
        self.count = len(self.kept)

    def add(self, line: int, message: str) -> None:
        """One more."""
        self.count += 1
        if len(self.kept) < LISTED:
            self.kept.append(Wrong(line, message))


def refused(wrong: Faults) -> InvalidInput:
    """Nothing of the file is stored, because of these lines."""
    faults = [Fault(f"line {line}", message) for line, message in sorted(wrong.kept)]
    more = f" The first {LISTED} faults are listed." if wrong.count >= LISTED else ""
    if wrong.count > LISTED:
        more = f" And {wrong.count - LISTED:,} more; the first {LISTED} faults are listed."
    first = f"{faults[0].pointer}: {faults[0].message}"
    return InvalidInput(f"Nothing of the file was stored. {first}{more}", errors=faults[:LISTED])


# --- reading ----------------------------------------------------------------------------------------------------------


class Read(NamedTuple, Generic[L]):
    """What ``read`` makes of a file."""

    lines: list[L]
    ignored_columns: list[str]
    wrong: list[Wrong]


def read(source: bytes | IO[bytes], content_type: str, columns: Columns, line: Callable[[int, Record], L]) -> Read[L]:
    """Each record with its line number given to ``line``, whose ``ValueError`` says what is wrong with it."""
    wrong: list[Wrong] = []
    ignored: dict[str, None] = {}
    lines: list[L] = []
    records = _ndjson if "json" in content_type.lower() else _csv
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    file.seek(0)
    for number, record in records(file, columns, ignored, wrong):
        try:
            lines.append(line(number, record))
        except ValueError as error:
            wrong.append(Wrong(number, str(error)))
    return Read(lines, list(ignored), wrong)


def _csv(file: IO[bytes], columns: Columns, ignored: dict[str, None], wrong: list[Wrong]) -> Records:
    """The records of a CSV file with a header; an empty field is ``None``."""
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    reader = csv.reader(_short_lines(text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if reason := _wrong_header(header, columns):
            return wrong.append(Wrong(1, reason))
        _ignore(header, columns, ignored)
        first = reader.line_num + 1  # of the record: a quoted field may hold line ends
        plain: dict[str, str | None] = {}  # a study says few things many times: each is held once
        for values in reader:
            if len(plain) > MOST_PLAIN:
                plain.clear()
            if len(values) == len(header):
                yield (
                    first,
                    {
                        name: plain[value] if value in plain else plain.setdefault(value, _unquoted(value) or None)
                        for name, value in zip(header, values, strict=True)
                    },
                )
            elif values:
                wrong.append(Wrong(first, f"there are {len(values)} fields where the header names {len(header)}"))
            if len(wrong) >= LISTED:
                return
            first = reader.line_num + 1
    except UnicodeDecodeError:
        wrong.append(Wrong(_undecodable(text.detach()), "this is not UTF-8"))
    except csv.Error as error:
        wrong.append(Wrong(max(1, reader.line_num), f"this is not CSV: {error}"))
    except TooLong:
        wrong.append(Wrong(reader.line_num + 1, f"the line is longer than {LONGEST:,} characters"))
    finally:
        with suppress(ValueError):  # it was detached
            text.detach()  # or it would close the file


class TooLong(Exception):
    """A line that is no rating, however it goes on."""


def _short_lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(LONGEST + 1):
        if len(line) > LONGEST:
            raise TooLong
        yield line


def _undecodable(file: IO[bytes]) -> int:
    """The first line that is not UTF-8."""
    file.seek(0)
    return next(number for number, line in enumerate(file, 1) if not _decodes(line))


def _decodes(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ignore(names: Iterable[str], columns: Columns, ignored: dict[str, None]) -> None:
    """Note the columns that nobody reads, as many as a person would."""
    for name in names:
        if name not in columns.required and name not in columns.optional and len(ignored) < LISTED:
            ignored[name[:SHOWN]] = None


def _unquoted(field: str) -> str:
    """Without the apostrophe that an export puts before what a spreadsheet would take for a formula."""
    value = field.strip()
    return value[1:] if value[:1] == "'" and QUOTED.match(value) else value


def _wrong_header(header: Sequence[str], columns: Columns) -> str | None:
    if lacking := [name for name in columns.required if name not in header]:
        return f"the header lacks the column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}"
    if twice := sorted({name for name in header if header.count(name) > 1}):
        return f"the header names {', '.join(twice)} twice"
    return None


def _ndjson(file: IO[bytes], columns: Columns, ignored: dict[str, None], wrong: list[Wrong]) -> Records:
    """The objects of a file with one JSON object a line."""
    number = 0
    while (text := file.readline(LONGEST + 1)) and len(wrong) < LISTED:
        number += 1
        if len(text) > LONGEST:
            return wrong.append(Wrong(number, f"the line is longer than {LONGEST:,} bytes"))
        text = text.removeprefix(codecs.BOM_UTF8) if number == 1 else text
        if not text.strip():
            continue
        try:
            record = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            wrong.append(Wrong(number, f"this is not JSON: {error.msg}"))
            continue
        if not isinstance(record, dict):
            wrong.append(Wrong(number, "this is not a JSON object"))
        elif lacking := [name for name in columns.required if name not in record and name != "score"]:
            wrong.append(Wrong(number, f"{', '.join(lacking)} is missing"))
        else:
            _ignore(record, columns, ignored)
            yield number, record


def shown(value: Any) -> str:
    """As it is told of: its beginning, where it is long."""
    told = repr(value)
    return told if len(told) <= SHOWN else f"{told[:SHOWN]}…"
