"""Commands about data: suites, transcripts, ratings, judges."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from esrp.cli import mapping, text
from esrp.cli.exits import UsageFault
from esrp.cli.options import DEFAULT_URL, ApiKey, Url, connect
from esrp.client import ApiError
from esrp.errors import InvalidInput
from esrp.suite import parse_yaml

imports = typer.Typer(help="Load recorded dialogues and human ratings.", no_args_is_help=True, rich_markup_mode=None)
suites = typer.Typer(help="Suites: characters and scenarios.", no_args_is_help=True, rich_markup_mode=None)

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]


@imports.command("chatanime")
def import_chatanime(
    paths: Annotated[list[Path], typer.Argument(exists=True, readable=True, help="Files, or folders of them.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Load published ChatAnime files, each as a transcript of the suite `chatanime`."""
    files = _files(paths)
    with connect(url, api_key) as client:
        for file in files:
            with _about(file):
                made = client.import_published(file.stem, file)
            typer.echo(f"{made.id}  {made.name}  {made.dialogues} dialogues on {made.suite}")


@imports.command("transcript")
def import_transcript(
    file: File,
    suite: Annotated[str, typer.Option(help="The suite whose characters speak: name, or name@version.")],
    name: Annotated[str | None, typer.Option(help="What to call it; the file's name if not given.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Load own logs: JSONL, one dialogue {character, scenario?, turns: [{user, assistant}]} a line."""
    with connect(url, api_key) as client, _about(file):
        made = client.import_transcript(name or file.stem, suite, _text(file))
    typer.echo(f"{made.id}  {made.name}  {made.dialogues} dialogues on {made.suite}")


@imports.command("ratings")
def import_ratings(
    file: File,
    replace: Annotated[bool, typer.Option("--replace", help="A score given before gives way to the new one.")] = False,
    random: Annotated[
        bool, typer.Option("--random", help="The rated dialogues were drawn at random: they may correct judges.")
    ] = False,
    diversity: Annotated[
        bool, typer.Option("--diversity", help="The file rates batches: run, character, batch, rater, score.")
    ] = False,
    renamed: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="NAME=METRIC", help="The file's name of a metric; NAME= leaves it out."),
    ] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Load human ratings: CSV or JSONL with run, character, scenario, metric, rater, score."""
    if random and diversity:
        raise UsageFault("--random says how dialogues were chosen; it does not go with --diversity.")
    if renamed and diversity:
        raise UsageFault("--map names metrics, which batches have none of; it does not go with --diversity.")
    by = mapping.names(renamed or ())
    with connect(url, api_key) as client, _about(file):
        if diversity:
            result = client.import_diversity(file, replace=replace)
        else:
            given: Path | bytes = mapping.mapped(file, by) if by else file
            kind = _kind(file) if by else None
            result = client.import_ratings(given, kind, replace=replace, sampling="random" if random else None)
    typer.echo(f"{result.stored} stored, {result.missing} without a score, {result.duplicates} there already")
    if result.ignored_columns:
        typer.echo(f"columns not read: {', '.join(result.ignored_columns)}", err=True)


def _kind(file: Path) -> str:
    return "application/x-ndjson" if file.suffix in (".jsonl", ".ndjson") else "text/csv"


@suites.command("push")
def push_suite(file: File, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Upload a suite in YAML or JSON; a new content is a new version."""
    with connect(url, api_key) as client, _about(file):
        made = client.upload_suite(_text(file))
    counts = ", ".join(f"{count} {what}" for what, count in made.counts.items())
    typer.echo(f"{made.name}@{made.version}  {counts}  sha256 {made.sha256}")
    _warn(made.warnings)


@suites.command("check")
def check_suite(file: File) -> None:
    """Say what is wrong with a suite, or might be, without a server."""
    from esrp.validation import warnings  # it loads SciPy, 0.4 s that every other command is spared

    with _about(file):
        suite = parse_yaml(_text(file))
    counts = ", ".join(f"{count} {what}" for what, count in suite.counts.items())
    typer.echo(f"{suite.name}  {counts}  sha256 {suite.sha256}")
    _warn(warnings(suite))


@suites.command("list")
def list_suites(url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List suites."""
    with connect(url, api_key) as client:
        found = list(client.suites())
    header = ("suite", "language", "characters", "scenarios", "sha256")
    rows = [
        (
            f"{suite.name}@{suite.version}{' (experimental)' if suite.experimental else ''}",
            suite.language,
            str(suite.counts.get("characters", "")),
            str(suite.counts.get("scenarios", "")),
            suite.sha256[:12],
        )
        for suite in found
    ]
    typer.echo(text.table(header, rows))


def judges(url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List the judges that can be asked for."""
    with connect(url, api_key) as client:
        found = client.judges()
    rows = [(judge.name, judge.kind, judge.model, "yes" if judge.validated else "no") for judge in found]
    typer.echo(text.table(("judge", "kind", "model", "validated"), rows))


def _files(paths: list[Path]) -> list[Path]:
    """The files, and those of the folders by name."""
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise UsageFault(f"There is no .json file in {', '.join(map(str, paths))}.")
    return files


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageFault(f"{file} is not UTF-8 (byte {error.start}).") from error


@contextmanager
def _about(file: Path) -> Iterator[None]:
    """Name the file in what is said against it, by the server or here."""
    try:
        yield
    except (ApiError, InvalidInput) as error:
        error.detail = f"{file}: {error.detail}"
        raise
