"""A run held against a policy, in a process aside: every check of it, the price of the look, and where it is worst."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import numpy as np
from pydantic import Field

from esrp.api import Decision, ExternalCheckOut, GateRule, LookPrice, SentinelOut
from esrp.canonical import digest
from esrp.comparable import differs
from esrp.dialogue import Frozen
from esrp.metrics import METRIC_IDS
from esrp.policies import Policy
from esrp.stats import Evidence, Ratings, Rule, Terms, Verdict, decide
from esrp.stats.disasters import disasters, held_to
from esrp.stats.exact import lower_limit, upper_limit
from esrp.stats.looks import Charge, Look, charged
from esrp.stats.ratings import pooled
from esrp.stats.sentinel import shift
from esrp.stats.slices import slices
from esrp.text import bounds, rounded
from services.analytics.gates.given import Seen
from services.analytics.gates.ledger import Key, Spending
from services.analytics.gates.worst import Pair, kind_of, worst_of
from services.analytics.report.groups import labels
from services.analytics.report.packing import of_kind


class Against(Frozen):
    """The baseline that the gateway found, and the name by which the policy calls it."""

    run: UUID
    name: str | None
    finished_at: datetime | None


class Heard(Frozen):
    """What a judge says now: scores by dialogue of the baseline and metric."""

    judge: str
    asked: int
    scores: dict[str, dict[str, int]]
    error: str | None


class Ask(Frozen):
    """A run is to be held against this policy; ``checks``: results from elsewhere, as far as there are any."""

    gate: str | None
    policy: Policy
    baseline: Against | None
    anchor: Against | None = None
    checks: tuple[ExternalCheckOut, ...] = ()
    sentinel: tuple[Heard, ...] = Field(())


@dataclass(frozen=True, slots=True)
class Material:
    """The run, its baseline and its anchor, the ``others`` of its release, and what was looked at before."""

    ours: Seen
    theirs: Seen | None
    anchor: Seen | None
    others: Sequence[Seen]
    key: Key
    spending: Spending


@dataclass(frozen=True, slots=True)
class Cost:
    """A look and its price; ``own`` of its dialogues are the run's, ``most`` is what the release may have in all.

    ``charge`` is ``None`` where there is nothing left to be spent.
    """

    look: Look
    own: int
    most: int
    charge: Charge | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was decided by the ratings, check by check, what it costs, and the dialogues where it is worst."""

    verdict: Verdict
    rules: Sequence[GateRule]
    sentinels: Sequence[SentinelOut]
    worst: Sequence[Pair]
    cost: "Cost"
    shared_pairs: int | None
    decision: Decision
    failing: Sequence[str]
    warnings: Sequence[str]
    errors: Sequence[str]

    @property
    def charge(self) -> Charge | None:
        """What is to be charged to the release: nothing where nothing was decided, nor for what it has paid for."""
        new = self.cost.charge
        return None if self.errors or new is None or new.repeated else new


def judged(ask: Ask, material: Material) -> Found:
    """Hold the run against every check of the policy."""
    policy, ours, theirs = ask.policy, material.ours, material.theirs
    evidence = _of_release(ours, material.others)
    cost = _cost(policy, material, evidence)
    terms = _terms(ask, theirs, cost)
    different = differs(ours.run.manifest, theirs.run.manifest) if theirs else []
    verdict = decide(policy, evidence, theirs.evidence if theirs else None, differs=different, terms=terms)
    sentinels = [_sentinel(item, theirs, policy.confidence) for item in ask.sentinel] if theirs else []
    anchored = _anchored(ask, evidence, material, terms)
    rules = [
        *map(rule_out, verdict.rules),
        *_of_anchor(anchored),
        *_of_groups(policy, evidence, ours, theirs, verdict),
        *_of_disasters(policy, evidence, verdict),
    ]
    errors = [*verdict.errors, *_errors(ask, material, anchored, cost)]
    decision, failing, warnings = _decided(policy, rules, verdict, errors, ask, sentinels)
    return Found(
        verdict=verdict,
        rules=rules,
        sentinels=sentinels,
        worst=[] if errors else worst_of(verdict, ours, theirs),
        cost=cost,
        shared_pairs=_shared(evidence, theirs) if theirs else None,
        decision=decision,
        failing=failing,
        warnings=warnings,
        errors=errors,
    )


def priced(policy: Policy, material: Material, dialogues: int | None) -> LookPrice:
    """What a look at the run would cost, as it is or with so many dialogues."""
    cost = _cost(policy, material, _of_release(material.ours, material.others), dialogues)
    charge, spent, alpha = cost.charge, material.spending.spent, 1 - policy.confidence
    return LookPrice(
        release=material.key.release,
        attempts=len(material.spending.taken),
        n=cost.look.dialogues,
        max_dialogues=cost.most,
        level=rounded(charge.level) if charge else None,
        spends=rounded(max(0.0, charge.spent - spent) if charge else 0.0),
        left=rounded(alpha - max(spent, charge.spent if charge else 0.0)),
        again=charge is not None and charge.again,
        repeated=cost.look.dialogues > 0 and charge is not None and charge.repeated,
        refused=charge is None,
    )


