"""`esrp rejudge` and `esrp shortlist`: other judges over a run's dialogues, and the best of many candidates."""

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from esrp.api import Run, Shortlist, ShortlistRequest, ShortlistRow
from esrp.cli import text
from esrp.cli.exits import INTERRUPTED, UNSUCCESSFUL, Stop, UsageFault
from esrp.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, connect
from esrp.cli.progress import watch
from esrp.client import Client, ConnectionFailed
from esrp.documents import read
from esrp.errors import InvalidInput
from esrp.metrics import DIMENSIONS, metrics_of
from esrp.suite import faults
from esrp.text import NONE, number, shown

DEFAULT_SUITE = "esrp-zh"

Judges = Annotated[list[str] | None, typer.Option("--judge", metavar="NAME", help="May be repeated.")]
Known = Annotated[str | None, typer.Argument(metavar="SHORTLIST", help="shl_…: print it, instead of making one.")]
Candidates = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        readable=True,
        help="YAML or JSON: a list of candidates as in POST /v1/runs; `api_key_env` names a variable of yours.",
    ),
]
Transcripts = Annotated[
    list[str] | None, typer.Option(metavar="TRN", help="A recorded candidate (trn_…); may be repeated.")
]


class Format(StrEnum):
    """How a shortlist is printed."""

    TEXT, JSON, MD, CSV = "text", "json", "md", "csv"


def rejudge(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that has ended.")],
    judge: Judges = None,
    name: Annotated[str | None, typer.Option(help="What to call the new run.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it and print its report.")] = True,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Have other judges rate a run's dialogues, in a run of its own; the bot is not asked again."""
    if not judge:
        raise UsageFault("Name the judges: --judge NAME, again for more.")
    with connect(url, api_key) as client:
        started = client.rejudge(run, judge, **({"name": name} if name else {}))
        if not wait:
            typer.echo(started.model_dump_json(indent=2) if as_json else text.run(started))
            return
        typer.echo(f"{started.id} started; {text.plan(started.plan)}", err=True)
        ended = _followed(client, started.id)
        report = None if ended.status == "failed" else client.report(started.id)
    if report is not None:
        typer.echo(report.model_dump_json(indent=2) if as_json else text.report(report))
    for warning in ended.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if ended.status != "succeeded":
        reason = f": {ended.error.message}" if ended.error else ""
        typer.echo(f"esrp: {ended.id} ended {ended.status}{reason}", err=True)
        raise Stop(UNSUCCESSFUL)


def shortlist(
    shortlist: Known = None,
    candidates: Candidates = None,
    transcript: Transcripts = None,
    suite: Annotated[str, typer.Option(help="Name, or name@version.")] = DEFAULT_SUITE,
    judge: Judges = None,
    keep: Annotated[int, typer.Option(min=1, max=128, help="How many are kept.")] = 5,
    sample: Annotated[int | None, typer.Option(min=1, help="Play only so many dialogues of each.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow its runs to their end.")] = True,
    format: Annotated[Format, typer.Option(help="text, json, md or csv.")] = Format.TEXT,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Have a panel rate many candidates and keep the best, in the layout of the paper's Table 4."""
    if shortlist and (candidates or transcript):
        raise UsageFault("Give either a shortlist to print, or the candidates of a new one.")
    with connect(url, api_key) as client:
        if shortlist is None:
            given: dict[str, Any] = {"transcripts": transcript, "judges": judge, "name": name}
            given |= {"candidates": candidates and _candidates(candidates), "sample": sample and {"dialogues": sample}}
            asked = {key: value for key, value in given.items() if value}
            found = client.create_shortlist(_valid({"suite": suite, "keep": keep, **asked}))
            typer.echo(f"{found.id} started; {len(found.rows)} runs", err=True)
        else:
            found = client.shortlist(shortlist)
        if wait:
            for row in found.rows:
                _followed(client, row.run)
        _print(client, found.id, format)


def shortlist_text(found: Shortlist) -> str:
    """The table, which are kept, and whose means stand on fewer dialogues than the others'."""
    names = [name for dimension in DIMENSIONS for name in (*map(_short, metrics_of(dimension)), dimension)]
    header = ("", "candidate", *names, "overall", "95 % (suite)", "kept")
    lines = [
        f"{found.id} {found.name or ''} on {found.suite}, {found.status}; panel: {', '.join(found.judges)}".replace(
            "  ", " "
        ),
        text.table(header, [_cells(row) for row in found.rows]),
    ]
    lines += [
        f"{shown(row.candidate)}: {row.status}, {row.scored} of {row.dialogues} dialogues scored"
        for row in found.rows
        if row.status != "succeeded" or row.scored < row.dialogues
    ]
    return "\n".join(lines)


def _cells(row: ShortlistRow) -> tuple[str, ...]:
    values = [
        value
        for dimension in DIMENSIONS
        for value in (*(row.metrics[id] for id in metrics_of(dimension)), row.dimensions[dimension])
    ]
    interval = NONE if row.ci is None else f"{number(row.ci[0])} to {number(row.ci[1])}"
    kept = {True: "yes", False: "no", None: NONE}[row.kept]
    place = "" if row.place is None else str(row.place)
    return place, shown(row.candidate), *map(number, (*values, row.overall)), interval, kept


def _short(metric: str) -> str:
    """``character_knowledge`` → ``CK``, ``fluency`` → ``fluency``: as wide as a score, or nearly."""
    words = metric.split("_")
    return metric if len(words) == 1 else "".join(word[0] for word in words).upper()


def _print(client: Client, id: str, format: Format) -> None:
    if format is Format.MD:
        typer.echo(client.shortlist(id, "md"))
    elif format is Format.CSV:
        typer.echo(client.shortlist(id, "csv"), nl=False)
    else:
        found = client.shortlist(id)
        typer.echo(found.model_dump_json(indent=2) if format is Format.JSON else shortlist_text(found))


def _followed(client: Client, id: str) -> Run:
    try:
        with watch() as progress:
            return client.wait(id, progress.on_progress, progress.on_lost)
    except KeyboardInterrupt:
        typer.echo(f"\nNo longer following {id}, which goes on at the server.", err=True)
        raise Stop(INTERRUPTED) from None
    except ConnectionFailed:
        typer.echo(f"{id} goes on at the server once that is up.", err=True)
        raise


def _candidates(file: Path) -> list[dict[str, Any]]:
    document = read(file.read_text("utf-8-sig")).document
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise UsageFault(f"{file}: this is not a list of candidates.")
    return list(_with_keys(document))


def _with_keys(candidates: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for candidate in candidates:
        variable = candidate.pop("api_key_env", None)
        if variable is not None:
            if not (key := os.environ.get(str(variable))):
                raise UsageFault(f"api_key_env names {variable}, which is not set.")
            candidate["api_key"] = key
        yield candidate


def _valid(document: dict[str, Any]) -> ShortlistRequest:
    try:
        return ShortlistRequest.model_validate(document)
    except ValidationError as error:
        raise InvalidInput("The shortlist is not valid.", errors=list(faults(error.errors()))) from error
