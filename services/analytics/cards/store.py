"""What judges are measured by, from the database; whose judges are to be measured again, and what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.metrics import METRIC_IDS, Language
from services.kit.bulk import Rows, copied
from services.kit.db import count, json, many, one, rows
from services.kit.settings import JudgeSettings
from services.work.cards import configuration

SCORES = ", ".join(f"max(score) FILTER (WHERE metric = '{metric}')" for metric in METRIC_IDS)
RUNS = 20  # of a tenant; as full studies with two judges they are 450,000 ratings: 3 s and 190 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """A run whose judges are measured by its ratings."""

    id: UUID
    judges: Sequence[str]
    manifest: Mapping[str, Any]
    candidate_name: str
    language: Language
    suite_sha256: str


@dataclass(frozen=True, slots=True)
class Begun:
    """When the ratings were read, and since when they wait to be looked at."""

    read_at: datetime
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Rated:
    """The scores by metric that one rater gave one dialogue."""

    run: UUID
    dialogue: str
    character: str
    scenario: str | None
    rater: str
    kind: str
    scores: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Material:
    """What a tenant's judges are measured by: runs, ratings of people and judges in them, and what was said.

    ``said``: the hash of a dialogue's turns; the same dialogue may stand in several runs, judged again or imported
    twice. ``sizes``: the mean size of its replies.
    """

    runs: Sequence[MeasuredRun]
    rated: Sequence[Rated]
    said: Mapping[str, str]
    sizes: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a ``Material`` is made of, as Postgres copied it."""

    runs: Sequence[MeasuredRun]
    rated: Rows
    dialogues: Rows

    def material(self) -> Material:
        """The same as values."""
        dialogues = list(self.dialogues)
        return Material(
            runs=self.runs,
            rated=[_rated(*row) for row in self.rated],
            said={id: said for id, said, _ in dialogues},
            sizes={id: size for id, _, size in dialogues if size is not None},
        )


def _rated(
    run: str, dialogue: str, character: str, scenario: str | None, rater: str, kind: str, scores: Sequence[int | None]
) -> Rated:
    given = {metric: score for metric, score in zip(METRIC_IDS, scores, strict=True) if score is not None}
    return Rated(UUID(run), dialogue, character, scenario, rater, kind, given)


async def mark(tx: AsyncConnection, tenant_id: UUID) -> None:
    """The tenant's ratings have changed: its judges are to be measured again."""
    await count(
        tx,
        "INSERT INTO analytics.unmeasured (tenant_id) VALUES (:tenant)"
        " ON CONFLICT (tenant_id) DO UPDATE SET since = clock_timestamp()",
        tenant=tenant_id,
    )


async def mark_deleted(tx: AsyncConnection) -> None:
    """What is about to be forgotten of deleted runs shall not stay in a card."""
    await count(
        tx,
        "INSERT INTO analytics.unmeasured (tenant_id) SELECT DISTINCT t.tenant_id FROM gateway.deletions_v1 d"
        " JOIN analytics.ratings t ON t.run_id = d.run_id"
        " ON CONFLICT (tenant_id) DO UPDATE SET since = clock_timestamp()",
    )


async def marked(tx: AsyncConnection) -> list[UUID]:
    """Tenants whose judges are to be measured."""
    return [found["tenant_id"] for found in await rows(tx, "SELECT tenant_id FROM analytics.unmeasured")]


async def begin(tx: AsyncConnection, tenant_id: UUID) -> Begun:
    """What is read in this transaction is of now."""
    begun = await one(
        tx,
        Begun,
        "SELECT clock_timestamp() AS read_at,"
        " (SELECT since FROM analytics.unmeasured WHERE tenant_id = :tenant) AS since",
        tenant=tenant_id,
    )
    assert begun is not None
    return begun


async def end(tx: AsyncConnection, tenant_id: UUID, begun: Begun) -> None:
    """The tenant's judges are measured, unless its ratings have changed since it began."""
    await count(
        tx,
        "DELETE FROM analytics.unmeasured WHERE tenant_id = :tenant AND since = :since",
        tenant=tenant_id,
        since=begun.since,
    )