# --- the release ------------------------------------------------------------------------------------------------------


def _of_release(ours: Seen, others: Sequence[Seen]) -> Evidence:
    """The run with the earlier ones of its release, pair by pair, as far as they can be compared."""
    same = [ours, *(seen for seen in others if not differs(ours.run.manifest, seen.run.manifest))]
    if len(same) == 1:
        return ours.evidence
    parts = [seen.evidence for seen in same]
    return replace(
        ours.evidence,
        ratings=pooled([part.ratings for part in parts]),
        planned=sum(part.planned for part in parts),
        failed=sum(part.failed or 0 for part in parts),
        corrected=pooled([part.corrected for part in parts if len(part.corrected.score)] or [ours.evidence.corrected]),
    )


def _cost(policy: Policy, material: Material, evidence: Evidence, dialogues: int | None = None) -> Cost:
    """Of a look at the release with these ratings, or once the run has so many dialogues.

    ``most`` was fixed at the first look; where nothing is rated there is nothing to look at.
    """
    ours, theirs, spending, alpha = material.ours, material.theirs, material.spending, 1 - policy.confidence
    own = dialogues or _rated(ours)
    most = spending.most or max(policy.max_dialogues or 0, own, ours.planned)
    hashes = [evidence.ratings.sha256, theirs.evidence.ratings.sha256 if theirs else ""]
    look = Look(own + sum(spending.others.values()), "to come" if dialogues else digest(hashes))
    if not look.dialogues:
        return Cost(look, own, most, Charge((1.0,), alpha, 0.0, alpha, again=False, repeated=True))
    return Cost(look, own, most, charged(spending.looks, look.dialogues, look.ratings, most, alpha=alpha))


def _rated(seen: Seen) -> int:
    """How many of its dialogues have any rating."""
    return len(np.unique(seen.evidence.ratings.codes["dialogue"]))


def _terms(ask: Ask, theirs: Seen | None, cost: Cost) -> Terms:
    """What the verdict stands on: the error that this look may spend, and what judges have moved since."""
    fractions = cost.charge.fractions if cost.charge else (1.0,)
    heard = [item for item in ask.sentinel if item.error is None]
    if theirs is None or not heard:
        return Terms(fractions, cost.most, ask.policy.cautious)
    pairs = [_again(item, theirs) for item in heard]
    fresh, stored = (Ratings.joined(Ratings.of(()), *side) for side in zip(*pairs, strict=True))
    return Terms(fractions, cost.most, ask.policy.cautious, fresh, stored)


def _shared(evidence: Evidence, theirs: Seen) -> int:
    """How many (character, scenario) pairs both have ratings of."""
    of = [{pair for pair in side.ratings.units.pairs if pair[1] is not None} for side in (evidence, theirs.evidence)]
    return len(of[0] & of[1])


# --- checks -----------------------------------------------------------------------------------------------------------


def rule_out(rule: Rule) -> GateRule:
    """As clients see it."""
    return GateRule(
        metric=rule.metric,
        kind=rule.kind,
        estimate=rounded(rule.estimate),
        bound=rounded(rule.bound),
        threshold=rule.threshold,
        outcome=rule.outcome,
        worst_bound=rounded(rule.worst_bound),
    )


def _anchored(ask: Ask, evidence: Evidence, material: Material, terms: Terms) -> Verdict | None:
    """Against the fixed reference, by its own margins."""
    anchor, policy = material.anchor, ask.policy
    if policy.anchor is None or anchor is None:
        return None
    beside = policy.model_copy(
        update={"baseline": policy.anchor.baseline, "margins": policy.anchor.margins, "floors": {}}
    )
    different = differs(material.ours.run.manifest, anchor.run.manifest)
    return decide(beside, evidence, anchor.evidence, differs=different, terms=replace(terms, heard=None, stored=None))


def _of_anchor(anchored: Verdict | None) -> Iterator[GateRule]:
    for rule in anchored.rules if anchored else ():
        yield rule_out(rule).model_copy(update={"kind": "anchor"})


def _of_groups(
    policy: Policy, evidence: Evidence, ours: Seen, theirs: Seen | None, verdict: Verdict
) -> Iterator[GateRule]:
    """No group may be worse than the margin allows, at the level of this look."""
    if policy.per is None or theirs is None:
        return
    by = policy.per.by
    rated, before = (_that_count(side, verdict) for side in (evidence, theirs.evidence))
    parts = slices(rated, before, labels(by, ours.scenarios), policy.per.margin, alpha=verdict.level)
    outcomes = {"broken": "fail", "held": "pass", "not_measured": "not_measured"}
    for part in parts:
        yield GateRule.model_validate(
            {
                "metric": f"{by}: {part.label}",
                "kind": "group",
                "estimate": rounded(part.difference),
                "bound": None,
                "threshold": -policy.per.margin,
                "outcome": outcomes[part.outcome],
            }
        )


