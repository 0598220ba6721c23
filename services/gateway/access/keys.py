"""Who asks: API keys, their scopes and their tenants."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from esrp.api import KeyOut, NewKey, Scope
from esrp.errors import Forbidden, NotFound, Unauthorized
from services.kit.db import count, fetch, many
from services.kit.ids import encode, uuid7

FIRST_TENANT = UUID(int=1)  # the operator's; its admins make the others
PREFIX = "esrp_"


@dataclass(frozen=True, slots=True)
class Principal:
    """The key that asks, and what it may do."""

    tenant_id: UUID
    key_id: UUID
    key_name: str
    scopes: frozenset[str]

    def require(self, *scopes: Scope) -> None:
        """``Forbidden`` unless the key has one of the scopes; ``admin`` implies all."""
        if not self.scopes & {*scopes, "admin"}:
            raise Forbidden(f"This key lacks the scope {' or '.join(scopes)}.")


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is stored: not the key itself."""

    id: UUID
    name: str
    scopes: list[Scope]
    prefix: str
    created_at: datetime

    @property
    def out(self) -> KeyOut:
        """As clients see it."""
        return KeyOut(
            id=encode("key", self.id),
            name=self.name,
            scopes=self.scopes,
            prefix=self.prefix,
            created_at=self.created_at,
        )


async def authenticate(engine: AsyncEngine, header: str | None) -> Principal:
    """The principal of an ``Authorization`` header."""
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not key.startswith(PREFIX):
        raise Unauthorized("Send an API key: 'Authorization: Bearer esrp_…'.")
    found = await fetch(
        engine,
        "SELECT id, tenant_id, name, scopes FROM gateway.api_keys WHERE sha256 = $1 AND revoked_at IS NULL",
        _hash(key),
    )
    if found is None:
        raise Unauthorized("This API key is not known, or it was revoked.")
    return Principal(found["tenant_id"], found["id"], found["name"], frozenset(found["scopes"]))


async def create_key(tx: AsyncConnection, tenant_id: UUID, name: str, scopes: list[Scope]) -> NewKey:
    """A new key of 256 random bits; only its hash is kept, so this answer is the one that shows it."""
    key = PREFIX + secrets.token_urlsafe(32)
    id = uuid7()
    await _insert(tx, id, tenant_id, name, key, list(scopes))
    return NewKey(
        id=encode("key", id), name=name, scopes=scopes, prefix=key[:12], created_at=datetime.now(UTC), key=key
    )


async def ensure_key(tx: AsyncConnection, key: str) -> None:
    """The operator's own key for the first tenant, given from outside; on existing data too."""
    await _insert(tx, uuid7(), FIRST_TENANT, "bootstrap", key, ["admin"])


async def list_keys(tx: AsyncConnection, tenant_id: UUID) -> list[KeyOut]:
    """The tenant's keys that work, oldest first."""
    found = await many(
        tx,
        StoredKey,
        "SELECT id, name, scopes, prefix, created_at FROM gateway.api_keys"
        " WHERE tenant_id = :tenant AND revoked_at IS NULL ORDER BY created_at, id",
        tenant=tenant_id,
    )
    return [key.out for key in found]


async def revoke_key(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> None:
    """From now on the key is unknown."""
    revoked = await count(
        tx,
        "UPDATE gateway.api_keys SET revoked_at = now() WHERE id = :id AND tenant_id = :tenant AND revoked_at IS NULL",
        id=id,
        tenant=tenant_id,
    )
    if not revoked:
        raise NotFound("key", encode("key", id))


async def _insert(tx: AsyncConnection, id: UUID, tenant_id: UUID, name: str, key: str, scopes: list[str]) -> None:
    await count(
        tx,
        "INSERT INTO gateway.api_keys (id, tenant_id, name, prefix, sha256, scopes)"
        " VALUES (:id, :tenant, :name, :prefix, :sha256, CAST(:scopes AS text[])) ON CONFLICT (sha256) DO NOTHING",
        id=id,
        tenant=tenant_id,
        name=name,
        prefix=key[:12],
        sha256=_hash(key),
        scopes=scopes,
    )


def _hash(key: str) -> bytes:
    # A plain hash is right for 256 random bits: there is nothing to guess.
    return hashlib.sha256(key.encode()).digest()
