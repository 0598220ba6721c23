"""`esrp gate` and `esrp baseline`: may a release go out. The exit code is the verdict."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from esrp.api import Decision, GateVerdict, LookPrice, Run
from esrp.cli import text, verdicts
from esrp.cli.exits import Stop, UsageFault
from esrp.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, connect
from esrp.client import ApiError, Client
from esrp.errors import InvalidInput
from esrp.policies import Policy
from esrp.policies.reading import parse
from esrp.text import shown

EXITS: dict[Decision, int] = {"pass": 0, "fail": 1, "inconclusive": 2, "error": 3}
SUFFIXES = (".yaml", ".yml", ".json")

baselines = typer.Typer(
    help="Baselines: the runs that releases are held against.", no_args_is_help=True, rich_markup_mode=None
)

Gate = Annotated[
    str | None, typer.Option("--gate", metavar="NAME|FILE", help="A policy, by name or in a file; exit = verdict.")
]
Junit = Annotated[Path | None, typer.Option("--junit", dir_okay=False, help="Write the verdict as JUnit XML.")]
Summary = Annotated[Path | None, typer.Option("--summary", dir_okay=False, help="Write the verdict as Markdown.")]


@dataclass(frozen=True)
class Files:
    """Where a verdict is written; what is not there cannot be taken for one."""

    junit: Path | None
    summary: Path | None

    def where(self, *, gated: bool) -> "Files":
        """These, where there is a verdict to write into them: ``gated``."""
        if self.asked and not gated:
            raise UsageFault("--junit and --summary write the verdict of a --gate that is waited for.")
        return self

    def prepare(self) -> None:
        """Before anything is spent: take old verdicts away, and see that new ones can be written."""
        for path in self._paths:
            try:
                path.write_text("", "utf-8")
                path.unlink()
            except OSError as error:
                raise UsageFault(f"{path} cannot be written: {error.strerror}.") from error

    def write(self, verdict: GateVerdict, url: str) -> None:
        """The verdict in the forms that were asked for."""
        self._write(verdicts.junit(verdict, url), verdicts.markdown(verdict, url))

    def write_unfinished(self, run: Run) -> None:
        """Say that there is no verdict: the run did not succeed."""
        self._write(verdicts.junit_of_no_verdict(run), verdicts.markdown_of_no_verdict(run))

    def _write(self, junit: str, summary: str) -> None:
        if self.junit:
            self.junit.write_text(junit, "utf-8")
        if self.summary:
            self.summary.write_text(summary, "utf-8")

    @property
    def asked(self) -> bool:
        """Whether any is."""
        return bool(self._paths)

    @property
    def _paths(self) -> Sequence[Path]:
        return [path for path in (self.junit, self.summary) if path is not None]


def gate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A finished run.")],
    policy: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, readable=True, help="The policy, YAML or JSON.")
    ] = None,
    gate: Gate = None,
    junit: Junit = None,
    summary: Summary = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Hold a run against a release policy; exit 0 pass, 1 fail, 2 inconclusive, 3 error."""
    if (policy is None) == (gate is None):
        raise UsageFault("Give the policy: either --policy FILE or --gate NAME.")
    asked = _from_file(policy) if policy else chosen(gate)
    files = Files(junit, summary)
    files.prepare()
    assert asked is not None
    with connect(url, api_key) as client:
        with suppress(ApiError):  # what is wrong with the question is said with the verdict
            typer.echo(priced(client.look_price(run, asked)), err=True)
        found = client.gate(run, asked)
    typer.echo(found.model_dump_json(indent=2) if as_json else verdicts.plain(found, client.url))
    files.write(found, client.url)
    raise Stop(EXITS[found.verdict])


def priced(price: LookPrice) -> str:
    """What a look costs, before it is taken."""
    if price.refused:
        return f"{shown(price.release)}: all {price.max_dialogues} dialogues were looked at; nothing is left to spend."
    if price.repeated:
        return f"{shown(price.release)}: these ratings were looked at; again spends nothing, {price.left:.4f} is left."
    again = ", which were looked at before," if price.again else ""
    return (
        f"{shown(price.release)}, look {price.attempts + 1}: {price.n} of {price.max_dialogues} dialogues{again} spend"
        f" {price.spends:.4f} of the error; {price.left:.4f} is left."
    )


@baselines.command("set")
def set_baseline(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as production.")],
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run that has succeeded.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Let a name mean this run: releases are held against it from now on."""
    with connect(url, api_key) as client:
        found = client.set_baseline(name, run)
    typer.echo(f"{found.name} is {found.run} ({shown(found.candidate)} on {found.suite})")


@baselines.command("delete")
def delete_baseline(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as production.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Let a name mean no run; the run stays."""
    with connect(url, api_key) as client:
        client.delete_baseline(name)
    typer.echo(f"{name} is no baseline any more")


@baselines.command("list")
def list_baselines(as_json: AsJson = False, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """List baselines."""
    with connect(url, api_key) as client:
        found = list(client.baselines())
    if as_json:
        typer.echo(json.dumps([item.model_dump(mode="json") for item in found], ensure_ascii=False, indent=2))
        return
    rows = [
        (item.name, item.run, shown(item.candidate), item.suite, f"{item.finished_at:%Y-%m-%d %H:%M}") for item in found
    ]
    typer.echo(text.table(("name", "run", "candidate", "suite", "finished"), rows))


# --- the gate of a run that is followed -------------------------------------------------------------------------------


def chosen(given: str | None) -> str | Policy | None:
    """What ``--gate`` names: a policy's name, or the policy in a file."""
    if given is None or not (given.lower().endswith(SUFFIXES) or "/" in given or "\\" in given):
        return given
    return _from_file(Path(given))


def verdict_of(client: Client, run: Run, asked: str | Policy | None) -> GateVerdict:
    """The verdict on a run that has succeeded: the one it has by its own gate, if that is what is asked for."""
    wanted = run.gate if asked is None else _newest(client, asked)
    assert wanted is not None
    if run.verdict is not None and run.gate == wanted and (kept := _kept(client, run)) is not None:
        return kept
    return client.gate(run.id, wanted)


def _kept(client: Client, run: Run) -> GateVerdict | None:
    try:
        found = client.verdict(run.id)
    except ApiError as error:
        if error.status == 404:  # the service could not give one
            return None
        raise
    return found if (found.gate or found.policy) == run.gate else None


def _newest(client: Client, asked: str | Policy) -> str | Policy:
    """A name with the number of its newest version."""
    if isinstance(asked, Policy) or "@" in asked:
        return asked
    versions = [found.version for found in client.gates() if found.name == asked]
    return f"{asked}@{max(versions)}" if versions else asked


def _from_file(path: Path) -> Policy:
    try:
        return parse(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageFault(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageFault(f"{path} is not UTF-8.") from error
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.detail}", errors=error.errors) from error
