"""A release gate's verdict: what was decided and why, where it is worst, and what would decide what is open."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import numpy as np
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import GateBaseline, GateRule, Given, RatedDialogue, RaterKind, SentinelOut, WorstPair
from esrp.comparable import differs
from esrp.dialogue import Frozen
from esrp.imported import ImportTotals
from esrp.metrics import METRIC_IDS, metrics_of
from esrp.policies import Policy
from esrp.stats import Ratings, Rule, Verdict, decide
from esrp.stats.ratings import OWN_LOG
from esrp.stats.sentinel import shift
from esrp.text import bounds, rounded
from esrp.verdict import Decided, Extension, Facts
from services.analytics.gates import given
from services.analytics.gates.examples import first_rows, means_of
from services.analytics.gates.given import Reason, Seen
from services.analytics.imports import imported
from services.analytics.report.packed import documented
from services.analytics.report.packing import of_kind
from services.analytics.resources import Resources
from services.kit.ids import encode

WORST = 3  # dialogues shown of each failed metric
MOST_REPLICATES = 20  # of a run
DAY = 86_400


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
    """A run is to be held against this policy."""

    gate: str | None
    policy: Policy
    baseline: Against | None
    sentinel: tuple[Heard, ...] = Field(())


async def evaluate(
    resources: Resources, run_id: UUID, tenant_id: UUID, ask: Ask, now: datetime, *, own: bool = False
) -> Decided | None:
    """The verdict on the tenant's run, kept with its evidence; ``None`` if there is no such run.

    It holds no connection while it counts. Ratings that change meanwhile are not in it. A run's ``own`` gate, which
    its end waits for, is decided beside the reports of runs that end, not behind what people ask for.
    """
    aside = resources.reports if own else resources.figures
    async with aside.slot(patient=own) as do:
        async with resources.engine.connect() as tx:
            await tx.execution_options(isolation_level="REPEATABLE READ")  # both runs as they were at one time
            ours = await given.seen(tx, resources.settings, run_id, tenant_id)
            if ours is None:
                return None
            theirs = None
            if ask.baseline is not None:
                theirs = await given.seen(tx, resources.settings, ask.baseline.run, tenant_id)
        ours = replace(ours, packed=await documented(resources.engine, do, ours.packed))
        if theirs is not None:
            theirs = replace(theirs, packed=await documented(resources.engine, do, theirs.packed))
        found = await do(_judged, ask, ours, theirs)
    async with resources.engine.begin() as tx:
        worst = await _told(tx, found, ours, theirs)
        verdict = _out(ask, found, ours, theirs, worst, now)
        baseline_id = theirs.run.id if theirs else None
        await given.keep(tx, ours.run, baseline_id, verdict, [item.model_dump() for item in ask.sentinel])
    return verdict


# --- deciding ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What was decided, what the sentinels found, and the dialogues where it is worst."""

    verdict: Verdict
    sentinels: list[SentinelOut]
    worst: list["Pair"]

    @property
    def moved(self) -> list[SentinelOut]:
        """Judges that cannot be taken for those who rated the baseline."""
        return [item for item in self.sentinels if item.outcome != "steady"]

    @property
    def unsteady(self) -> bool:
        """Whether that leaves open what was decided."""
        return bool(self.moved) and not self.verdict.errors and self.verdict.raters != "human"


def _judged(ask: Ask, ours: Seen, theirs: Seen | None) -> Found:
    different = differs(ours.run.manifest, theirs.run.manifest) if theirs else []
    verdict = decide(ask.policy, ours.evidence, theirs.evidence if theirs else None, differs=different)
    sentinels = [_sentinel(item, theirs, ask.policy.confidence) for item in ask.sentinel] if theirs else []
    found = Found(verdict, sentinels, [])
    if verdict.errors or found.unsteady:
        return found
    failed = [rule for rule in verdict.rules if rule.outcome == "fail" and rule.metric != "diversity"]
    mine = _by_pair(ours, _kind(verdict)) if failed else {}
    yours = _by_pair(theirs, _kind(verdict)) if failed and theirs else {}
    return Found(verdict, sentinels, [pair for rule in failed for pair in _worst(rule, mine, yours)])


def _kind(verdict: Verdict) -> RaterKind:
    """Whose scores and reasons are shown: calibrated means stand on the judges' scores of every dialogue."""
    return "human" if verdict.raters == "human" else "judge"


def _sentinel(heard: Heard, theirs: Seen, confidence: float) -> SentinelOut:
    judged = of_kind(theirs.rated.ratings, "judge")
    stored = judged.only(judged.among("rater", (heard.judge,)) & judged.among("dialogue", heard.scores))
    found = shift(_anew(stored, heard.scores), stored, confidence=confidence)
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


