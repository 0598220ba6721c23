"""May this release go out: a policy's margins and floors against what two runs show (STATISTICS 6)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.special import stdtr, stdtrit

from esrp.metrics import METRIC_IDS, columns_of
from esrp.policies import Policy, thresholds
from esrp.stats.calibration import Rectified, rectified, rectified_difference
from esrp.stats.diversity import BatchRating, batch_units
from esrp.stats.holm import holm
from esrp.stats.intervals import by_scenario, mean_of
from esrp.stats.missing import missing_ratings
from esrp.stats.paired import paired
from esrp.stats.power import deciding_dialogues
from esrp.stats.ratings import Floats, Ratings, Units
from esrp.stats.scores import HIGHEST, LOWEST

Raters: TypeAlias = Literal["calibrated", "human", "judge"]
Outcome: TypeAlias = Literal["pass", "fail", "inconclusive"]
Kind: TypeAlias = Literal["margin", "floor"]

EQUAL = 1e-9  # an estimate as near as that to its threshold is on it: sums of fractions are not exact


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run as a gate sees it.

    ``planned`` dialogues, each to be rated by ``judges`` judges on every metric. ``unvalidated`` names the judges among
    them that nobody has held against people. ``corrected``: judges' ratings and those of people who may correct them, a
    fair sample (STATISTICS 5); none where nobody says that theirs are. ``diversity``: the ratings of batches.
    """

    ratings: Ratings
    planned: int
    judges: int = 1
    unvalidated: tuple[str, ...] = ()
    corrected: Ratings = field(default_factory=lambda: Ratings.of(()))
    diversity: Sequence[BatchRating] = ()

    @cached_property
    def rectified(self) -> Rectified:
        """The calibrated means."""
        return rectified(self.corrected)


@dataclass(frozen=True, slots=True)
class Rule:
    """One endpoint: ``bound`` is the one-sided lower confidence bound of the estimate, to be above ``threshold``.

    A margin's estimate is candidate − baseline and its threshold −δ. ``worst_bound`` is the bound with all missing
    ratings against the candidate; it is given where more is missing than the policy bears, and then it decides.
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

    ``raters`` tells whose scale the numbers are on. What the policy makes of an inconclusive result is the verdict, and
    ``inconclusive`` is then among the warnings. Errors and warnings are a code, some followed by a colon and names.
    """

    verdict: Literal["pass", "fail", "inconclusive", "error"]
    raters: Raters
    failing: tuple[str, ...]
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    rules: tuple[Rule, ...]
    needed_dialogues: int | None


def decide(
    policy: Policy, candidate: Evidence, baseline: Evidence | None = None, *, differs: Sequence[str] = ()
) -> Verdict:
    """Hold a run against a policy. Where it can do without a baseline the floors decide alone, with a warning.

    ``differs`` names what makes the two runs not comparable: suite, simulator, judges, rounds.
    """
    comparison = _Comparison(policy, candidate, baseline, differs)
    measured = list(comparison.measured())
    rejected = holm([item.worse for item in measured], 1 - policy.confidence)
    rules = tuple(item.rule(policy, fails) for item, fails in zip(measured, rejected, strict=True))
    errors = tuple(comparison.errors())
    warnings = tuple(comparison.warnings(rules))
    outcome, needed = _outcome(rules), None
    if outcome == "inconclusive" and not errors:
        needed = _needed(policy, measured, rules)
        outcome = policy.on_inconclusive
        warnings += ("inconclusive",) if outcome != "inconclusive" else ()
    return Verdict(
        verdict="error" if errors else outcome,
        raters=comparison.raters,
        failing=() if errors else tuple(sorted({rule.metric for rule in rules if rule.outcome == "fail"})),
        warnings=warnings,
        errors=errors,
        rules=rules,
        needed_dialogues=needed,
    )


# --- deciding ---------------------------------------------------------------------------------------------------------


def _outcome(rules: Sequence[Rule]) -> Outcome:
    """A failure of one rule is one of all; a pass is a pass of all (intersection–union)."""
    outcomes = {rule.outcome for rule in rules}
    if "fail" in outcomes:
        return "fail"
    return "pass" if outcomes == {"pass"} else "inconclusive"


def _needed(policy: Policy, measured: Sequence["_Measured"], rules: Sequence[Rule]) -> int | None:
    """How many dialogues of each run would decide with 80 % power if what was seen is the truth; ``None``: no number.

    One endpoint that is worse decides, at Holm's first step; else all that are still open have to pass.
    """
    strict = 1 - (1 - policy.confidence) / len(measured)
    worse = [item.deciding(strict) for item in measured if item.distance is not None and item.distance < 0]
    if known := [needed for needed in worse if needed is not None]:
        return min(known)
    still_open = [item for item, rule in zip(measured, rules, strict=True) if rule.outcome != "pass"]
    passing = [item.deciding(policy.confidence) for item in still_open]
    if worse or any(item.pull_counts(policy) for item in still_open):
        return None
    return None if None in passing else max(needed for needed in passing if needed is not None)