def _of_disasters(policy: Policy, evidence: Evidence, verdict: Verdict) -> Iterator[GateRule]:
    """The share of dialogues in which any metric is 1, by its exact limits at the level of this look."""
    if policy.ceilings is None:
        return
    found, alpha = disasters(_that_count(evidence, verdict)).any.lowest, verdict.level
    held = held_to(policy.ceilings.disaster, found, alpha=alpha)
    limit = (lower_limit if held.outcome == "fail" else upper_limit)(found.count, found.n, alpha) if found.n else None
    yield GateRule(
        metric="disaster",
        kind="ceiling",
        estimate=rounded(found.share),
        bound=rounded(limit),
        threshold=policy.ceilings.disaster,
        outcome=held.outcome,
    )


def _that_count(evidence: Evidence, verdict: Verdict) -> Ratings:
    """The ratings by those whose scores decide."""
    rated = evidence.ratings
    return rated.only(rated.among("kind", (kind_of(verdict),)))


# --- all of it together -----------------------------------------------------------------------------------------------


def _errors(ask: Ask, material: Material, anchored: Verdict | None, cost: Cost) -> Iterator[str]:
    """Why nothing can be decided, beside what the ratings lack."""
    if cost.charge is None:
        yield "looks_used"
    if ask.policy.anchor is not None and material.anchor is None:
        yield "anchor_missing"
    if anchored is not None:
        yield from (f"anchor: {error}" for error in anchored.errors)
    sent = {check.name for check in ask.checks}
    if missing := [name for name in ask.policy.required_checks if name not in sent]:
        yield f"check_missing: {', '.join(missing)}"


def _decided(
    policy: Policy,
    rules: Sequence[GateRule],
    verdict: Verdict,
    errors: Sequence[str],
    ask: Ask,
    sentinels: Sequence[SentinelOut],
) -> tuple[Decision, list[str], list[str]]:
    """The verdict, what failed, and the warnings: a failure of one check is one of all, a pass is a pass of all."""
    warnings = [warning for warning in verdict.warnings if warning != "inconclusive"]
    warnings += [
        f"{'judge_shifted' if s.outcome == 'shifted' else 'sentinel_failed'}: {s.judge}"
        for s in sentinels
        if s.outcome != "steady"
    ]
    if unmeasured := [rule.metric for rule in rules if rule.outcome == "not_measured"]:
        warnings.append(f"groups_not_measured: {', '.join(unmeasured)}")
    if errors:
        return "error", [], warnings
    failed = sorted({rule.metric for rule in rules if rule.outcome == "fail"})
    failed += [
        f"check: {check.name}"
        for check in ask.checks
        if check.name in policy.required_checks and check.outcome == "fail"
    ]
    if failed:
        return "fail", failed, warnings
    unheard = verdict.raters != "human" and any(item.outcome == "failed" for item in sentinels)
    if not unheard and _passes(rules):
        return "pass", [], warnings
    # A judge that could not be asked is not made up for by `on_inconclusive: pass`: nobody knows whether it has moved.
    decision: Decision = policy.on_inconclusive
    if unheard and decision == "pass":
        decision = "inconclusive"
    return decision, [], [*warnings, *(["inconclusive"] if decision != "inconclusive" else [])]


def _passes(rules: Sequence[GateRule]) -> bool:
    """Whether every check is passed; a group may be too small to be measured, but not all of them."""
    groups = [rule.outcome for rule in rules if rule.kind == "group"]
    measured = [rule.outcome for rule in rules if rule.outcome != "not_measured"]
    return all(outcome == "pass" for outcome in measured) and (not groups or set(groups) != {"not_measured"})


def _sentinel(heard: Heard, theirs: Seen, confidence: float) -> SentinelOut:
    fresh, stored = _again(heard, theirs)
    found = shift(fresh, stored, confidence=confidence)
    error = heard.error
    if error is None and found.interval is None:
        error = "Too few dialogues were rated again to tell."
    return SentinelOut(
        judge=heard.judge,
        outcome="failed" if error else "shifted" if found.shifted else "steady",
        dialogues=found.pairs,
        difference=rounded(found.difference),
        interval=bounds(found.interval),
        shifted=[] if error else list(found.shifted),
        message=error,
    )


def _again(heard: Heard, theirs: Seen) -> tuple[Ratings, Ratings]:
    """What the judge says now of dialogues of the baseline, and what it said of them before."""
    given = of_kind(theirs.rated.ratings, "judge")
    stored = given.only(given.among("rater", (heard.judge,)) & given.among("dialogue", heard.scores))
    return _anew(stored, heard.scores), stored


def _anew(stored: Ratings, scores: Mapping[str, Mapping[str, int]]) -> Ratings:
    """The same ratings with the scores by dialogue and metric; what has none is left out."""
    cells = zip(stored.codes["dialogue"].tolist(), stored.codes["metric"].tolist(), strict=True)
    dialogues = stored.levels["dialogue"]
    said = [scores[dialogues[dialogue]].get(METRIC_IDS[metric], 0) for dialogue, metric in cells]
    fresh = replace(stored, score=np.array(said, dtype=np.int64))
    return fresh.only(fresh.score > 0)
