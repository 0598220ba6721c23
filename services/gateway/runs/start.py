"""From a request to a run that is stored, with the candidate's secrets sealed."""

from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import CheckRequest, DryRun, EndpointCandidate, RunRequest, TranscriptCandidate
from esrp.canonical import digest
from esrp.errors import InvalidInput, NotFound
from esrp.sampling import sampled
from esrp.suite import Suite
from services.gateway.gates import verdicts
from services.gateway.resources import Resources
from services.gateway.runs import store
from services.gateway.runs.plan import Order, Recorded, order, simulator_named
from services.gateway.suites import suites, transcripts
from services.kit.db import json, rows
from services.kit.ids import decode, uuid7
from services.kit.settings import Settings


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that can be carried out."""

    request: RunRequest
    suite: RowMapping
    transcript: RowMapping | None
    frozen: RowMapping | None
    order: Order
    gate: verdicts.Asked | None = None

    @property
    def dry_run(self) -> DryRun:
        """What the client is told before anything is spent."""
        summary = self.order.summary(suites.label(self.suite), self.suite["sha256"], self.request.judges)
        return DryRun(plan=self.order.plan, manifest=summary, warnings=self.order.warnings)

    @property
    def sha256(self) -> str | None:
        """What makes a request the same as an earlier one: configuration and labels; ``None`` without labels."""
        if not self.request.labels:
            return None
        shown = _public(self.request)
        for pace in ("max_concurrency", "requests_per_minute", "tokens_per_minute"):
            shown.pop(pace, None)
        return digest([self.order.manifest, shown, self.request.judges, self.request.labels])


async def check(tx: AsyncConnection, resources: Resources, tenant_id: UUID, request: RunRequest) -> Checked:
    """Find everything that the request names; ``InvalidInput`` says what is not there."""
    suite = await named(suites.find(tx, tenant_id, request.suite), "/suite")
    document = Suite.model_validate(suite["document"])
    transcript, recorded = None, None
    if isinstance(request.candidate, TranscriptCandidate):
        transcript = await _transcript(tx, tenant_id, request.candidate, suite)
        recorded = await _recorded(tx, transcript, request, document)
    frozen = await frozen_turns(tx, tenant_id, request, suite, document)
    placed = order(
        request, document, resources.settings, recorded=recorded, frozen=frozen["sha256"] if frozen else None
    )
    if request.gate is None:
        return Checked(request, suite, transcript, frozen, placed)
    gate = await verdicts.asked(tx, tenant_id, request.gate, "/gate")
    warned = [*placed.warnings, *await verdicts.foreseen(tx, tenant_id, gate, "/gate")]
    return Checked(request, suite, transcript, frozen, replace(placed, warnings=warned), gate)


async def same_run(tx: AsyncConnection, tenant_id: UUID, checked: Checked) -> RowMapping | None:
    """The newest run of the same configuration and labels that has not failed, locked. One request at a time looks."""
    if checked.sha256 is None:
        raise InvalidInput.at("/labels", "a run is found again by its labels; give some, such as a commit")
    await rows(
        tx,
        "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))",
        key=f"reattach:{tenant_id}:{checked.sha256}",
    )
    found = await store.run_of_request(tx, tenant_id, checked.sha256)
    run = found and await store.find_run(tx, tenant_id, found["id"], lock=True)
    if run and checked.gate and run["status"] != "succeeded":  # its verdict is still to be given
        await verdicts.keep(tx, run, checked.gate)
    return run


async def store_run(tx: AsyncConnection, resources: Resources, tenant_id: UUID, checked: Checked) -> RowMapping:
    """Keep the run. What is secret of the candidate goes to its own table, encrypted."""
    request, candidate = checked.request, checked.request.candidate
    run = await store.add_run(
        tx,
        id=uuid7(),
        tenant_id=tenant_id,
        name=request.name,
        suite_id=checked.suite["id"],
        suite_label=suites.label(checked.suite),
        candidate=json(_public(request)),
        candidate_name=candidate.model if isinstance(candidate, EndpointCandidate) else _name(checked),
        secret_id=await _sealed(tx, resources, tenant_id, request),
        transcript_id=checked.transcript["id"] if checked.transcript else None,
        simulator=checked.order.simulator,
        judges=request.judges,
        rounds=request.rounds,
        replicates=request.replicates,
        sample=json(request.sample.model_dump() if request.sample else None),
        budget=json(request.budget.model_dump() if request.budget else None),
        prices=json(request.prices.model_dump() if request.prices else None),
        frozen_id=checked.frozen["id"] if checked.frozen else None,
        request_sha256=checked.sha256,
        labels=json(request.labels),
        plan=json(checked.order.plan.model_dump()),
        manifest=json(checked.order.manifest),
        manifest_sha256=checked.order.sha256,
        warnings=json(checked.order.warnings),
    )
    if checked.gate:
        await verdicts.keep(tx, run, checked.gate)
    return run


def check_job(body: CheckRequest, suite: Suite, settings: Settings) -> dict[str, Any]:
    """What the generator is asked to try; ``InvalidInput`` if there is no such character, scenario or simulator."""
    if body.rounds > 1:
        simulator_named(body.simulator, settings)
    try:
        character = suite.character(body.character) if body.character else suite.characters[0]
    except KeyError as error:
        raise InvalidInput.at("/character", f"{suite.name} has no character {body.character!r}") from error
    try:
        scenario = suite.scenario(body.scenario) if body.scenario else suite.scenarios[0]
    except KeyError as error:
        raise InvalidInput.at("/scenario", f"{suite.name} has no scenario {body.scenario!r}") from error
    key = body.candidate.api_key
    return {
        "candidate": {**body.candidate.model_dump(mode="json"), "api_key": key and key.get_secret_value()},
        "character": character.model_dump(mode="json"),
        "scenario": scenario.model_dump(mode="json"),
        "language": suite.language,
        "rounds": body.rounds,
    }


async def _transcript(
    tx: AsyncConnection, tenant_id: UUID, candidate: TranscriptCandidate, suite: RowMapping
) -> RowMapping:
    pointer = "/candidate/transcript"
    found = await named(_find_transcript(tx, tenant_id, candidate.transcript), pointer)
    if found["suite_id"] != suite["id"]:
        raise InvalidInput.at(pointer, f"this transcript was recorded over another suite than {suites.label(suite)}")
    return found


async def _find_transcript(tx: AsyncConnection, tenant_id: UUID, text: str) -> RowMapping:
    return await transcripts.find(tx, tenant_id, decode("trn", text))


async def _recorded(tx: AsyncConnection, transcript: RowMapping, request: RunRequest, suite: Suite) -> Recorded:
    pairs = None if request.sample is None else set(sampled(suite, request.sample))
    found = await rows(
        tx,
        r"""
        SELECT character, scenario, (
            SELECT count(*) FROM jsonb_array_elements(turns) t WHERE t ->> 'assistant' ~ '\S') AS replies
        FROM gateway.transcript_dialogues WHERE transcript_id = :id
        """,
        id=transcript["id"],
    )
    kept = [d for d in found if pairs is None or (d["character"], d["scenario"]) in pairs]
    replies: Counter[str] = Counter()
    for dialogue in kept:
        replies[dialogue["character"]] += dialogue["replies"]
    return Recorded(len(kept), list(replies.values()), transcript["name"])


async def frozen_turns(
    tx: AsyncConnection,
    tenant_id: UUID,
    request: RunRequest,
    suite: RowMapping,
    document: Suite,
    pointer: str = "/round2/frozen",
) -> RowMapping | None:
    """The transcript whose user turns are said again; ``InvalidInput`` if it does not have them all."""
    if request.round2 == "live":
        return None
    if isinstance(request.candidate, TranscriptCandidate):
        raise InvalidInput.at("/round2", "a transcript's dialogues are played already; only an endpoint is asked")
    found = await named(_find_transcript(tx, tenant_id, request.round2.frozen), pointer)
    if found["suite_id"] != suite["id"]:
        raise InvalidInput.at(pointer, f"this transcript was recorded over another suite than {suites.label(suite)}")
    spoken = await rows(
        tx,
        "SELECT DISTINCT ON (character, scenario) character, scenario, jsonb_array_length(turns) AS rounds"
        " FROM gateway.transcript_dialogues WHERE transcript_id = :id"
        " ORDER BY character, scenario, replicate, position",
        id=found["id"],
    )
    rounds = {(d["character"], d["scenario"]): d["rounds"] for d in spoken}
    missing = [pair for pair in sampled(document, request.sample) if rounds.get(pair, 0) < request.rounds]
    if missing:
        character, scenario = missing[0]
        raise InvalidInput.at(
            pointer,
            f"{len(missing)} of the run's dialogues have fewer than {request.rounds} user turns in this transcript,"
            f" the first {character} in {scenario}",
        )
    return found


async def _sealed(tx: AsyncConnection, resources: Resources, tenant_id: UUID, request: RunRequest) -> UUID | None:
    candidate = request.candidate
    if isinstance(candidate, TranscriptCandidate):
        return None
    if not (candidate.api_key or candidate.headers or "?" in candidate.base_url):
        return None
    key = candidate.api_key.get_secret_value() if candidate.api_key else None
    secret = orjson.dumps({"api_key": key, "headers": candidate.headers, "base_url": candidate.base_url}).decode()
    id = uuid7()
    await store.add_secret(tx, id, tenant_id, resources.keys.seal(secret))
    return id


def _public(request: RunRequest) -> dict[str, Any]:
    """The candidate without its key, the values of its headers and its address's query: often credentials too."""
    shown = request.candidate.model_dump(mode="json", exclude={"api_key"})
    if "headers" in shown:
        shown["headers"] = dict.fromkeys(shown["headers"], "***")
        address, query, _ = shown["base_url"].partition("?")
        shown["base_url"] = address + ("?***" if query else "")
    return shown


def _name(checked: Checked) -> str:
    assert checked.transcript is not None
    return str(checked.transcript["name"])


async def named(finding: Awaitable[RowMapping], pointer: str) -> RowMapping:
    """What a body names and is not there is wrong input (422), not a missing page (404)."""
    try:
        return await finding
    except NotFound as error:
        raise InvalidInput.at(pointer, error.detail) from error
