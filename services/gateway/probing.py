"""A pilot: ten dialogues of a plan are played and judged, nothing is stored, and their tokens say what a run takes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from esrp.api import DryRun, EndpointCandidate, Usage
from esrp.errors import InvalidInput
from esrp.sampling import sampled
from esrp.suite import Suite
from services.gateway.estimates import Calls, probed
from services.gateway.resources import Resources
from services.gateway.starting import Checked

PILOT = 10  # dialogues
SECONDS = 300.0


async def measured(resources: Resources, checked: Checked) -> DryRun:
    """The plan with tokens and cost as a pilot measured them. ``InvalidInput`` tells why it could not be played."""
    request = checked.request
    if not isinstance(request.candidate, EndpointCandidate):
        raise InvalidInput.at("probe", "a transcript is played already; its plan needs no pilot")
    suite = Suite.model_validate(checked.suite["document"])
    pairs = sampled(suite, request.sample)[:PILOT]
    played = await _played(resources, request.candidate, suite, pairs, request.rounds)
    if problems := [dialogue["problem"] for dialogue in played if dialogue["problem"]]:
        raise InvalidInput.at("probe", f"{len(problems)} of the pilot's {len(pairs)} dialogues failed: {problems[0]}")
    plan = checked.order.plan
    calls = Calls(plan.candidate_calls, plan.simulator_calls, plan.judge_calls)
    usage = {
        role: [Usage(**use) for dialogue in played for use in dialogue[role]] for role in ("candidate", "simulator")
    }
    usage["judge"] = await _judged(resources, request.judges, suite, pairs, played)
    tokens = probed(usage, calls)
    measured = {"tokens": tokens.span, "cost": tokens.cost(request.prices), "probed": len(pairs)}
    return checked.dry_run.model_copy(update={"plan": plan.model_copy(update=measured)})


async def _played(
    resources: Resources, candidate: EndpointCandidate, suite: Suite, pairs: Sequence[tuple[str, str]], rounds: int
) -> list[dict[str, Any]]:
    key = candidate.api_key
    job = {
        "candidate": {**candidate.model_dump(mode="json"), "api_key": key and key.get_secret_value()},
        "scenes": [
            {
                "character": suite.character(character).model_dump(mode="json"),
                "scenario": suite.scenario(scenario).model_dump(mode="json"),
            }
            for character, scenario in pairs
        ],
        "language": suite.language,
        "rounds": rounds,
    }
    answer = await resources.peers.call("generator", "POST", "/internal/probe", body=orjson.dumps(job), seconds=SECONDS)
    found: list[dict[str, Any]] = orjson.loads(answer.body)
    return found


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
