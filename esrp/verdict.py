"""A gate's verdict as it is kept: facts, worded when it is read (STATISTICS 6)."""

import shlex
from collections.abc import Iterator

from esrp.api import GateRule, GateVerdict, SentinelOut
from esrp.dialogue import Frozen
from esrp.imported import ImportTotals, sentences
from esrp.text import number

# Warnings that decide nothing.
BESIDE = frozenset(
    {"baseline_is_the_run", "judge_shifted", "sentinel_failed", "imported_ratings", "baseline_imported_ratings"}
)


class Extension(Frozen):
    """A run is to be played on: so many dialogues, so often each; ``None``: as they are."""

    run: str
    dialogues: int | None = None
    replicates: int | None = None


class Facts(Frozen):
    """What the sentences of a verdict say beside its own fields.

    ``planned`` dialogues of the run, ``baseline_planned`` of its baseline; ``unvalidated`` judges that rated either.
    ``extensions`` would play what is still needed. ``fit``: the run could itself be a baseline. ``imported``: into the
    run, and into its baseline.
    """

    planned: int
    baseline_planned: int = 0
    unvalidated: tuple[str, ...] = ()
    extensions: tuple[Extension, ...] = ()
    fit: bool = False
    imported: ImportTotals = ImportTotals()
    baseline_imported: ImportTotals = ImportTotals()


class Decided(GateVerdict):
    """A verdict with its facts in place of ``explanation`` and ``commands``, which are empty.

    One that was kept with these has no facts, and says what it said.
    """

    facts: Facts | None = None


def worded(found: Decided) -> GateVerdict:
    """As clients see it."""
    fields = {name: getattr(found, name) for name in GateVerdict.model_fields}
    if found.facts is not None:
        fields["explanation"] = list(_explanation(found, found.facts))
        fields["commands"] = [_command(extension) for extension in found.facts.extensions]
    return GateVerdict(**fields)


# --- words ------------------------------------------------------------------------------------------------------------


def _command(extension: Extension) -> str:
    options = {"dialogues": extension.dialogues, "replicates": extension.replicates}
    given = (f" --{name} {value}" for name, value in options.items() if value is not None)
    return f"esrp extend {extension.run}{''.join(given)}"


def _explanation(found: Decided, facts: Facts) -> Iterator[str]:
    """Why, a sentence each."""
    moved = [item for item in found.sentinel if item.outcome != "steady"]
    yield from (_error(error, found, facts) for error in found.errors)
    if "no_baseline" in found.warnings:
        wanted = found.policy.baseline
        named = f"There is no baseline {wanted!r}" if wanted else "The policy names no baseline"
        yield f"{named}: the floors alone decide."
    yield from map(_moved, moved)
    yield from sentences(facts.imported, "of the run")
    yield from sentences(facts.baseline_imported, "of the baseline")
    if not found.errors and (not moved or found.raters == "human"):
        yield from _decision(found, facts)


def _decision(found: Decided, facts: Facts) -> Iterator[str]:
    """What the rules say, if something could be decided."""
    yield from (_failed(rule) for rule in found.rules if rule.outcome == "fail")
    if "inconclusive" in {rule.outcome for rule in found.rules} and not found.failing:
        yield f"Not decided yet: {', '.join(rule.metric for rule in found.rules if rule.outcome == 'inconclusive')}."
        yield _still_needed(found.needed_dialogues, facts)
    if "inconclusive" in found.warnings:
        yield f"The policy makes of that: {found.verdict}."
    if "judge_not_validated" in found.warnings:
        yield f"How well the judge agrees with people has not been measured ({', '.join(facts.unvalidated)})."
    if found.verdict == "pass" and BESIDE.issuperset(warning.partition(":")[0] for warning in found.warnings):
        yield "Every bound clears its threshold."


def _still_needed(needed: int | None, facts: Facts) -> str:
    if needed is None:
        return "More dialogues would not decide it: what was measured is too near to a threshold, or is missing."
    if facts.extensions:
        return f"Some {needed} dialogues would decide it with a chance of 80 % if the truth is what was seen."
    return f"Some {needed} dialogues would decide it, more than the run or its baseline can be extended to."


def _failed(rule: GateRule) -> str:
    if rule.kind == "floor":
        return f"{rule.metric} is {number(rule.estimate)}, below its floor of {rule.threshold:g}."
    assert rule.estimate is not None
    return f"{rule.metric} is {number(-rule.estimate)} below the baseline; the policy allows {-rule.threshold:g}."


def _moved(item: SentinelOut) -> str:
    if item.outcome == "failed":
        return f"Whether the judge {item.judge} still rates as it did could not be found out: {item.message}"
    return (
        f"The judge {item.judge} no longer rates as it did: {number(item.difference, '+')} overall on {item.dialogues}"
        f" stored dialogues of the baseline ({', '.join(item.shifted)} moved). Have both runs rated anew."
    )


def _error(error: str, found: Decided, facts: Facts) -> str:
    code, _, names = error.partition(": ")
    match code:
        case "not_comparable":
            return f"The run and its baseline differ in {names}: their difference would say nothing about the bot."
        case "baseline_missing":
            return _missing(str(found.policy.baseline), found, facts)
        case "no_baseline":
            wanted = found.policy.baseline
            without = f"there is no {wanted!r}" if wanted else "it names none"
            return f"The policy has margins alone, which need a baseline, and {without}."
        case "judge_not_validated":
            return f"The policy wants validated judges, and nobody has measured how {names} agrees with people."
        case "calibrated_not_available":
            return "The policy wants calibrated means: 60 dialogues rated by people, drawn at random, of both runs."
        case "baseline_coverage_below_minimum":
            return _too_few("the baseline's", facts.baseline_planned, found.policy.min_coverage)
    return _too_few("the run's", facts.planned, found.policy.min_coverage)


def _missing(named: str, found: Decided, facts: Facts) -> str:
    """The baseline that the policy needs is not there, and how it comes to be."""
    if named.startswith("run_"):
        return f"There is no run {named}, the policy's baseline; let it name one that has succeeded."
    run, which = (found.run, "this run") if facts.fit else ("RUN", "a run that has succeeded")
    command = f"`esrp baseline set {shlex.quote(named)} {run}`"
    return f"There is no baseline {named!r}, and the policy needs it: {command} lets it be {which}."


def _too_few(whose: str, planned: int, wanted: float) -> str:
    return f"Too few of {whose} {planned} dialogues are rated; the policy wants {wanted:.0%} of them."
