"""Tenants: who owns keys, suites and runs."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import TenantOut
from esrp.errors import NotFound
from services.kit.db import many, one, row
from services.kit.ids import encode, uuid7


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as it is stored."""

    id: UUID
    name: str
    created_at: datetime

    @property
    def out(self) -> TenantOut:
        """As clients see it."""
        return TenantOut(id=encode("ten", self.id), name=self.name, created_at=self.created_at)


async def add(tx: AsyncConnection, name: str) -> TenantOut:
    """A new tenant."""
    added = await one(
        tx,
        Tenant,
        "INSERT INTO gateway.tenants (id, tenant_id, name) VALUES (:id, :id, :name) RETURNING id, name, created_at",
        id=uuid7(),
        name=name,
    )
    assert added is not None
    return added.out


async def listed(tx: AsyncConnection) -> list[TenantOut]:
    """All tenants, oldest first."""
    found = await many(tx, Tenant, "SELECT id, name, created_at FROM gateway.tenants ORDER BY created_at, id")
    return [tenant.out for tenant in found]


async def require(tx: AsyncConnection, id: UUID) -> None:
    """``NotFound`` if there is no such tenant."""
    if await row(tx, "SELECT 1 FROM gateway.tenants WHERE id = :id", id=id) is None:
        raise NotFound("tenant", encode("ten", id))
