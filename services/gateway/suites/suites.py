"""Suites: immutable documents, a tenant's own and the bundled ones; a new content is a new version."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import SuiteOut
from esrp.errors import InvalidInput, NotFound
from esrp.metrics import Language
from esrp.suite import BUNDLED, Suite
from services.kit.db import json, many, one, row, rows
from services.kit.ids import encode, uuid7

Row = TypeVar("Row")
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


@dataclass(frozen=True, slots=True)
class _Plain:
    """A version of a suite without what its document says."""

    id: UUID
    tenant_id: UUID
    name: str
    version: int
    sha256: str
    language: Language
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Facts:
    id: UUID
    experimental: bool
    characters: int
    scenarios: int


class Known:
    """What was found out of suites, which never change: how much is in each, and what its author should know."""

    def __init__(self, most: int = 10_000, most_told: int = 200) -> None:
        self.facts: dict[UUID, _Facts] = {}
        self._told: dict[UUID, Sequence[str]] = {}
        self._most, self._most_told = most, most_told

    def count(self, found: Sequence[_Facts]) -> None:
        """Keep these."""
        self.facts |= {facts.id: facts for facts in found}
        while len(self.facts) > self._most:
            del self.facts[next(iter(self.facts))]

    def told(self, suite_id: UUID) -> Sequence[str] | None:
        """The warnings, if they are known."""
        return self._told.get(suite_id)

    def tell(self, suite_id: UUID, warnings: Sequence[str]) -> None:
        """Keep the warnings."""
        self._told[suite_id] = warnings
        while len(self._told) > self._most_told:
            del self._told[next(iter(self._told))]


async def summary(tx: AsyncConnection, tenant_id: UUID, name: str, known: Known) -> StoredSuite:
    """As ``find``, without reading its texts, which may be 60 MB."""
    found = await _named(tx, tenant_id, name, _Plain, _PLAIN)
    return (await _counted(tx, [found], known))[0]


async def document(tx: AsyncConnection, suite_id: UUID) -> str:
    """The suite's document, as text."""
    found = await row(tx, "SELECT document::text AS document FROM gateway.suites WHERE id = :id", id=suite_id)
    assert found is not None
    return str(found["document"])


async def find(tx: AsyncConnection, tenant_id: UUID, name: str) -> WholeSuite:
    """The suite ``name`` or ``name@version``; the newest version if none is said. ``NotFound`` if there is none."""
    return await _named(tx, tenant_id, name, WholeSuite, f"{_COLUMNS}, document")


async def _named(tx: AsyncConnection, tenant_id: UUID, name: str, of: type[Row], columns: str) -> Row:
    plain, _, version = name.partition("@")
    found = await one(
        tx,
        of,
        f"SELECT {columns} FROM gateway.suites"
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


async def visible(tx: AsyncConnection, tenant_id: UUID, known: Known) -> list[SuiteOut]:
    """Every version of every suite that the tenant can use, by age."""
    found = await many(
        tx,
        _Plain,
        f"SELECT {_PLAIN} FROM gateway.suites WHERE tenant_id = ANY(CAST(:tenants AS uuid[])) ORDER BY created_at, id",
        tenants=[tenant_id, EVERYONE],
    )
    return [suite.out() for suite in await _counted(tx, found, known)]


async def _counted(tx: AsyncConnection, found: Sequence[_Plain], known: Known) -> list[StoredSuite]:
    facts = dict(known.facts)
    if new := [suite.id for suite in found if suite.id not in facts]:
        sql = f"SELECT id, {_FACTS} FROM gateway.suites WHERE id = ANY(CAST(:new AS uuid[]))"
        counted = await many(tx, _Facts, sql, new=new)
        facts |= {one.id: one for one in counted}
        known.count(counted)
    return [StoredSuite(**{**asdict(suite), **asdict(facts[suite.id])}) for suite in found]


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


_PLAIN = "id, tenant_id, name, version, sha256, language, created_at"
_FACTS = (
    "(document ->> 'experimental')::boolean AS experimental,"
    " jsonb_array_length(document -> 'characters') AS characters,"
    " jsonb_array_length(document -> 'scenarios') AS scenarios"
)
_COLUMNS = f"{_PLAIN}, {_FACTS}"
