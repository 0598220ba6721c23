"""Commands that read figures: two runs side by side, a suite's candidates, a run's groups."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

import typer

from esrp.api import Comparison, DifferenceOut, Estimate, Leaderboard, LeaderboardRow, MetricsOut, Scored
from esrp.cli import text
from esrp.cli.exits import UsageFault
from esrp.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, connect
from esrp.metrics import DIMENSIONS, METRIC_IDS, metrics_of
from esrp.text import NONE, interval, number

DEFAULT_SUITE = "esrp-zh"
PAGE = 100 * (1 + len(DIMENSIONS) + len(METRIC_IDS))  # lines of a full page of groups


class By(StrEnum):
    """What scores are grouped by."""

    CHARACTER, SCENARIO, PERSONA, EMOTION, LOCATION, RATER = (
        "character",
        "scenario",
        "persona",
        "emotion",
        "location",
        "rater",
    )


class Raters(StrEnum):
    """Whose ratings count."""

    AUTO, JUDGE, HUMAN = "auto", "judge", "human"


class AnyRaters(StrEnum):
    """Whose ratings count, judges' corrected by people's too."""

    AUTO, JUDGE, HUMAN, CALIBRATED = "auto", "judge", "human", "calibrated"


class Format(StrEnum):
    """How a table is printed."""

    TEXT, JSON, MD, CSV = "text", "json", "md", "csv"


Whose = Annotated[Raters, typer.Option("--raters", help="Whose ratings.")]
WhoseOfAll = Annotated[AnyRaters, typer.Option("--raters", help="Whose ratings.")]
How = Annotated[Format, typer.Option("--format", help="text, json, csv, or of a leaderboard md.")]


def compare(
    baseline: Annotated[str, typer.Argument(metavar="A", help="The run to hold against.")],
    candidate: Annotated[str, typer.Argument(metavar="B", help="The run that is held against it.")],
    raters: WhoseOfAll = AnyRaters.AUTO,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Print how much better run B is than run A, on the dialogues that both were rated on."""
    with connect(url, api_key) as client:
        found = client.compare(baseline, candidate, raters.value)
    typer.echo(found.model_dump_json(indent=2) if as_json else "\n".join(_comparison(found)))


def leaderboard(
    suite: Annotated[str, typer.Option("--suite", help="Name, or name@version.")] = DEFAULT_SUITE,
    raters: Whose = Raters.AUTO,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="RUN", help="Hold the rows against this run.  [the best]")
    ] = None,
    format: How = Format.TEXT,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Rank the candidates of a suite by their newest finished runs."""
    with connect(url, api_key) as client:
        if format in (Format.MD, Format.CSV):
            kind = "md" if format is Format.MD else "csv"
            table = client.leaderboard_table(suite, kind, raters=raters.value, reference=reference)  # type: ignore[arg-type]  # both are formats
            return typer.echo(table.decode(), nl=False)
        found = client.leaderboard(suite, raters=raters.value, reference=reference)
    typer.echo(found.model_dump_json(indent=2) if format is Format.JSON else "\n".join(_leaderboard(found)))


def metrics(
    run: str,
    by: Annotated[By, typer.Option("--by", help="What to group by.")] = By.CHARACTER,
    raters: Whose = Raters.AUTO,
    format: How = Format.TEXT,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where to go on: groups come by the hundred.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Print a run's scores by group."""
    if format is Format.MD:
        raise UsageFault("There is no --format md of metrics: text, json or csv.")
    with connect(url, api_key) as client:
        if format is Format.CSV:
            table = client.metrics_table(run, by.value, "csv", raters.value, cursor=cursor)
            typer.echo(table.decode(), nl=False)
            if table.count(b"\n") <= PAGE:
                return
        found = client.metrics(run, by.value, raters.value, cursor=cursor)
        if format is not Format.CSV:
            typer.echo(found.model_dump_json(indent=2) if format is Format.JSON else "\n".join(_metrics(found)))
    if found.next_cursor is not None:
        more = f"{len(found.groups)} of {found.count} groups; the next ones: --cursor {found.next_cursor}"
        typer.echo(more, err=True)


# --- as text ----------------------------------------------------------------------------------------------------------


def _comparison(found: Comparison) -> Iterator[str]:
    confidence = found.method.get("confidence", 0.95)
    yield f"{found.candidate} − {found.baseline} on {found.suite}, rated by {_whose(found.raters)}"
    yield ""
    yield f"{'':<24}{'difference':>11}  {f'{confidence:.0%} interval (suite)':<26}{'pairs':>9}"
    yield _difference("overall", found.overall)
    for dimension in DIMENSIONS:
        yield _difference(f"  {dimension}", found.dimensions[dimension])
        yield from (_difference(f"    {id}", found.metrics[id]) for id in metrics_of(dimension))


def _difference(name: str, of: DifferenceOut) -> str:
    return f"{name:<24}{number(of.difference, '+'):>11}  {interval(of.ci.suite, '+'):<26}{of.n:>9}"


def _leaderboard(found: Leaderboard) -> Iterator[str]:
    yield f"{found.suite}, rated by {_whose(found.raters)}"
    header = ("rank", "candidate", "overall", "suite interval", *DIMENSIONS, "diversity", "to the reference", "run")
    yield text.table(header, map(_ranked, found.rows))
    for row in found.not_ranked:
        yield f"not ranked: {row.candidate} ({row.run}) differs in {', '.join(row.differs)}"
    if found.published is not None:
        yield f"published reference ({found.published.source}, {found.published.title}; not measured here):"
        yield text.table(
            ("candidate", "overall", *DIMENSIONS),
            [
                (row.candidate, number(row.overall), *(number(row.dimensions[name]) for name in DIMENSIONS))
                for row in found.published.rows
            ],
        )


def _ranked(row: LeaderboardRow) -> tuple[str, ...]:
    rank = NONE if row.rank is None else str(row.rank)
    if row.last_rank is not None and row.last_rank != row.rank:
        rank += f"–{row.last_rank}"
    apart = row.difference.overall if row.difference else None
    against = NONE
    if apart is not None and apart.difference is not None:
        against = f"{number(apart.difference, '+')} {interval(apart.ci.dialogue, '+')}"
    diversity = NONE if row.diversity is None else f"{number(row.diversity.mean)} ({row.diversity.kind})"
    return (
        rank,
        row.candidate,
        number(row.overall.mean),
        interval(row.overall.ci.suite),
        *(number(row.dimensions[name].mean) for name in DIMENSIONS),
        diversity,
        against,
        row.run,
    )


def _metrics(found: MetricsOut) -> Iterator[str]:
    yield f"{found.candidate} on {found.suite} by {found.group_by}, rated by {_whose(found.raters)}"
    for label, scores in found.groups.items():
        yield ""
        yield f"{label}: {scores.overall.n} dialogues"
        yield from (_score(name, of) for name, of in _scores(scores).items())
    if not found.groups:
        yield f"nothing that is rated has a {found.group_by}"


def _scores(found: Scored) -> Mapping[str, Estimate]:
    return {"overall": found.overall, **found.dimensions, **{id: found.metrics[id] for id in METRIC_IDS}}


def _score(name: str, of: Estimate) -> str:
    se = NONE if of.se is None else f"{of.se:.3f}"
    return f"  {name:<24}{number(of.mean):>5}  ±{se:<6} {interval(of.ci.suite)}"


def _whose(raters: str | None) -> str:
    return {"judge": "judges", "human": "people", "calibrated": "judges, corrected by people"}.get(
        raters or "", "nobody"
    )
