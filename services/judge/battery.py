"""The injection battery against a judge: clean dialogues and attacked ones are rated, and the difference is kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Probe, ProbeRequest, Usage
from esrp.battery import AGAIN, ATTACK, CLEAN, Trial, battery_sha256, trials
from esrp.errors import EsrpError, InvalidInput, NotFound, Unavailable
from esrp.metrics import Language
from esrp.stats.judging import Cells, Change, Spread, change, spread
from esrp.text import bounds, rounded
from services.judge.rating import Rater, Verdict
from services.judge.resources import Resources
from services.kit.db import json, many
from services.kit.settings import JudgeSettings
from services.work.budget import Errand
from services.work.cards import Probed, configuration, resistance, run_spread

log = structlog.get_logger()

SECONDS = 240.0  # for the calls of one probe; the gateway waits for 300
LAST = 20.0  # seconds for calls under way to end after that


class JudgeFailed(EsrpError):
    """The judge gave no score at all."""

    status, code = 502, "judge_failed"


def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


probing = APIRouter(prefix="/internal")


@probing.post("/judges/{name}/probe")
async def probe(
    name: str, tenant: UUID, asked: ProbeRequest, resources: Annotated[Resources, Depends(_resources)]
) -> Probe:
    """Rate the battery and keep what it showed. ``JudgeFailed`` if the clean dialogues got no score."""
    judge = resources.settings.judge(name)
    if judge is None:
        raise NotFound("judge", name)
    plan = _plan(asked)
    verdicts = await rated(resources.rater(name), plan, asked.language)
    clean = _cells(plan, verdicts, CLEAN)
    if not clean:
        raise _no_scores(name, verdicts)
    forms = list(dict.fromkeys(trial.attack for trial in plan))
    finished = [form for form in forms if _is_finished(plan, verdicts, form)]
    if CLEAN not in finished:  # there is too little to hold the others against
        finished = []
    documents = {form: _document(form, clean, _cells(plan, verdicts, form)) for form in finished if form != CLEAN}
    async with resources.engine.begin() as tx:
        kept = await _keep(tx, judge, tenant, asked, documents)
    measured = {found.attack: found for found in kept}
    log.info("judge.probed", judge=name, language=asked.language, attacks=len(measured))
    return Probe(
        judge=name,
        language=asked.language,
        dialogues=asked.dialogues,
        resistance=[resistance(measured[id], resources.settings.validation) for id in ATTACK if id in measured],
        spread=run_spread(measured[AGAIN]) if AGAIN in measured else None,
        unfinished=[form for form in forms if form not in finished],
        usage=_usage(verdicts),
        card=f"/v1/judges/jdg_{name}/card",
    )


def _plan(asked: ProbeRequest) -> list[Trial]:
    attacks = tuple(ATTACK) if asked.attacks is None else tuple(dict.fromkeys(asked.attacks))
    if unknown := [attack for attack in attacks if attack not in ATTACK]:
        raise InvalidInput.at("/attacks", f"{unknown[0]!r} is no attack; there are {', '.join(ATTACK)}")
    return trials(asked.language, attacks, asked.dialogues)


async def rated(
    rater: Rater, plan: Sequence[Trial], language: Language, *, seconds: float = SECONDS, last: float = LAST
) -> list[Verdict | None]:
    """A verdict on each, in the order of the plan as far as time allows; ``None`` for those that it did not.

    After ``seconds`` none begins; those under way have ``last`` seconds more.
    """
    seats, errand = asyncio.Semaphore(rater.max_concurrency), Errand()

    async def one(trial: Trial) -> Verdict | None:
        async with seats:
            if errand.stopped.is_set():
                return None
            return await rater.rate(trial.dialogue, language, errand)

    tasks = [asyncio.create_task(one(trial)) for trial in plan]
    try:
        await asyncio.wait(tasks, timeout=seconds)
        errand.stopped.set()
        await asyncio.wait(tasks, timeout=last)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [_verdict(task) for task in tasks]


def _verdict(task: "asyncio.Task[Verdict | None]") -> Verdict | None:
    verdict = None if task.cancelled() else task.result()
    return None if verdict is None or verdict.stopped else verdict


def _is_finished(plan: Sequence[Trial], verdicts: Sequence[Verdict | None], form: str) -> bool:
    """Every dialogue of the form has a verdict, and none failed for a reason that may pass: that says nothing.

    A fault that comes again, such as a refusal to answer, is the attack's doing: its scores are lost.
    """
    given = [verdict for trial, verdict in zip(plan, verdicts, strict=True) if trial.attack == form]
    return all(verdict is not None and not (verdict.error and verdict.error.retryable) for verdict in given)


def _cells(plan: Sequence[Trial], verdicts: Sequence[Verdict | None], form: str) -> Cells:
    return {
        (trial.twin, metric): score.score
        for trial, verdict in zip(plan, verdicts, strict=True)
        if trial.attack == form and verdict is not None
        for metric, score in verdict.scores.items()
    }


def _no_scores(name: str, verdicts: Sequence[Verdict | None]) -> EsrpError:
    given = [verdict for verdict in verdicts if verdict is not None]
    if not given:
        return Unavailable(f"The judge {name} answered nothing in {SECONDS:.0f} s; probe fewer attacks or dialogues.")
    fault = next((verdict.error for verdict in given if verdict.error), None)
    return JudgeFailed(fault.message if fault else f"The judge {name} gave no valid score of a clean dialogue.")


def _document(form: str, clean: Cells, after: Cells) -> dict[str, Any] | None:
    if form == AGAIN:
        return _spread_document(spread(clean, after))
    return _change_document(change(clean, after))


def _spread_document(found: Spread | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"n": found.pairs, "sd": rounded(found.sd), "same": rounded(found.same)}


def _change_document(found: Change) -> dict[str, Any]:
    return {
        "n": found.pairs,
        "dialogues": found.dialogues,
        "room": found.room,
        "lift": found.lift and rounded(found.lift.value),
        "lift_ci": found.lift and bounds(found.lift.interval),
        "flip_rate": found.flips and rounded(found.flips.value),
        "flip_ci": found.flips and bounds(found.flips.interval),
        "lost": rounded(found.lost),
    }


def _usage(verdicts: Sequence[Verdict | None]) -> Usage:
    used = [asdict(verdict.usage) for verdict in verdicts if verdict is not None]
    return Usage(**{name: sum(use[name] for use in used) for name in Usage.model_fields})


async def _keep(
    tx: AsyncConnection,
    judge: JudgeSettings,
    tenant: UUID,
    asked: ProbeRequest,
    documents: dict[str, dict[str, Any] | None],
) -> list[Probed]:
    """Keep the results in place of those before; fewer dialogues than before of the same battery replace nothing.

    Returns what was measured now, kept or not.
    """
    given = {form: document | {"asked": asked.dialogues} for form, document in documents.items() if document}
    return await many(
        tx,
        Probed,
        """
        WITH given AS (
            SELECT x.attack, CAST(x.document AS jsonb) AS document, now() AS measured_at
            FROM unnest(CAST(:attacks AS text[]), CAST(:documents AS text[])) AS x(attack, document)
        ), kept AS (
            INSERT INTO judge.cards AS c (configuration, language, attack, tenant_id, judge, battery, document)
            SELECT :configuration, :language, attack, :tenant, :judge, :battery, document FROM given
            ON CONFLICT (configuration, language, attack) DO UPDATE SET tenant_id = excluded.tenant_id,
                battery = excluded.battery, document = excluded.document, measured_at = now()
            WHERE c.battery <> excluded.battery
                OR (c.document ->> 'asked')::int <= (excluded.document ->> 'asked')::int
        )
        SELECT attack, document, measured_at, CAST(:language AS text) AS language FROM given
        """,
        attacks=list(given),
        documents=[json(document) for document in given.values()],
        configuration=configuration(judge),
        language=asked.language,
        tenant=tenant,
        judge=judge.name,
        battery=battery_sha256(asked.language),
    )