# --- what was measured ------------------------------------------------------------------------------------------------


class _Estimate(NamedTuple):
    """A mean with its standard error from so many clusters."""

    mean: float | None
    se: float | None
    clusters: int


UNKNOWN = _Estimate(None, None, 0)


@dataclass(frozen=True, slots=True)
class _Measured:
    """An endpoint of so many dialogues, the share of ratings that is missing, and how far those could pull it down."""

    metric: str
    kind: Kind
    threshold: float
    found: _Estimate
    dialogues: int
    missing: float
    pull: float

    @property
    def distance(self) -> float | None:
        """How far the estimate is above its threshold."""
        if self.found.mean is None:
            return None
        distance = self.found.mean - self.threshold
        return 0.0 if abs(distance) < EQUAL else distance

    @property
    def worse(self) -> float:
        """The p value against an estimate that is below its threshold by chance."""
        if self.distance is None or self.found.se is None:
            return 1.0
        if self.found.se < EQUAL:
            return float(self.distance >= 0)
        return float(stdtr(self.found.clusters - 1, self.distance / self.found.se))

    def pull_counts(self, policy: Policy) -> bool:
        """Whether more is missing than the policy bears."""
        return self.missing > policy.max_missing and self.pull > 0

    def deciding(self, confidence: float) -> int | None:
        """How many dialogues would show on which side of its threshold the estimate is: more than there are."""
        if self.distance is None or self.found.se is None:
            return None
        needed = deciding_dialogues(
            self.distance, self.found.se, self.dialogues, clusters=self.found.clusters, confidence=confidence
        )
        return None if needed is None else max(needed, self.dialogues + 1)

    def rule(self, policy: Policy, fails: bool) -> Rule:
        """The evidence and its outcome."""
        mean, se, clusters = self.found
        bound = worst = None
        passes = False
        if mean is not None and se is not None and self.distance is not None:
            error = float(stdtrit(clusters - 1, policy.confidence)) * se
            pull = self.pull if self.pull_counts(policy) else 0.0
            bound, worst = mean - error, mean - error - pull if pull else None
            passes = self.distance - error - pull > 0
        outcome: Outcome = "fail" if fails else "pass" if passes else "inconclusive"
        return Rule(self.metric, self.kind, mean, bound, self.threshold, outcome, worst)


class _Comparison:
    """A candidate beside its baseline, if there is one that it can be compared with."""

    def __init__(self, policy: Policy, candidate: Evidence, baseline: Evidence | None, differs: Sequence[str]) -> None:
        self._policy, self._alone, self._differs = policy, baseline is None, differs
        beside = baseline if policy.margins and not differs else None
        self.raters = _raters(policy, candidate, beside)
        batches = _raters_of_batches(policy, candidate, beside)
        self.ours = _Sheet(candidate, self.raters, batches)
        self._theirs = None if beside is None else _Sheet(beside, self.raters, batches)

    def measured(self) -> Iterator[_Measured]:
        """Every endpoint of the policy that there is something to say about: margins, then floors."""
        if self._theirs is not None:
            ours, theirs = self.ours, self._theirs
            source, batches = _apart(ours, theirs)
            both = min(ours.scored, theirs.scored)
            for name, margin in thresholds(self._policy.margins).items():
                missing = max(ours.missing(name), theirs.missing(name))
                pull = ours.pull(name, LOWEST) + theirs.pull(name, HIGHEST)
                yield _Measured(name, "margin", -margin, _estimate(source, batches, name), both, missing, pull)
        for name, floor in thresholds(self._policy.floors).items():
            missing, pull = self.ours.missing(name), self.ours.pull(name, LOWEST)
            yield _Measured(name, "floor", floor, self.ours.estimate(name), self.ours.scored, missing, pull)

    def errors(self) -> Iterator[str]:
        """Why nothing can be decided."""
        if self._policy.margins and self._differs:
            yield f"not_comparable: {', '.join(self._differs)}"
        elif self._alone and self._policy.needs_baseline:
            yield "baseline_missing"
        elif not self._policy.floors and self._theirs is None:
            yield "no_baseline"
        if self.ours.coverage < self._policy.min_coverage:
            yield "coverage_below_minimum"
        if self._theirs is not None and self._theirs.coverage < self._policy.min_coverage:
            yield "baseline_coverage_below_minimum"
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

    @property
    def _calibrated(self) -> bool:
        return _calibrates(self.ours.evidence, None if self._theirs is None else self._theirs.evidence)

    @property
    def _unvalidated(self) -> list[str]:
        """Judges whose ratings enter and that nobody has held against people."""
        if self.raters == "human":
            return []
        sheets = [self.ours] if self._theirs is None else [self.ours, self._theirs]
        return sorted({judge for sheet in sheets for judge in sheet.evidence.unvalidated})


