"""The file in which a person marks the drafts to keep: YAML, or CSV for a spreadsheet. Only `keep` is read back."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from esrp.api import ScenarioDraft
from esrp.cli.exits import UsageFault
from esrp.text import guarded

COLUMNS = (
    "keep",
    "persona",
    "emotion",
    "location",
    "event",
    "question",
    "near_duplicate_of",
    "similarity",
    "id",
    "set",
)
KEPT = {"true": True, "yes": True, "x": True, "1": True, "false": False, "no": False, "0": False, "": False}
HEAD = "# Mark what is to be kept with `keep: true`; nothing else is read back from this file.\n"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person has marked: the set, and the drafts of it to keep."""

    set: str
    scenarios: tuple[str, ...]


def write(path: Path, set_id: str, drafts: Iterable[ScenarioDraft]) -> int:
    """Write what was written of the set, nothing marked; returns how many. CSV if the name ends so, else YAML."""
    rows = [_row(draft) for draft in drafts if draft.state == "written"]
    if path.suffix.lower() == ".csv":
        path.write_bytes(_csv(set_id, rows).encode("utf-8-sig"))  # the mark tells spreadsheets that it is UTF-8
    else:
        document = {"set": set_id, "scenarios": rows}
        path.write_text(HEAD + yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=1000), "utf-8")
    return len(rows)


def read(path: Path) -> Choice:
    """What is marked in the file; ``UsageFault`` says what is wrong with it."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageFault(f"{path} is not UTF-8 (byte {error.start}).") from error
    rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _yaml_rows(path, text)
    sets = {set_id for set_id, _, _ in rows}
    if len(sets) != 1:
        raise UsageFault(f"{path} holds the scenarios of {len(sets)} sets; it must be those of one.")
    kept = tuple(id for _, id, keep in rows if _is_kept(path, id, keep))
    if not kept:
        raise UsageFault(f"Nothing is marked in {path}: put `keep: true` at what is to be kept.")
    return Choice(sets.pop(), kept)


def _row(draft: ScenarioDraft) -> dict[str, Any]:
    row: dict[str, Any] = {"keep": False, **draft.model_dump(include=set(COLUMNS))}
    if draft.near_duplicate_of is None:
        del row["near_duplicate_of"], row["similarity"]
    else:
        row["similarity"] = round(draft.similarity or 0.0, 2)
    return {name: row[name] for name in COLUMNS if name in row}


def _csv(set_id: str, rows: Iterable[Mapping[str, Any]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, restval="")
    writer.writeheader()
    for row in rows:
        shown = {name: guarded(value) for name, value in row.items()}
        writer.writerow({**shown, "keep": "", "set": set_id})
    return file.getvalue()


def _csv_rows(text: str) -> list[tuple[str, str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if missing := {"keep", "id", "set"} - set(reader.fieldnames or ()):
        raise UsageFault(f"The columns {', '.join(sorted(missing))} are missing.")
    return [(row["set"] or "", row["id"] or "", row["keep"] or "") for row in reader]


def _yaml_rows(path: Path, text: str) -> list[tuple[str, str, Any]]:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageFault(f"{path} is not YAML: {error}") from error
    match document:
        case {"set": str(set_id), "scenarios": [*rows]} if all(isinstance(row, dict) and "id" in row for row in rows):
            return [(set_id, str(row["id"]), row.get("keep")) for row in rows]
    raise UsageFault(f"{path} is not a file of `esrp scenarios show --write`: it needs `set` and `scenarios`.")


def _is_kept(path: Path, id: str, keep: Any) -> bool:
    mark = "" if keep is None else str(keep).strip().lower()
    if mark not in KEPT:
        raise UsageFault(f"{path}: keep is {str(keep)!r} at {id}; it can be true or false.")
    return KEPT[mark]
