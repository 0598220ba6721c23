"""A report as Markdown, for people and pull requests."""

from collections.abc import Iterator, Mapping, Sequence

from esrp.api import CalibratedEstimate, Diversity, Estimate, Example, PublishedRow, Report
from esrp.metrics import DIMENSIONS, METRIC_IDS
from esrp.text import NONE, cell, interval, number, table_row


def markdown(report: Report) -> str:
    """Everything in the report: scores with all intervals, what they rest on, and what it does not show."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    coverage = report.coverage
    yield f"# ESRP report: {cell(report.candidate)}"
    yield ""
    yield f"Run `{report.run}` ({report.status}) on `{cell(report.suite)}`, rated by {_raters(report)}."
    yield ""
    yield f"**Overall {number(report.overall.mean)}** {interval(report.overall.ci.suite)}, {coverage.scored} of"
    yield f"{coverage.dialogues} dialogues scored{''.join(f'; {n} × {why}' for why, n in coverage.missing.items())}."
    yield ""
    yield from _scores(report)
    yield from _disasters(report)
    yield from _diversity(report.diversity)
    yield from _calibrated(report)
    yield from _agreement(report)
    yield from _against_humans(report)
    yield from _groups(report)
    yield from _examples(report)
    yield from _form(report)
    yield from _published(report)
    yield from _manifest(report)
    yield from _imported(report)
    yield "## What this report does not show"
    yield ""
    yield from (f"- {cell(limit)}" for limit in report.limits)
    yield ""
    yield f"Intervals: {report.method['confidence']:.0%}; `suite`: new scenarios of this kind, these characters;"
    yield "`dialogue`: other dialogues, of pairs drawn anew; `population`: new characters too."
    yield f"`dialogue` is a bootstrap of {report.method['bootstrap']}, seed `{report.method['seed'][:16]}…`."
    yield ""
    yield f"sha256 `{report.sha256}`"


# --- numbers ----------------------------------------------------------------------------------------------------------


def _scores(report: Report) -> Iterator[str]:
    yield "| | mean | suite | dialogue | population | dialogues | ratings | worst case |"
    yield "| --- | ---: | --- | --- | --- | ---: | ---: | --- |"
    yield _row("**overall**", report.overall)
    for name, estimate in report.dimensions.items():
        yield _row(f"**{name}**", estimate)
    for name, estimate in report.metrics.items():
        yield _row(name, estimate)
    yield ""


def _row(name: str, estimate: Estimate) -> str:
    ci = estimate.ci
    intervals = [interval(bounds) for bounds in (ci.suite, ci.dialogue, ci.population)]
    counts = str(estimate.n), str(estimate.ratings)
    return table_row([name, number(estimate.mean), *intervals, *counts, interval(estimate.worst)])


def _disasters(report: Report) -> Iterator[str]:
    """How often a dialogue is as bad as can be, and which are the worst."""
    found = report.disaster.get("any")
    if found is None or found.at_1 is None:
        return
    ends = "" if found.ci is None else f" [{found.ci[0]:.1%}, {found.ci[1]:.1%}]"
    worst = ", ".join(f"`{dialogue}`" for dialogue in report.worst)
    yield f"**Disasters {found.at_1:.1%}**{ends} of dialogues have a metric at 1. The worst: {worst}."
    yield ""


def _diversity(found: Diversity | None) -> Iterator[str]:
    if found is None:
        return
    how = {
        "judge": "as judges rated it, 1 to 5",
        "human": "as people rated it, 1 to 5",
        "automatic": "counted from how replies open, 0 to 1; no score",
    }[found.kind]
    yield f"**Diversity {number(found.mean)}** {interval(found.ci.batch)} over {found.n} batches of ten replies, {how}."
    yield ""


def _calibrated(report: Report) -> Iterator[str]:
    found = report.calibrated
    if found is None:
        return
    chosen = {
        "random": "said to be drawn at random",
        "drawn": "drawn at random by the service",
        "all": "all that judges rated",
        None: "chosen in a way that nobody tells",
    }[found.sampling]
    yield "## Judges and people side by side"
    yield ""
    yield f"The dialogues that people rated were {chosen}."
    yield ""
    yield "| | judges | people | calibrated | suite | rated by people | λ |"
    yield "| --- | ---: | ---: | ---: | --- | ---: | ---: |"
    rows: Mapping[str, CalibratedEstimate] = {"overall": found.overall, **found.dimensions, **found.metrics}
    for name, of in rows.items():
        means = map(number, (of.judge_mean, of.human_mean, of.mean))
        yield table_row([name, *means, interval(of.ci.suite), str(of.n_human), number(of.lambda_)])
    yield ""


def _agreement(report: Report) -> Iterator[str]:
    found = report.agreement
    if found is None or not found.pairs:
        return
    who = "Judges" if found.kind == "judge" else "People"
    by_character = found.alpha_by_character
    yield "## Agreement"
    yield ""
    yield f"{who}, over {found.pairs} pairs of ratings of {found.cells} cells."
    yield ""
    yield "| krippendorff_alpha | by character | qwk | icc | acc | acc_soft | weighted_tau | weighted_tau_null |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    numbers = [found.qwk, found.icc, found.acc, found.acc_soft, found.weighted_tau, found.weighted_tau_null]
    mean = by_character and f"{number(by_character.mean)} {interval(by_character.ci)}"
    yield table_row([number(found.krippendorff_alpha), mean or NONE, *map(number, numbers)])
    yield ""
    yield "`weighted_tau` is not 0 where raters are independent: read it beside `weighted_tau_null`."
    yield ""


def _against_humans(report: Report) -> Iterator[str]:
    if not report.judges_against_humans:
        return
    yield "## Judges against people"
    yield ""
    yield "| judge | metric | ratings | acc | acc_soft | bias | qwk |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for judge, metrics in report.judges_against_humans.items():
        for name, of in metrics.items():
            yield table_row([cell(judge), name, str(of.n), *map(number, (of.acc, of.acc_soft, of.bias, of.qwk))])
    yield ""


def _groups(report: Report) -> Iterator[str]:
    for by, groups in report.groups.items():
        if groups:
            yield f"## By {by}"
            yield ""
            yield table_row([by, "overall", "suite", "dialogues", *DIMENSIONS, *METRIC_IDS])
            yield f"| --- | ---: | --- | ---: |{' ---: |' * (len(DIMENSIONS) + len(METRIC_IDS))}"
            for label, of in groups.items():
                means = [number(mean) for mean in (*of.dimensions.values(), *of.metrics.values())]
                overall = of.overall
                what = [cell(label), number(overall.mean), interval(overall.ci.suite), str(overall.n)]
                yield table_row([*what, *means])
            yield ""


# --- dialogues, texts, and what was printed elsewhere -----------------------------------------------------------------


def _examples(report: Report) -> Iterator[str]:
    if not report.examples:
        return
    yield "## Best and worst dialogues"
    yield ""
    yield "| | best | worst |"
    yield "| --- | --- | --- |"
    for name, found in report.examples.items():
        yield table_row([name, _links(found.best), _links(found.worst)])
    yield ""


def _links(examples: Sequence[Example]) -> str:
    return ", ".join(
        f"[{cell(example.character)}{' / ' + cell(example.scenario) if example.scenario else ''}]({example.link})"
        f" {number(example.mean)}"
        for example in examples
    )


def _form(report: Report) -> Iterator[str]:
    lengths, form = report.lengths, report.form
    if lengths.inside is None:
        return
    yield f"{lengths.inside:.1%} of {lengths.replies} replies are inside the length that is asked for"
    yield f"(median {lengths.median:g}); this is no part of a score."
    if form is not None:
        shares = {
            "have an emoji": form.emoji,
            "have a stage direction": form.stage_directions,
            "open as an earlier one of their ten does": form.repeated_openings,
        }
        yield "; ".join(f"{share:.1%} {what}" for what, share in shares.items() if share is not None) + "."
    yield ""


def _published(report: Report) -> Iterator[str]:
    found = report.published
    if found is None:
        return
    yield f"## Published reference: {cell(found.source)}, {cell(found.title)}"
    yield ""
    yield f"Printed there, rated by {cell(found.raters)}; not measured here and part of no test."
    yield ""
    names = [*METRIC_IDS, *DIMENSIONS, "overall"]
    yield table_row(["candidate", *names, "diversity"])
    yield f"| --- |{' ---: |' * (len(names) + 1)}"
    for line in found.rows:
        means = (number(_printed(line)[name]) for name in names)
        yield table_row([cell(line.candidate), *means, number(line.diversity)])
    yield ""


def _printed(line: PublishedRow) -> dict[str, float]:
    return {**line.metrics, **line.dimensions, "overall": line.overall}


def _manifest(report: Report) -> Iterator[str]:
    if not report.manifest:
        return
    yield "## What it was made with"
    yield ""
    yield from (f"- {cell(name)}: `{cell(_short(value))}`" for name, value in sorted(report.manifest.items()))
    yield ""


def _imported(report: Report) -> Iterator[str]:
    if not report.imported:
        return
    yield "## Imported ratings"
    yield ""
    yield "| rater | kind | of each | rows | replaced | sampling | by | at |"
    yield "| --- | --- | --- | ---: | ---: | --- | --- | --- |"
    for one in report.imported:
        by = " ".join(filter(None, (one.by_name, f"({one.by})" if one.by else "not known")))
        numbers = [str(one.rows), str(one.replaced), one.sampling or "–"]
        yield table_row([cell(one.rater), one.kind, one.unit, *numbers, cell(by), f"{one.at:%F %T}"])
    yield ""


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:199] + "…"


# --- words ------------------------------------------------------------------------------------------------------------


def _raters(report: Report) -> str:
    if report.raters is None:
        return "nobody yet"
    if report.raters == "human":
        return "people"
    cards = [f"[{cell(one.id)}]({one.card}){'' if one.validated else ', not validated'}" for one in report.judges]
    judges = "judges" + (f" ({'; '.join(cards)})" if cards else "")
    return f"{judges}, corrected by people" if report.raters == "calibrated" else judges
