"""The public API of scenario sets: have scenarios written over a grid, look at them, keep the chosen as a suite."""

from fastapi import APIRouter, Request, Response

from esrp import api
from services.gateway.http.deps import Cursor, Key, Limit, Reader, Res, Writer
from services.gateway.http.idempotency import Made, once
from services.gateway.http.paging import after_id, page, place
from services.gateway.suites import scenario_sets
from services.jobs import WriteScenarios
from services.kit.db import reading
from services.kit.ids import decode
from services.kit.unit import Unit

router = APIRouter(prefix="/v1", tags=["scenario sets"])


@router.post("/scenario-sets", status_code=202, response_model=api.ScenarioSetDetail)
async def create_scenario_set(
    body: api.ScenarioSetRequest, request: Request, resources: Res, who: Writer, idempotency_key: Key = None
) -> Response:
    """Have the writer model write scenarios over a grid. 202 with where to follow it."""

    async def work(whole: Unit) -> Made:
        writer = scenario_sets.writer_named(resources.settings)
        added = await scenario_sets.add(whole.tx, who.tenant_id, body, writer)
        whole.ring(WriteScenarios(added.id))
        made = await scenario_sets.detail(whole.tx, added)
        return Made(made, {"Location": made.links.self})

    return await once(resources, who.tenant_id, request, work, status=202)


@router.get("/scenario-sets")
async def list_scenario_sets(
    resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[api.ScenarioSetOut]:
    """The tenant's scenario sets, oldest first."""
    after = after_id(cursor_)
    async with reading(resources.engine) as tx:
        found = await scenario_sets.listed(tx, who.tenant_id, limit=limit + 1, after=after)
        far = await scenario_sets.progress(tx, found[:limit])
    return page(found, limit, lambda one: scenario_sets.out(one, far.get(one.id)), lambda one: str(one.id))


@router.get("/scenario-sets/{id}")
async def read_scenario_set(id: str, resources: Res, who: Reader) -> api.ScenarioSetDetail:
    """One scenario set, how far it is, and how its grid is covered."""
    async with reading(resources.engine) as tx:
        return await scenario_sets.detail(tx, await scenario_sets.find(tx, who.tenant_id, decode("scs", id)))


@router.get("/scenario-sets/{id}/scenarios")
async def list_scenarios(
    id: str, resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[api.ScenarioDraft]:
    """The set's scenarios in the order of the grid, near-duplicates flagged."""
    after = place(cursor_, int) or [-1]
    async with reading(resources.engine) as tx:
        set_ = await scenario_sets.find(tx, who.tenant_id, decode("scs", id))
        found = await scenario_sets.drafts(tx, set_, after=after[0], limit=limit + 1)
    return page(found, limit, lambda draft: draft.out, lambda draft: draft.position)


@router.post("/scenario-sets/{id}/select", status_code=201, response_model=api.SuiteOut)
async def select_scenarios(
    id: str, body: api.SelectRequest, request: Request, resources: Res, who: Writer, idempotency_key: Key = None
) -> Response:
    """Keep the chosen scenarios as a suite version, with the characters of a suite or of the list that is given."""

    async def work(whole: Unit) -> Made:
        set_ = await scenario_sets.find(whole.tx, who.tenant_id, decode("scs", id))
        return Made((await scenario_sets.select(whole.tx, who.tenant_id, set_, body)).out())

    return await once(resources, who.tenant_id, request, work)
