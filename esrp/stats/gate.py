"""May this release go out: a policy's margins and floors against what two runs show (STATISTICS 6, A–E)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from esrp.metrics import METRIC_IDS
from esrp.policies import Policy, thresholds
from esrp.stats.calibration import unrated
from esrp.stats.estimates import UNKNOWN, Estimate
from esrp.stats.evidence import Apart, Evidence, Raters, Sheet, calibrates, raters_of_batches, raters_that_count
from esrp.stats.holm import holm
from esrp.stats.looks import level
from esrp.stats.predicted import Needed, Open, needed
from esrp.stats.ratings import Ratings
from esrp.stats.scores import HIGHEST, LOWEST
from esrp.stats.sentinel import drift

Outcome: TypeAlias = Literal["pass", "fail", "inconclusive"]
Kind: TypeAlias = Literal["margin", "floor"]

FEWEST_DIALOGUES, FEWEST_SCENARIOS = 10, 5  # below them nothing is decided: two perfect dialogues are no proof


@dataclass(frozen=True, eq=False)
class Terms:
    """What a verdict stands on beside its policy.

    ``fractions`` of the largest number of dialogues at which this look and those before it lie (``looks.charged``);
    ``most``: that number, ``None`` for none. ``cautious``: one disaster more is reckoned with before a pass. ``heard``
    and ``stored``: what judges say now and said before of the baseline's dialogues; the shift is taken out.
    """

    fractions: tuple[float, ...] = (1.0,)
    most: int | None = None
    cautious: bool = False
    heard: Ratings | None = None
    stored: Ratings | None = None


ONE_LOOK = Terms()


@dataclass(frozen=True, slots=True)
class Rule:
    """One endpoint: ``bound`` is the one-sided lower confidence bound of the estimate, to be above ``threshold``.

    A margin's estimate is candidate − baseline and its threshold −δ. ``worst_bound`` is the bound with the dialogues
    that the candidate lost against it, and what judges left out too where that is more than the policy bears; where it
    is given, it decides.
    """

    metric: str
    kind: Kind
    estimate: float | None
    bound: float | None
    threshold: float
    outcome: Outcome
    worst_bound: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``errors`` says why nothing could be decided, ``needed_dialogues`` how many would decide what was not.

    ``chance`` is that of a decision at so many, or where there is no such number at the most that there may be.
    ``level``: the one-sided level of this look. ``raters`` tells whose scale the numbers are on. What the policy makes
    of an inconclusive result is the verdict, and ``inconclusive`` is then among the warnings. Errors and warnings are a
    code, some followed by a colon and names.
    """

    verdict: Literal["pass", "fail", "inconclusive", "error"]
    raters: Raters
    failing: tuple[str, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    rules: tuple[Rule, ...]
    needed_dialogues: int | None
    chance: float | None = None
    level: float = 0.05


def decide(
    policy: Policy,
    candidate: Evidence,
    baseline: Evidence | None = None,
    *,
    differs: Sequence[str] = (),
    terms: Terms = ONE_LOOK,
) -> Verdict:
    """Hold a run against a policy. Where it can do without a baseline the floors decide alone, with a warning.

    ``differs`` names what makes the two runs not comparable: suite, simulator, judges, rounds.
    """
    comparison = _Comparison(policy, candidate, baseline, differs, terms)
    measured = list(comparison.measured())
    alpha = 1 - policy.confidence
    here = level(terms.fractions, alpha)
    fails = holm([item.worse for item in measured], alpha, lambda share: level(terms.fractions, share))
    rules = tuple(item.rule(here, failed) for item, failed in zip(measured, fails, strict=True))
    errors = tuple(comparison.errors())
    warnings = tuple(comparison.warnings(rules))
    outcome, advice = _outcome(rules), None
    if outcome == "inconclusive" and not errors:
        advice = _needed(policy, comparison, measured, terms)
        outcome = policy.on_inconclusive
        warnings += ("inconclusive",) if outcome != "inconclusive" else ()
    return Verdict(
        verdict="error" if errors else outcome,
        raters=comparison.raters,
        failing=() if errors else tuple(sorted({rule.metric for rule in rules if rule.outcome == "fail"})),
        warnings=warnings,
        errors=errors,
        rules=rules,
        needed_dialogues=advice.dialogues if advice else None,
        chance=advice.chance if advice else None,
        level=here,
    )


# --- deciding ---------------------------------------------------------------------------------------------------------


def _outcome(rules: Sequence[Rule]) -> Outcome:
    """A failure of one rule is one of all; a pass is a pass of all (intersection–union)."""
    outcomes = {rule.outcome for rule in rules}
    if "fail" in outcomes:
        return "fail"
    return "pass" if outcomes == {"pass"} else "inconclusive"


def _needed(policy: Policy, comparison: "_Comparison", measured: Sequence["_Measured"], terms: Terms) -> Needed | None:
    """How many dialogues would decide; ``None`` where an endpoint was not measured."""
    if any(item.found.errors is None for item in measured):
        return None
    return needed(
        [item.as_open() for item in measured],
        comparison.metrics(),
        dialogues=comparison.dialogues,
        most=terms.most,
        alpha=1 - policy.confidence,
        fractions=terms.fractions,
    )


# --- what was measured ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Measured:
    """An endpoint, what holds for a pass, and how far what is missing could pull that down."""

    metric: str
    kind: Kind
    threshold: float
    found: Estimate
    passing: Estimate
    pull: float

    @property
    def worse(self) -> float:
        """The p value against an estimate that is below its threshold by chance."""
        return self.found.worse(self.threshold)

    def as_open(self) -> Open:
        """As what may be decided later is predicted."""
        return Open(self.metric, self.kind, self.threshold, self.passing, self.pull)

    def rule(self, one_sided: float, fails: bool) -> Rule:
        """The evidence and its outcome."""
        bound = self.passing.bound(one_sided)
        worst = None if bound is None or not self.pull else bound - self.pull
        passes = bound is not None and bound - self.pull > self.threshold
        outcome: Outcome = "fail" if fails else "pass" if passes else "inconclusive"
        return Rule(self.metric, self.kind, self.found.mean, bound, self.threshold, outcome, worst)


@dataclass(frozen=True, eq=False)
class _Margins:
    """A candidate beside a baseline that it can be compared with."""

    theirs: Sheet
    apart: Apart
    shifts: dict[str, Estimate] = field(default_factory=dict)

    def estimate(self, name: str) -> Estimate:
        """Of the difference, without what judges have shifted since."""
        found = self.apart.estimate(name)
        return found.minus(self.shifts[name]) if name in self.shifts else found


class _Comparison:
    """A candidate, beside its baseline if there is one that it can be compared with."""

    def __init__(
        self, policy: Policy, candidate: Evidence, baseline: Evidence | None, differs: Sequence[str], terms: Terms
    ) -> None:
        self._policy, self._alone, self._differs, self._terms = policy, baseline is None, differs, terms
        beside = baseline if policy.margins and not differs else None
        self.raters = raters_that_count(policy.raters, candidate, beside)
        batches = raters_of_batches(policy.raters, candidate, beside)
        self.ours = Sheet(candidate, self.raters, batches)
        self._margins = None if beside is None else self._against(Sheet(beside, self.raters, batches))

    def _against(self, theirs: Sheet) -> _Margins:
        heard, stored = self._terms.heard, self._terms.stored
        shifts = {} if heard is None or stored is None or self.raters == "human" else drift(heard, stored)
        return _Margins(theirs, Apart.of(self.ours, theirs), shifts)

    @property
    def dialogues(self) -> int:
        """How many of the candidate's enter: of the rarer run, where there are two."""
        return self.ours.scored if self._margins is None else min(self.ours.scored, self._margins.theirs.scored)

    def metrics(self) -> list[Estimate]:
        """The nine metrics' differences, as far as they are known."""
        found = [] if self._margins is None else [self._margins.estimate(name) for name in METRIC_IDS]
        return [metric for metric in found if metric.errors is not None]

    def measured(self) -> Iterator[_Measured]:
        """Every endpoint of the policy that there is something to say about: margins, then floors."""
        if self._margins is not None:
            for name, margin in thresholds(self._policy.margins).items():
                found = self._of_judges(name, self._margins.estimate(name), self._margins.theirs)
                yield self._measured(name, "margin", -margin, found)
        for name, floor in thresholds(self._policy.floors).items():
            yield self._measured(name, "floor", floor, self._of_judges(name, self.ours.estimate(name)))

    def _of_judges(self, name: str, found: Estimate, theirs: Sheet | None = None) -> Estimate:
        """For these judges, or where the policy asks for that, for judges like these; one alone tells nothing."""
        if self._policy.judges == "fixed" or self.raters == "human" or name == "diversity":
            return found
        shares = self.ours.added_by_judges(name)
        if theirs is not None:
            before = theirs.added_by_judges(name)
            shares = {judge: added - before[judge] for judge, added in shares.items() if judge in before}
        return UNKNOWN if len(shares) < 2 else found.of_raters_like(shares)

    def _measured(self, name: str, kind: Kind, threshold: float, found: Estimate) -> _Measured:
        passing = found.cautious() if self._terms.cautious and name != "diversity" else found
        return _Measured(name, kind, threshold, found, passing, self._pull(name, kind))

    def _pull(self, name: str, kind: Kind) -> float:
        """The candidate's own failures count always, what judges left out where it is more than the policy bears."""
        ours, theirs = self.ours, self._margins.theirs if self._margins and kind == "margin" else None
        pull = ours.failure_pull(name)
        if max(ours.missing(name), theirs.missing_in_all(name) if theirs else 0.0) <= self._policy.max_missing:
            return pull
        return pull + ours.pull(name, LOWEST, lost=False) + (theirs.pull(name, HIGHEST, lost=True) if theirs else 0.0)

    def errors(self) -> Iterator[str]:
        """Why nothing can be decided; that there is too little to compare only where all else is in order."""
        found = list(self._refusals())
        yield from found
        if not found and self._shared < self._policy.min_coverage:
            yield "not_shared"
        if not found and self._too_few:
            yield "too_few"

    def _refusals(self) -> Iterator[str]:
        if self._policy.margins and self._differs:
            yield f"not_comparable: {', '.join(self._differs)}"
        elif self._alone and self._policy.needs_baseline:
            yield "baseline_missing"
        elif not self._policy.floors and self._margins is None:
            yield "no_baseline"
        if self.ours.coverage < self._policy.min_coverage:
            yield "coverage_below_minimum"
        if self._margins is not None and self._margins.theirs.coverage < self._policy.min_coverage:
            yield "baseline_coverage_below_minimum"
        if self._policy.judges == "random" and len(self.ours.added_by_judges("overall")) < 2:
            yield "too_few: judges"
        if self._policy.raters == "calibrated" and not self._calibrated:
            yield "calibrated_not_available"
        if self._policy.require_validated_judges and self._unvalidated:
            yield f"judge_not_validated: {', '.join(self._unvalidated)}"

    def warnings(self, rules: Sequence[Rule]) -> Iterator[str]:
        """What a reader of the verdict must know."""
        if self._alone and self._policy.floors and not self._policy.needs_baseline:
            yield "no_baseline"
        if self._unvalidated and not self._policy.require_validated_judges:
            yield "judge_not_validated"
        if any(rule.worst_bound is not None for rule in rules):
            yield "missing_ratings"
        if unknown := [rule.metric for rule in rules if rule.bound is None]:
            yield f"not_measured: {', '.join(unknown)}"
        if self.raters == "calibrated" and (names := unrated(self.ours.evidence.rectified)):
            yield f"not_calibrated: {', '.join(names)}"

    @property
    def _shared(self) -> float:
        """The share of the planned dialogues that lie in a pair which both runs have."""
        if self._margins is None:
            return 1.0
        pairs = set(self._margins.apart.shared.pairs)
        dialogues = self.ours.units_of_dialogues()
        return sum(pair in pairs for pair in dialogues) / max(1, self.ours.evidence.planned)

    @property
    def _too_few(self) -> bool:
        units = self.ours.units if self._margins is None else self._margins.apart.shared
        held = units.counts.any(axis=1)
        scenarios = len(np.unique(units.scenario[held]))
        return int(held.sum()) < FEWEST_DIALOGUES or scenarios < FEWEST_SCENARIOS

    @property
    def _calibrated(self) -> bool:
        return calibrates(self.ours.evidence, self._margins.theirs.evidence if self._margins else None)

    @property
    def _unvalidated(self) -> list[str]:
        """Judges whose ratings enter and that nobody has held against people."""
        if self.raters == "human":
            return []
        sheets = [self.ours, *([self._margins.theirs] if self._margins else [])]
        return sorted({judge for sheet in sheets for judge in sheet.evidence.unvalidated})
