"""`esrp scenarios`: have scenarios written over a grid, look at them, keep the chosen as a suite."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column, Table
from rich.text import Text

from esrp.api import GridCoverage, ScenarioDraft, ScenarioSetDetail, ScenarioSetRequest
from esrp.cli import drafts
from esrp.cli.exits import INTERRUPTED, UNSUCCESSFUL, Stop, UsageFault
from esrp.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, connect
from esrp.client import Client, ConnectionFailed, Lost
from esrp.errors import InvalidInput
from esrp.suite import faults

scenarios = typer.Typer(
    help="Scenarios written by a model over persona × emotion × location.", no_args_is_help=True, rich_markup_mode=None
)

Write = Annotated[
    Path | None, typer.Option(dir_okay=False, help="Write the scenarios to this .yaml or .csv, to mark what to keep.")
]
SHOWN = 60  # characters of a text in a list
WIDTH = 120  # columns where there is no terminal to ask


@scenarios.command("generate")
def generate(
    name: Annotated[str, typer.Option(help="What to call the set.")],
    language: Annotated[str | None, typer.Option(help="zh or en.  [default: zh]", show_default=False)] = None,
    persona: Annotated[list[str] | None, typer.Option(help="Again for more; the paper's four if not given.")] = None,
    emotion: Annotated[list[str] | None, typer.Option(help="Again for more; nine if not given.")] = None,
    location: Annotated[
        list[str] | None, typer.Option(help="LABEL for all personas, or PERSONA=LABEL; the paper's if not given.")
    ] = None,
    per_cell: Annotated[int | None, typer.Option(min=1, max=10, help="Scenarios a cell.  [default: 2]")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to the end.")] = True,
    write: Write = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Have the writer model write scenarios, and show how they cover the grid."""
    given = {
        "language": language,
        "personas": persona,
        "emotions": emotion,
        "locations": _locations(location),
        "per_cell": per_cell,
    }
    asked = _valid({"name": name, **{field: value for field, value in given.items() if value is not None}})
    with connect(url, api_key) as client:
        made = client.create_scenario_set(asked)
        typer.echo(f"{made.id} started; {made.progress.planned} scenarios", err=True)
        if wait:
            made = _followed(client, made.id)
        _show(client, made, write, as_json)
    if made.status == "failed":
        raise Stop(UNSUCCESSFUL)


