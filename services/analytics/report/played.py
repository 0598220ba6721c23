"""What was played in a run, as its report sees it: dialogues, and the scenarios of the suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.bulk import Rows, copied


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A dialogue: how it ended, what was counted of the candidate's replies, and how its verdicts ended.

    ``own_log``: it has no scenario of the suite. ``replies`` are fields of ``Counted``, ``None`` before they were
    counted; ``verdicts`` are states, or codes of errors.
    """

    id: str
    state: str
    error: str | None
    own_log: bool
    position: int
    character: str
    scenario: str | None
    replicate: int
    replies: Sequence[Sequence[Any] | None] | None
    verdicts: Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario of the suite, with its labels."""

    id: str
    persona: str | None
    emotion: str | None
    location: str | None


async def dialogues(tx: AsyncConnection, run_id: UUID) -> Rows:
    """The run's dialogues: how each ended, what was counted of its replies, and how its verdicts ended."""
    return await copied(
        tx,
        f"""
        SELECT to_json(x) FROM (
            SELECT d.id, d.state, d.error ->> 'code' AS error, d.scenario IS NULL AS own_log, d.position,
                d.character, d.scenario, d.replicate, c.counted AS replies, v.verdicts
            FROM generator.dialogues_v1 d LEFT JOIN analytics.replies c ON c.dialogue_id = d.id LEFT JOIN (
                SELECT dialogue_id, array_agg(DISTINCT coalesce(error ->> 'code', state)) AS verdicts
                FROM judge.verdicts_v1 WHERE run_id = '{run_id}' GROUP BY dialogue_id) v ON v.dialogue_id = d.id
            WHERE d.run_id = '{run_id}' ORDER BY d.position) x
        """,
    )


async def scenarios(tx: AsyncConnection, suite_id: UUID) -> Rows:
    """The suite's scenarios in its order: id, persona, emotion and location of each."""
    return await copied(
        tx,
        f"""
        SELECT json_build_object('id', s.value ->> 'id', 'persona', s.value ->> 'persona',
            'emotion', s.value ->> 'emotion', 'location', s.value ->> 'location')
        FROM gateway.suites_v1 u CROSS JOIN LATERAL
            jsonb_array_elements(coalesce(u.document -> 'scenarios', '[]')) WITH ORDINALITY s(value, place)
        WHERE u.id = '{suite_id}' ORDER BY s.place
        """,
    )
