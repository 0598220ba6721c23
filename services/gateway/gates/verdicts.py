"""A run held against a policy: which one, against which baseline, and what the analytics service makes of it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import GateVerdict, LookPrice
from esrp.errors import EsrpError, InvalidInput, NotFound
from esrp.policies import Policy
from esrp.verdict import Decided, worded
from services.gateway.gates import checks, policies, sentinel
from services.gateway.resources import Resources
from services.gateway.runs.events import add_event
from services.gateway.runs.rows import StoredRun
from services.jobs import AdvanceRun
from services.kit.db import count, reading, row, rows
from services.kit.ids import encode
from services.kit.unit import unit

log = structlog.get_logger()

SECONDS = 150  # that a verdict may take, for others are computed before it
LEASE = "30 seconds"  # a verdict takes one or two; whoever has not given it by then is dead
LONG_LEASE = "310 seconds"  # with a sentinel it waits for judges, at most as long as a job may take (300 s)


@dataclass(frozen=True, slots=True)
class Asked:
    """A policy, and ``name@version`` if it was named."""

    policy: Policy
    name: str | None

    @property
    def document(self) -> dict[str, Any]:
        """As a run keeps it."""
        return {"name": self.name, "policy": self.policy.model_dump(mode="json")}


async def asked(tx: AsyncConnection, tenant_id: UUID, given: str | Policy, pointer: str) -> Asked:
    """The policy that is meant; ``InvalidInput`` if there is none of that name."""
    if isinstance(given, Policy):
        return Asked(given, None)
    try:
        found = await policies.find(tx, tenant_id, given)
    except NotFound as error:
        raise InvalidInput.at(pointer, f"{error.detail} POST /v1/gates makes one.") from error
    return Asked(Policy.model_validate(found.policy), found.label)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is to be told before a run is paid for; ``again``: dialogues that each judge of ``judges`` rates anew."""

    warnings: Sequence[str] = ()
    again: int = 0
    judges: Sequence[str] = ()


async def foreseen(tx: AsyncConnection, tenant_id: UUID, gate: Asked, pointer: str) -> Foreseen:
    """Without its baseline the gate could not decide; with it judges may have to rate that again.

    A name may still be set while the run is played; a run that is gone does not come back: ``InvalidInput``.
    """
    policy, named = gate.policy, gate.policy.baseline
    found = None if named is None else await policies.baseline_run(tx, tenant_id, named)
    if found is not None:
        again = 0 if policy.raters == "human" or policy.sentinel is None else policy.sentinel
        return Foreseen((), found.dialogues if again == "all" else min(again, found.dialogues), found.judges)
    if named is None or policy.baseline_optional:
        return Foreseen()
    if named.startswith("run_"):
        raise InvalidInput.at(pointer if gate.name else f"{pointer}/baseline", f"There is no run {named!r}.")
    command = f"`esrp baseline set {shlex.quote(named)} RUN`"
    told = f"There was no baseline {named!r} when this was asked for; the gate cannot decide before {command}."
    return Foreseen((told,))


async def evaluate(resources: Resources, run: StoredRun, gate: Asked, *, own: bool = False) -> GateVerdict:
    """Have the verdict given, and kept with its evidence. A sentinel costs calls of the judges.

    The run's ``own`` gate does not wait behind what people ask for.
    """
    policy = gate.policy
    found, body = await _question(resources, run, gate)
    if policy.sentinel and found is not None and policy.raters != "human":
        body["sentinel"] = await sentinel.heard(resources, run, found, policy.sentinel)
    answer = await resources.peers.call(
        "analytics",
        "POST",
        f"/internal/runs/{run.id}/gate",
        query={"tenant": str(run.tenant_id), "own": "true" if own else "false"},
        body=orjson.dumps(body),
        seconds=SECONDS,
    )
    return GateVerdict.model_validate_json(answer.body)


async def price(resources: Resources, run: StoredRun, gate: Asked, dialogues: int | None) -> LookPrice:
    """What the verdict would cost of the release's error; nothing is asked of judges, and nothing is spent."""
    _, body = await _question(resources, run, gate)
    answer = await resources.peers.call(
        "analytics",
        "POST",
        f"/internal/runs/{run.id}/gate/price",
        query={"tenant": str(run.tenant_id), **({"dialogues": str(dialogues)} if dialogues else {})},
        body=orjson.dumps(body),
    )
    return LookPrice.model_validate_json(answer.body)


