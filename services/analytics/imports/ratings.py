"""A file of ratings: read, checked line by line, and matched with the dialogues that it names."""

import gc
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple, ParamSpec, TypeAlias, TypeVar
from uuid import UUID

from esrp.api import RaterKind
from esrp.errors import NotFound
from esrp.metrics import METRIC_IDS
from services.analytics.imports.judge_names import Reserved
from services.analytics.records import LISTED, Columns, Faults, Record, Wrong, read, refused, shown
from services.kit.ids import decode, encode

T = TypeVar("T")
P = ParamSpec("P")

COLUMNS = Columns(("run", "character", "scenario", "metric", "rater", "score"), ("rater_kind", "replicate", "dialogue"))


class Line(NamedTuple):
    """One row as the file has it; ``replicate``, ``dialogue`` and ``score`` are ``None`` where it does not say."""

    number: int
    run: str
    character: str
    scenario: str | None
    replicate: int | None
    dialogue: str | None
    metric: str
    rater: str
    kind: RaterKind
    score: int | None


class Cell(NamedTuple):
    """One rating as it is stored, and the line it came from."""

    line: int
    run_id: UUID
    dialogue_id: UUID
    character: str
    scenario: str | None
    replicate: int
    metric: str
    rater: str
    kind: RaterKind
    score: int


class Named(NamedTuple):
    """A dialogue that a line may mean."""

    id: UUID
    replicate: int


Dialogues: TypeAlias = Mapping[UUID, Mapping[tuple[str, str | None], Sequence[Named]]]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's lines, the columns that were not read, and what is wrong."""

    lines: list[Line]
    ignored_columns: list[str]
    wrong: list[Wrong]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The cells to store, each once, how many lines had no score, and how many said again what another said."""

    cells: list[Cell]
    missing: int
    repeated: int


# --- reading ----------------------------------------------------------------------------------------------------------


def parse(source: bytes | IO[bytes], content_type: str) -> Parsed:
    """The lines of a CSV or NDJSON file, and what is wrong with them; it stops reading after 100 faults.

    Columns that we do not know are named, in their order. No more of the file than a line is held.
    """
    return Parsed(*read(source, content_type, COLUMNS, _line))


def _line(number: int, record: Record) -> Line:
    """The row; ``ValueError`` says which column is wrong and how."""
    return Line(
        number=number,
        run=text(record, "run"),
        character=text(record, "character"),
        scenario=None if record["scenario"] in (None, "") else text(record, "scenario"),
        replicate=_replicate(record.get("replicate")),
        dialogue=None if record.get("dialogue") in (None, "") else text(record, "dialogue"),
        metric=_metric(record["metric"]),
        rater=text(record, "rater"),
        kind=kind(record.get("rater_kind")),
        score=score(record.get("score")),
    )


def text(record: Record, name: str) -> str:
    """The column's text; a number is taken as it is written."""
    value = record[name]
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # raters are often numbered
    if value in (None, ""):
        raise ValueError(f"{name} is empty")
    if not isinstance(value, str) or not value.isprintable() or len(value) > 128:
        raise ValueError(f"{name} must be printable text of at most 128 characters")
    return value


def _metric(value: Any) -> str:
    if isinstance(value, str) and value in METRIC_IDS:
        return value
    raise ValueError(f"metric {shown(value)} is none of {', '.join(METRIC_IDS)}")


def kind(value: Any) -> RaterKind:
    """Of the rater: people unless said otherwise."""
    if value in (None, "", "human"):
        return "human"
    if value == "judge":
        return "judge"
    raise ValueError(f"rater_kind {shown(value)} is neither human nor judge")


def _replicate(value: Any) -> int | None:
    return None if value in (None, "") else counted("replicate", value)


def counted(name: str, value: Any) -> int:
    """A whole number from 1 to 9999."""
    if isinstance(value, bool) or not re.fullmatch(r"[1-9][0-9]{0,3}(\.0+)?", str(value)):
        raise ValueError(f"{name} {shown(value)} is not a whole number from 1")
    return int(float(value))


def score(value: Any) -> int | None:
    """1 to 5. ``4.0`` is a 4: spreadsheets write whole numbers so where a column has gaps."""
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not re.fullmatch(r"[1-5](\.0+)?", str(value)):
        raise ValueError(f"score {shown(value)} is not a whole number from 1 to 5")
    return int(float(value))


# --- matching ---------------------------------------------------------------------------------------------------------


def run_ids(parsed: Parsed) -> list[UUID]:
    """The runs that the lines name, as far as these are ids."""
    return ids_in(line.run for line in parsed.lines)


