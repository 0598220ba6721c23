"""Answers as plain text: one thing a line, metrics by their ids, the same on a terminal and in a log."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from esrp.api import Check, Coverage, DryRun, Estimate, Intervals, Pacing, Plan, Report, Run
from esrp.cli.progress import tokens
from esrp.metrics import DIMENSIONS, METRIC_IDS, metrics_of
from esrp.text import NONE, interval, number

INTERVALS = ("suite", "dialogue", "population")


def report(document: Report) -> str:
    """The report: overall, dimensions and metrics with their intervals, then what it rests on."""
    name = _interval_name(document.overall.ci)
    confidence = document.method.get("confidence", 0.95)
    lines = [
        f"{document.candidate} on {document.suite}",
        f"{document.run}, {document.status}; {_coverage(document.coverage)}; {_raters(document)}",
        "",
        f"{'':<24}{'mean':>6}  {f'{confidence:.0%} interval ({name})':<26}{'dialogues':>9}",
        _estimate("overall", document.overall, name),
    ]
    for dimension in DIMENSIONS:
        if dimension in document.dimensions:
            lines.append(_estimate(dimension, document.dimensions[dimension], name))
        lines += [_estimate(id, document.metrics[id], name) for id in metrics_of(dimension) if id in document.metrics]
    lines += [_estimate(id, document.metrics[id], name) for id in document.metrics if id not in METRIC_IDS]
    lines += ["", *_besides(document), f"replies inside the suite's length: {_share(document.lengths.inside)}"]
    lines += [f"limit: {limit}" for limit in document.limits]
    return "\n".join([*lines, f"sha256 {document.sha256}"])


def _besides(document: Report) -> Iterator[str]:
    """Diversity, judges and people side by side, and agreement; each where there is any."""
    diversity, beside, agreed = document.diversity, document.calibrated, document.agreement
    if diversity is not None:
        low, high = diversity.scale
        yield f"diversity ({diversity.kind}, {low} to {high}): {number(diversity.mean)}"
    if beside is not None:
        means = f"judges {number(beside.overall.judge_mean)}, people {number(beside.overall.human_mean)}"
        yield f"overall by {means}, calibrated {number(beside.overall.mean)} ({beside.overall.n_human} rated by people)"
    if agreed is not None and agreed.pairs:
        yield f"agreement ({agreed.kind}): krippendorff_alpha {number(agreed.krippendorff_alpha)}"


def run(document: Run) -> str:
    """A run in a few lines."""
    progress = document.progress
    lines = [
        f"{document.id} {document.status}" + (f" ({document.phase})" if document.phase else ""),
        f"suite {document.manifest.suite}, judges {', '.join(document.manifest.judges) or 'none'}",
        plan(document.plan),
        f"{progress.generated} played, {progress.judged} judged, {progress.failed} failed, {tokens(document):,} tokens",
    ]
    lines += [f"{role}: {pace.limit} calls in flight, {_paced(pace)}" for role, pace in document.pacing.items()]
    lines += [f"error: {document.error.message}"] if document.error else []
    lines += [f"{_gate(document)}: {document.verdict or 'no verdict yet'}"] if document.gate else []
    return "\n".join([*lines, *(f"warning: {warning}" for warning in document.warnings)])


def plan(document: Plan) -> str:
    """What a run asks of the models."""
    return (
        f"{document.dialogues} dialogues: {document.candidate_calls} calls of the candidate, "
        f"{document.simulator_calls} of the simulator, {document.judge_calls} of the judges"
    )


def dry_run(document: DryRun) -> str:
    """The plan before anything is spent, a thing a line."""
    found = document.plan
    lines = [plan(found), f"suite {document.manifest.suite}, manifest {document.manifest.sha256[:12]}"]
    if found.tokens:
        how = f"measured by {found.probed} dialogues" if found.probed else "estimated"
        lines.append(f"tokens: {found.tokens.low:,.0f} to {found.tokens.high:,.0f} ({how})")
    if found.cost:
        lines.append(f"cost: {found.cost.low:,.2f} to {found.cost.high:,.2f}")
    if found.detectable:
        overall, metrics = found.detectable.overall, found.detectable.metrics
        lines.append(f"smallest difference it shows: {number(overall)} overall, {number(metrics)} on all metrics")
    return "\n".join([*lines, *(f"warning: {warning}" for warning in document.warnings)])


def check(document: Check) -> str:
    """The dialogue that was tried, and what is wrong with it."""
    lines = [f"{document.character} in {document.scenario}: {'ok' if document.ok else 'not ok'}"]
    for turn in document.turns:
        lines += [f"  user: {turn.user}", f"  {document.character}: {turn.assistant}"]
    for exchange in document.exchanges:
        outcome = exchange.error.message if exchange.error else f"finish_reason {exchange.finish_reason}"
        lines.append(f"  {exchange.role}: {exchange.seconds:.2f} s, {outcome}")
    return "\n".join([*lines, *(f"problem: {problem}" for problem in document.problems)])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they need be; wide characters count as two."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(_padded, line, widths)).rstrip() for line in lines)


def _gate(document: Run) -> str:
    return f"gate {document.gate}" if isinstance(document.gate, str) else "gate"


def _paced(pace: Pacing) -> str:
    cuts = sum(change.cause == "refused" for change in pace.history)
    return f"from {pace.history[0].limit}" + (f", cut {cuts} × after refusals" if cuts else "")


def _estimate(id: str, estimate: Estimate, name: str) -> str:
    indent = "    " if id in METRIC_IDS else "  " if id in DIMENSIONS else ""
    return f"{indent + id:<24}  {number(estimate.mean):>4}  {interval(getattr(estimate.ci, name)):<26}{estimate.n:>9}"


def _interval_name(ci: Intervals) -> str:
    return next((name for name in INTERVALS if getattr(ci, name)), "dialogue")


def _coverage(coverage: Coverage) -> str:
    missing = ", ".join(f"{count} {reason}" for reason, count in coverage.missing.items() if count)
    return f"{coverage.scored} of {coverage.dialogues} dialogues scored" + (f" ({missing})" if missing else "")


def _raters(document: Report) -> str:
    if document.raters == "human":
        return "rated by people"
    if document.raters == "calibrated":
        return "rated by judges, corrected by people"
    names = [judge.id + ("" if judge.validated else " (not validated)") for judge in document.judges]
    return f"judged by {', '.join(names)}" if names else "no judges"


def _share(inside: float | None) -> str:
    return NONE if inside is None else f"{inside:.0%}"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
