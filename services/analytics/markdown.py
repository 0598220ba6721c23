"""A report as Markdown, for people and pull requests."""

from collections.abc import Iterator

from esrp.api import Estimate, Report


def markdown(report: Report) -> str:
    """The report: scores with all three intervals, coverage, lengths, and what it does not show."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    coverage = report.coverage
    yield f"# ESRP report: {_cell(report.candidate)}"
    yield ""
    yield f"Run `{report.run}` ({report.status}) on `{_cell(report.suite)}`, rated by {_raters(report)}."
    yield ""
    yield f"**Overall {_number(report.overall.mean)}** {_interval(report.overall.ci.suite)}, {coverage.scored} of"
    yield f"{coverage.dialogues} dialogues scored{''.join(f'; {n} × {why}' for why, n in coverage.missing.items())}."
    yield ""
    yield from _table(report)
    yield ""
    yield from _lengths(report)
    yield "## What this report does not show"
    yield ""
    yield from (f"- {limit}" for limit in report.limits)
    yield ""
    yield f"Intervals: {report.method['confidence']:.0%}; `suite`: these characters, new scenarios of this kind;"
    yield "`dialogue`: the same again; `population`: new characters too."
    yield f"`dialogue` is a bootstrap of {report.method['bootstrap']}, seed `{report.method['seed'][:16]}…`."
    yield ""
    yield f"sha256 `{report.sha256}`"


def _table(report: Report) -> Iterator[str]:
    yield "| | mean | suite | dialogue | population | dialogues | ratings | worst case |"
    yield "| --- | ---: | --- | --- | --- | ---: | ---: | --- |"
    yield _row("**overall**", report.overall)
    for name, estimate in report.dimensions.items():
        yield _row(f"**{name}**", estimate)
    for name, estimate in report.metrics.items():
        yield _row(name, estimate)


def _row(name: str, estimate: Estimate) -> str:
    ci = estimate.ci
    intervals = (_interval(bounds) for bounds in (ci.suite, ci.dialogue, ci.population))
    worst = _interval(estimate.worst)
    return (
        f"| {name} | {_number(estimate.mean)} | {' | '.join(intervals)} | {estimate.n} | {estimate.ratings} | {worst} |"
    )


def _lengths(report: Report) -> Iterator[str]:
    lengths = report.lengths
    if lengths.inside is not None:
        yield f"{lengths.inside:.1%} of {lengths.replies} replies are inside the length that is asked for"
        yield f"(median {lengths.median:g}); this is no part of a score."
        yield ""


def _raters(report: Report) -> str:
    if report.raters is None:
        return "nobody yet"
    if report.raters == "human":
        return "people"
    return "judges" + (f" ({', '.join(_cell(judge.id) for judge in report.judges)})" if report.judges else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _interval(bounds: tuple[float, float] | None) -> str:
    return "–" if bounds is None else f"[{bounds[0]:.2f}, {bounds[1]:.2f}]"


def _cell(text: str) -> str:
    """Names are the user's: they must not break out of a line, a table or code."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
