"""A shortlist as CSV and as Markdown, in the layout of the paper's Table 4."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import Any

from esrp.api import PublishedRow, Shortlist, ShortlistRow
from esrp.metrics import PRINTED
from esrp.text import cell, guarded, number, table_row

HEADER = ("place", "candidate", *PRINTED, "ci_low", "ci_high", "scored", "dialogues", "kept", "status", "run")


def csv_table(shortlist: Shortlist) -> str:
    """A line a candidate: Table 4's columns, then the run, its status and whether it is kept."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for found in shortlist.rows:
        low, high = found.ci or (None, None)
        cells = [found.place, guarded(found.candidate), *_values(found), low, high, found.scored, found.dialogues]
        writer.writerow([*cells, _yes(found.kept), found.status, found.run])
    return out.getvalue()


def markdown(shortlist: Shortlist) -> str:
    """Table 4's columns with two decimals; below it what it rests on, and for `chatanime` the paper's own rows."""
    return "\n".join([*_lines(shortlist), ""])


def _lines(shortlist: Shortlist) -> Iterator[str]:
    judges = cell(", ".join(shortlist.judges))
    yield f"# Shortlist {cell(shortlist.name or shortlist.id)}"
    yield ""
    yield f"{cell(shortlist.suite)}, panel: {judges}; the best {shortlist.keep} are kept ({shortlist.status})."
    yield ""
    yield from _table(_markdown_row(found) for found in shortlist.rows)
    yield from _incomplete(shortlist.rows)
    if shortlist.published is not None:
        printed = shortlist.published
        yield ""
        yield f"For reference, {printed.title} of {printed.source}, rated by {printed.raters}, not here:"
        yield ""
        yield from _table((line.candidate, *_cells(_printed(line)), "") for line in printed.rows)


def _printed(line: PublishedRow) -> dict[str, float]:
    return {**line.metrics, **line.dimensions, "overall": line.overall}


def _incomplete(found: Sequence[ShortlistRow]) -> Iterator[str]:
    """Whose means stand on fewer dialogues than the others', and on how many."""
    short = [one for one in found if one.scored < one.dialogues]
    if short:
        yield ""
    for one in short:
        yield f"- {cell(one.candidate)}: {one.status}, {one.scored} of {one.dialogues} dialogues scored"


def _markdown_row(found: ShortlistRow) -> tuple[str, ...]:
    values = _cells(dict(zip(PRINTED, _values(found), strict=True)))
    return (f"{found.place or ''} {cell(found.candidate)}".strip(), *values, _yes(found.kept))


def _table(body: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield table_row(("candidate", *PRINTED, "kept"))
    yield "| --- |" + " ---: |" * len(PRINTED) + " --- |"
    for cells in body:
        yield table_row(cells)


def _values(found: ShortlistRow) -> list[float | None]:
    by_name: dict[str, Any] = {**found.metrics, **found.dimensions, "overall": found.overall}
    return [by_name[name] for name in PRINTED]


def _cells(values: Mapping[str, float | None]) -> list[str]:
    return [number(values[name], unknown="") for name in PRINTED]


def _yes(kept: bool | None) -> str:
    return "" if kept is None else "yes" if kept else "no"
