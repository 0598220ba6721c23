"""The command tree."""

from typing import Annotated

import typer

from esrp import __version__
from esrp.cli import data, figures, gates, judge, judging, runs, scenarios, stack
from esrp.cli.exits import Group

app = typer.Typer(
    cls=Group,
    name="esrp",
    help="Measure whether a character chatbot stays in character and helps.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"esrp {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Measure whether a character chatbot stays in character and helps."""


app.command("up")(stack.up)
app.command("demo")(stack.demo)
app.command("run")(runs.run)
app.command("wait")(runs.wait)
app.command("report")(runs.report)
app.command("compare")(figures.compare)
app.command("leaderboard")(figures.leaderboard)
app.command("metrics")(figures.metrics)
app.command("runs")(runs.runs)
app.command("cancel")(runs.cancel)
app.command("resume")(runs.resume)
app.command("retry-failed")(runs.retry_failed)
app.command("extend")(runs.extend)
app.command("rejudge")(judging.rejudge)
app.command("shortlist")(judging.shortlist)
app.command("check")(runs.check)
app.command("gate")(gates.gate)
app.add_typer(gates.baselines, name="baseline")
app.command("judges")(data.judges)
app.add_typer(data.imports, name="import")
app.add_typer(data.suites, name="suite")
app.add_typer(scenarios.scenarios, name="scenarios")
app.add_typer(judge.judge, name="judge")


def main() -> None:
    """The entry point."""
    app()
