"""The public API of shortlists: the best of many candidates."""

from typing import Literal

from fastapi import APIRouter, Request, Response

from esrp import api
from esrp.render.shortlist import csv_table, markdown
from services.gateway.http.deps import Key, Reader, Res, Writer, as_json
from services.gateway.http.idempotency import Made, once
from services.gateway.runs import shortlists
from services.jobs import PlanRun
from services.kit.db import reading
from services.kit.ids import decode
from services.kit.unit import Unit

router = APIRouter(prefix="/v1", tags=["shortlists"])


@router.post("/shortlists", status_code=202, response_model=api.Shortlist)
async def create_shortlist(
    body: api.ShortlistRequest, request: Request, resources: Res, who: Writer, idempotency_key: Key = None
) -> Response:
    """Have a panel rate many candidates, endpoints or transcripts, and keep the best (paper, appendix D).

    Each candidate gets a run of its own with its report; all of them are started, or none.
    """

    async def work(whole: Unit) -> Made:
        added, runs = await shortlists.add(whole.tx, resources, who.tenant_id, body)
        whole.ring(*map(PlanRun, runs))
        made = await shortlists.read(resources.peers, added, await shortlists.runs(whole.tx, added))
        return Made(made, {"Location": made.links.self})

    return await once(resources, who.tenant_id, request, work, status=202)


@router.get(
    "/shortlists/{id}",
    response_model=api.Shortlist,
    responses={200: {"content": {"text/markdown": {}, "text/csv": {}}}},
)
async def read_shortlist(
    id: str, resources: Res, who: Reader, format: Literal["json", "md", "csv"] = "json"
) -> Response:
    """The candidates in descending order, as far as their runs have ended: JSON, Markdown or CSV."""
    async with reading(resources.engine) as tx:
        found = await shortlists.find(tx, who.tenant_id, decode("shl", id))
        runs = await shortlists.runs(tx, found)
    shortlist = await shortlists.read(resources.peers, found, runs)
    if format == "md":
        return Response(markdown(shortlist), media_type="text/markdown")
    if format == "csv":
        return Response(csv_table(shortlist), media_type="text/csv")
    return as_json(shortlist)