async def drawn(tx: AsyncConnection, tenant_id: UUID, judges: Sequence[str]) -> Drawn:
    """What the judges of these names are measured by."""
    runs = await _runs(tx, tenant_id, judges)
    names = ", ".join(f"'{judge}'" for judge in judges) or "NULL"  # settings allow only letters, digits and ``._-``
    rated = await copied(
        tx,
        f"""
        SELECT json_build_array(run_id, dialogue_id, min(character), min(scenario), rater, kind,
            json_build_array({SCORES}))
        FROM analytics.ratings
        WHERE run_id = ANY({_ids(runs)}) AND (kind = 'human' OR rater IN ({names}) AND import_id IS NULL)
        GROUP BY run_id, dialogue_id, rater, kind ORDER BY dialogue_id, kind, rater
        """,
    )
    # Words in English, characters in all else, of NFKC text, as everywhere where text is counted (STATISTICS 7).
    english = _ids([run for run in runs if run.language == "en"])
    dialogues = await copied(
        tx,
        rf"""
        SELECT json_build_array(d.id, md5(d.turns::text), (
            SELECT avg(CASE WHEN d.run_id = ANY({english})
                THEN coalesce(array_length(regexp_split_to_array(nullif(btrim(t.said, E' \n\t'), ''), '\s+'), 1), 0)
                ELSE char_length(normalize(t.said, NFKC)) END)::float8
            FROM (SELECT turn ->> 'assistant' AS said FROM jsonb_array_elements(d.turns) turn) t
            WHERE t.said IS NOT NULL))
        FROM generator.dialogues_v1 d WHERE d.run_id = ANY({_ids(runs)}) AND d.state = 'done'
        """,
    )
    return Drawn(runs, rated, dialogues)


def _ids(runs: Sequence[MeasuredRun]) -> str:
    return "CAST('{" + ",".join(str(run.id) for run in runs) + "}' AS uuid[])"


async def _runs(tx: AsyncConnection, tenant_id: UUID, judges: Sequence[str]) -> list[MeasuredRun]:
    """The newest runs that a judge or people rated; first those whose dialogues people rated, here or in another run.

    A validation must not end because newer runs, which nobody rates by hand, push it out.
    """
    return await many(
        tx,
        MeasuredRun,
        """
        WITH people AS (
            SELECT DISTINCT run_id FROM analytics.ratings WHERE tenant_id = :tenant AND kind = 'human'
        ), kin AS (
            SELECT run_id FROM people
            UNION SELECT j.run_id FROM gateway.rejudged_runs_v1 j JOIN people p ON p.run_id = j.source_id
            UNION SELECT r.id FROM gateway.runs_v1 r JOIN gateway.runs_v1 o ON o.transcript_id = r.transcript_id
                JOIN people p ON p.run_id = o.id WHERE r.tenant_id = :tenant
        )
        SELECT r.id, r.judges, r.manifest, r.candidate_name, s.language, s.sha256 AS suite_sha256
        FROM gateway.runs_v1 r JOIN gateway.suites_v1 s ON s.id = r.suite_id LEFT JOIN kin k ON k.run_id = r.id
        WHERE r.tenant_id = :tenant AND (k.run_id IS NOT NULL OR r.judges && CAST(:judges AS text[]))
        ORDER BY k.run_id IS NULL, r.created_at DESC, r.id LIMIT :most
        """,
        tenant=tenant_id,
        judges=list(judges),
        most=RUNS,
    )


async def save(
    tx: AsyncConnection, tenant_id: UUID, judge: JudgeSettings, document: Mapping[str, Any], read_at: datetime
) -> None:
    """Keep it, unless what is there was read later."""
    await count(
        tx,
        """
        INSERT INTO analytics.judge_measures AS m (tenant_id, configuration, judge, document, measured_at)
        VALUES (:tenant, :configuration, :judge, CAST(:document AS jsonb), :read_at)
        ON CONFLICT (tenant_id, configuration)
            DO UPDATE SET document = excluded.document, measured_at = excluded.measured_at
            WHERE m.measured_at <= excluded.measured_at
        """,
        tenant=tenant_id,
        configuration=configuration(judge),
        judge=judge.name,
        document=json(document),
        read_at=read_at,
    )
