"""How a run is changed once it was started: another budget, another try of what failed, more dialogues."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Budget, ExtendRequest, ResumeRequest, RunRequest, Sample
from esrp.errors import Conflict, InvalidInput
from esrp.suite import Suite
from services.gateway.resources import Resources
from services.gateway.runs import start, store
from services.gateway.runs.plan import Order, order
from services.kit.db import json, row
from services.kit.ids import encode


async def resume(tx: AsyncConnection, run: RowMapping, body: ResumeRequest) -> None:
    """Go on, with another budget if one is given; one that is spent already is ``InvalidInput``."""
    given = "budget" in body.model_fields_set
    if run["status"] == "budget_exhausted" and not given:
        raise InvalidInput.at("/budget", "the budget is used up: give a larger one, or null to lift it")
    if given:
        if body.budget is not None:
            await _check_larger(tx, run, body.budget)
        await store.set_budget(tx, run["id"], body.budget.model_dump() if body.budget else None)
    await store.reopen(tx, run, "running")


async def retry(tx: AsyncConnection, id: str, run: RowMapping) -> None:
    """Try what failed again; ``Conflict`` where nothing did."""
    if not await store.failures(tx, run["id"]):
        raise Conflict(f"Nothing of run {id} has failed; there is nothing to try again.")
    await store.reopen(tx, run, "running", retry=True)


async def extend(tx: AsyncConnection, resources: Resources, run: RowMapping, body: ExtendRequest) -> None:
    """Enlarge the sample or the replicates; ``InvalidInput`` where that is not more than there is.

    So is a frozen transcript that lacks the further user turns. ``Conflict`` for a recorded candidate, and where
    simulator, judges or prompts are no longer those of the run's beginning: dialogues under one manifest must have been
    made alike.
    """
    if run["transcript_id"] is not None:
        raise Conflict("A transcript's dialogues are all that there are.")
    stored = await _suite(tx, run)
    suite = Suite.model_validate(stored["document"])
    settings, frozen = resources.settings, run["manifest"]["simulator"]
    sha256 = frozen["frozen"] if isinstance(frozen, dict) and "frozen" in frozen else None
    if order(request_of(run), suite, settings, frozen=sha256).sha256 != run["manifest_sha256"]:
        raise Conflict("The simulator, a judge or a prompt has changed since the run began; start a new one.")
    larger = _larger(run, suite, body)
    await start.frozen_turns(tx, run["tenant_id"], larger, stored, suite, "/dialogues")
    placed = order(larger, suite, settings, frozen=sha256)
    await _enlarge(tx, run, larger, placed)


def _larger(run: RowMapping, suite: Suite, body: ExtendRequest) -> RunRequest:
    before = request_of(run)
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


async def _enlarge(tx: AsyncConnection, run: RowMapping, request: RunRequest, placed: Order) -> None:
    await store.enlarge(
        tx,
        run["id"],
        sample=json(request.sample.model_dump() if request.sample else None),
        replicates=request.replicates,
        plan=json(placed.plan.model_dump()),
        manifest=json(placed.manifest),
        sha256=placed.sha256,
    )
    await store.reopen(tx, run, "running")


def request_of(run: RowMapping) -> RunRequest:
    """What was asked for, without its secrets: they are no part of a plan."""
    frozen: Any = "live" if run["frozen_id"] is None else {"frozen": encode("trn", run["frozen_id"])}
    return RunRequest.model_validate(
        {
            "suite": run["suite_label"],
            "candidate": run["candidate"],
            "judges": run["judges"],
            "rounds": run["rounds"],
            "round2": frozen,
            "replicates": run["replicates"],
            "diversity": bool(run["manifest"].get("diversity")),
            "sample": run["sample"],
            "budget": run["budget"],
            "prices": run["prices"],
        }
    )


async def _suite(tx: AsyncConnection, run: RowMapping) -> RowMapping:
    found = await row(tx, "SELECT * FROM gateway.suites WHERE id = :id", id=run["suite_id"])
    assert found is not None
    return found


async def _check_larger(tx: AsyncConnection, run: RowMapping, budget: Budget) -> None:
    """A budget that is spent already would only exhaust again; one of money without prices would never."""
    if budget.max_cost is not None and not run["prices"]:
        raise InvalidInput.at("/budget/max_cost", "the run has no prices: nothing would ever be counted")
    used = (await store.usage(tx, [run["id"]]))[run["id"]]
    calls = sum(role["calls"] for role in used.values())
    tokens = sum(role["prompt_tokens"] + role["completion_tokens"] for role in used.values())
    for name, spent in (("max_calls", calls), ("max_tokens", tokens), ("max_cost", _cost(run["prices"], used))):
        limit = getattr(budget, name)
        if limit is not None and limit <= spent:
            raise InvalidInput.at(f"/budget/{name}", f"{spent} are spent already; give more than that")


def _cost(prices: Mapping[str, Any] | None, used: Mapping[str, Mapping[str, int]]) -> float:
    spent = 0.0
    for role, price in (prices or {}).items():
        if price and role in used:
            asked, said = used[role]["prompt_tokens"], used[role]["completion_tokens"]
            spent += (asked * price["prompt_per_million"] + said * price["completion_per_million"]) / 1e6
    return round(spent, 6)
