"""The public API of access: tenants and keys."""

from fastapi import APIRouter, Request, Response

from esrp import api
from esrp.errors import Forbidden
from services.gateway.access import keys, tenants
from services.gateway.access.keys import FIRST_TENANT, Principal
from services.gateway.http.deps import Admin, Cursor, Key, Limit, Res, as_json
from services.gateway.http.idempotency import Made, once
from services.gateway.http.paging import short
from services.kit.db import reading
from services.kit.ids import decode
from services.kit.unit import Unit, unit

router = APIRouter(prefix="/v1")


@router.post("/tenants", status_code=201, tags=["tenants"], response_model=api.TenantOut)
async def create_tenant(
    body: api.TenantRequest, request: Request, resources: Res, who: Admin, idempotency_key: Key = None
) -> Response:
    """A new tenant. For an admin of the first tenant."""
    _operator(who)

    async def work(whole: Unit) -> Made:
        return Made(await tenants.add(whole.tx, body.name))

    return await once(resources, who.tenant_id, request, work)


@router.get("/tenants", tags=["tenants"])
async def list_tenants(
    resources: Res, who: Admin, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[api.TenantOut]:
    """All tenants. For an admin of the first tenant."""
    _operator(who)
    async with reading(resources.engine) as tx:
        return short(await tenants.listed(tx), limit, cursor_)


@router.post("/keys", status_code=201, tags=["keys"], response_model=api.NewKey)
async def create_key(
    body: api.KeyRequest, request: Request, resources: Res, who: Admin, idempotency_key: Key = None
) -> Response:
    """A new API key: this answer is the only one that shows it, and so it is not repeated for an idempotency key."""
    if body.tenant is not None:
        _operator(who)
    tenant = who.tenant_id if body.tenant is None else decode("ten", body.tenant)
    async with unit(resources.engine, resources.queue) as work:
        await tenants.require(work.tx, tenant)
        return as_json(await keys.create_key(work.tx, tenant, body.name, body.scopes), 201)


@router.get("/keys", tags=["keys"])
async def list_keys(resources: Res, who: Admin, limit: Limit = 50, cursor_: Cursor = None) -> api.Page[api.KeyOut]:
    """The tenant's keys, without the keys themselves."""
    async with reading(resources.engine) as tx:
        return short(await keys.list_keys(tx, who.tenant_id), limit, cursor_)


@router.delete("/keys/{id}", status_code=204, tags=["keys"])
async def revoke_key(id: str, resources: Res, who: Admin) -> Response:
    """Revoke a key at once."""
    async with unit(resources.engine, resources.queue) as work:
        await keys.revoke_key(work.tx, who.tenant_id, decode("key", id))
    return Response(status_code=204)


def _operator(who: Principal) -> None:
    if who.tenant_id != FIRST_TENANT:
        raise Forbidden("Tenants are made by an admin of the first tenant.")
