"""The public API of the release gate: named policies, named baselines, and the verdict on a run."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from esrp import api
from esrp.documents import read
from esrp.errors import InvalidInput, NotFound, WrongState
from esrp.policies import Policy
from esrp.policies.reading import validated
from services.gateway.gates import policies, verdicts
from services.gateway.http.api import Key, Limit, Reader, Res, Writer
from services.gateway.http.idempotency import once
from services.gateway.http.paging import cursor, place
from services.gateway.runs import store
from services.kit.ids import decode

router = APIRouter(prefix="/v1", tags=["gates"])
Cursor = Annotated[str | None, Query(alias="cursor")]
SCHEMA = {"schema": {"$ref": "#/components/schemas/GateRequest"}}
BODIES = dict.fromkeys(("application/json", "application/yaml"), SCHEMA)


@router.post(
    "/gates",
    status_code=201,
    response_model=api.GateOut,
    openapi_extra={"requestBody": {"required": True, "content": BODIES}},
)
async def create_gate(request: Request, resources: Res, who: Writer, idempotency_key: Key = None) -> Response:
    """Keep a release policy under a name (JSON or YAML). Another policy under the same name is its next version."""
    asked = _gate(await request.body())

    async def work(tx: Any) -> api.GateOut:
        return policies.gate_out(await policies.add(tx, who.tenant_id, asked.name, asked.policy))

    return await once(resources.engine, who.tenant_id, request, work)


@router.get("/gates")
async def list_gates(resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None) -> api.Page[api.GateOut]:
    """Every version of every release policy: the tenant's own and the bundled."""
    async with resources.engine.begin() as tx:
        found = await policies.visible(tx, who.tenant_id)
    start = (place(cursor_, int) or [0])[0]
    more = start + limit < len(found)
    return api.Page(data=found[start : start + limit], next_cursor=cursor(start + limit) if more else None)


@router.put("/baselines/{name}")
async def set_baseline(
    name: Annotated[api.BaselineName, Path()], body: api.BaselineRequest, resources: Res, who: Writer
) -> api.BaselineOut:
    """Name a run that has succeeded, such as `production`; policies that name it are held against it from now on."""
    if name.startswith("run_"):
        raise InvalidInput.at("name", "a name that begins with `run_` would be taken for a run")
    async with resources.engine.begin() as tx:
        try:
            run = await store.find_run(tx, who.tenant_id, decode("run", body.run), lock=True)
        except NotFound as error:
            raise InvalidInput.at("/run", error.detail) from error
        if run["status"] != "succeeded":
            raise WrongState(body.run, run["status"], "succeeded")
        return await policies.set_baseline(tx, who.tenant_id, name, run["id"])


@router.delete("/baselines/{name}", status_code=204)
async def delete_baseline(name: Annotated[api.BaselineName, Path()], resources: Res, who: Writer) -> Response:
    """Take the name away. The run stays, and may then be deleted; a policy that needs the baseline ends as error."""
    async with resources.engine.begin() as tx:
        await policies.delete_baseline(tx, who.tenant_id, name)
    return Response(status_code=204)


@router.get("/baselines")
async def list_baselines(
    resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[api.BaselineOut]:
    """The tenant's baselines, by name."""
    async with resources.engine.begin() as tx:
        found = await policies.baselines(tx, who.tenant_id)
    start = (place(cursor_, int) or [0])[0]
    more = start + limit < len(found)
    return api.Page(data=found[start : start + limit], next_cursor=cursor(start + limit) if more else None)


@router.post("/runs/{id}/gate")
async def evaluate_gate(id: str, body: api.RunGateRequest, resources: Res, who: Writer) -> api.GateVerdict:
    """Hold a finished run against a policy, by name or given here. A sentinel in it costs calls of the judges."""
    given, pointer = (body.gate, "/gate") if body.policy is None else (body.policy, "/policy")
    assert given is not None
    async with resources.engine.begin() as tx:
        run = await store.find_run(tx, who.tenant_id, decode("run", id))
        if run["status"] in api.OPEN:
            raise WrongState(id, run["status"], "final")
        asked = await verdicts.asked(tx, who.tenant_id, given, pointer)
    return await verdicts.evaluate(resources, run, asked)


@router.get("/runs/{id}/gate")
async def read_verdict(id: str, resources: Res, who: Reader) -> api.GateVerdict:
    """The newest verdict on the run, with its evidence."""
    async with resources.engine.begin() as tx:
        found = await verdicts.last(tx, await store.find_run(tx, who.tenant_id, decode("run", id)))
    if found is None:
        raise NotFound("verdict", id)
    return found


def _gate(body: bytes) -> api.GateRequest:
    """A policy's fields may stand beside its name, as in a file."""
    try:
        source = read(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInput.at(f"line {body[: error.start].count(10) + 1}", "this is not UTF-8") from error
    document = source.document
    if not isinstance(document, dict) or "policy" in document:
        return validated(api.GateRequest, source)
    rest = {field: value for field, value in document.items() if field != "name"}
    policy = validated(Policy, replace(source, document=rest))
    return validated(api.GateRequest, replace(source, document={"name": document.get("name"), "policy": policy}))