async def _question(
    resources: Resources, run: StoredRun, gate: Asked
) -> tuple[policies.BaselineRun | None, dict[str, Any]]:
    """The baseline, and what analytics is asked."""
    policy = gate.policy
    async with reading(resources.engine) as tx:
        found = await policies.baseline_run(tx, run.tenant_id, policy.baseline) if policy.baseline else None
        anchor = await policies.baseline_run(tx, run.tenant_id, policy.anchor.baseline) if policy.anchor else None
        sent = await checks.of_run(tx, run.id)
    return found, {
        "gate": gate.name,
        "policy": policy.model_dump(mode="json"),
        "baseline": found and _against(policy.baseline, found),
        "anchor": anchor and policy.anchor and _against(policy.anchor.baseline, anchor),
        "checks": [check.model_dump(mode="json") for check in sent],
        "sentinel": [],
    }


def _against(ref: str | None, run: policies.BaselineRun) -> dict[str, Any]:
    named = ref != encode("run", run.id)
    return {"run": str(run.id), "name": ref if named else None, "finished_at": run.finished_at}


async def last(tx: AsyncConnection, run: StoredRun) -> GateVerdict | None:
    """The newest verdict of the run, whichever policy it was for."""
    found = await row(
        tx,
        "SELECT document FROM analytics.gates_v1 WHERE run_id = :run ORDER BY created_at DESC, id DESC LIMIT 1",
        run=run.id,
    )
    return worded(Decided.model_validate(found["document"])) if found else None


# --- a run's own gate -------------------------------------------------------------------------------------------------


def kept(run: StoredRun) -> Asked | None:
    """The run's own gate."""
    return Asked(Policy.model_validate(run.gate["policy"]), run.gate["name"]) if run.gate else None


async def claim(tx: AsyncConnection, run: StoredRun) -> bool:
    """Whether we are to give the (locked) run's verdict; nobody else is then for a while."""
    gate = kept(run)
    lease = LONG_LEASE if gate and gate.policy.sentinel else LEASE
    claimed = await rows(
        tx,
        f"UPDATE gateway.runs SET gating_until = now() + interval '{lease}'"
        " WHERE id = :id AND revision = :revision AND verdict IS NULL AND coalesce(gating_until < now(), true)"
        " RETURNING id",
        id=run.id,
        revision=run.revision,
    )
    return bool(claimed)


async def settle(resources: Resources, run: StoredRun) -> bool:
    """Give the claimed run's verdict and say so; false if a part that it needs is away: then it is tried again."""
    gate = kept(run)
    assert gate is not None
    failure: str | None = None
    verdict: GateVerdict | None = None
    try:
        verdict = await evaluate(resources, run, gate, own=True)
    except EsrpError as error:
        if error.retryable:
            log.warning("gate.waits", run_id=str(run.id), error=error.detail)
        else:
            failure = error.detail
            log.error("gate.failed", run_id=str(run.id), error=failure)
    async with unit(resources.engine, resources.queue) as work:
        if verdict is None and failure is None:
            await count(work.tx, "UPDATE gateway.runs SET gating_until = NULL WHERE id = :id", id=run.id)
            return False
        await _decided(work.tx, run, verdict, failure)
        work.ring(AdvanceRun(run.id))
    return True


async def _decided(tx: AsyncConnection, run: StoredRun, verdict: GateVerdict | None, failure: str | None) -> None:
    """Note it, unless the run has gone on since."""
    decision = verdict.verdict if verdict else "error"
    noted = await count(
        tx,
        "UPDATE gateway.runs SET verdict = :verdict, gating_until = NULL WHERE id = :id AND revision = :revision",
        id=run.id,
        revision=run.revision,
        verdict=decision,
    )
    if noted:
        data = {
            "verdict": decision,
            "gate": verdict.gate if verdict else None,
            "failing": verdict.failing if verdict else [],
            "explanation": verdict.explanation if verdict else [failure],
        }
        await add_event(tx, run, "run.verdict", f"verdict:{run.revision}", data)
        log.info("gate.decided", run_id=str(run.id), verdict=decision)
