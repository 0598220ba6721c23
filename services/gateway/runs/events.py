"""What happens to a run, event by event: its moves, its dialogues' ends, and one warning for each kind of failure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.runs.rows import LockedRun, ShownRun
from services.kit.db import count, json, many, row


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it is kept."""

    id: int
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Warned:
    """A kind of failure that the run had not met before."""

    key: str
    message: str


@dataclass(frozen=True, slots=True)
class Reason:
    """What went wrong, and how often."""

    message: str
    n: int


async def add_event(tx: AsyncConnection, run: ShownRun, type: str, key: str, data: Mapping[str, Any]) -> None:
    """One event of the (locked) run, so that ids tell the order; the same key is the same event."""
    await count(
        tx,
        "INSERT INTO gateway.events (tenant_id, run_id, type, key, data)"
        " VALUES (:tenant, :run, :type, :key, CAST(:data AS jsonb)) ON CONFLICT (run_id, key) DO NOTHING",
        tenant=run.tenant_id,
        run=run.id,
        type=type,
        key=key,
        data=json(data),
    )


async def follow(tx: AsyncConnection, run: LockedRun) -> None:
    """Tell what has ended since the run was followed last, and warn of what has failed in a new way.

    What was committed while older transactions were open is looked at again, and not told twice.
    """
    if await row(tx, _NEWS, run=run.id, followed=run.followed) is None:
        return
    await _add_dialogues(tx, run)
    await _warn(tx, run)
    await count(
        tx,
        f"UPDATE gateway.runs SET followed = {_XID.format('upto')}"
        f" WHERE id = :id AND followed <> {_XID.format('upto')}",
        id=run.id,
        upto=run.upto,
    )


async def _add_dialogues(tx: AsyncConnection, run: LockedRun) -> None:
    await count(
        tx,
        f"""
        INSERT INTO gateway.events (tenant_id, run_id, type, key, data)
        SELECT d.tenant_id, d.run_id, 'dialogue.completed', 'dialogue:' || d.id || ':' || d.state,
            jsonb_build_object('dialogue', 'dlg_' || replace(d.id::text, '-', ''), 'character', d.character,
                'scenario', d.scenario, 'replicate', d.replicate, 'state', d.state, 'error', d.error)
        FROM generator.dialogues_v1 d
        WHERE d.run_id = :run AND {_SINCE} AND d.state IN ('done', 'failed') AND NOT EXISTS (
            SELECT FROM gateway.events e WHERE e.run_id = d.run_id AND e.key = 'dialogue:' || d.id || ':' || d.state)
        ORDER BY d.finished_at, d.position
        """,
        run=run.id,
        followed=run.followed,
    )


async def _warn(tx: AsyncConnection, run: LockedRun) -> None:
    found = await many(tx, Warned, _WARNINGS, run=run.id, followed=run.followed)
    for warning in found:
        await add_event(tx, run, "warning", f"warning:{warning.key}", {"message": warning.message})
    if found:
        await count(
            tx,
            "UPDATE gateway.runs SET warnings = warnings || CAST(:new AS jsonb) WHERE id = :id",
            id=run.id,
            new=json([warning.message for warning in found]),
        )


async def reasons(tx: AsyncConnection, run_id: UUID) -> list[str]:
    """The commonest errors of the run's dialogues and verdicts, in words, with how often. For a run that has failed."""
    found = await many(
        tx,
        Reason,
        """
        SELECT message, count(*) AS n FROM (
            SELECT error ->> 'message' AS message FROM generator.dialogues_v1 WHERE run_id = :run AND state = 'failed'
            UNION ALL
            SELECT error ->> 'message' FROM judge.verdicts_v1 WHERE run_id = :run AND state = 'failed'
            UNION ALL
            SELECT error ->> 'message' FROM judge.diversity_verdicts_v1 WHERE run_id = :run AND state = 'failed') e
        WHERE message IS NOT NULL GROUP BY message ORDER BY n DESC, message LIMIT 3
        """,
        run=run_id,
    )
    return [f"{reason.message} ({reason.n} ×)" for reason in found]


async def events_after(tx: AsyncConnection, run_id: UUID, last: int) -> list[Event]:
    """The run's events after the one with id ``last``, at most 500."""
    return await many(
        tx,
        Event,
        "SELECT id, type, data FROM gateway.events WHERE run_id = :run AND id > :last ORDER BY id LIMIT 500",
        run=run_id,
        last=last,
    )


_XID = "CAST(CAST(:{} AS text) AS xid8)"
_SINCE = f"changed_in >= {_XID.format('followed')}"
# Any change counts, so that the next look begins after it: looking is in proportion to what is new.
_NEWS = f"""
    SELECT 1 WHERE EXISTS (SELECT FROM generator.dialogues_v1 WHERE run_id = :run AND {_SINCE})
        OR EXISTS (SELECT FROM judge.verdicts_v1 WHERE run_id = :run AND {_SINCE})
        OR EXISTS (SELECT FROM judge.diversity_verdicts_v1 WHERE run_id = :run AND {_SINCE})
"""
_WARNINGS = f"""
    SELECT DISTINCT ON (key) key, message FROM (
        SELECT concat_ws(':', error ->> 'code', error ->> 'reason') AS key, error ->> 'message' AS message
        FROM generator.dialogues_v1 WHERE run_id = :run AND {_SINCE} AND state = 'failed'
        UNION ALL
        SELECT concat_ws(':', 'judge', judge, error ->> 'code'), 'Judge ' || judge || ': ' || (error ->> 'message')
        FROM judge.verdicts_v1 WHERE run_id = :run AND {_SINCE} AND state = 'failed'
        UNION ALL
        SELECT concat_ws(':', 'diversity', judge, error ->> 'code'),
            'Judge ' || judge || ', on diversity: ' || (error ->> 'message')
        FROM judge.diversity_verdicts_v1 WHERE run_id = :run AND {_SINCE} AND state = 'failed'
        UNION ALL
        SELECT 'cut', 'Some replies of the candidate ended at max_tokens, in the middle of what was said.'
        FROM generator.dialogues_v1 WHERE run_id = :run AND {_SINCE} AND cut_replies > 0) e
    WHERE NOT EXISTS (SELECT FROM gateway.events v WHERE v.run_id = :run AND v.key = 'warning:' || e.key)
"""
