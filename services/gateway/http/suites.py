"""The public API of suites: upload one, read its versions, characters and scenarios."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Request, Response

from esrp import api
from esrp.dialogue import Character, Scenario
from services.gateway.http.deps import Cursor, Key, Limit, Reader, Res, Writer
from services.gateway.http.idempotency import Made, once
from services.gateway.http.paging import short
from services.gateway.resources import Resources
from services.gateway.suites import parsing, suites
from services.kit.db import reading
from services.kit.unit import Unit

router = APIRouter(prefix="/v1", tags=["suites"])
provenance = APIRouter(prefix="/v1", tags=["suites"])
YAML = {key: {"schema": {"$ref": "#/components/schemas/Suite"}} for key in ("application/yaml", "application/json")}


@router.post(
    "/suites",
    status_code=201,
    response_model=api.SuiteOut,
    openapi_extra={"requestBody": {"required": True, "content": YAML}},
)
async def create_suite(request: Request, resources: Res, who: Writer, idempotency_key: Key = None) -> Response:
    """Upload a suite (JSON or YAML). Immutable; the same content is the same version, a new one a new version."""
    async with resources.uploads.received(request) as upload:
        async with resources.texts.slot() as do:
            suite, told = await do(parsing.suite, await upload.whole(), request.headers.get("content-type", ""))

        async def work(whole: Unit) -> Made:
            added = await suites.add(whole.tx, who.tenant_id, suite)
            resources.known.tell(added.id, told)
            return Made(added.out(told))

        return await once(resources, who.tenant_id, request, work, body_sha256=upload.sha256)


@router.get("/suites")
async def list_suites(resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None) -> api.Page[api.SuiteOut]:
    """Every version of every suite: the tenant's own and the bundled."""
    async with reading(resources.engine) as tx:
        return short(await suites.visible(tx, who.tenant_id, resources.known), limit, cursor_)


@router.get("/suites/{name}")
async def read_suite(name: str, resources: Res, who: Reader) -> api.SuiteOut:
    """One suite, as ``name`` (its newest version) or ``name@version``."""
    async with reading(resources.engine) as tx:
        found = await suites.summary(tx, who.tenant_id, name, resources.known)
    return found.out(await _warnings(resources, found.id))


async def _warnings(resources: Resources, suite_id: UUID) -> Sequence[str]:
    """Computed once: they cost reading all its texts."""
    told = resources.known.told(suite_id)
    if told is None:
        async with resources.texts.slot() as do:
            async with reading(resources.engine) as tx:
                document = await suites.document(tx, suite_id)
            told = await do(parsing.warnings_of, document)
        resources.known.tell(suite_id, told)
    return told


@router.get("/suites/{name}/characters")
async def read_characters(
    name: str, resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[Character]:
    """The suite's characters, with their profiles."""
    async with reading(resources.engine) as tx:
        found = await suites.find(tx, who.tenant_id, name)
    return short(found.suite.characters, limit, cursor_)


@router.get("/suites/{name}/scenarios")
async def read_scenarios(
    name: str, resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[Scenario]:
    """The suite's scenarios."""
    async with reading(resources.engine) as tx:
        found = await suites.find(tx, who.tenant_id, name)
    return short(found.suite.scenarios, limit, cursor_)


@provenance.get("/suites/{name}/provenance")
async def read_provenance(name: str, resources: Res, who: Reader) -> api.Provenance:
    """Where the suite's scenarios come from, if that is known: the set, its grid, the writer and its prompts."""
    async with reading(resources.engine) as tx:
        found = await suites.find(tx, who.tenant_id, name)
    return api.Provenance(suite=found.label, sha256=found.sha256, provenance=found.document.get("provenance"))