class _Sheet:
    """One run's ratings by the raters that count, its means, and what is missing from them."""

    def __init__(self, evidence: Evidence, raters: Raters, batches: str) -> None:
        self.evidence = evidence
        ratings = _by(evidence.ratings, "human" if raters == "human" else "judge")
        self.units = ratings.units
        self.batches = batch_units(row for row in evidence.diversity if row.kind == batches)
        self.source = evidence.rectified if raters == "calibrated" else self.units
        per_dialogue = ratings.dialogues[ratings.dialogues.any(axis=1)]
        self.scored = len(per_dialogue)
        self._given = per_dialogue.sum(axis=0)
        self._lacking = missing_ratings(per_dialogue, evidence.planned, 0 if raters == "human" else evidence.judges)

    @property
    def coverage(self) -> float:
        """The share of planned dialogues that have a rating."""
        return self.scored / self.evidence.planned if self.evidence.planned else 0.0

    def estimate(self, name: str) -> _Estimate:
        """Of the run's mean."""
        return _estimate(self.source, self.batches, name)

    def missing(self, name: str) -> float:
        """The share of the ratings that should be there and are not."""
        if name == "diversity":
            return 0.0
        lacking = self._lacking[columns_of(name)].sum()
        return float(lacking / max(1, lacking + self._given[columns_of(name)].sum()))

    def pull(self, name: str, score: int) -> float:
        """How far the mean moves if every missing rating is ``score``."""
        return 0.0 if name == "diversity" else float(self._pulls[score][columns_of(name)].mean())

    @cached_property
    def _pulls(self) -> dict[int, Floats]:
        shares = np.array([self.missing(name) for name in METRIC_IDS])
        means = [self.estimate(name).mean if share else None for name, share in zip(METRIC_IDS, shares, strict=True)]
        return {
            score: shares * [0.0 if mean is None else abs(mean - score) for mean in means]
            for score in (LOWEST, HIGHEST)
        }


def _raters(policy: Policy, candidate: Evidence, baseline: Evidence | None) -> Raters:
    """Whose ratings count: calibrated if there, else people's if no judge rated, else judges'."""
    if policy.raters != "auto":
        return policy.raters
    if _calibrates(candidate, baseline):
        return "calibrated"
    kinds = candidate.ratings.levels["kind"]
    return "human" if "human" in kinds and "judge" not in kinds else "judge"


def _calibrates(candidate: Evidence, baseline: Evidence | None) -> bool:
    """Whether there are calibrated means, of both and of their difference, from random samples."""
    runs = [candidate] if baseline is None else [candidate, baseline]
    if not all(run.rectified.estimate(columns_of("overall")) for run in runs):
        return False
    if baseline is None:
        return True
    apart = rectified_difference(candidate.corrected, baseline.corrected)
    return apart.estimate(columns_of("overall")) is not None


def _raters_of_batches(policy: Policy, candidate: Evidence, baseline: Evidence | None) -> str:
    """Whose ratings of diversity count: judges' if they rated each run's batches, else people's."""
    if policy.raters == "human":
        return "human"
    ours, *others = [{row.kind for row in run.diversity} for run in (candidate, baseline) if run is not None]
    return "judge" if "judge" in (ours.intersection(*others) or ours) else "human"


def _apart(ours: _Sheet, theirs: _Sheet) -> tuple[Rectified | Units, Units]:
    """Candidate − baseline on the same (character, scenario), and on the same batches."""
    batches = paired(ours.batches, theirs.batches)
    if isinstance(ours.source, Rectified):
        return rectified_difference(ours.evidence.corrected, theirs.evidence.corrected), batches
    return paired(ours.units, theirs.units), batches


def _estimate(source: Rectified | Units, batches: Units, name: str) -> _Estimate:
    """Of an endpoint: clustered by scenario, diversity by batch."""
    source, columns = (batches, [0]) if name == "diversity" else (source, columns_of(name))
    if isinstance(source, Rectified):
        calibrated = source.estimate(columns)
        return _Estimate(calibrated.mean, calibrated.se, calibrated.clusters) if calibrated else UNKNOWN
    mean = mean_of(source, columns)
    variance = None if mean is None else by_scenario(source, columns)
    return _Estimate(mean, math.sqrt(variance.value), variance.clusters) if variance else _Estimate(mean, None, 0)


def _by(ratings: Ratings, kind: str) -> Ratings:
    """The ratings of one kind; the levels stay."""
    chosen = np.array([name == kind for name in ratings.levels["kind"]], dtype=bool)[ratings.codes["kind"]]
    return Ratings(ratings.levels, {name: code[chosen] for name, code in ratings.codes.items()}, ratings.score[chosen])
