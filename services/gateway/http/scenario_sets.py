"""The public API of scenario sets: have scenarios written over a grid, look at them, keep the chosen as a suite."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from esrp import api
from esrp.errors import InvalidInput
from services.gateway.http.api import Key, Limit, Reader, Res, Writer
from services.gateway.http.idempotency import once
from services.gateway.http.paging import cursor, place
from services.gateway.suites import scenario_sets, suites
from services.jobs import WriteScenarios
from services.kit.ids import decode

router = APIRouter(prefix="/v1")
Cursor = Annotated[str | None, Query(alias="cursor")]


@router.post("/scenario-sets", status_code=202, tags=["scenario sets"], response_model=api.ScenarioSetDetail)
async def create_scenario_set(
    body: api.ScenarioSetRequest, request: Request, resources: Res, who: Writer, idempotency_key: Key = None
) -> Response:
    """Have the writer model write scenarios over a grid. 202 with where to follow it."""
    started: list[UUID] = []

    async def work(tx: Any) -> api.ScenarioSetDetail:
        added = await scenario_sets.add(tx, who.tenant_id, body, scenario_sets.writer_named(resources.settings))
        started.append(added["id"])
        return await scenario_sets.detail(tx, added)

    answer = await once(
        resources.engine,
        who.tenant_id,
        request,
        work,
        status=202,
        headers=lambda made: {"Location": made.links.self},
    )
    await resources.queue.ring(*map(WriteScenarios, started))
    return answer


@router.get("/scenario-sets", tags=["scenario sets"])
async def list_scenario_sets(
    resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[api.ScenarioSetOut]:
    """The tenant's scenario sets, oldest first."""
    after = place(cursor_, str)
    async with resources.engine.begin() as tx:
        found = await scenario_sets.listed(tx, who.tenant_id, limit=limit + 1, after=_id(after[0]) if after else None)
        data = await scenario_sets.out(tx, found[:limit])
    return api.Page(data=data, next_cursor=cursor(str(found[limit - 1]["id"])) if len(found) > limit else None)


@router.get("/scenario-sets/{id}", tags=["scenario sets"])
async def read_scenario_set(id: str, resources: Res, who: Reader) -> api.ScenarioSetDetail:
    """One scenario set, how far it is, and how its grid is covered."""
    async with resources.engine.begin() as tx:
        return await scenario_sets.detail(tx, await scenario_sets.find(tx, who.tenant_id, decode("scs", id)))


@router.get("/scenario-sets/{id}/scenarios", tags=["scenario sets"])
async def list_scenarios(
    id: str, resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[api.ScenarioDraft]:
    """The set's scenarios in the order of the grid, near-duplicates flagged."""
    after = place(cursor_, int)
    async with resources.engine.begin() as tx:
        set_ = await scenario_sets.find(tx, who.tenant_id, decode("scs", id))
        found = await scenario_sets.drafts(tx, set_, after=after[0] if after else -1, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    data = [scenario_sets.draft_out(draft) for draft in found[:limit]]
    return api.Page(data=data, next_cursor=last and cursor(last["position"]))


@router.post("/scenario-sets/{id}/select", status_code=201, tags=["scenario sets"], response_model=api.SuiteOut)
async def select_scenarios(
    id: str, body: api.SelectRequest, request: Request, resources: Res, who: Writer, idempotency_key: Key = None
) -> Response:
    """Keep the chosen scenarios as a suite version, with the characters of a suite or of the list that is given."""

    async def work(tx: Any) -> api.SuiteOut:
        set_ = await scenario_sets.find(tx, who.tenant_id, decode("scs", id))
        return suites.suite_out(await scenario_sets.select(tx, who.tenant_id, set_, body))

    return await once(resources.engine, who.tenant_id, request, work)


@router.get("/suites/{name}/provenance", tags=["suites"])
async def read_provenance(name: str, resources: Res, who: Reader) -> api.Provenance:
    """Where the suite's scenarios come from, if that is known: the set, its grid, the writer and its prompts."""
    async with resources.engine.begin() as tx:
        suite = await suites.find(tx, who.tenant_id, name)
    provenance = suite["document"].get("provenance")
    return api.Provenance(suite=suites.label(suite), sha256=suite["sha256"], provenance=provenance)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInput.at("cursor", "this is not a cursor of this listing") from error
