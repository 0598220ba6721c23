"""The public API of checks: one dialogue tried against a candidate."""

from typing import Any

import orjson
from fastapi import APIRouter

from esrp import api
from esrp.errors import InvalidInput
from esrp.suite import Suite
from services.gateway.http.deps import Res, Writer
from services.gateway.runs.found import simulator_named
from services.gateway.suites import suites
from services.kit.db import reading
from services.kit.settings import Settings

router = APIRouter(prefix="/v1", tags=["runs"])


@router.post("/check")
async def check_candidate(body: api.CheckRequest, resources: Res, who: Writer) -> api.Check:
    """One dialogue against a candidate, nothing stored: what was sent, what came back, what would fail."""
    async with reading(resources.engine) as tx:
        found = await suites.named(tx, who.tenant_id, body.suite)
    job = _job(body, found.suite, resources.settings)
    answer = await resources.peers.call("generator", "POST", "/internal/check", body=orjson.dumps(job), seconds=300)
    return api.Check.model_validate_json(answer.body)


def _job(body: api.CheckRequest, suite: Suite, settings: Settings) -> dict[str, Any]:
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