def _anew(stored: Ratings, scores: Mapping[str, Mapping[str, int]]) -> Ratings:
    """The same ratings with the scores by dialogue and metric; what has none is left out."""
    cells = zip(stored.codes["dialogue"].tolist(), stored.codes["metric"].tolist(), strict=True)
    dialogues = stored.levels["dialogue"]
    said = [scores[dialogues[dialogue]].get(METRIC_IDS[metric], 0) for dialogue, metric in cells]
    fresh = replace(stored, score=np.array(said, dtype=np.int64))
    return fresh.only(fresh.score > 0)


# --- where it is worst ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Played:
    """A dialogue and its mean rating on each metric that was rated."""

    id: str
    character: str
    scenario: str | None
    scores: Mapping[str, float]

    def on(self, metrics: Sequence[str]) -> float | None:
        """Its score on an endpoint; ``None`` where a metric of it has no rating."""
        found = [self.scores[metric] for metric in metrics if metric in self.scores]
        return sum(found) / len(found) if len(found) == len(metrics) else None


@dataclass(frozen=True, slots=True)
class Pair:
    """What was said in one scenario with either bot; of several replicates, the lowest of ours, the highest of theirs.

    ``difference`` is that of the means over replicates.
    """

    metric: str
    difference: float | None
    ours: Played
    score: float
    theirs: Played | None
    their_score: float | None


ByPair = Mapping[tuple[str, str], Sequence[Played]]


def _by_pair(seen: Seen, kind: RaterKind) -> dict[tuple[str, str], list[Played]]:
    """The run's rated dialogues by character and scenario; one from own logs stands alone."""
    ratings = of_kind(seen.rated.ratings, kind)
    means, first, levels = means_of(ratings).tolist(), first_rows(ratings), ratings.levels
    pairs: dict[tuple[str, str], list[Played]] = {}
    for row, id in enumerate(levels["dialogue"]):
        character = levels["character"][ratings.codes["character"][first[row]]]
        scenario = levels["scenario"][ratings.codes["scenario"][first[row]]]
        scores = {metric: mean for metric, mean in zip(METRIC_IDS, means[row], strict=True) if not math.isnan(mean)}
        own = scenario == OWN_LOG
        played = Played(id, character, None if own else scenario, scores)
        pairs.setdefault((character, f"\0{id}" if own else scenario), []).append(played)
    return pairs


def _worst(rule: Rule, ours: ByPair, theirs: ByPair) -> list[Pair]:
    """Where the difference is lowest, or of a floor the score itself."""
    metrics = metrics_of(rule.metric)
    pairs = [_pair(rule.metric, metrics, ours[key], theirs.get(key, ())) for key in sorted(ours)]
    found = [pair for pair in pairs if pair is not None and (rule.kind == "floor" or pair.difference is not None)]

    def badness(pair: Pair) -> tuple[float, float]:
        return (pair.score, 0.0) if rule.kind == "floor" or pair.difference is None else (pair.difference, pair.score)

    return sorted(found, key=badness)[:WORST]


def _pair(metric: str, metrics: Sequence[str], ours: Sequence[Played], theirs: Sequence[Played]) -> Pair | None:
    mine = [(score, played) for played in ours if (score := played.on(metrics)) is not None]
    yours = [(score, played) for played in theirs if (score := played.on(metrics)) is not None]
    if not mine:
        return None
    score, lowest = min(mine, key=lambda one: (one[0], one[1].id))
    if not yours:
        return Pair(metric, None, lowest, score, None, None)
    their_score, highest = max(yours, key=lambda one: (one[0], one[1].id))
    difference = sum(s for s, _ in mine) / len(mine) - sum(s for s, _ in yours) / len(yours)
    return Pair(metric, difference, lowest, score, highest, their_score)


async def _told(tx: AsyncConnection, found: Found, ours: Seen, theirs: Seen | None) -> list[WorstPair]:
    """The worst dialogues with what the raters said of them."""
    shown = [played.id for pair in found.worst for played in (pair.ours, pair.theirs) if played is not None]
    runs = [seen.run.id for seen in (ours, theirs) if seen is not None]
    reasons = await given.reasons(tx, runs, shown, _kind(found.verdict)) if shown else {}
    return [_pair_out(pair, reasons) for pair in found.worst]


def _pair_out(pair: Pair, reasons: Mapping[str, Sequence[Reason]]) -> WorstPair:
    def rated(played: Played, score: float) -> RatedDialogue:
        id = encode("dlg", UUID(played.id))
        said = [rating for rating in reasons.get(played.id, ()) if rating.metric in metrics_of(pair.metric)]
        given = [Given(**{name: getattr(rating, name) for name in Given.model_fields}) for rating in said]
        return RatedDialogue(dialogue=id, score=rounded(score), link=f"/v1/dialogues/{id}", ratings=given)

    theirs, their_score = pair.theirs, pair.their_score
    return WorstPair(
        metric=pair.metric,
        character=pair.ours.character,
        scenario=pair.ours.scenario,
        difference=rounded(pair.difference),
        candidate=rated(pair.ours, pair.score),
        baseline=None if theirs is None or their_score is None else rated(theirs, their_score),
    )


