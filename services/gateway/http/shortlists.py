"""The public API of panels: other judges over a run's dialogues, and the best of many candidates."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from esrp import api
from esrp.errors import WrongState
from esrp.render.shortlist import csv_table, markdown
from services.gateway.http.api import Key, Limit, Reader, Res, Writer
from services.gateway.http.idempotency import once
from services.gateway.http.paging import cursor, place
from services.gateway.runs import rejudge, shortlists, store
from services.gateway.runs.shown import run_out
from services.jobs import PlanRun
from services.kit.ids import decode

router = APIRouter(prefix="/v1")


@router.get("/runs/{id}/batches", tags=["runs"])
async def list_batches(
    id: str,
    resources: Res,
    who: Reader,
    limit: Limit = 50,
    cursor_: Annotated[str | None, Query(alias="cursor")] = None,
) -> api.Page[api.BatchOut]:
    """The replies that the judges rate together, ten of a character, with each one's verdict on how varied they are."""
    after = place(cursor_, str, int)
    async with resources.engine.begin() as tx:
        run = await store.find_run(tx, who.tenant_id, decode("run", id))
        found = await store.batches(tx, run["id"], after=(after[0], after[1]) if after else None, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    data = [api.BatchOut.model_validate(dict(batch)) for batch in found[:limit]]
    return api.Page(data=data, next_cursor=last and cursor(last["character"], last["batch"]))


@router.post("/runs/{id}/rejudge", status_code=202, tags=["runs"], response_model=api.Run)
async def rejudge_run(
    id: str, body: api.RejudgeRequest, request: Request, resources: Res, who: Writer, idempotency_key: Key = None
) -> Response:
    """Have other judges rate the dialogues of a run that has ended. A new run with its own report; no candidate call.

    What was not played to the end is not in it. The source can be deleted after it.
    """
    started: list[UUID] = []

    async def work(tx: Any) -> api.Run:
        source = await store.find_run(tx, who.tenant_id, decode("run", id), lock=True)
        if source["status"] in api.OPEN:
            raise WrongState(id, source["status"], "final")
        run = await rejudge.rejudge(tx, resources, source, body)
        started.append(run["id"])
        found = await store.find_run(tx, who.tenant_id, run["id"])
        counts, used = await store.counts(tx, started), await store.usage(tx, started)
        return run_out(found, counts[run["id"]], used[run["id"]])

    answer = await once(
        resources.engine,
        who.tenant_id,
        request,
        work,
        status=202,
        headers=lambda run: {"Location": run.links.self},
    )
    await resources.queue.ring(*map(PlanRun, started))
    return answer


@router.post("/shortlists", status_code=202, tags=["shortlists"], response_model=api.Shortlist)
async def create_shortlist(
    body: api.ShortlistRequest, request: Request, resources: Res, who: Writer, idempotency_key: Key = None
) -> Response:
    """Have a panel rate many candidates, endpoints or transcripts, and keep the best (paper, appendix D).

    Each candidate gets a run of its own with its report; all of them are started, or none.
    """
    started: list[UUID] = []

    async def work(tx: Any) -> api.Shortlist:
        made, runs = await shortlists.add(tx, resources, who.tenant_id, body)
        started.extend(runs)
        return await shortlists.read(resources.peers, made, await shortlists.runs(tx, made))

    answer = await once(
        resources.engine,
        who.tenant_id,
        request,
        work,
        status=202,
        headers=lambda made: {"Location": made.links.self},
    )
    await resources.queue.ring(*map(PlanRun, started))
    return answer


@router.get(
    "/shortlists/{id}",
    tags=["shortlists"],
    response_model=api.Shortlist,
    responses={200: {"content": {"text/markdown": {}, "text/csv": {}}}},
)
async def read_shortlist(
    id: str, resources: Res, who: Reader, format: Literal["json", "md", "csv"] = "json"
) -> Response:
    """The candidates in descending order, as far as their runs have ended: JSON, Markdown or CSV."""
    async with resources.engine.begin() as tx:
        found = await shortlists.find(tx, who.tenant_id, decode("shl", id))
        runs = await shortlists.runs(tx, found)
    shortlist = await shortlists.read(resources.peers, found, runs)
    if format == "md":
        return Response(markdown(shortlist), media_type="text/markdown")
    if format == "csv":
        return Response(csv_table(shortlist), media_type="text/csv")
    return Response(shortlist.model_dump_json(), media_type="application/json")
