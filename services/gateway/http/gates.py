"""The public API of the release gate: named policies, named baselines, and the verdict on a run."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from esrp import api
from esrp.documents import read
from esrp.errors import InvalidInput, NotFound, WrongState
from esrp.policies import Policy
from esrp.policies.reading import validated
from services.gateway.gates import checks, policies, verdicts
from services.gateway.http.deps import Cursor, Key, Limit, Reader, Res, Writer
from services.gateway.http.idempotency import Made, once
from services.gateway.http.paging import short
from services.gateway.runs import store
from services.kit.db import reading
from services.kit.ids import decode
from services.kit.unit import Unit, unit

router = APIRouter(prefix="/v1", tags=["gates"])
SCHEMA = {"schema": {"$ref": "#/components/schemas/GateRequest"}}
Dialogues = Annotated[int | None, Query(ge=1, le=100_000)]
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

    async def work(whole: Unit) -> Made:
        return Made((await policies.add(whole.tx, who.tenant_id, asked.name, asked.policy)).out)

    return await once(resources, who.tenant_id, request, work)


@router.get("/gates")
async def list_gates(resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None) -> api.Page[api.GateOut]:
    """Every version of every release policy: the tenant's own and the bundled."""
    async with reading(resources.engine) as tx:
        return short(await policies.visible(tx, who.tenant_id), limit, cursor_)


@router.put("/baselines/{name}")
async def set_baseline(
    name: Annotated[api.BaselineName, Path()], body: api.BaselineRequest, resources: Res, who: Writer
) -> api.BaselineOut:
    """Name a run that has succeeded, such as `production`; policies that name it are held against it from now on."""
    if name.startswith("run_"):
        raise InvalidInput.at("name", "a name that begins with `run_` would be taken for a run")
    async with unit(resources.engine, resources.queue) as work:
        try:
            run = await store.find_run(work.tx, who.tenant_id, decode("run", body.run), lock=True)
        except NotFound as error:
            raise InvalidInput.at("/run", error.detail) from error
        if run.status != "succeeded":
            raise WrongState(body.run, run.status, "succeeded")
        return await policies.set_baseline(work.tx, who.tenant_id, name, run.id)


@router.delete("/baselines/{name}", status_code=204)
async def delete_baseline(name: Annotated[api.BaselineName, Path()], resources: Res, who: Writer) -> Response:
    """Take the name away. The run stays, and may then be deleted; a policy that needs the baseline ends as error."""
    async with unit(resources.engine, resources.queue) as work:
        await policies.delete_baseline(work.tx, who.tenant_id, name)
    return Response(status_code=204)


@router.get("/baselines")
async def list_baselines(
    resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[api.BaselineOut]:
    """The tenant's baselines, by name."""
    async with reading(resources.engine) as tx:
        return short(await policies.baselines(tx, who.tenant_id), limit, cursor_)


@router.post("/runs/{id}/gate")
async def evaluate_gate(id: str, body: api.RunGateRequest, resources: Res, who: Writer) -> api.GateVerdict:
    """Hold a finished run against a policy, by name or given here. A sentinel in it costs calls of the judges."""
    given, pointer = (body.gate, "/gate") if body.policy is None else (body.policy, "/policy")
    assert given is not None
    async with reading(resources.engine) as tx:
        run = await store.find_run(tx, who.tenant_id, decode("run", id))
        if run.is_open:
            raise WrongState(id, run.status, "final")
        asked = await verdicts.asked(tx, who.tenant_id, given, pointer)
    return await verdicts.evaluate(resources, run, asked)


@router.post("/runs/{id}/gate/price")
async def price_gate(
    id: str, body: api.RunGateRequest, resources: Res, who: Reader, dialogues: Dialogues = None
) -> api.LookPrice:
    """What holding the run against the policy would cost of its release's error, as it is or with so many dialogues."""
    given, pointer = (body.gate, "/gate") if body.policy is None else (body.policy, "/policy")
    assert given is not None
    async with reading(resources.engine) as tx:
        run = await store.find_run(tx, who.tenant_id, decode("run", id))
        asked = await verdicts.asked(tx, who.tenant_id, given, pointer)
    return await verdicts.price(resources, run, asked, dialogues)


@router.get("/runs/{id}/gate")
async def read_verdict(id: str, resources: Res, who: Reader) -> api.GateVerdict:
    """The newest verdict on the run, with its evidence."""
    async with reading(resources.engine) as tx:
        found = await verdicts.last(tx, await store.find_run(tx, who.tenant_id, decode("run", id)))
    if found is None:
        raise NotFound("verdict", id)
    return found


@router.post("/runs/{id}/checks")
async def note_check(id: str, body: api.ExternalCheck, resources: Res, who: Writer) -> api.Page[api.ExternalCheckOut]:
    """Send a result from elsewhere, such as a crisis suite's; one of the same name is replaced. All of the run's."""
    async with unit(resources.engine, resources.queue) as work:
        run = await store.find_run(work.tx, who.tenant_id, decode("run", id))
        await checks.note(work.tx, run, body)
        return api.Page(data=await checks.of_run(work.tx, run.id), next_cursor=None)


@router.get("/runs/{id}/checks")
async def list_checks(id: str, resources: Res, who: Reader) -> api.Page[api.ExternalCheckOut]:
    """The results from elsewhere that were sent for the run, by name."""
    async with reading(resources.engine) as tx:
        run = await store.find_run(tx, who.tenant_id, decode("run", id))
        return api.Page(data=await checks.of_run(tx, run.id), next_cursor=None)


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
