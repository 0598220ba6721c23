"""The public API of judges: which there are, what was measured of each, and the battery against one."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Body

from esrp import api
from esrp.errors import NotFound
from services.gateway.http.deps import Reader, Res, Writer
from services.gateway.resources import Resources
from services.kit.db import reading
from services.kit.settings import JudgeSettings
from services.work import cards

router = APIRouter(prefix="/v1", tags=["judges"])
measured = APIRouter(prefix="/v1", tags=["judges"])
SECONDS = 300.0  # a probe's own limit is 260


@router.get("/judges")
async def list_judges(resources: Res, who: Reader) -> api.Page[api.JudgeOut]:
    """The judges that can be asked for, and whether their cards are above the thresholds."""
    async with reading(resources.engine) as tx:
        found = await cards.cards(tx, resources.settings, who.tenant_id, resources.settings.judges)
    judges = [_out(found[judge.name]) for judge in resources.settings.judges]
    return api.Page(data=judges, next_cursor=None)


@measured.get("/judges/{id}/card")
async def read_card(id: str, resources: Res, who: Reader) -> api.JudgeCard:
    """What was measured of the judge as it is configured now; `null` where not measured."""
    judge = _named(resources, id)
    path, query = f"/internal/judges/{judge.name}/card", {"tenant": str(who.tenant_id)}
    answer = await resources.peers.call("analytics", "GET", path, query=query, seconds=SECONDS)
    return api.JudgeCard.model_validate_json(answer.body)


@measured.post("/judges/{id}/probe")
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


def _out(card: api.JudgeCard) -> api.JudgeOut:
    return api.JudgeOut(
        id=card.id,
        name=card.name,
        kind=card.kind,
        model=card.model,
        validated=card.validated,
        card=f"/v1/judges/{card.id}/card",
    )
