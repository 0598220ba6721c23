"""Runs in the gateway's own tables: stored, found, listed, moved, opened again, removed."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import EndpointCandidate, RunRequest, RunStatus
from esrp.errors import BaselineInUse, Conflict, InvalidInput, NotFound
from services.gateway.runs.events import add_event
from services.gateway.runs.plan import Order, dumped
from services.gateway.runs.rows import Far, LockedRun, NewRun, PacedRun, Place, ShownRun, StoredRun
from services.kit.db import count, json, many, one, row, rows
from services.kit.ids import encode, uuid7
from services.kit.secrets import KeyFile
from services.work.watermark import usable

# --- a new run --------------------------------------------------------------------------------------------------------


async def start(tx: AsyncConnection, keys: KeyFile, tenant_id: UUID, order: Order) -> StoredRun:
    """Keep the run, queued. What is secret of the candidate goes to its own table, encrypted."""
    secret_id = await _seal(tx, keys, tenant_id, order.found.request)
    return await add_run(tx, order.run(uuid7(), tenant_id, secret_id))


async def same_run(tx: AsyncConnection, tenant_id: UUID, order: Order) -> StoredRun | None:
    """The newest run of the same configuration and labels that has not failed, locked. One request at a time looks.

    One that was cancelled goes on, and a gate that is asked for now takes the place of the run's.
    """
    sha256 = order.request_sha256
    if sha256 is None:
        raise InvalidInput.at("/labels", "a run is found again by its labels; give some, such as a commit")
    await rows(tx, "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"reattach:{tenant_id}:{sha256}")
    found = await row(
        tx,
        "SELECT id FROM gateway.runs WHERE tenant_id = :tenant AND request_sha256 = :sha256 AND status <> 'failed'"
        " ORDER BY created_at DESC LIMIT 1",
        tenant=tenant_id,
        sha256=sha256,
    )
    if found is None:
        return None
    run = await find_run(tx, tenant_id, found["id"], lock=True)
    if order.found.gate and run.status != "succeeded":  # its verdict is still to be given
        await keep_gate(tx, run, order.found.gate.document)
    if run.status == "cancelled":
        await reopen(tx, run, "running")
    return run


async def add_run(tx: AsyncConnection, new: NewRun) -> StoredRun:
    """A new run, queued."""
    values = ", ".join(f"nullif(CAST(:{name} AS jsonb), 'null')" if name in _JSON else f":{name}" for name in _NEW)
    await count(
        tx,
        f"INSERT INTO gateway.runs ({', '.join(_NEW)}, status) VALUES ({values}, 'queued')",
        **{name: json(value) if name in _JSON else value for name, value in asdict(new).items()},
    )
    added = await find_run(tx, new.tenant_id, new.id)
    await add_event(tx, added, "run.status", "status:1:queued", {"status": "queued", "phase": None})
    return added


async def _seal(tx: AsyncConnection, keys: KeyFile, tenant_id: UUID, request: RunRequest) -> UUID | None:
    candidate = request.candidate
    if not isinstance(candidate, EndpointCandidate):
        return None
    if not (candidate.api_key or candidate.headers or "?" in candidate.base_url):
        return None
    key = candidate.api_key.get_secret_value() if candidate.api_key else None
    secret = orjson.dumps({"api_key": key, "headers": candidate.headers, "base_url": candidate.base_url}).decode()
    id = uuid7()
    await count(
        tx,
        "INSERT INTO gateway.secrets (id, tenant_id, sealed) VALUES (:id, :tenant, :sealed)",
        id=id,
        tenant=tenant_id,
        sealed=keys.seal(secret),
    )
    return id


# --- finding and listing ----------------------------------------------------------------------------------------------


async def find_run(tx: AsyncConnection, tenant_id: UUID, id: UUID, *, lock: bool = False) -> StoredRun:
    """The run; ``NotFound`` if the tenant has none of that id."""
    end = " FOR UPDATE OF r" if lock else ""
    sql = f"SELECT {_columns(StoredRun)} {_FROM} WHERE r.id = :id AND r.tenant_id = :tenant{end}"
    found = await one(tx, StoredRun, sql, id=id, tenant=tenant_id)
    if found is None:
        raise NotFound("run", encode("run", id))
    return found


async def find_paced(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> PacedRun:
    """The run with its pacing, in one query; ``NotFound`` if the tenant has none of that id."""
    sql = f"SELECT {_columns(PacedRun)} {_FROM} WHERE r.id = :id AND r.tenant_id = :tenant"
    found = await one(tx, PacedRun, sql, id=id, tenant=tenant_id)
    if found is None:
        raise NotFound("run", encode("run", id))
    return found


async def require_run(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> None:
    """``NotFound`` if the tenant has no run of that id; reads nothing else of it."""
    if await row(tx, "SELECT 1 FROM gateway.runs WHERE id = :id AND tenant_id = :tenant", id=id, tenant=tenant_id):
        return
    raise NotFound("run", encode("run", id))


async def list_runs(
    tx: AsyncConnection,
    tenant_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
    status: str | None,
    suite: str | None,
    candidate: str | None,
) -> list[ShownRun]:
    """Runs in the order (created_at, id), from after the given place on."""
    wanted: dict[str, Any] = {"status": status, "suite": suite, "candidate": candidate, "after_id": after}
    chosen = [_FILTERS[name] for name, value in wanted.items() if value is not None]
    where = " AND ".join(["r.tenant_id = :tenant", *chosen])
    given = {name: value for name, value in wanted.items() if value is not None}
    if after is not None:
        given |= {"after_time": after[0], "after_id": after[1]}
    sql = f"SELECT {_columns(ShownRun)} {_FROM} WHERE {where} ORDER BY r.created_at, r.id LIMIT :limit"
    return await many(tx, ShownRun, sql, tenant=tenant_id, limit=limit, **given)


async def lock_open_run(tx: AsyncConnection, id: UUID) -> LockedRun | None:
    """The run if it is not final and nobody else has it, locked: whoever moves it does so alone."""
    return await one(
        tx,
        LockedRun,
        f"SELECT {_columns(StoredRun)}, ({usable('r.followed')})::text AS followed,"
        f" pg_snapshot_xmin(pg_current_snapshot())::text AS upto {_FROM}"
        f" WHERE r.id = :id AND {_OPEN} FOR NO KEY UPDATE OF r SKIP LOCKED",
        id=id,
    )


async def is_open(tx: AsyncConnection, id: UUID) -> bool:
    """Whether the run is there and not final, whoever has it."""
    return await row(tx, f"SELECT 1 FROM gateway.runs r WHERE r.id = :id AND {_OPEN}", id=id) is not None


async def open_runs(tx: AsyncConnection) -> list[UUID]:
    """Runs that are not final, but for those that are being played and of which nothing has ended since the last look.

    That alone moves a run on from there, or the end of its budget.
    """
    sql = f"""
        SELECT r.id FROM gateway.runs r WHERE {_OPEN} AND (
            r.status <> 'running' OR r.phase IS DISTINCT FROM 'generating'
            OR EXISTS (SELECT FROM generator.dialogues_v1 d
                WHERE d.run_id = r.id AND d.changed_in >= {usable("r.followed")})
            OR EXISTS (SELECT FROM generator.exhausted_v1 x WHERE x.run_id = r.id AND x.revision = r.revision)
            OR EXISTS (SELECT FROM judge.exhausted_v1 x WHERE x.run_id = r.id AND x.revision = r.revision))"""
    return [run["id"] for run in await rows(tx, sql)]


# --- moving -----------------------------------------------------------------------------------------------------------


async def move(tx: AsyncConnection, run: StoredRun, place: Place, outcome: Far | None = None) -> None:
    """Put the (locked) run where it stands now, and say so. ``outcome`` is how far it came, where that is final."""
    error = None if place.error is None else place.error.model_dump()
    await count(
        tx,
        "UPDATE gateway.runs SET status = :status, phase = :phase, error = CAST(:error AS jsonb),"
        " outcome = CAST(:outcome AS jsonb),"
        " started_at = coalesce(started_at, CASE WHEN :status = 'running' THEN now() END),"
        " finished_at = CASE WHEN :final THEN now() END WHERE id = :id",
        id=run.id,
        status=place.status,
        phase=place.phase,
        final=place.is_final,
        error=None if error is None else json(error),
        outcome=None if outcome is None else json(asdict(outcome)),
    )
    data: dict[str, Any] = {
        "status": place.status,
        "phase": place.phase,
        "error": place.error and place.error.model_dump(),
    }
    if run.verdict is not None:
        data["verdict"] = run.verdict
    await add_event(tx, run, "run.status", f"status:{run.revision}:{place.status}:{place.phase}", data)
    if place.is_final:
        await add_event(tx, run, "run.finished", f"finished:{run.revision}", data)


async def reopen(tx: AsyncConnection, run: StoredRun, status: RunStatus, *, retry: bool = False) -> None:
    """Start the next revision of the run: its report will be written anew. ``retry``: what failed is tried again."""
    await count(
        tx,
        "UPDATE gateway.runs SET status = :status, phase = NULL, error = NULL, finished_at = NULL, verdict = NULL,"
        " outcome = NULL, gating_until = NULL, revision = revision + 1,"
        " retry_at = CASE WHEN :retry THEN clock_timestamp() ELSE retry_at END WHERE id = :id",
        id=run.id,
        status=status,
        retry=retry,
    )
    await add_event(tx, run, "run.status", f"status:{run.revision + 1}:{status}", {"status": status, "phase": None})


async def set_budget(tx: AsyncConnection, run_id: UUID, budget: dict[str, Any] | None) -> None:
    """Another budget, or none."""
    await count(
        tx,
        "UPDATE gateway.runs SET budget = nullif(CAST(:budget AS jsonb), 'null') WHERE id = :id",
        id=run_id,
        budget=json(budget),
    )


async def keep_gate(tx: AsyncConnection, run: StoredRun, gate: dict[str, Any]) -> None:
    """The run shall be held against this gate when it has succeeded."""
    await count(tx, "UPDATE gateway.runs SET gate = CAST(:gate AS jsonb) WHERE id = :id", id=run.id, gate=json(gate))


async def enlarge(tx: AsyncConnection, run_id: UUID, order: Order) -> None:
    """More dialogues of the same plan."""
    request = order.found.request
    await count(
        tx,
        "UPDATE gateway.runs SET sample = nullif(CAST(:sample AS jsonb), 'null'), replicates = :replicates,"
        " plan = CAST(:plan AS jsonb), manifest = CAST(:manifest AS jsonb), manifest_sha256 = :sha256 WHERE id = :id",
        id=run_id,
        sample=json(dumped(request.sample)),
        replicates=request.replicates,
        plan=json(order.plan.model_dump()),
        manifest=json(order.manifest),
        sha256=order.sha256,
    )


# --- removing ---------------------------------------------------------------------------------------------------------


async def delete_run(tx: AsyncConnection, run: StoredRun) -> None:
    """Remove the run and its secret; what the other services hold of it they remove when they see the note.

    ``Conflict`` while it is a baseline (whoever sets one locks the run too), and while its dialogues are judged anew in
    another run. A copy that was made of another's goes with it.
    """
    named = await rows(tx, "SELECT name FROM gateway.baselines WHERE run_id = :run ORDER BY name", run=run.id)
    if named:
        raise BaselineInUse(encode("run", run.id), [found["name"] for found in named])
    again = await row(tx, "SELECT run_id FROM gateway.rejudged_runs WHERE source_id = :run LIMIT 1", run=run.id)
    if again is not None:
        raise Conflict(f"Run {encode('run', again['run_id'])} judges this one's dialogues anew; delete it first.")
    await count(
        tx,
        "INSERT INTO gateway.deletions (run_id, tenant_id) VALUES (:run, :tenant)",
        run=run.id,
        tenant=run.tenant_id,
    )
    await count(tx, "DELETE FROM gateway.runs WHERE id = :run", run=run.id)
    await count(tx, "DELETE FROM gateway.secrets WHERE id = :secret", secret=run.secret_id)
    await count(
        tx,
        "DELETE FROM gateway.transcripts t WHERE id = :copy AND NOT EXISTS ("
        " SELECT FROM gateway.runs r WHERE t.id IN (r.transcript_id, r.frozen_id))",
        copy=run.copy_id,
    )
    await count(
        tx,
        "DELETE FROM gateway.idempotency_keys WHERE tenant_id = :tenant AND body ->> 'id' = :id",
        tenant=run.tenant_id,
        id=encode("run", run.id),
    )


async def forget_old(tx: AsyncConnection) -> None:
    """Answers kept for a repeated request go after a day, notes of deletions after a month."""
    await count(tx, "DELETE FROM gateway.idempotency_keys WHERE created_at < now() - interval '1 day'")
    await count(tx, "DELETE FROM gateway.deletions WHERE created_at < now() - interval '30 days'")


def _columns(of: type[ShownRun]) -> str:
    elsewhere = {
        "suite_sha256": "s.sha256 AS suite_sha256",
        "source_id": "j.source_id",
        "copy_id": "j.copy_id",
        "paced": f"({_PACED}) AS paced",
    }
    return ", ".join(elsewhere.get(field.name, f"r.{field.name}") for field in fields(of))


_NEW: Sequence[str] = tuple(field.name for field in fields(NewRun))
_JSON = frozenset(("candidate", "sample", "budget", "prices", "labels", "plan", "manifest", "warnings", "gate"))
_OPEN = "r.status IN ('queued', 'running', 'cancelling')"
_FROM = (
    "FROM gateway.runs r JOIN gateway.suites s ON s.id = r.suite_id"
    " LEFT JOIN gateway.rejudged_runs j ON j.run_id = r.id"
)
# Of a run `r`; the newest hundred changes of each role. Simulator and judges are the operator's.
_OPERATOR = UUID(int=0)
_PACED = f"""
    SELECT coalesce(json_agg(json_build_object('role', role, 'at', at, 'limit', "limit", 'cause', cause)
        ORDER BY role, n DESC), '[]') FROM (
        SELECT role, at, "limit", cause, row_number() OVER (PARTITION BY role ORDER BY id DESC) AS n FROM (
            SELECT id, split_part(endpoint, ' ', 1) AS role, at, "limit", cause FROM generator.pace_changes_v1
            WHERE r.transcript_id IS NULL AND (
                tenant_id = r.tenant_id AND endpoint = 'candidate ' || (r.candidate ->> 'base_url')
                OR tenant_id = '{_OPERATOR}' AND endpoint = 'simulator' AND r.simulator IS NOT NULL)
            UNION ALL
            SELECT id, endpoint, at, "limit", cause FROM judge.pace_changes_v1
            WHERE tenant_id = '{_OPERATOR}' AND endpoint = ANY(SELECT 'judge ' || j FROM unnest(r.judges) AS j)) c
        WHERE at BETWEEN coalesce(r.started_at, r.created_at) AND coalesce(r.finished_at, now())) newest
    WHERE n <= 100
"""
_FILTERS = {
    "status": "r.status = :status",
    "suite": "CAST(:suite AS text) IN (r.suite_label, split_part(r.suite_label, '@', 1))",
    "candidate": "r.candidate_name = :candidate",
    "after_id": "(r.created_at, r.id) > (:after_time, :after_id)",
}
