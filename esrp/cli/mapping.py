"""Rating files whose metrics go by other names: read as ours before they are sent."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from esrp.cli.exits import UsageFault
from esrp.metrics import METRIC_IDS


def names(pairs: Sequence[str]) -> dict[str, str]:
    """``relevance=consistency``; a name that becomes nothing leaves its rows out."""
    found = {}
    for pair in pairs:
        theirs, is_pair, ours = pair.partition("=")
        if not theirs or not is_pair or (ours and ours not in METRIC_IDS):
            known = ", ".join(METRIC_IDS)
            raise UsageFault(f"--map {pair}: say NAME=METRIC, one of {known}; NAME= leaves it out.")
        found[theirs] = ours
    return found


def mapped(file: Path, by: Mapping[str, str]) -> bytes:
    """The file with its metrics by our names; JSON lines by its ending, else CSV."""
    text = file.read_text("utf-8-sig")
    lines = _json_lines(text, by) if file.suffix in (".jsonl", ".ndjson") else _csv_lines(text, by)
    return "".join(lines).encode()


def _json_lines(text: str, by: Mapping[str, str]) -> Iterator[str]:
    for line in filter(None, map(str.strip, text.splitlines())):
        row = json.loads(line)
        given = str(row.get("metric")) if isinstance(row, dict) else ""
        name = by.get(given, given) if given else None
        if name != "":
            yield json.dumps({**row, "metric": name} if name else row, ensure_ascii=False) + "\n"


def _csv_lines(text: str, by: Mapping[str, str]) -> Iterator[str]:
    rows = csv.reader(io.StringIO(text, newline=""))
    header = next(rows, [])
    yield _line(header)
    at = header.index("metric") if "metric" in header else -1
    for row in rows:
        name = by.get(row[at], row[at]) if 0 <= at < len(row) else None
        if name != "":
            yield _line([*row[:at], name, *row[at + 1 :]] if name else row)


def _line(row: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(row)
    return written.getvalue()