# --- the answer -------------------------------------------------------------------------------------------------------


def _out(ask: Ask, found: Found, ours: Seen, theirs: Seen | None, worst: Sequence[WorstPair], now: datetime) -> Decided:
    verdict, policy, unsteady = found.verdict, ask.policy, found.unsteady
    # A judge that has moved is not made up for by `on_inconclusive: pass`: nothing that it said can be relied on.
    left_open = "fail" if policy.on_inconclusive == "fail" else "inconclusive"
    needed = None if unsteady else verdict.needed_dialogues
    return Decided(
        run=encode("run", ours.run.id),
        gate=ask.gate,
        policy=policy,
        verdict=left_open if unsteady else verdict.verdict,
        failing=[] if unsteady else list(verdict.failing),
        warnings=[
            *verdict.warnings,
            *_of_itself(ours, theirs),
            *imported.warnings(ours.imports, theirs.imports if theirs else None),
            *(_about(item) for item in found.moved),
        ],
        errors=list(verdict.errors),
        explanation=[],
        rules=[_rule(rule) for rule in verdict.rules],
        needed_dialogues=needed,
        commands=[],
        baseline=theirs and _baseline(ask, theirs, now),
        raters=verdict.raters,
        worst=list(worst),
        sentinel=found.sentinels,
        imported=list(ours.imports.newest),
        created_at=now,
        facts=_facts(verdict, ours, theirs, needed),
    )


def _facts(verdict: Verdict, ours: Seen, theirs: Seen | None, needed: int | None) -> Facts:
    both = [ours] if theirs is None else [ours, theirs]
    return Facts(
        planned=ours.planned,
        baseline_planned=theirs.planned if theirs else 0,
        unvalidated=tuple(sorted({judge for seen in both for judge in seen.unvalidated})),
        fit=ours.run.status in ("running", "succeeded"),
        imported=ours.imports.totals,
        baseline_imported=theirs.imports.totals if theirs else ImportTotals(),
        extensions=_extensions(needed, ours, theirs if _is_about_margins(verdict) else None) if needed else (),
    )


def _of_itself(ours: Seen, theirs: Seen | None) -> list[str]:
    """After a promotion the same job, run again, holds its run against itself."""
    return ["baseline_is_the_run"] if theirs is not None and theirs.run.id == ours.run.id else []


def _about(item: SentinelOut) -> str:
    return f"{'judge_shifted' if item.outcome == 'shifted' else 'sentinel_failed'}: {item.judge}"


def _rule(rule: Rule) -> GateRule:
    return GateRule(
        metric=rule.metric,
        kind=rule.kind,
        estimate=rounded(rule.estimate),
        bound=rounded(rule.bound),
        threshold=rule.threshold,
        outcome=rule.outcome,
        worst_bound=rounded(rule.worst_bound),
    )


def _baseline(ask: Ask, theirs: Seen, now: datetime) -> GateBaseline:
    assert ask.baseline is not None
    finished = ask.baseline.finished_at
    return GateBaseline(
        name=ask.baseline.name,
        run=encode("run", theirs.run.id),
        candidate=theirs.run.candidate_name,
        finished_at=finished,
        age_days=None if finished is None else round(max(0.0, (now - finished).total_seconds()) / DAY, 2),
        imported=list(theirs.imports.newest),
    )


def _is_about_margins(verdict: Verdict) -> bool:
    return any(rule.kind == "margin" and rule.outcome == "inconclusive" for rule in verdict.rules)


def _extensions(needed: int, ours: Seen, theirs: Seen | None) -> tuple[Extension, ...]:
    """What plays that many dialogues of the run and its baseline where they have fewer; none if one of them cannot."""
    both = [ours] if theirs is None or theirs.run.id == ours.run.id else [ours, theirs]
    short = [seen for seen in both if seen.planned < needed] or [ours]
    found = [extension for seen in short if (extension := _extension(needed, seen)) is not None]
    return tuple(found) if len(found) == len(short) else ()


def _extension(needed: int, seen: Seen) -> Extension | None:
    run, pairs = seen.run, seen.pairs
    if run.transcript_id is not None:
        return None
    needed = max(needed, seen.planned + 1)
    sample, replicates = (run.sample["dialogues"] if run.sample else pairs), run.replicates
    name = encode("run", run.id)
    wanted = math.ceil(needed / replicates)
    if run.sample and wanted <= pairs:
        return Extension(run=name, dialogues=wanted)
    times = math.ceil(needed / pairs)
    if times > MOST_REPLICATES:
        return None
    return Extension(run=name, dialogues=pairs if sample < pairs else None, replicates=times)
