"""What a gate looks at, from the database: a run's ratings and batches, its plan, and the reasons that raters gave."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.stats import Evidence, Ratings
from esrp.stats.diversity import BatchRating
from esrp.verdict import Decided
from services.analytics.imports import imported
from services.analytics.imports.imported import COUNTS, Imports
from services.analytics.ratings import diversity_ratings, judges
from services.analytics.report import played
from services.analytics.report.calibration import labelled
from services.analytics.report.packed import Packed, packed
from services.analytics.report.packing import Unpacked
from services.analytics.report.played import Scenario
from services.analytics.runs import Run, run_of
from services.kit.bulk import Rows
from services.kit.db import count, json, many, one
from services.kit.ids import uuid7
from services.kit.settings import Settings
from services.work.cards import validated


@dataclass(frozen=True, eq=False)
class Seen:
    """A run with its ratings; ``pairs``: how many its suite has of a character and a scenario.

    ``batches`` are ratings of diversity; of the ``planned`` dialogues the candidate itself ``lost`` some.
    """

    run: Run
    packed: Packed
    batches: Sequence[BatchRating]
    planned: int
    lost: int
    pairs: int
    suite: Rows
    unvalidated: tuple[str, ...]
    imports: Imports

    @cached_property
    def rated(self) -> Unpacked:
        """All ratings of the run; for a process aside, as what follows."""
        return self.packed.unpacked()

    @cached_property
    def scenarios(self) -> Sequence[Scenario]:
        """Those of the suite, with their labels."""
        return self.suite.of(Scenario)

    @cached_property
    def evidence(self) -> Evidence:
        """As the gate looks at it; this takes a while."""
        return Evidence(
            ratings=Ratings.joined(Ratings.of(()), *self.rated.ratings.values()),
            planned=self.planned,
            judges=len(self.run.judges),
            failed=self.lost,
            unvalidated=self.unvalidated,
            corrected=self._correcting(),
            diversity=self.batches,
        )

    def _correcting(self) -> Ratings:
        of, none = self.rated.ratings, Ratings.of(())
        if "judge" not in of or "human" not in of:
            return none
        how, labels = labelled(set(of["judge"].levels["dialogue"]), of["human"], self.rated.sampling)
        return Ratings.joined(of["judge"], labels) if how else none


@dataclass(frozen=True, slots=True)
class Reason:
    """A rating of a dialogue, and why it was given, where the rater said so."""

    dialogue: str
    metric: str
    rater: str
    score: int
    explanation: str | None


@dataclass(frozen=True, slots=True)
class _Size:
    """How many pairs of a character and a scenario the suite has, how many dialogues the run, and how many it lost."""

    pairs: int
    dialogues: int
    lost: int


async def seen(tx: AsyncConnection, settings: Settings, run_id: UUID, tenant_id: UUID) -> Seen | None:
    """The run, if it is the tenant's."""
    run = await run_of(tx, run_id, tenant_id)
    if run is None:
        return None
    size = await _size(tx, run_id)
    return Seen(
        run=run,
        packed=await packed(tx, run_id),
        batches=await diversity_ratings(tx, run_id),
        planned=max(run.dialogues, size.dialogues),
        lost=size.lost,
        pairs=size.pairs,
        suite=await played.scenarios(tx, run.suite_id),
        unvalidated=await _unvalidated(tx, settings, run),
        imports=await imported.of_run(tx, run_id, judged=bool(run.judges)),
    )


async def _size(tx: AsyncConnection, run_id: UUID) -> _Size:
    found = await one(
        tx,
        _Size,
        """
        SELECT jsonb_array_length(s.document -> 'characters') * jsonb_array_length(s.document -> 'scenarios') AS pairs,
            d.dialogues, d.lost
        FROM gateway.runs_v1 r JOIN gateway.suites_v1 s ON s.id = r.suite_id
        CROSS JOIN LATERAL (SELECT count(*) AS dialogues, count(*) FILTER (WHERE d.state = 'failed'
            AND d.error ->> 'code' = 'candidate_error') AS lost
            FROM generator.dialogues_v1 d WHERE d.run_id = r.id) d
        WHERE r.id = :run
        """,
        run=run_id,
    )
    assert found is not None
    return found


async def _unvalidated(tx: AsyncConnection, settings: Settings, run: Run) -> tuple[str, ...]:
    """Judges whose scores are there and that nobody has held against people; imported ones are not known here."""
    known = await validated(tx, settings, run.tenant_id, run)
    rated = {*await judges(tx, run.id), *run.judges}
    return tuple(sorted(name for name in rated if not known.get(name)))


# --- reasons, and what is kept ----------------------------------------------------------------------------------------


async def reasons(
    tx: AsyncConnection, runs: Collection[UUID], dialogues: Collection[str], kind: str
) -> dict[str, list[Reason]]:
    """The ratings of some dialogues of these runs with their explanations, by dialogue."""
    found = await many(
        tx,
        Reason,
        "SELECT t.dialogue_id::text AS dialogue, t.metric, t.rater, t.score, t.explanation FROM analytics.ratings t"
        " JOIN gateway.runs_v1 r ON r.id = t.run_id WHERE t.run_id = ANY(CAST(:runs AS uuid[]))"
        f" AND t.dialogue_id = ANY(CAST(:dialogues AS uuid[])) AND t.kind = :kind AND {COUNTS}"
        " ORDER BY t.rater, t.metric",
        runs=list(runs),
        dialogues=list(dialogues),
        kind=kind,
    )
    by_dialogue: dict[str, list[Reason]] = {}
    for rating in found:
        by_dialogue.setdefault(rating.dialogue, []).append(rating)
    return by_dialogue


async def keep(tx: AsyncConnection, run: Run, baseline: UUID | None, verdict: Decided, heard: Any) -> None:
    """Keep a verdict, and what the judges said anew for it."""
    await count(
        tx,
        "INSERT INTO analytics.gates (id, tenant_id, run_id, revision, baseline_run_id, verdict, document, sentinel)"
        " VALUES (:id, :tenant, :run, :revision, :baseline, :verdict, CAST(:document AS json),"
        " CAST(:sentinel AS jsonb))",
        id=uuid7(),
        tenant=run.tenant_id,
        run=run.id,
        revision=run.revision,
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
