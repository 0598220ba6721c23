"""The public API of judges: which there are, what was measured of each, and the battery against one."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Body

from esrp import api
from esrp.errors import NotFound
from services.gateway.http.api import Reader, Res, Writer
from services.gateway.resources import Resources
from services.kit.settings import JudgeSettings

router = APIRouter(prefix="/v1", tags=["judges"])
SECONDS = 300.0  # a probe's own limit is 260


@router.get("/judges/{id}/card")
async def read_card(id: str, resources: Res, who: Reader) -> api.JudgeCard:
    """What was measured of the judge as it is configured now; `null` where not measured."""
    judge = _named(resources, id)
    path, query = f"/internal/judges/{judge.name}/card", {"tenant": str(who.tenant_id)}
    answer = await resources.peers.call("analytics", "GET", path, query=query, seconds=SECONDS)
    return api.JudgeCard.model_validate_json(answer.body)


@router.post("/judges/{id}/probe")
async def probe_judge(
    id: str, resources: Res, who: Writer, body: Annotated[api.ProbeRequest | None, Body()] = None
) -> api.Probe:
    """Have the judge rate clean dialogues and attacked ones (docs/judge-cards.md), which costs its calls.

    The answer comes when all is rated, after four minutes at most: what is unfinished then is named.
    """
    judge = _named(resources, id)
    job = (body or api.ProbeRequest()).model_dump(mode="json")
    path, query = f"/internal/judges/{judge.name}/probe", {"tenant": str(who.tenant_id)}
    answer = await resources.peers.call("judge", "POST", path, query=query, body=orjson.dumps(job), seconds=SECONDS)
    return api.Probe.model_validate_json(answer.body)


def _named(resources: Resources, id: str) -> JudgeSettings:
    """The configured judge with that id, or by its name alone."""
    judge = resources.settings.judge(id.removeprefix("jdg_")) or resources.settings.judge(id)
    if judge is None:
        raise NotFound("judge", id)
    return judge
