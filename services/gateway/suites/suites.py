"""Suites: immutable documents, a tenant's own and the bundled ones; a new content is a new version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import SuiteOut
from esrp.errors import InvalidInput, NotFound
from esrp.metrics import Language
from esrp.suite import BUNDLED, Suite
from services.kit.db import json, many, one, rows
from services.kit.ids import encode, uuid7

EVERYONE = UUID(int=0)  # the owner of what ships with the package


@dataclass(frozen=True, kw_only=True)
class StoredSuite:
    """A version of a suite, without its texts."""

    id: UUID
    tenant_id: UUID
    name: str
    version: int
    sha256: str
    language: Language
    created_at: datetime
    experimental: bool
    characters: int
    scenarios: int

    @property
    def label(self) -> str:
        """``esrp-zh@1``."""
        return f"{self.name}@{self.version}"

    def out(self, warnings: Sequence[str] = ()) -> SuiteOut:
        """As clients see it. The warnings cost reading all its texts, so only answers about one suite have them."""
        dialogues = self.characters * self.scenarios
        return SuiteOut(
            id=encode("ste", self.id),
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            language=self.language,
            experimental=self.experimental,
            counts={"characters": self.characters, "scenarios": self.scenarios, "dialogues": dialogues},
            created_at=self.created_at,
            warnings=list(warnings),
        )


@dataclass(frozen=True, kw_only=True)
class WholeSuite(StoredSuite):
    """A version of a suite with its document."""

    document: Mapping[str, Any]

    @cached_property
    def suite(self) -> Suite:
        """The suite; ours already, so this does not fail."""
        return Suite.model_validate(self.document)


async def find(tx: AsyncConnection, tenant_id: UUID, name: str) -> WholeSuite:
    """The suite ``name`` or ``name@version``; the newest version if none is said. ``NotFound`` if there is none."""
    plain, _, version = name.partition("@")
    found = await one(
        tx,
        WholeSuite,
        f"SELECT {_COLUMNS}, document FROM gateway.suites"
        " WHERE tenant_id = ANY(CAST(:tenants AS uuid[])) AND name = :name"
        " AND (CAST(:version AS text) = '' OR version::text = :version) ORDER BY version DESC LIMIT 1",
        tenants=[tenant_id, EVERYONE],
        name=plain,
        version=version,
    )
    if found is None:
        raise NotFound("suite", name)
    return found


async def named(tx: AsyncConnection, tenant_id: UUID, name: str, pointer: str = "/suite") -> WholeSuite:
    """The suite that a body names; one that is not there is wrong input (422), not a missing page (404)."""
    try:
        return await find(tx, tenant_id, name)
    except NotFound as error:
        raise InvalidInput.at(pointer, error.detail) from error


async def of(tx: AsyncConnection, id: UUID) -> WholeSuite:
    """The suite that a row of ours names."""
    found = await one(tx, WholeSuite, f"SELECT {_COLUMNS}, document FROM gateway.suites WHERE id = :id", id=id)
    assert found is not None
    return found


async def add(tx: AsyncConnection, tenant_id: UUID, suite: Suite) -> StoredSuite:
    """Keep the suite; the same content under the same name is the version that is there."""
    if tenant_id != EVERYONE and suite.name in BUNDLED:
        raise InvalidInput.at("/name", f"{suite.name!r} is the name of a bundled suite; take another.")
    await rows(tx, "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"suite:{tenant_id}:{suite.name}")
    found = await one(
        tx,
        StoredSuite,
        f"SELECT {_COLUMNS} FROM gateway.suites WHERE tenant_id = :tenant AND name = :name AND sha256 = :sha256",
        tenant=tenant_id,
        name=suite.name,
        sha256=suite.sha256,
    )
    return found or await _insert(tx, tenant_id, suite)


async def add_bundled(tx: AsyncConnection, shipped: Sequence[Suite]) -> None:
    """The suites that ship with the package, as they are in this version of it."""
    for suite in shipped:
        await add(tx, EVERYONE, suite)


async def visible(tx: AsyncConnection, tenant_id: UUID) -> list[SuiteOut]:
    """Every version of every suite that the tenant can use, by age."""
    found = await many(
        tx,
        StoredSuite,
        f"SELECT {_COLUMNS} FROM gateway.suites WHERE tenant_id = ANY(CAST(:tenants AS uuid[]))"
        " ORDER BY created_at, id",
        tenants=[tenant_id, EVERYONE],
    )
    return [suite.out() for suite in found]


async def _insert(tx: AsyncConnection, tenant_id: UUID, suite: Suite) -> StoredSuite:
    added = await one(
        tx,
        StoredSuite,
        "INSERT INTO gateway.suites (id, tenant_id, name, version, sha256, language, document)"
        " VALUES (:id, :tenant, :name, 1 + (SELECT coalesce(max(version), 0) FROM gateway.suites"
        " WHERE tenant_id = :tenant AND name = :name), :sha256, :language, CAST(:document AS jsonb))"
        f" RETURNING {_COLUMNS}",
        id=uuid7(),
        tenant=tenant_id,
        name=suite.name,
        sha256=suite.sha256,
        language=suite.language,
        document=json(suite.model_dump(mode="json")),
    )
    assert added is not None
    return added


_COLUMNS = (
    "id, tenant_id, name, version, sha256, language, created_at,"
    " (document ->> 'experimental')::boolean AS experimental,"
    " jsonb_array_length(document -> 'characters') AS characters,"
    " jsonb_array_length(document -> 'scenarios') AS scenarios"
)
