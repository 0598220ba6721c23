"""A gate's verdict as it is kept: facts, worded when it is read (STATISTICS 6)."""

import shlex
from collections.abc import Iterator

from esrp.api import GateRule, GateVerdict, SentinelOut
from esrp.dialogue import Frozen
from esrp.imported import ImportTotals, sentences
from esrp.text import number

# Warnings that decide nothing.
BESIDE = frozenset(
    {
        "baseline_is_the_run",
        "judge_shifted",
        "sentinel_failed",
        "imported_ratings",
        "baseline_imported_ratings",
        "asked_before",
        "groups_not_measured",
        "judge_not_validated",
        "missing_ratings",
    }
)
NOT_HERE = {
    "crisis": "crises",
    "self_harm": "self-harm",
    "dependency": "dependency on the bot",
    "minors": "minors",
}


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
    if not found.errors:
        yield from _decision(found, facts)
    yield from _release(found)
    if found.not_tested:
        yield f"Not tested here: {', '.join(NOT_HERE.get(code, code) for code in found.not_tested)}."


def _release(found: Decided) -> Iterator[str]:
    """What the look has cost, and whether others were taken that nobody charged."""
    if found.attempts and found.left is not None and found.max_dialogues is not None:
        again = ", decided at the level reached before" if found.attempts[-1].again else ""
        level = 1 - found.policy.confidence
        yield (
            f"Attempt {len(found.attempts)} for this release{again}: {found.left:.3f} of {level:.2g} left, spent"
            f" over {found.max_dialogues} dialogues."
        )
    if found.asked_before:
        times = len(found.asked_before)
        chance = 1 - found.policy.confidence ** (times + 1)
        yield (
            f"Asked before: {times} other {'run' if times == 1 else 'runs'} of this model name met this baseline, and"
            f" no label says which release each is. If nothing was changed between them, one of {times + 1} passes by"
            f" chance in {chance:.0%} of cases; labels such as `release` or `commit` keep that at"
            f" {1 - found.policy.confidence:.0%}."
        )


def _decision(found: Decided, facts: Facts) -> Iterator[str]:
    """What the checks say, if something could be decided."""
    yield from (_failed(rule) for rule in found.rules if rule.outcome == "fail")
    yield from (f"The required check {check.name!r} failed." for check in found.checks if check.outcome == "fail")
    if "inconclusive" in {rule.outcome for rule in found.rules} and not found.failing:
        yield f"Not decided yet: {', '.join(rule.metric for rule in found.rules if rule.outcome == 'inconclusive')}."
        yield _still_needed(found, facts)
    if "inconclusive" in found.warnings:
        yield f"The policy makes of that: {found.verdict}."
    if "judge_not_validated" in found.warnings:
        yield f"How well the judge agrees with people has not been measured ({', '.join(facts.unvalidated)})."
    if found.verdict == "pass" and BESIDE.issuperset(warning.partition(":")[0] for warning in found.warnings):
        yield from _passed(found)


def _passed(found: Decided) -> Iterator[str]:
    """What a pass shows, and what it does not."""
    margins = [rule for rule in found.rules if rule.kind == "margin"]
    for margin in sorted({-rule.threshold for rule in margins}):
        names = ", ".join(rule.metric for rule in margins if -rule.threshold == margin)
        yield f"We can rule out a drop of more than {margin:.2f} ({names})."
    if not any(rule.kind == "floor" for rule in found.rules):
        yield "Not shown good, only not worse than the baseline: the policy has no floor."


def _still_needed(found: Decided, facts: Facts) -> str:
    needed, chance = found.needed_dialogues, found.chance
    if needed is None:
        most = f"; with {found.max_dialogues} the chance is {chance:.0%}" if chance is not None else ""
        return f"Not enough dialogues to tell, and no number up to the largest is likely to{most}."
    sure = f" with a chance of {chance:.0%}" if chance is not None else ""
    if facts.extensions:
        return f"Not enough dialogues to tell: some {needed} would decide it{sure}."
    return f"Not enough dialogues to tell: some {needed} would{sure}, more than the run or its baseline can have."


def _failed(rule: GateRule) -> str:
    if rule.kind == "ceiling":
        assert rule.estimate is not None
        return f"{rule.estimate:.1%} of dialogues have a metric at 1, which is more than {rule.threshold:.1%}."
    if rule.kind == "floor":
        return f"{rule.metric} is {number(rule.estimate)}, below its floor of {rule.threshold:g}."
    assert rule.estimate is not None
    beside = "the fixed reference" if rule.kind == "anchor" else "the baseline"
    return f"{rule.metric} is {number(-rule.estimate)} below {beside}; the policy allows {-rule.threshold:g}."


def _moved(item: SentinelOut) -> str:
    if item.outcome == "failed":
        return f"Whether the judge {item.judge} still rates as it did could not be found out: {item.message}"
    return (
        f"The judge {item.judge} no longer rates as it did: {number(item.difference, '+')} overall on {item.dialogues}"
        f" stored dialogues of the baseline ({', '.join(item.shifted)} moved). That is taken out of the differences."
    )


def _error(error: str, found: Decided, facts: Facts) -> str:
    code, _, names = error.partition(": ")
    match code:
        case "anchor":
            return f"Against the fixed reference: {_error(names, found, facts)}"
        case "anchor_missing":
            assert found.policy.anchor is not None
            return f"There is no {found.policy.anchor.baseline!r}, the policy's fixed reference."
        case "check_missing":
            return f"The policy requires a result that nobody sent: {names} (POST /v1/runs/{found.run}/checks)."
        case "looks_used":
            return (
                f"All {found.max_dialogues} dialogues over which this release may spend its error have been looked at;"
                " what was said then stands. Another release begins anew."
            )
        case "too_few" if names:
            return "The policy is about judges like these, which one judge alone tells nothing about."
        case "too_few":
            return "Fewer than ten shared dialogues or five scenarios show nothing, whatever their scores."
        case "not_shared":
            return (
                "The run and its baseline share too few (character, scenario) pairs, as two samples with other seeds"
                f" do; the policy wants {found.policy.min_coverage:.0%} of the planned dialogues in such pairs. Play"
                " both with the same sample."
            )
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
