"""What a gate looks at, from the database: a run's ratings and batches, its plan, and the reasons that raters gave."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import GateVerdict
from esrp.stats import Evidence, Rating, Ratings
from services.analytics import store
from services.kit.cards import validated
from services.kit.db import count, json, row, rows
from services.kit.ids import uuid7
from services.kit.settings import Settings

SAME = ("suite", "simulator", "judges", "rounds")  # of the manifest: what makes two runs comparable (STATISTICS 6)


@dataclass(frozen=True, slots=True)
class Seen:
    """A run with its ratings; ``pairs``: how many its suite has of a character and a scenario."""

    run: RowMapping | Mapping[str, Any]
    ratings: list[Rating]
    evidence: Evidence
    pairs: int

    def differs(self, other: "Seen") -> list[str]:
        """What makes the two not comparable."""
        ours, theirs = self.run["manifest"], other.run["manifest"]
        return [name for name in SAME if ours.get(name) != theirs.get(name)]


async def seen(
    tx: AsyncConnection, settings: Settings, run_id: UUID, tenant_id: UUID, *, people_alone: bool
) -> Seen | None:
    """The run, if it is the tenant's; ``people_alone``: diversity is what people said of it."""
    run = await store.run(tx, run_id, tenant_id)
    if run is None:
        return None
    facts = await _facts(tx, run_id)
    ratings = await _ratings(tx, run_id)
    evidence = Evidence(
        ratings=Ratings.of(ratings),
        planned=max(run["plan"]["dialogues"], facts["dialogues"]),
        judges=len(run["judges"]),
        unvalidated=await _unvalidated(tx, settings, run, ratings),
        random_sample=facts["random_sample"],
        diversity=await _batches(tx, run_id, people_alone=people_alone),
    )
    return Seen(run, ratings, evidence, facts["pairs"])


async def _facts(tx: AsyncConnection, run_id: UUID) -> RowMapping:
    found = await row(
        tx,
        """
        SELECT jsonb_array_length(s.document -> 'characters') * jsonb_array_length(s.document -> 'scenarios') AS pairs,
            (SELECT count(*) FROM generator.dialogues_v1 d WHERE d.run_id = r.id) AS dialogues,
            coalesce((SELECT bool_and(t.sampling IS NOT NULL) FROM analytics.ratings t
                WHERE t.run_id = r.id AND t.kind = 'human'), false) AS random_sample
        FROM gateway.runs_v1 r JOIN gateway.suites_v1 s ON s.id = r.suite_id WHERE r.id = :run
        """,
        run=run_id,
    )
    assert found is not None
    return found


async def _ratings(tx: AsyncConnection, run_id: UUID) -> list[Rating]:
    found = await tx.execute(
        text(
            "SELECT dialogue_id::text, character, scenario, metric, rater, kind, score"
            " FROM analytics.ratings WHERE run_id = :run"
        ),
        {"run": run_id},
    )
    return [Rating(*r) for r in found]


async def _batches(tx: AsyncConnection, run_id: UUID, *, people_alone: bool) -> dict[tuple[str, int], float]:
    """Each batch's mean rating: by judges if any rated batches, else by people."""
    found = await rows(
        tx,
        "SELECT kind, character, batch, avg(score)::float AS mean FROM analytics.diversity_ratings"
        " WHERE run_id = :run GROUP BY kind, character, batch",
        run=run_id,
    )
    kinds = {r["kind"] for r in found}
    kind = "judge" if "judge" in kinds and not people_alone else "human"
    return {(r["character"], r["batch"]): r["mean"] for r in found if r["kind"] == kind}


async def _unvalidated(
    tx: AsyncConnection, settings: Settings, run: RowMapping, ratings: list[Rating]
) -> tuple[str, ...]:
    """Judges whose scores are there and that nobody has held against people; imported ones are not known here."""
    known = await validated(tx, settings, run)
    rated = {rating.rater for rating in ratings if rating.kind == "judge"}
    return tuple(sorted(name for name in rated | set(run["judges"]) if not known.get(name)))


# --- reasons, and what is kept ----------------------------------------------------------------------------------------


async def reasons(
    tx: AsyncConnection, runs: Collection[UUID], dialogues: Collection[str], kind: str
) -> dict[str, list[RowMapping]]:
    """The ratings of some dialogues of these runs with their explanations, by dialogue."""
    found = await rows(
        tx,
        "SELECT dialogue_id::text AS dialogue, metric, rater, score, explanation FROM analytics.ratings"
        " WHERE run_id = ANY(CAST(:runs AS uuid[])) AND dialogue_id = ANY(CAST(:dialogues AS uuid[])) AND kind = :kind"
        " ORDER BY rater, metric",
        runs=list(runs),
        dialogues=list(dialogues),
        kind=kind,
    )
    by_dialogue: dict[str, list[RowMapping]] = {}
    for rating in found:
        by_dialogue.setdefault(rating["dialogue"], []).append(rating)
    return by_dialogue


async def keep(
    tx: AsyncConnection, run: RowMapping | Mapping[str, Any], baseline: UUID | None, verdict: GateVerdict, heard: Any
) -> None:
    """Keep a verdict, and what the judges said anew for it."""
    await count(
        tx,
        "INSERT INTO analytics.gates (id, tenant_id, run_id, revision, baseline_run_id, verdict, document, sentinel)"
        " VALUES (:id, :tenant, :run, :revision, :baseline, :verdict, CAST(:document AS json),"
        " CAST(:sentinel AS jsonb))",
        id=uuid7(),
        tenant=run["tenant_id"],
        run=run["id"],
        revision=run["revision"],
        baseline=baseline,
        verdict=verdict.verdict,
        document=verdict.model_dump_json(),
        sentinel=json(heard),
    )


async def forget(tx: AsyncConnection) -> None:
    """Verdicts on deleted runs, or against them, hold words about their dialogues: they go with them."""
    await count(
        tx,
        "DELETE FROM analytics.gates g USING gateway.deletions_v1 d"
        " WHERE g.run_id = d.run_id OR g.baseline_run_id = d.run_id",
    )
