"""Names: release policies in versions, a tenant's own and the bundled ones, and the runs that are its baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import BaselineOut, GateOut
from esrp.canonical import digest
from esrp.errors import InvalidInput, NotFound
from esrp.policies import BUNDLED, Policy, bundled
from services.gateway.suites.suites import EVERYONE
from services.kit.db import count, json, many, one, row, rows
from services.kit.ids import decode, encode, uuid7


@dataclass(frozen=True, slots=True)
class StoredGate:
    """A version of a release policy."""

    id: UUID
    tenant_id: UUID
    name: str
    version: int
    sha256: str
    policy: Mapping[str, Any]
    created_at: datetime

    @property
    def label(self) -> str:
        """``smoke@1``."""
        return f"{self.name}@{self.version}"

    @property
    def out(self) -> GateOut:
        """As clients see it."""
        return GateOut(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            policy=Policy.model_validate(self.policy),
            created_at=self.created_at,
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """A name for a run."""

    name: str
    run_id: UUID
    set_at: datetime
    suite_label: str
    candidate_name: str
    finished_at: datetime

    @property
    def out(self) -> BaselineOut:
        """As clients see it."""
        return BaselineOut(
            name=self.name,
            run=encode("run", self.run_id),
            suite=self.suite_label,
            candidate=self.candidate_name,
            finished_at=self.finished_at,
            set_at=self.set_at,
        )


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """The run that a policy is held against."""

    id: UUID
    suite_id: UUID
    judges: Sequence[str]
    finished_at: datetime | None
    dialogues: int


async def add(tx: AsyncConnection, tenant_id: UUID, name: str, policy: Policy) -> StoredGate:
    """The policy under that name: its newest version if it says the same, else the next one."""
    if tenant_id != EVERYONE and name in BUNDLED:
        raise InvalidInput.at("/name", f"{name!r} is the name of a bundled policy; take another.")
    await rows(tx, "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"gate:{tenant_id}:{name}")
    newest = await _find(tx, [tenant_id], name, "")
    # Not by the hash: a field that this version adds, left at its default, says nothing new.
    if newest is not None and Policy.model_validate(newest.policy) == policy:
        return newest
    document = policy.model_dump(mode="json")
    added = await one(
        tx,
        StoredGate,
        "INSERT INTO gateway.gates (id, tenant_id, name, version, sha256, policy)"
        f" VALUES (:id, :tenant, :name, :version, :sha256, CAST(:policy AS jsonb)) RETURNING {_GATE}",
        id=uuid7(),
        tenant=tenant_id,
        name=name,
        version=newest.version + 1 if newest else 1,
        sha256=digest(document),
        policy=json(document),
    )
    assert added is not None
    return added


async def add_bundled(tx: AsyncConnection) -> None:
    """The policies that ship with the package, as they are in this version of it."""
    for name in BUNDLED:
        await add(tx, EVERYONE, name, bundled(name))


async def find(tx: AsyncConnection, tenant_id: UUID, ref: str) -> StoredGate:
    """The policy ``name`` (its newest version) or ``name@version``; ``NotFound`` if there is none."""
    name, _, version = ref.partition("@")
    found = await _find(tx, [tenant_id, EVERYONE], name, version)
    if found is None:
        raise NotFound("gate", ref)
    return found


async def visible(tx: AsyncConnection, tenant_id: UUID) -> list[GateOut]:
    """Every version of every policy that the tenant can use, by age."""
    found = await many(
        tx,
        StoredGate,
        f"SELECT {_GATE} FROM gateway.gates WHERE tenant_id = ANY(CAST(:tenants AS uuid[])) ORDER BY created_at, id",
        tenants=[tenant_id, EVERYONE],
    )
    return [gate.out for gate in found]


async def _find(tx: AsyncConnection, tenants: list[UUID], name: str, version: str) -> StoredGate | None:
    return await one(
        tx,
        StoredGate,
        f"SELECT {_GATE} FROM gateway.gates WHERE tenant_id = ANY(CAST(:tenants AS uuid[])) AND name = :name"
        " AND (CAST(:version AS text) = '' OR version::text = :version) ORDER BY version DESC LIMIT 1",
        tenants=tenants,
        name=name,
        version=version,
    )


# --- baselines --------------------------------------------------------------------------------------------------------


async def set_baseline(tx: AsyncConnection, tenant_id: UUID, name: str, run_id: UUID) -> BaselineOut:
    """Let the name mean this run from now on."""
    await row(
        tx,
        "INSERT INTO gateway.baselines (tenant_id, name, run_id) VALUES (:tenant, :name, :run)"
        " ON CONFLICT (tenant_id, name) DO UPDATE SET run_id = excluded.run_id, set_at = CASE"
        " WHEN baselines.run_id = excluded.run_id THEN baselines.set_at ELSE now() END RETURNING name",
        tenant=tenant_id,
        name=name,
        run=run_id,
    )
    found = await one(tx, Baseline, f"{_BASELINE} AND b.name = :name", tenant=tenant_id, name=name)
    assert found is not None
    return found.out


async def delete_baseline(tx: AsyncConnection, tenant_id: UUID, name: str) -> None:
    """Let the name mean nothing; ``NotFound`` if it does not mean a run."""
    if not await count(
        tx, "DELETE FROM gateway.baselines WHERE tenant_id = :tenant AND name = :name", tenant=tenant_id, name=name
    ):
        raise NotFound("baseline", name)


async def baselines(tx: AsyncConnection, tenant_id: UUID) -> list[BaselineOut]:
    """The tenant's baselines, by name."""
    return [found.out for found in await many(tx, Baseline, f"{_BASELINE} ORDER BY b.name", tenant=tenant_id)]


async def baseline_run(tx: AsyncConnection, tenant_id: UUID, ref: str) -> BaselineRun | None:
    """The run that a policy's ``baseline`` means, a name or a run's id; ``None`` if there is none."""
    id: UUID | None = None
    if ref.startswith("run_"):
        try:
            id = decode("run", ref)
        except NotFound:
            return None
    return await one(
        tx,
        BaselineRun,
        "SELECT r.id, r.suite_id, r.judges, r.finished_at, (r.plan ->> 'dialogues')::int AS dialogues"
        " FROM gateway.runs r"
        " WHERE r.tenant_id = :tenant AND r.id = coalesce(CAST(:id AS uuid),"
        " (SELECT run_id FROM gateway.baselines WHERE tenant_id = :tenant AND name = :name))",
        tenant=tenant_id,
        id=id,
        name=ref,
    )


_GATE = "id, tenant_id, name, version, sha256, policy, created_at"
_BASELINE = (
    "SELECT b.name, b.run_id, b.set_at, r.suite_label, r.candidate_name, coalesce(r.finished_at, b.set_at)"
    " AS finished_at FROM gateway.baselines b JOIN gateway.runs r ON r.id = b.run_id WHERE b.tenant_id = :tenant"
)
