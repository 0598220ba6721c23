"""A file of diversity ratings: read and checked line by line, as a file of ratings is."""

from collections.abc import Mapping
from typing import IO, NamedTuple
from uuid import UUID

from esrp.api import RaterKind
from services.analytics.imports.judge_names import Reserved
from services.analytics.imports.ratings import counted, ids_in, kind, run_id, score, text
from services.analytics.records import LISTED, Columns, Faults, Read, Record, read, refused

COLUMNS = Columns(("run", "character", "batch", "rater", "score"), ("rater_kind",))


class BatchLine(NamedTuple):
    """One row as the file has it."""

    number: int
    run: str
    character: str
    batch: int
    rater: str
    kind: RaterKind
    score: int | None


class BatchCell(NamedTuple):
    """One rating of a batch as it is stored, and the line it came from."""

    line: int
    run_id: UUID
    character: str
    batch: int
    rater: str
    kind: RaterKind
    score: int


class Resolved(NamedTuple):
    """The cells to store, each once, how many lines had no score, and how many said again what another said."""

    cells: list[BatchCell]
    missing: int
    repeated: int


def parse(source: bytes | IO[bytes], content_type: str) -> Read[BatchLine]:
    """The lines of a CSV or NDJSON file, and what is wrong with them."""
    return read(source, content_type, COLUMNS, _line)


def run_ids(parsed: Read[BatchLine]) -> list[UUID]:
    """The runs that the lines name, as far as these are ids."""
    return ids_in(line.run for line in parsed.lines)


def resolve(
    parsed: Read[BatchLine], batches: Mapping[UUID, Mapping[str, int]], reserved: Reserved, *, replace: bool
) -> Resolved:
    """Check every line against the runs' batches (how many each character has); ``InvalidInput`` names all faults."""
    wrong = Faults(parsed.wrong)
    if wrong.count >= LISTED:
        raise refused(wrong)
    cells: dict[tuple[UUID, str, int, str, str], BatchCell] = {}
    missing = 0
    for line in parsed.lines:
        found = run_id(line.run)
        reason = _no_batch(line, None if found is None else batches.get(found)) or _reserved(line, reserved)
        if found is None or reason is not None:
            wrong.add(line.number, reason or "")
        elif line.score is None:
            missing += 1
        else:
            cell = BatchCell(line.number, found, line.character, line.batch, line.rater, line.kind, line.score)
            known = cells.setdefault((found, *line[2:6]), cell)
            if known.score != cell.score and replace:
                cells[found, *line[2:6]] = cell
            elif known.score != cell.score:
                other = f"{known.score} on line {known.line} for the same batch and rater"
                wrong.add(line.number, f"the score is {cell.score}, and {other}")
    if wrong.count:
        raise refused(wrong)
    return Resolved(list(cells.values()), missing, len(parsed.lines) - missing - len(cells))


def _line(number: int, record: Record) -> BatchLine:
    return BatchLine(
        number=number,
        run=text(record, "run"),
        character=text(record, "character"),
        batch=counted("batch", record["batch"]),
        rater=text(record, "rater"),
        kind=kind(record.get("rater_kind")),
        score=score(record.get("score")),
    )


def _reserved(line: BatchLine, reserved: Reserved) -> str | None:
    """Why the line may not have its rater."""
    try:
        reserved.refuse(line.rater)
    except ValueError as error:
        return str(error)
    return None


def _no_batch(line: BatchLine, batches: Mapping[str, int] | None) -> str | None:
    """Why there is no such batch."""
    if batches is None:
        return f"there is no run {line.run!r}"
    if line.character not in batches:
        return f"the run has no replies of character {line.character!r}"
    if line.batch > batches[line.character]:
        return f"character {line.character!r} has {batches[line.character]} batches, and this is batch {line.batch}"
    return None