def ids_in(names: Iterable[str]) -> list[UUID]:
    """Those of the names that are ids of runs, each once."""
    found = (run_id(name) for name in set(names))
    return sorted(id for id in found if id is not None)


def resolve(parsed: Parsed, dialogues: Dialogues, reserved: Reserved, *, replace: bool) -> Resolved:
    """Match every line with the dialogue it means; ``InvalidInput`` names all that are wrong or contradict another.

    A line without a score is missing: it is checked, counted and not stored. With ``replace`` the last of several
    scores of a cell counts. ``dialogues`` holds the tenant's runs only, ``reserved`` the names of judges.
    """
    wrong = Faults(parsed.wrong)
    if wrong.count >= LISTED:
        raise refused(wrong)
    find = _Finder(dialogues)
    cells: dict[tuple[UUID, str, str, str], Cell] = {}
    missing = 0
    for line in parsed.lines:
        try:
            in_run, meant = find(line)
            reserved.refuse(line.rater)
        except ValueError as error:
            wrong.add(line.number, str(error))
            continue
        if line.score is None:
            missing += 1
            continue
        cell = _cell(line, in_run, meant, line.score)
        known = cells.setdefault((meant.id, cell.metric, cell.rater, cell.kind), cell)
        if known.score != cell.score and replace:
            cells[meant.id, cell.metric, cell.rater, cell.kind] = cell
        elif known.score != cell.score:
            other = f"{known.score} on line {known.line} for the same cell and rater"
            wrong.add(line.number, f"the score is {cell.score}, and {other}")
    if wrong.count:
        raise refused(wrong)
    return Resolved(list(cells.values()), missing, len(parsed.lines) - missing - len(cells))


def _cell(line: Line, in_run: UUID, meant: Named, given: int) -> Cell:
    named = line.character, line.scenario, meant.replicate
    return Cell(line.number, in_run, meant.id, *named, line.metric, line.rater, line.kind, given)


class _Finder:
    """Finds the dialogue that a line means. A study names few runs and dialogues many times: both are remembered."""

    def __init__(self, dialogues: Dialogues) -> None:
        self._dialogues = dialogues
        self._runs: dict[str, UUID | None] = {}
        self._ids: dict[tuple[UUID, str, str | None], dict[str, Named]] = {}

    def __call__(self, line: Line) -> tuple[UUID, Named]:
        """The run and the dialogue; ``ValueError`` says why there is not exactly one."""
        named = self._run(line.run)
        found = self._dialogues[named].get((line.character, line.scenario), ())
        if line.dialogue is not None and len(found) > 1:
            found = self._called(line, named, found)
        if line.replicate is not None:
            found = [dialogue for dialogue in found if dialogue.replicate == line.replicate]
        if len(found) != 1:
            raise ValueError(_not_one(line, found))
        return named, found[0]

    def _called(self, line: Line, named: UUID, found: Sequence[Named]) -> Sequence[Named]:
        """The one that the column dialogue names; all of them where it is another run's, as in the copy of a file."""
        key = named, line.character, line.scenario
        if key not in self._ids:
            self._ids[key] = {encode("dlg", dialogue.id): dialogue for dialogue in found}
        one = self._ids[key].get(line.dialogue or "")
        return found if one is None else (one,)

    def _run(self, name: str) -> UUID:
        if name not in self._runs:
            found = run_id(name)
            self._runs[name] = found if found in self._dialogues else None
        known = self._runs[name]
        if known is None:
            raise ValueError(f"there is no run {name!r}")
        return known


def _not_one(line: Line, found: Sequence[Named]) -> str:
    where = f"scenario {line.scenario!r}" if line.scenario is not None else "no scenario"
    what = f"character {line.character!r} and {where}"
    if line.replicate is not None:
        what += f", replicate {line.replicate}"
    if found:
        column = "replicate" if len({dialogue.replicate for dialogue in found}) == len(found) else "dialogue"
        return f"the run has {len(found)} dialogues with {what}; the column {column} must say which"
    return f"the run has no dialogue with {what}"


def uncollected(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Do it without the garbage collector, which finds nothing in a million new tuples and takes half of the time."""
    if not gc.isenabled():
        return work(*given, **named)
    gc.disable()
    try:
        return work(*given, **named)
    finally:
        gc.enable()


def run_id(name: str) -> UUID | None:
    """The id that a run's name on the wire stands for, if it is one."""
    try:
        return decode("run", name)
    except NotFound:
        return None
