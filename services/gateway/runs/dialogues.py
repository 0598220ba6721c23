"""A run's dialogues with every rating and verdict, and its batches of replies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import BatchOut, BatchVerdict, DialogueOut, DialogueState, RatingOut, RunError, VerdictOut
from esrp.dialogue import Turn
from services.kit.db import many
from services.kit.ids import encode


@dataclass(frozen=True, slots=True)
class RatedDialogue:
    """A dialogue, and all that was said of it."""

    id: UUID
    run_id: UUID
    position: int
    character: str
    scenario: str | None
    replicate: int
    state: DialogueState
    turns: Sequence[Mapping[str, Any]]
    error: Mapping[str, Any] | None
    attempts: int
    ratings: Sequence[Mapping[str, Any]]
    verdicts: Sequence[Mapping[str, Any]]

    @property
    def out(self) -> DialogueOut:
        """As clients see it; a verdict's raw reply where it went wrong. A round without its answer is not shown."""
        return DialogueOut(
            id=encode("dlg", self.id),
            run=encode("run", self.run_id),
            character=self.character,
            scenario=self.scenario,
            replicate=self.replicate,
            state=self.state,
            turns=[Turn(**turn) for turn in self.turns if turn["assistant"] is not None],
            ratings=[RatingOut(**rating) for rating in self.ratings],
            verdicts=[VerdictOut(**verdict) for verdict in self.verdicts],
            attempts=self.attempts,
            error=self.error and RunError.model_validate(self.error),
        )


@dataclass(frozen=True, slots=True)
class RatedBatch:
    """Replies that judges rate together, and what they said of them."""

    character: str
    batch: int
    replies: Sequence[str]
    verdicts: Sequence[Mapping[str, Any]]

    @property
    def out(self) -> BatchOut:
        """As clients see it."""
        verdicts = [BatchVerdict(**verdict) for verdict in self.verdicts]
        return BatchOut(character=self.character, batch=self.batch, replies=list(self.replies), verdicts=verdicts)


async def listed(
    tx: AsyncConnection,
    tenant_id: UUID,
    run_id: UUID,
    *,
    after: int,
    limit: int,
    character: str | None = None,
    scenario: str | None = None,
    state: str | None = None,
) -> list[RatedDialogue]:
    """The run's dialogues in the order of play, from after position ``after`` on."""
    wanted = {"character": character, "scenario": scenario, "state": state}
    given = {name: value for name, value in wanted.items() if value is not None}
    more = "".join(f" AND d.{name} = :{name}" for name in given)
    sql = f"{_DIALOGUES} AND d.run_id = :run AND d.position > :after{more} ORDER BY d.position LIMIT :limit"
    return await many(tx, RatedDialogue, sql, tenant=tenant_id, run=run_id, after=after, limit=limit, **given)


async def find(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> RatedDialogue | None:
    """One dialogue of the tenant's."""
    found = await many(tx, RatedDialogue, f"{_DIALOGUES} AND d.id = :id", tenant=tenant_id, id=id)
    return found[0] if found else None


async def batches(tx: AsyncConnection, run_id: UUID, *, after: list[Any] | None, limit: int) -> list[RatedBatch]:
    """The run's batches, by character and number, from after the given place on."""
    return await many(
        tx,
        RatedBatch,
        """
        SELECT character, batch, min(replies::text)::jsonb AS replies,
            jsonb_agg(jsonb_build_object('judge', judge, 'state', state, 'score', score, 'explanation', explanation,
                'error', error ->> 'message', 'raw', raw) ORDER BY judge) AS verdicts
        FROM judge.diversity_verdicts_v1 WHERE run_id = :run AND state <> 'outdated'
            AND (CAST(:character AS text) IS NULL OR (character, batch) > (:character, CAST(:batch AS integer)))
        GROUP BY character, batch ORDER BY character, batch LIMIT :limit
        """,
        run=run_id,
        character=after[0] if after else None,
        batch=after[1] if after else None,
        limit=limit,
    )


# A dialogue of a run that was deleted is not there any more, though its service has still to remove it.
_DIALOGUES = """
    SELECT d.id, d.run_id, d.position, d.character, d.scenario, d.replicate, d.state, d.turns, d.error, d.attempts,
        coalesce((SELECT jsonb_agg(jsonb_build_object('metric', t.metric, 'rater', t.rater, 'kind', t.kind,
                'score', t.score, 'explanation', t.explanation) ORDER BY t.kind, t.rater, t.metric)
            FROM analytics.ratings_v1 t WHERE t.run_id = d.run_id AND t.dialogue_id = d.id), '[]') AS ratings,
        coalesce((SELECT jsonb_agg(jsonb_build_object('judge', v.judge, 'state', v.state,
                'error', v.error ->> 'message', 'raw', v.raw) ORDER BY v.judge)
            FROM judge.verdicts_v1 v WHERE v.run_id = d.run_id AND v.dialogue_id = d.id), '[]') AS verdicts
    FROM generator.dialogues_v1 d JOIN gateway.runs r ON r.id = d.run_id
    WHERE d.tenant_id = :tenant
"""
