"""What is read of stored ratings: whose they are, and what is exported."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.stats.diversity import BatchRating
from services.analytics.imports.imported import COUNTS
from services.kit.db import rows


async def judges(tx: AsyncConnection, run_id: UUID) -> list[str]:
    """The judges whose scores are there, by name."""
    sql = (
        "SELECT DISTINCT t.rater FROM analytics.ratings t JOIN gateway.runs_v1 r ON r.id = t.run_id"
        f" WHERE t.run_id = :run AND t.kind = 'judge' AND {COUNTS} ORDER BY t.rater"
    )
    return [r["rater"] for r in await rows(tx, sql, run=run_id)]


async def diversity_ratings(tx: AsyncConnection, run_id: UUID) -> list[BatchRating]:
    """The run's ratings of batches, as far as they count."""
    found = await tx.execute(
        text(
            "SELECT t.character, t.batch, t.rater, t.kind, t.score FROM analytics.diversity_ratings t"
            f" JOIN gateway.runs_v1 r ON r.id = t.run_id WHERE t.run_id = :run AND {COUNTS}"
        ),
        {"run": run_id},
    )
    return [BatchRating(*r) for r in found]


async def rated_dialogues(tx: AsyncConnection, run_id: UUID) -> list[UUID]:
    """The dialogues that have a rating, in the order of an export."""
    found = await rows(
        tx,
        "SELECT dialogue_id FROM analytics.ratings WHERE run_id = :run"
        " GROUP BY dialogue_id, character, scenario, replicate ORDER BY character, scenario, replicate, dialogue_id",
        run=run_id,
    )
    return [r["dialogue_id"] for r in found]


async def exported(tx: AsyncConnection, run_id: UUID, dialogue_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """All ratings of some of the run's dialogues, in an order that does not change."""
    found = await tx.execute(
        text(
            "SELECT run_id, dialogue_id, character, scenario, replicate, metric, rater, kind, score"
            " FROM analytics.ratings WHERE run_id = :run AND dialogue_id = ANY(CAST(:dialogues AS uuid[]))"
            " ORDER BY character, scenario, replicate, dialogue_id, metric, kind, rater"
        ),
        {"run": run_id, "dialogues": dialogue_ids},
    )
    return found.all()
