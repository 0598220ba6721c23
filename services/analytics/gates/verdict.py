"""A release gate's verdict: read, decided in a process aside, charged to the release, kept, and answered."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import EarlierAttempt, GateBaseline, Given, LookPrice, RatedDialogue, WorstPair
from esrp.imported import ImportTotals
from esrp.limits import NOT_TESTED
from esrp.metrics import metrics_of
from esrp.stats import Verdict
from esrp.text import rounded
from esrp.verdict import Decided, Extension, Facts
from services.analytics.gates import given, ledger
from services.analytics.gates.given import Reason, Seen
from services.analytics.gates.judged import Ask, Found, Material, judged, priced
from services.analytics.gates.ledger import Spending
from services.analytics.gates.worst import Pair, Played, kind_of
from services.analytics.imports import imported
from services.analytics.report.packed import documented
from services.analytics.resources import Resources
from services.kit.aside import Do
from services.kit.ids import encode

MOST_REPLICATES = 20  # of a run
DAY = 86_400


async def evaluate(
    resources: Resources, run_id: UUID, tenant_id: UUID, ask: Ask, now: datetime, *, own: bool = False
) -> Decided | None:
    """The verdict on the tenant's run, kept with its evidence; ``None`` if there is no such run.

    It holds no connection while it counts. Ratings that change meanwhile are not in it. A run's ``own`` gate, which
    its end waits for, is decided beside the reports of runs that end, not behind what people ask for.
    """
    aside = resources.reports if own else resources.figures
    async with aside.slot(patient=own) as do:
        while True:  # until nobody else has taken a look at the release meanwhile: it is charged by those before it
            material = await _material(resources, do, run_id, tenant_id, ask)
            if material is None:
                return None
            found = await do(judged, ask, material)
            async with resources.engine.begin() as tx:
                await ledger.lock(tx, material.key)
                if await ledger.spending(tx, material.key, run_id) == material.spending:
                    return await _kept(tx, ask, material, found, now)


async def price(
    resources: Resources, run_id: UUID, tenant_id: UUID, ask: Ask, dialogues: int | None
) -> LookPrice | None:
    """What the verdict would cost; ``None`` if there is no such run."""
    async with resources.figures.slot() as do:
        material = await _material(resources, do, run_id, tenant_id, ask)
        return None if material is None else await do(priced, ask.policy, material, dialogues)


async def _material(resources: Resources, do: Do, run_id: UUID, tenant_id: UUID, ask: Ask) -> Material | None:
    """All runs as they were at one time, and what was looked at before."""
    async with resources.engine.connect() as tx:
        await tx.execution_options(isolation_level="REPEATABLE READ")

        async def seen(id: UUID | None) -> Seen | None:
            return None if id is None else await given.seen(tx, resources.settings, id, tenant_id)

        if (ours := await seen(run_id)) is None:
            return None
        theirs, anchor = [await seen(named.run if named else None) for named in (ask.baseline, ask.anchor)]
        key = ledger.Key(tenant_id, ledger.release_of(ours.run), theirs.run.id if theirs else None)
        spending = await ledger.spending(tx, key, run_id)
        others = [run for id in spending.others if (run := await seen(id)) is not None]
    documents = [
        seen and replace(seen, packed=await documented(resources.engine, do, seen.packed))
        for seen in (ours, theirs, anchor, *others)
    ]
    first, second, third, *rest = documents
    assert first is not None
    return Material(first, second, third, tuple(run for run in rest if run is not None), key, spending)


async def _kept(tx: AsyncConnection, ask: Ask, material: Material, found: Found, now: datetime) -> Decided:
    """The verdict, kept with its evidence; a look that is new is charged to the release."""
    ours, key = material.ours, material.key
    worst = await _told(tx, found, ours, material.theirs)
    if found.charge is not None:
        cost = found.cost
        await ledger.take(tx, key, ours.run, found.charge, cost.look, cost.own, cost.most, found.decision)
    before = [] if ledger.is_labelled(key.release) else await ledger.asked_before(tx, key, ours.run.candidate_name)
    spending = await ledger.spending(tx, key, ours.run.id)
    verdict = _out(ask, found, material, worst, spending, before, now)
    baseline_id = material.theirs.run.id if material.theirs else None
    await given.keep(tx, ours.run, baseline_id, verdict, [item.model_dump() for item in ask.sentinel])
    return verdict


# --- the answer -------------------------------------------------------------------------------------------------------


async def _told(tx: AsyncConnection, found: Found, ours: Seen, theirs: Seen | None) -> list[WorstPair]:
    """The worst dialogues with what the raters said of them."""
    shown = [played.id for pair in found.worst for played in (pair.ours, pair.theirs) if played is not None]
    runs = [seen.run.id for seen in (ours, theirs) if seen is not None]
    reasons = await given.reasons(tx, runs, shown, kind_of(found.verdict)) if shown else {}
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


def _out(
    ask: Ask,
    found: Found,
    material: Material,
    worst: Sequence[WorstPair],
    spending: Spending,
    before: Sequence[EarlierAttempt],
    now: datetime,
) -> Decided:
    verdict, ours, theirs = found.verdict, material.ours, material.theirs
    is_open = not found.failing and not found.errors  # where it stays so, whatever the policy makes of that
    needed, chance = (verdict.needed_dialogues, verdict.chance) if is_open else (None, None)
    return Decided(
        run=encode("run", ours.run.id),
        gate=ask.gate,
        policy=ask.policy,
        verdict=found.decision,
        failing=list(found.failing),
        warnings=[
            *found.warnings,
            *_of_itself(ours, theirs),
            *imported.warnings(ours.imports, theirs.imports if theirs else None),
            *(["asked_before"] if before and found.decision == "pass" else []),
        ],
        errors=list(found.errors),
        explanation=[],
        rules=list(found.rules),
        needed_dialogues=needed,
        chance=rounded(chance),
        release=material.key.release,
        attempts=[look.out for look in spending.taken],
        max_dialogues=found.cost.most,
        left=rounded(max(0.0, 1 - ask.policy.confidence - spending.spent)),
        asked_before=list(before),
        shared_pairs=found.shared_pairs,
        checks=[check for check in ask.checks if check.name in ask.policy.required_checks],
        not_tested=list(NOT_TESTED),
        commands=[],
        baseline=theirs and _baseline(ask, theirs, now),
        raters=verdict.raters,
        worst=list(worst),
        sentinel=list(found.sentinels),
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
