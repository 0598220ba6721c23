"""Suites: immutable documents, a tenant's own and the bundled ones; a new content is a new version."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import SuiteOut
from esrp.errors import InvalidInput, NotFound
from esrp.suite import BUNDLED, Suite
from services.kit.db import json, row, rows
from services.kit.ids import encode, uuid7

EVERYONE = UUID(int=0)  # the owner of what ships with the package


class Known:
    """What follows from suites, which never change, kept for so many of them: reading their texts anew takes seconds.

    ``counts`` are of ``FACTS``, by the suite's id; warnings are computed at the upload, or when first asked for.
    """

    def __init__(self, most: int = 10_000, most_told: int = 500) -> None:
        self.counts: dict[UUID, RowMapping] = {}
        self._told: dict[UUID, Sequence[str]] = {}
        self._most, self._most_told = most, most_told

    def count(self, found: Sequence[RowMapping]) -> None:
        """Keep these rows of ``FACTS``."""
        self.counts |= {row["id"]: row for row in found}
        while len(self.counts) > self._most:
            del self.counts[next(iter(self.counts))]

    def told(self, suite_id: UUID) -> Sequence[str] | None:
        """The warnings, if they are known."""
        return self._told.get(suite_id)

    def tell(self, suite_id: UUID, warnings: Sequence[str]) -> None:
        """Keep the warnings."""
        self._told[suite_id] = warnings
        while len(self._told) > self._most_told:
            del self._told[next(iter(self._told))]


async def find(tx: AsyncConnection, tenant_id: UUID, name: str, *, columns: str | None = None) -> RowMapping:
    """The suite ``name`` or ``name@version``; the newest version if none is said. ``NotFound`` if there is none.

    With its document, which may be 60 MB of texts, unless other columns are named.
    """
    plain, _, version = name.partition("@")
    found = await row(
        tx,
        f"SELECT {columns or f'{COLUMNS}, document'} FROM gateway.suites"
        " WHERE tenant_id = ANY(CAST(:tenants AS uuid[])) AND name = :name"
        " AND (CAST(:version AS text) = '' OR version::text = :version) ORDER BY version DESC LIMIT 1",
        tenants=[tenant_id, EVERYONE],
        name=plain,
        version=version,
    )
    if found is None:
        raise NotFound("suite", name)
    return found


async def add(tx: AsyncConnection, tenant_id: UUID, suite: Suite) -> RowMapping:
    """Keep the suite; the same content under the same name is the version that is there."""
    if tenant_id != EVERYONE and suite.name in BUNDLED:
        raise InvalidInput.at("/name", f"{suite.name!r} is the name of a bundled suite; take another.")
    await rows(tx, "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"suite:{tenant_id}:{suite.name}")
    found = await row(
        tx,
        f"SELECT {COLUMNS} FROM gateway.suites WHERE tenant_id = :tenant AND name = :name AND sha256 = :sha256",
        tenant=tenant_id,
        name=suite.name,
        sha256=suite.sha256,
    )
    if found is not None:
        return found
    added = await row(
        tx,
        "INSERT INTO gateway.suites (id, tenant_id, name, version, sha256, language, document)"
        " VALUES (:id, :tenant, :name, 1 + (SELECT coalesce(max(version), 0) FROM gateway.suites"
        " WHERE tenant_id = :tenant AND name = :name), :sha256, :language, CAST(:document AS jsonb))"
        f" RETURNING {COLUMNS}",
        id=uuid7(),
        tenant=tenant_id,
        name=suite.name,
        sha256=suite.sha256,
        language=suite.language,
        document=json(suite.model_dump(mode="json")),
    )
    assert added is not None
    return added


async def add_bundled(tx: AsyncConnection, shipped: Sequence[Suite]) -> None:
    """The suites that ship with the package, as they are in this version of it."""
    for suite in shipped:
        await add(tx, EVERYONE, suite)


async def document(tx: AsyncConnection, suite_id: UUID) -> str:
    """The suite's document, as text."""
    found = await row(tx, "SELECT document::text AS document FROM gateway.suites WHERE id = :id", id=suite_id)
    assert found is not None
    return str(found["document"])


async def visible(tx: AsyncConnection, tenant_id: UUID, known: Known) -> list[SuiteOut]:
    """Every version of every suite that the tenant can use, by age."""
    found = await rows(
        tx,
        f"SELECT {PLAIN} FROM gateway.suites WHERE tenant_id = ANY(CAST(:tenants AS uuid[])) ORDER BY created_at, id",
        tenants=[tenant_id, EVERYONE],
    )
    return [suite_out(suite) for suite in await _counted(tx, found, known)]


async def summary(tx: AsyncConnection, tenant_id: UUID, name: str, known: Known) -> Mapping[str, Any]:
    """The suite without its texts."""
    found = await find(tx, tenant_id, name, columns=PLAIN)
    return (await _counted(tx, [found], known))[0]


async def _counted(tx: AsyncConnection, found: Sequence[RowMapping], known: Known) -> list[Mapping[str, Any]]:
    new = [suite["id"] for suite in found if suite["id"] not in known.counts]
    counts = dict(known.counts)
    if new:
        sql = f"SELECT id, {FACTS} FROM gateway.suites WHERE id = ANY(CAST(:new AS uuid[]))"
        counted = await rows(tx, sql, new=new)
        counts |= {suite["id"]: suite for suite in counted}
        known.count(counted)
    return [{**suite, **counts[suite["id"]]} for suite in found]


def label(suite: RowMapping) -> str:
    """``esrp-zh@1``."""
    return f"{suite['name']}@{suite['version']}"


def suite_out(suite: RowMapping | Mapping[str, Any], warnings: Sequence[str] = ()) -> SuiteOut:
    """As clients see it. The warnings cost reading all its texts, so only answers about one suite have them."""
    counts = {"characters": suite["characters"], "scenarios": suite["scenarios"]}
    return SuiteOut(
        id=encode("ste", suite["id"]),
        name=suite["name"],
        version=suite["version"],
        sha256=suite["sha256"],
        language=suite["language"],
        experimental=suite["experimental"],
        counts={**counts, "dialogues": counts["characters"] * counts["scenarios"]},
        created_at=suite["created_at"],
        warnings=list(warnings),
    )


PLAIN = "id, tenant_id, name, version, sha256, language, created_at"
FACTS = (
    "(document ->> 'experimental')::boolean AS experimental,"
    " jsonb_array_length(document -> 'characters') AS characters,"
    " jsonb_array_length(document -> 'scenarios') AS scenarios"
)
COLUMNS = f"{PLAIN}, {FACTS}"