@scenarios.command("show")
def show(
    id: Annotated[str, typer.Argument(metavar="SET", help="scs_…")],
    write: Write = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Show how far a set is, how it covers the grid, and which scenarios are near-duplicates."""
    with connect(url, api_key) as client:
        _show(client, client.scenario_set(id), write, as_json)


@scenarios.command("select")
def select(
    what: Annotated[str, typer.Argument(metavar="FILE|SET", help="A marked file, or scs_… with --scenario.")],
    suite: Annotated[str, typer.Option(help="The name of the suite that is made.")],
    characters: Annotated[str, typer.Option("--from", help="The suite whose characters are taken.")],
    scenario: Annotated[list[str] | None, typer.Option(help="A scenario to keep; again for more.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Keep the chosen scenarios as a suite version."""
    choice = _choice(what, scenario or [])
    with connect(url, api_key) as client:
        made = client.select_scenarios(choice.set, suite, choice.scenarios, characters)
    counts = ", ".join(f"{count} {kind}" for kind, count in made.counts.items())
    typer.echo(f"{made.name}@{made.version}  {counts}  sha256 {made.sha256}")


# --- what was asked for -----------------------------------------------------------------------------------------------


def _locations(given: Sequence[str] | None) -> list[str] | dict[str, list[str]] | None:
    """Labels for all personas, or by persona where one is named before ``=``."""
    if not given:
        return None
    pairs = [label.partition("=") for label in given]
    if not any(equals for _, equals, _ in pairs):
        return list(given)
    if not all(equals for _, equals, _ in pairs):
        raise UsageFault("Give every --location as PERSONA=LABEL, or none of them.")
    found: dict[str, list[str]] = {}
    for persona, _, label in pairs:
        found.setdefault(persona, []).append(label)
    return found


def _valid(document: dict[str, Any]) -> ScenarioSetRequest:
    try:
        return ScenarioSetRequest.model_validate(document)
    except ValidationError as error:
        raise InvalidInput("That cannot be asked for.", errors=list(faults(error.errors()))) from error


def _choice(what: str, ids: Sequence[str]) -> drafts.Choice:
    if what.startswith("scs_") and not Path(what).exists():
        if not ids:
            raise UsageFault("Name what is to be kept: --scenario scn_…, again for more.")
        return drafts.Choice(what, tuple(ids))
    if ids:
        raise UsageFault("Give either a file with `keep: true`, or a set and --scenario.")
    if not Path(what).is_file():
        raise UsageFault(f"There is no file {what!r}, and a set's id begins with scs_.")
    return drafts.read(Path(what))


# --- following --------------------------------------------------------------------------------------------------------


def _followed(client: Client, id: str) -> ScenarioSetDetail:
    how = f"`esrp scenarios show {id}` tells how far it is."
    try:
        with _Watch() as watch:
            return client.wait_for_scenarios(id, watch.on_progress, watch.on_lost)
    except KeyboardInterrupt:
        typer.echo(f"\nNo longer following {id}, which goes on at the server. {how}", err=True)
        raise Stop(INTERRUPTED) from None
    except ConnectionFailed:
        typer.echo(f"{id} goes on at the server once that is up. {how}", err=True)
        raise


class _Watch:
    """A bar if stderr is a terminal, else a line for every tenth of the scenarios."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr)
        columns = (BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("", total=None)
        self._told = -1

    def __enter__(self) -> "_Watch":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def on_progress(self, set_: ScenarioSetDetail) -> None:
        """Redraw, or print a line if there is news."""
        done, planned = set_.progress.written + set_.progress.failed, set_.progress.planned
        self._bar.update(self._task, completed=done, total=planned, description=_progress(set_))
        if not self._console.is_terminal and (news := done * 10 // planned) != self._told:
            self._told = news
            typer.echo(f"{set_.id} {_progress(set_)}", err=True)

    def on_lost(self, lost: Lost) -> None:
        """Say so; the numbers come back with the connection."""
        self._bar.update(self._task, description=f"connection lost, trying again ({lost.reason})")


# --- showing ----------------------------------------------------------------------------------------------------------


def _show(client: Client, set_: ScenarioSetDetail, write: Path | None, as_json: bool) -> None:
    found = list(client.scenarios(set_.id))
    if as_json:
        document = {**set_.model_dump(mode="json"), "scenarios": [one.model_dump(mode="json") for one in found]}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        typer.echo(f"{set_.id} {_plain(set_.name)}: {_progress(set_)}; writer {_plain(set_.writer)}")
        _table(set_.coverage, found)
        for line in _remarks(set_, found):
            typer.echo(line)
    if write is not None:
        typer.echo(f"{drafts.write(write, set_.id, found)} scenarios written to {write}", err=True)


def _progress(set_: ScenarioSetDetail) -> str:
    far = set_.progress
    return (
        f"{set_.status}, {far.written}/{far.planned} written, {far.failed} failed,"
        f" {far.near_duplicates} near-duplicates, {far.selected} selected"
    )


def _table(coverage: GridCoverage, found: Sequence[ScenarioDraft]) -> None:
    """The grid: what is written in each cell of what was planned, and ``≈`` how many of it are near-duplicates."""
    like = Counter((one.persona, one.emotion, one.location) for one in found if one.near_duplicate_of)
    cells = {(cell.persona, cell.emotion, cell.location): cell for cell in coverage.cells}
    labels = [Column("persona", no_wrap=True), Column("location", no_wrap=True)]
    emotions = [Column(Text(_plain(emotion)), overflow="fold") for emotion in coverage.emotions]
    table = Table(*labels, *emotions, box=None, padding=(0, 1, 0, 0))
    for persona, location in dict.fromkeys((cell.persona, cell.location) for cell in coverage.cells):
        row = []
        for emotion in coverage.emotions:
            cell, alike = cells[persona, emotion, location], like[persona, emotion, location]
            count = str(cell.written) if cell.written == cell.planned else f"{cell.written}/{cell.planned}"
            row.append(Text(count + (f"≈{alike}" if alike else ""), style="yellow" if alike else ""))
        table.add_row(Text(_plain(persona)), Text(_plain(location)), *row)
    console = Console(file=sys.stdout)
    (console if console.is_terminal else Console(file=sys.stdout, width=WIDTH)).print(table)


def _remarks(set_: ScenarioSetDetail, found: Sequence[ScenarioDraft]) -> list[str]:
    lines = [f"error: {_plain(set_.error.message)}"] if set_.error else []
    texts = {one.id: _plain(one.question or "") for one in found}
    for one in found:
        if one.near_duplicate_of:
            other = f"{one.near_duplicate_of} ({one.similarity or 0:.2f}): {texts.get(one.near_duplicate_of, '')}"
            lines.append(f"near-duplicate: {one.id} {texts[one.id]}\n  is like {other}")
    reasons = Counter(one.error.message for one in found if one.error)
    return [*lines, *(f"failed: {_plain(reason, 300)} ({times} ×)" for reason, times in reasons.most_common())]


def _plain(text: str, most: int = SHOWN) -> str:
    """On one line and printable: a model or somebody else wrote it."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
