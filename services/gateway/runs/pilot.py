"""A pilot: ten dialogues of a plan are played and judged, nothing is stored, and their tokens say what a run takes."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from esrp.api import DryRun, EndpointCandidate, RunRequest, Usage
from esrp.errors import InvalidInput
from esrp.sampling import sampled
from esrp.suite import Suite
from services.gateway.resources import Resources
from services.gateway.runs.estimates import Calls, probed
from services.gateway.runs.found import Found
from services.gateway.runs.plan import Order

PILOT = 10  # dialogues
SECONDS = 300.0


async def measured(resources: Resources, tenant_id: UUID, order: Order) -> DryRun:
    """The plan with tokens and cost as a pilot measured them. ``InvalidInput`` tells why it could not be played."""
    request = order.found.request
    if not isinstance(request.candidate, EndpointCandidate):
        raise InvalidInput.at("probe", "a transcript is played already; its plan needs no pilot")
    suite = order.found.suite.suite
    pairs = sampled(suite, request.sample)[:PILOT]
    job = {**_job(request, request.candidate, suite, pairs, _asked(order.found)), "tenant_id": str(tenant_id)}
    answer = await resources.peers.call("generator", "POST", "/internal/probe", body=orjson.dumps(job), seconds=SECONDS)
    played: list[dict[str, Any]] = orjson.loads(answer.body)
    if problems := [dialogue["problem"] for dialogue in played if dialogue["problem"]]:
        raise InvalidInput.at("probe", f"{len(problems)} of the pilot's {len(pairs)} dialogues failed: {problems[0]}")
    plan = order.plan
    calls = Calls(plan.candidate_calls, plan.simulator_calls, plan.judge_calls)
    usage = {
        role: [Usage(**use) for dialogue in played for use in dialogue[role]] for role in ("candidate", "simulator")
    }
    usage["judge"] = await _judged(resources, request.judges, suite, pairs, played)
    tokens = probed(usage, calls)
    measured = {"tokens": tokens.span, "cost": tokens.cost(request.prices), "probed": len(pairs)}
    return order.dry_run.model_copy(update={"plan": plan.model_copy(update=measured)})


Asked = Mapping[tuple[str, str | None], Sequence[str]]


def _asked(found: Found) -> Asked:
    """What the user says in the frozen transcript, by character and scenario."""
    return found.frozen.spoken if found.frozen else {}


def _job(
    request: RunRequest,
    candidate: EndpointCandidate,
    suite: Suite,
    pairs: Sequence[tuple[str, str]],
    asked: Asked,
) -> dict[str, Any]:
    key = candidate.api_key
    return {
        "candidate": {**candidate.model_dump(mode="json"), "api_key": key and key.get_secret_value()},
        "scenes": [
            {
                "character": suite.character(character).model_dump(mode="json"),
                "scenario": suite.scenario(scenario).model_dump(mode="json"),
                "asked": asked.get((character, scenario)),
            }
            for character, scenario in pairs
        ],
        "language": suite.language,
        "rounds": request.rounds,
    }


async def _judged(
    resources: Resources,
    judges: Sequence[str],
    suite: Suite,
    pairs: Sequence[tuple[str, str]],
    played: Sequence[dict[str, Any]],
) -> list[Usage]:
    dialogues = [
        {
            "character": suite.character(character).model_dump(mode="json"),
            "scenario": suite.scenario(scenario).model_dump(mode="json"),
            "turns": dialogue["turns"],
        }
        for (character, scenario), dialogue in zip(pairs, played, strict=True)
    ]

    async def one(judge: str) -> list[Usage]:
        job = {"judge": judge, "language": suite.language, "dialogues": dialogues}
        answer = await resources.peers.call("judge", "POST", "/v1/scores", body=orjson.dumps(job), seconds=SECONDS)
        return [Usage(**dialogue["usage"]) for dialogue in orjson.loads(answer.body)["dialogues"]]

    return [use for uses in await asyncio.gather(*map(one, judges)) for use in uses]
