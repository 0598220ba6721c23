"""A run's ratings on their way to who computes: bytes to the event loop, ratings where they are needed."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import RaterKind
from esrp.metrics import METRIC_IDS
from esrp.stats import Rating
from services.analytics.imports.imported import COUNTS
from services.kit.bulk import Rows, copied

SCORES = ", ".join(f"max(score) FILTER (WHERE metric = '{metric}')" for metric in METRIC_IDS)


@dataclass(frozen=True, slots=True)
class Packed:
    """All ratings of a run: a row for each rater of a dialogue, with the scores of the nine metrics."""

    rows: Rows = field(default_factory=Rows)

    def ratings(self) -> list[Rating]:
        """Each rating; it takes half a second for 200,000."""
        return [
            Rating(dialogue, character, scenario, metric, rater, kind, score)
            for dialogue, character, scenario, rater, kind, *scores in self.rows
            for metric, score in zip(METRIC_IDS, scores, strict=True)
            if score is not None
        ]

    def by_kind(self) -> dict[RaterKind, list[Rating]]:
        """The ratings by the kind of rater."""
        found: dict[RaterKind, list[Rating]] = {}
        for rating in self.ratings():
            found.setdefault("judge" if rating.kind == "judge" else "human", []).append(rating)
        return found


async def packed(tx: AsyncConnection, run_id: UUID) -> Packed:
    """The run's ratings that count, as they are now."""
    return Packed(
        await copied(
            tx,
            f"SELECT json_build_array(t.dialogue_id, min(t.character), min(t.scenario), t.rater, t.kind, {SCORES})"
            " FROM analytics.ratings t JOIN gateway.runs_v1 r ON r.id = t.run_id"
            f" WHERE t.run_id = '{run_id}' AND {COUNTS} GROUP BY t.dialogue_id, t.rater, t.kind",
        )
    )
