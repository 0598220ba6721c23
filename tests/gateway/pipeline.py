"""The other services, played by hand: their rows, written as they would write them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.db import count, json
from services.kit.ids import dialogue_id, uuid7, verdict_id

FAULT = {"code": "bad_reply", "message": "The candidate: no reply"}


async def write(tx: AsyncConnection, run: UUID, dialogues: int = 6) -> list[UUID]:
    """The run's dialogues, waiting; of the characters `c1` and `c2` by turns."""
    ids = [dialogue_id(run, f"c{n % 2 + 1}", f"s{n}", 1, n) for n in range(dialogues)]
    for position, id in enumerate(ids):
        await count(
            tx,
            "INSERT INTO generator.dialogues (id, tenant_id, run_id, position, character, scenario, replicate, state)"
            " SELECT :id, tenant_id, id, :position, :character, :scenario, 1, 'waiting' FROM gateway.runs"
            " WHERE id = :run",
            id=id,
            run=run,
            position=position,
            character=f"c{position % 2 + 1}",
            scenario=f"s{position}",
        )
    return ids


async def end(tx: AsyncConnection, dialogues: Sequence[UUID], state: str = "done", cut: int = 0) -> None:
    """They are played to the end, or have failed."""
    await count(
        tx,
        "UPDATE generator.dialogues SET state = :state, finished_at = now(), candidate_calls = candidate_calls + 2,"
        " cut_replies = :cut, error = CAST(:error AS jsonb) WHERE id = ANY(CAST(:ids AS uuid[]))",
        ids=list(dialogues),
        state=state,
        cut=cut,
        error=json(FAULT) if state == "failed" else None,
    )


async def judge(tx: AsyncConnection, dialogues: Sequence[UUID], name: str = "default", state: str = "done") -> None:
    """A judge's verdicts on them."""
    await count(
        tx,
        "INSERT INTO judge.verdicts (id, tenant_id, run_id, dialogue_id, character, scenario, replicate, judge, state,"
        " calls, finished_at, error) SELECT x.id, d.tenant_id, d.run_id, d.id, d.character, d.scenario, d.replicate,"
        " :judge, :state, 1, now(), CAST(:error AS jsonb)"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:dialogues AS uuid[])) AS x(id, dialogue)"
        " JOIN generator.dialogues d ON d.id = x.dialogue",
        ids=[verdict_id(id, name) for id in dialogues],
        dialogues=list(dialogues),
        judge=name,
        state=state,
        error=json({"code": "refused", "message": "no"}) if state == "failed" else None,
    )


async def report(tx: AsyncConnection, run: UUID) -> None:
    """A rating of the run, its batches' plan and its report."""
    await count(
        tx,
        "INSERT INTO analytics.ratings (tenant_id, run_id, dialogue_id, character, scenario, replicate, metric, rater,"
        " kind, score) SELECT tenant_id, run_id, id, character, scenario, replicate, 'fluency', 'default', 'judge', 4"
        " FROM generator.dialogues WHERE run_id = :run ORDER BY position LIMIT 1",
        run=run,
    )
    await count(
        tx,
        "INSERT INTO judge.diversity_plans (run_id, tenant_id, revision, played)"
        " SELECT id, tenant_id, revision, 6 FROM gateway.runs WHERE id = :run ON CONFLICT (run_id) DO NOTHING",
        run=run,
    )
    await count(
        tx,
        "INSERT INTO analytics.reports (run_id, tenant_id, revision, ratings_sha256, document, sha256)"
        " SELECT id, tenant_id, revision, '', '{}', :sha FROM gateway.runs WHERE id = :run",
        run=run,
        sha=uuid7().hex,
    )
