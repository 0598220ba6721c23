"""How a run is changed once it was started: another budget, another try of what failed, more dialogues."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import OPEN, Budget, ExtendRequest, ResumeRequest, RunRequest, Sample
from esrp.errors import Conflict, InvalidInput, WrongState
from esrp.suite import Suite
from services.gateway.runs import progress, store
from services.gateway.runs.found import find
from services.gateway.runs.plan import order
from services.gateway.runs.rows import Place, StoredRun, Used
from services.kit.ids import encode
from services.kit.settings import Settings


async def cancel(tx: AsyncConnection, run: StoredRun) -> None:
    """Let no new call begin; again, nothing changes."""
    if run.status in ("queued", "running"):
        await store.move(tx, run, Place("cancelling", run.phase))
    elif run.status not in ("cancelling", "cancelled"):
        raise _wrong(run, "queued or running")


async def resume(tx: AsyncConnection, run: StoredRun, body: ResumeRequest) -> None:
    """Go on, with another budget if one is given; one that is spent already is ``InvalidInput``."""
    if run.status not in ("cancelled", "budget_exhausted"):
        raise _wrong(run, "cancelled or budget_exhausted")
    given = "budget" in body.model_fields_set
    if run.status == "budget_exhausted" and not given:
        raise InvalidInput.at("/budget", "the budget is used up: give a larger one, or null to lift it")
    if given:
        if body.budget is not None:
            await _check_larger(tx, run, body.budget)
        await store.set_budget(tx, run.id, body.budget.model_dump() if body.budget else None)
    await store.reopen(tx, run, "running")


async def retry(tx: AsyncConnection, run: StoredRun) -> None:
    """Try what failed again; ``Conflict`` where nothing did."""
    if run.status not in ("succeeded", "failed"):
        raise _wrong(run, "succeeded or failed")
    if not await progress.has_failures(tx, run.id):
        raise Conflict(f"Nothing of run {encode('run', run.id)} has failed; there is nothing to try again.")
    await store.reopen(tx, run, "running", retry=True)


async def extend(tx: AsyncConnection, settings: Settings, run: StoredRun, body: ExtendRequest) -> None:
    """Enlarge the sample or the replicates; ``InvalidInput`` where that is not more than there is.

    So is a frozen transcript that lacks the further user turns. ``Conflict`` for a recorded candidate, and where
    simulator, judges or prompts are no longer those of the run's beginning: dialogues under one manifest must have been
    made alike.
    """
    if run.status in ("queued", "cancelling"):
        raise _wrong(run, "running or final")
    if run.transcript_id is not None:
        raise Conflict("A transcript's dialogues are all that there are.")
    found = await find(tx, settings, run.tenant_id, request_of(run))
    if order(found).sha256 != run.manifest_sha256:
        raise Conflict("The simulator, a judge or a prompt has changed since the run began; start a new one.")
    larger = _larger(found.request, found.suite.suite, body)
    await store.enlarge(tx, run.id, order(replace(found, request=larger), "/dialogues"))
    await store.reopen(tx, run, "running")


async def delete(tx: AsyncConnection, run: StoredRun) -> None:
    """Remove a run that has ended."""
    if run.status in OPEN:
        raise _wrong(run, "final; cancel it first")
    await store.delete_run(tx, run)


def _larger(before: RunRequest, suite: Suite, body: ExtendRequest) -> RunRequest:
    pairs = before.sample.dialogues if before.sample else suite.counts["dialogues"]
    wanted = pairs if body.dialogues is None else body.dialogues
    replicates = before.replicates if body.replicates is None else body.replicates
    if wanted < pairs:
        raise InvalidInput.at("/dialogues", f"the run has {pairs} already; say how many there shall be in all")
    if replicates < before.replicates:
        raise InvalidInput.at("/replicates", f"the run has {before.replicates} already")
    if (wanted, replicates) == (pairs, before.replicates):
        raise InvalidInput.at(
            "/dialogues", f"the run has {pairs} dialogues already; say how many there shall be in all"
        )
    if before.sample is None and wanted > pairs:
        raise InvalidInput.at("/dialogues", f"the suite has {pairs} dialogues, all in the run; raise replicates")
    sample = before.sample and Sample(dialogues=wanted, seed=before.sample.seed)
    return before.model_copy(update={"sample": sample, "replicates": replicates})


def request_of(run: StoredRun) -> RunRequest:
    """What was asked for, without its secrets: they are no part of a plan."""
    frozen: Any = "live" if run.frozen_id is None else {"frozen": encode("trn", run.frozen_id)}
    return RunRequest.model_validate(
        {
            "suite": run.suite_label,
            "candidate": run.candidate,
            "judges": run.judges,
            "rounds": run.rounds,
            "round2": frozen,
            "replicates": run.replicates,
            "diversity": bool(run.manifest.get("diversity")),
            "sample": run.sample,
            "budget": run.budget,
            "prices": run.prices,
        }
    )


def _wrong(run: StoredRun, needed: str) -> WrongState:
    return WrongState(encode("run", run.id), run.status, needed)


async def _check_larger(tx: AsyncConnection, run: StoredRun, budget: Budget) -> None:
    """A budget that is spent already would only exhaust again; one of money without prices would never."""
    if budget.max_cost is not None and not run.prices:
        raise InvalidInput.at("/budget/max_cost", "the run has no prices: nothing would ever be counted")
    used = (await progress.far(tx, [run]))[run.id].usage
    calls = sum(role["calls"] for role in used.values())
    tokens = sum(role["prompt_tokens"] + role["completion_tokens"] for role in used.values())
    for name, spent in (("max_calls", calls), ("max_tokens", tokens), ("max_cost", _cost(run.prices, used))):
        limit = getattr(budget, name)
        if limit is not None and limit <= spent:
            raise InvalidInput.at(f"/budget/{name}", f"{spent} are spent already; give more than that")


def _cost(prices: Mapping[str, Any] | None, used: Used) -> float:
    spent = 0.0
    for role, price in (prices or {}).items():
        if price and role in used:
            asked, said = used[role]["prompt_tokens"], used[role]["completion_tokens"]
            spent += (asked * price["prompt_per_million"] + said * price["completion_per_million"]) / 1e6
    return round(spent, 6)
