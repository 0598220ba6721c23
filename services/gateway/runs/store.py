"""The gateway's queries on runs, their events, and what the other services publish of them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import RunStatus
from esrp.errors import BaselineInUse, Conflict, NotFound
from services.gateway.runs.plan import Counts, Place
from services.kit.db import count, json, row, rows
from services.kit.ids import encode


async def add_run(tx: AsyncConnection, **columns: Any) -> RowMapping:
    """A new run, queued."""
    added = await row(
        tx,
        """INSERT INTO gateway.runs (id, tenant_id, name, suite_id, suite_label, candidate, candidate_name, secret_id,
            transcript_id, simulator, judges, rounds, replicates, sample, labels, plan, manifest, manifest_sha256,
            status, warnings, budget, prices, frozen_id, request_sha256)
        VALUES (:id, :tenant_id, :name, :suite_id, :suite_label, CAST(:candidate AS jsonb), :candidate_name, :secret_id,
            :transcript_id, :simulator, CAST(:judges AS text[]), :rounds, :replicates, CAST(:sample AS jsonb),
            CAST(:labels AS jsonb), CAST(:plan AS jsonb), CAST(:manifest AS jsonb), :manifest_sha256, 'queued',
            CAST(:warnings AS jsonb), nullif(CAST(:budget AS jsonb), 'null'), nullif(CAST(:prices AS jsonb), 'null'),
            :frozen_id, :request_sha256) RETURNING *""",
        **columns,
    )
    assert added is not None
    await add_event(tx, added, "run.status", "status:1:queued", {"status": "queued", "phase": None})
    return added


async def add_secret(tx: AsyncConnection, id: UUID, tenant_id: UUID, sealed: bytes) -> None:
    """A secret, encrypted before it came here."""
    await count(
        tx,
        "INSERT INTO gateway.secrets (id, tenant_id, sealed) VALUES (:id, :tenant, :sealed)",
        id=id,
        tenant=tenant_id,
        sealed=sealed,
    )


async def find_run(tx: AsyncConnection, tenant_id: UUID, id: UUID, *, lock: bool = False) -> RowMapping:
    """The run; ``NotFound`` if the tenant has none of that id."""
    found = await row(
        tx,
        f"{_RUN} WHERE r.id = :id AND r.tenant_id = :tenant" + (" FOR UPDATE OF r" if lock else ""),
        id=id,
        tenant=tenant_id,
    )
    if found is None:
        raise NotFound("run", encode("run", id))
    return found


async def require_run(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> None:
    """``NotFound`` if the tenant has no run of that id; reads nothing else of it."""
    if await row(tx, "SELECT 1 FROM gateway.runs WHERE id = :id AND tenant_id = :tenant", id=id, tenant=tenant_id):
        return
    raise NotFound("run", encode("run", id))


async def run_of_request(tx: AsyncConnection, tenant_id: UUID, sha256: str) -> RowMapping | None:
    """The newest run that was asked for like that and has not failed."""
    return await row(
        tx,
        "SELECT id FROM gateway.runs WHERE tenant_id = :tenant AND request_sha256 = :sha256 AND status <> 'failed'"
        " ORDER BY created_at DESC LIMIT 1",
        tenant=tenant_id,
        sha256=sha256,
    )


async def list_runs(
    tx: AsyncConnection,
    tenant_id: UUID,
    *,
    limit: int,
    after: tuple[Any, UUID] | None,
    status: str | None,
    suite: str | None,
    candidate: str | None,
) -> list[RowMapping]:
    """Runs in the order (created_at, id), from after the given place on."""
    return await rows(
        tx,
        f"{_RUN} WHERE r.tenant_id = :tenant"
        " AND (CAST(:status AS text) IS NULL OR r.status = :status)"
        " AND (CAST(:suite AS text) IS NULL OR :suite IN (r.suite_label, split_part(r.suite_label, '@', 1)))"
        " AND (CAST(:candidate AS text) IS NULL OR r.candidate_name = :candidate)"
        " AND (CAST(:after_time AS timestamptz) IS NULL OR (r.created_at, r.id) > (:after_time, :after_id))"
        " ORDER BY r.created_at, r.id LIMIT :limit",
        tenant=tenant_id,
        status=status,
        suite=suite,
        candidate=candidate,
        after_time=after[0] if after else None,
        after_id=after[1] if after else None,
        limit=limit,
    )


async def lock_open_run(tx: AsyncConnection, id: UUID) -> RowMapping | None:
    """The run if it is not final, locked: whoever moves it does so alone."""
    return await row(
        tx,
        f"{_RUN} WHERE r.id = :id AND r.status IN ('queued', 'running', 'cancelling') FOR UPDATE OF r",
        id=id,
    )


async def open_runs(tx: AsyncConnection) -> list[UUID]:
    """Runs that are not final."""
    found = await rows(tx, "SELECT id FROM gateway.runs WHERE status IN ('queued', 'running', 'cancelling')")
    return [run["id"] for run in found]


async def move(tx: AsyncConnection, run: RowMapping, place: Place) -> None:
    """Put the (locked) run where it stands now, and say so."""
    await count(
        tx,
        "UPDATE gateway.runs SET status = :status, phase = :phase, error = CAST(:error AS jsonb),"
        " started_at = coalesce(started_at, CASE WHEN :status = 'running' THEN now() END),"
        " finished_at = CASE WHEN :status NOT IN ('queued', 'running', 'cancelling') THEN now() END WHERE id = :id",
        id=run["id"],
        status=place.status,
        phase=place.phase,
        error=None if place.error is None else json(place.error.model_dump()),
    )
    data = {"status": place.status, "phase": place.phase, "error": place.error and place.error.model_dump()}
    if run["verdict"] is not None:
        data["verdict"] = run["verdict"]
    await add_event(tx, run, "run.status", f"status:{run['revision']}:{place.status}:{place.phase}", data)
    if place.status not in ("queued", "running", "cancelling"):
        await add_event(tx, run, "run.finished", f"finished:{run['revision']}", data)


async def reopen(tx: AsyncConnection, run: RowMapping, status: RunStatus, *, retry: bool = False) -> None:
    """Start the next revision of the run: its report will be written anew. ``retry``: what failed is tried again."""
    await count(
        tx,
        "UPDATE gateway.runs SET status = :status, phase = NULL, error = NULL, finished_at = NULL, verdict = NULL,"
        " gating_until = NULL, revision = revision + 1,"
        " retry_at = CASE WHEN :retry THEN clock_timestamp() ELSE retry_at END WHERE id = :id",
        id=run["id"],
        status=status,
        retry=retry,
    )
    await add_event(tx, run, "run.status", f"status:{run['revision'] + 1}:{status}", {"status": status, "phase": None})


async def set_budget(tx: AsyncConnection, run_id: UUID, budget: dict[str, Any] | None) -> None:
    """Another budget, or none."""
    await count(
        tx,
        "UPDATE gateway.runs SET budget = nullif(CAST(:budget AS jsonb), 'null') WHERE id = :id",
        id=run_id,
        budget=json(budget),
    )


async def enlarge(tx: AsyncConnection, run_id: UUID, **columns: Any) -> None:
    """More dialogues of the same plan."""
    await count(
        tx,
        "UPDATE gateway.runs SET sample = CAST(:sample AS jsonb), replicates = :replicates,"
        " plan = CAST(:plan AS jsonb), manifest = CAST(:manifest AS jsonb), manifest_sha256 = :sha256 WHERE id = :id",
        id=run_id,
        **columns,
    )


async def failures(tx: AsyncConnection, run_id: UUID) -> int:
    """Dialogues and verdicts, on dialogues and on batches, of the run that have failed."""
    found = await row(
        tx,
        "SELECT (SELECT count(*) FROM generator.dialogues_v1 WHERE run_id = :run AND state = 'failed')"
        " + (SELECT count(*) FROM judge.verdicts_v1 WHERE run_id = :run AND state = 'failed')"
        " + (SELECT count(*) FROM judge.diversity_verdicts_v1 WHERE run_id = :run AND state = 'failed') AS n",
        run=run_id,
    )
    return int(found["n"]) if found else 0


async def pacing(tx: AsyncConnection, run: RowMapping) -> dict[str, list[RowMapping]]:
    """How the run's endpoints were paced while it lasted, by role, oldest first."""
    found = await rows(
        tx,
        """
        SELECT * FROM (
            SELECT role, at, "limit", cause, row_number() OVER (PARTITION BY role ORDER BY id DESC) AS n FROM (
                SELECT id, split_part(endpoint, ' ', 1) AS role, at, "limit", cause FROM generator.pace_changes_v1
                WHERE tenant_id = :tenant AND endpoint = 'candidate ' || CAST(:base_url AS text)
                    OR tenant_id = CAST(:operator AS uuid) AND endpoint = 'simulator' AND :simulated
                UNION ALL
                SELECT id, endpoint, at, "limit", cause FROM judge.pace_changes_v1
                WHERE tenant_id = CAST(:operator AS uuid)
                    AND endpoint = ANY(SELECT 'judge ' || j FROM unnest(CAST(:judges AS text[])) AS j)) c
            WHERE at BETWEEN coalesce(CAST(:since AS timestamptz), now())
                AND coalesce(CAST(:until AS timestamptz), now())) newest
        WHERE n <= 100 ORDER BY role, n DESC""",
        tenant=run["tenant_id"],
        operator=UUID(int=0),
        base_url=None if run["transcript_id"] else run["candidate"].get("base_url"),
        simulated=run["simulator"] is not None and run["transcript_id"] is None,
        judges=run["judges"],
        since=run["started_at"] or run["created_at"],
        until=run["finished_at"],
    )
    roles: dict[str, list[RowMapping]] = {}
    for change in found:
        roles.setdefault(change["role"], []).append(change)
    return roles


async def delete_run(tx: AsyncConnection, run: RowMapping) -> None:
    """Remove the run and its secret; what the other services hold of it they remove when they see the note.

    ``Conflict`` while it is a baseline (whoever sets one locks the run too), and while its dialogues are judged anew in
    another run. A copy that was made of another's goes with it.
    """
    named = await rows(tx, "SELECT name FROM gateway.baselines WHERE run_id = :run ORDER BY name", run=run["id"])
    if named:
        raise BaselineInUse(encode("run", run["id"]), [found["name"] for found in named])
    again = await row(tx, "SELECT run_id FROM gateway.rejudged_runs WHERE source_id = :run LIMIT 1", run=run["id"])
    if again is not None:
        raise Conflict(f"Run {encode('run', again['run_id'])} judges this one's dialogues anew; delete it first.")
    await count(
        tx,
        "INSERT INTO gateway.deletions (run_id, tenant_id) VALUES (:run, :tenant)",
        run=run["id"],
        tenant=run["tenant_id"],
    )
    await count(tx, "DELETE FROM gateway.runs WHERE id = :run", run=run["id"])
    await count(tx, "DELETE FROM gateway.secrets WHERE id = :secret", secret=run["secret_id"])
    await count(
        tx,
        "DELETE FROM gateway.transcripts t WHERE id = :copy AND NOT EXISTS ("
        " SELECT FROM gateway.runs r WHERE t.id IN (r.transcript_id, r.frozen_id))",
        copy=run["copy_id"],
    )
    await count(
        tx,
        "DELETE FROM gateway.idempotency_keys WHERE tenant_id = :tenant AND body ->> 'id' = :id",
        tenant=run["tenant_id"],
        id=encode("run", run["id"]),
    )


async def forget_old(tx: AsyncConnection) -> None:
    """Answers kept for a repeated request go after a day, notes of deletions after a month."""
    await count(tx, "DELETE FROM gateway.idempotency_keys WHERE created_at < now() - interval '1 day'")
    await count(tx, "DELETE FROM gateway.deletions WHERE created_at < now() - interval '30 days'")


async def counts(tx: AsyncConnection, run_ids: Sequence[UUID]) -> dict[UUID, Counts]:
    """How far each run is, from the views of generator, judge and analytics."""
    found = await rows(
        tx,
        """
        SELECT r.id, d.written, d.done, d.failed, d.playing + coalesce(v.rating, 0) + b.rating AS busy,
            coalesce(v.ended, 0) AS verdicts, coalesce(v.judged, 0) AS judged, b.unrated > 0 OR NOT EXISTS (
                SELECT FROM judge.diversity_plans_v1 p WHERE p.run_id = r.id AND p.revision = r.revision) AS unrated,
            EXISTS (SELECT FROM (SELECT * FROM generator.exhausted_v1 UNION ALL SELECT * FROM judge.exhausted_v1) x
                WHERE x.run_id = r.id AND x.revision = r.revision) AS exhausted,
            EXISTS (SELECT FROM analytics.ratings_v1 t WHERE t.run_id = r.id) AS rated,
            EXISTS (SELECT FROM analytics.reports_v1 p WHERE p.run_id = r.id AND p.revision = r.revision) AS summarised
        FROM gateway.runs r
        CROSS JOIN LATERAL (
            SELECT count(*) AS written, count(*) FILTER (WHERE state = 'done') AS done,
                count(*) FILTER (WHERE state = 'failed' AND coalesce(finished_at >= r.retry_at, true)) AS failed,
                count(*) FILTER (WHERE state = 'playing') AS playing
            FROM generator.dialogues_v1 WHERE run_id = r.id) d
        CROSS JOIN LATERAL (
            SELECT sum(e.rating)::int AS rating, sum(e.ended)::int AS ended,
                count(*) FILTER (WHERE e.ended >= cardinality(r.judges)) AS judged
            FROM (
                SELECT count(*) FILTER (WHERE state = 'done'
                        OR state = 'failed' AND coalesce(finished_at >= r.retry_at, true)) AS ended,
                    count(*) FILTER (WHERE state = 'rating') AS rating
                FROM judge.verdicts_v1 WHERE run_id = r.id AND judge = ANY(r.judges) GROUP BY dialogue_id) e) v
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE state IN ('waiting', 'rating')) AS unrated,
                count(*) FILTER (WHERE state = 'rating') AS rating
            FROM judge.diversity_verdicts_v1 WHERE run_id = r.id) b
        WHERE r.id = ANY(CAST(:runs AS uuid[]))
        """,
        runs=list(run_ids),
    )
    return {r["id"]: Counts(**{name: value for name, value in r.items() if name != "id"}) for r in found}


async def usage(tx: AsyncConnection, run_ids: Sequence[UUID]) -> dict[UUID, dict[str, dict[str, int]]]:
    """Calls and tokens of each run by role."""
    found = await rows(
        tx,
        """
        SELECT run_id, 'candidate' AS role, sum(candidate_calls)::bigint AS calls,
            sum(candidate_prompt_tokens)::bigint AS prompt_tokens,
            sum(candidate_completion_tokens)::bigint AS completion_tokens
        FROM generator.dialogues_v1 WHERE run_id = ANY(CAST(:runs AS uuid[])) GROUP BY run_id
        UNION ALL
        SELECT run_id, 'simulator', sum(simulator_calls)::bigint, sum(simulator_prompt_tokens)::bigint,
            sum(simulator_completion_tokens)::bigint
        FROM generator.dialogues_v1 WHERE run_id = ANY(CAST(:runs AS uuid[])) GROUP BY run_id
        UNION ALL
        SELECT run_id, 'judge', sum(calls)::bigint, sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint
        FROM (
            SELECT run_id, calls, prompt_tokens, completion_tokens FROM judge.verdicts_v1
            UNION ALL SELECT run_id, calls, prompt_tokens, completion_tokens FROM judge.diversity_verdicts_v1) v
        WHERE run_id = ANY(CAST(:runs AS uuid[])) GROUP BY run_id
        """,
        runs=list(run_ids),
    )
    used: dict[UUID, dict[str, dict[str, int]]] = {id: {} for id in run_ids}
    for part in found:
        used[part["run_id"]][part["role"]] = {
            name: part[name] for name in ("calls", "prompt_tokens", "completion_tokens")
        }
    return used


async def reasons(tx: AsyncConnection, run_id: UUID) -> list[str]:
    """The commonest errors of the run's dialogues and verdicts, in words, with how often."""
    found = await rows(
        tx,
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
    return [f"{r['message']} ({r['n']} ×)" for r in found]


async def warn_of_failures(tx: AsyncConnection, run: RowMapping) -> None:
    """One warning for each kind of failure, when it is first seen."""
    found = await rows(
        tx,
        """
        SELECT DISTINCT ON (key) key, message FROM (
            SELECT concat_ws(':', error ->> 'code', error ->> 'reason') AS key, error ->> 'message' AS message
            FROM generator.dialogues_v1 WHERE run_id = :run AND state = 'failed'
            UNION ALL
            SELECT concat_ws(':', 'judge', judge, error ->> 'code'), 'Judge ' || judge || ': ' || (error ->> 'message')
            FROM judge.verdicts_v1 WHERE run_id = :run AND state = 'failed'
            UNION ALL
            SELECT concat_ws(':', 'diversity', judge, error ->> 'code'),
                'Judge ' || judge || ', on diversity: ' || (error ->> 'message')
            FROM judge.diversity_verdicts_v1 WHERE run_id = :run AND state = 'failed'
            UNION ALL
            SELECT 'cut', 'Some replies of the candidate ended at max_tokens, in the middle of what was said.'
            FROM generator.dialogues_v1 WHERE run_id = :run AND cut_replies > 0) e
        WHERE NOT EXISTS (SELECT FROM gateway.events v WHERE v.run_id = :run AND v.key = 'warning:' || e.key)
        """,
        run=run["id"],
    )
    for warning in found:
        await add_event(tx, run, "warning", f"warning:{warning['key']}", {"message": warning["message"]})
    if found:
        await count(
            tx,
            "UPDATE gateway.runs SET warnings = warnings || CAST(:new AS jsonb) WHERE id = :id",
            id=run["id"],
            new=json([warning["message"] for warning in found]),
        )


async def add_event(tx: AsyncConnection, run: RowMapping, type: str, key: str, data: dict[str, Any]) -> None:
    """One event of the run; the same key is the same event."""
    await count(
        tx,
        "INSERT INTO gateway.events (tenant_id, run_id, type, key, data)"
        " VALUES (:tenant, :run, :type, :key, CAST(:data AS jsonb)) ON CONFLICT (run_id, key) DO NOTHING",
        tenant=run["tenant_id"],
        run=run["id"],
        type=type,
        key=key,
        data=json(data),
    )


async def add_dialogue_events(tx: AsyncConnection, run: RowMapping) -> None:
    """``dialogue.completed`` for what ended since we last looked. Needs the run's lock, so that ids tell the order."""
    await count(
        tx,
        """
        INSERT INTO gateway.events (tenant_id, run_id, type, key, data)
        SELECT d.tenant_id, d.run_id, 'dialogue.completed', 'dialogue:' || d.id || ':' || d.state,
            jsonb_build_object('dialogue', 'dlg_' || replace(d.id::text, '-', ''), 'character', d.character,
                'scenario', d.scenario, 'replicate', d.replicate, 'state', d.state, 'error', d.error)
        FROM generator.dialogues_v1 d
        WHERE d.run_id = :run AND d.state IN ('done', 'failed') AND NOT EXISTS (
            SELECT FROM gateway.events e WHERE e.run_id = d.run_id AND e.key = 'dialogue:' || d.id || ':' || d.state)
        ORDER BY d.finished_at, d.position
        """,
        run=run["id"],
    )


async def events_after(tx: AsyncConnection, run_id: UUID, last: int) -> list[RowMapping]:
    """The run's events after the one with id ``last``."""
    return await rows(
        tx,
        "SELECT id, type, data FROM gateway.events WHERE run_id = :run AND id > :last ORDER BY id LIMIT 500",
        run=run_id,
        last=last,
    )


async def dialogues(
    tx: AsyncConnection,
    tenant_id: UUID,
    *,
    run_id: UUID | None = None,
    dialogue_id: UUID | None = None,
    after: int = -1,
    limit: int = 1,
    character: str | None = None,
    scenario: str | None = None,
    state: str | None = None,
) -> list[RowMapping]:
    """Dialogues with every rating and verdict, in the order of play from after position ``after`` on."""
    return await rows(
        tx,
        """
        SELECT d.id, d.run_id, d.position, d.character, d.scenario, d.replicate, d.state, d.turns, d.error, d.attempts,
            coalesce((SELECT jsonb_agg(jsonb_build_object('metric', t.metric, 'rater', t.rater, 'kind', t.kind,
                    'score', t.score, 'explanation', t.explanation) ORDER BY t.kind, t.rater, t.metric)
                FROM analytics.ratings_v1 t WHERE t.run_id = d.run_id AND t.dialogue_id = d.id), '[]') AS ratings,
            coalesce((SELECT jsonb_agg(jsonb_build_object('judge', v.judge, 'state', v.state,
                    'error', v.error ->> 'message', 'raw', v.raw) ORDER BY v.judge)
                FROM judge.verdicts_v1 v WHERE v.run_id = d.run_id AND v.dialogue_id = d.id), '[]') AS verdicts
        FROM generator.dialogues_v1 d JOIN gateway.runs r ON r.id = d.run_id
        WHERE d.tenant_id = :tenant AND d.position > :after
            AND (CAST(:run AS uuid) IS NULL OR d.run_id = :run)
            AND (CAST(:dialogue AS uuid) IS NULL OR d.id = :dialogue)
            AND (CAST(:character AS text) IS NULL OR d.character = :character)
            AND (CAST(:scenario AS text) IS NULL OR d.scenario = :scenario)
            AND (CAST(:state AS text) IS NULL OR d.state = :state)
        ORDER BY d.position LIMIT :limit
        """,
        tenant=tenant_id,
        run=run_id,
        dialogue=dialogue_id,
        after=after,
        limit=limit,
        character=character,
        scenario=scenario,
        state=state,
    )


async def batches(tx: AsyncConnection, run_id: UUID, *, after: tuple[str, int] | None, limit: int) -> list[RowMapping]:
    """The run's batches with every verdict, by character and number, from after the given place on."""
    return await rows(
        tx,
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


_RUN = (
    "SELECT r.*, s.sha256 AS suite_sha256, j.source_id, j.copy_id"
    " FROM gateway.runs r JOIN gateway.suites s ON s.id = r.suite_id"
    " LEFT JOIN gateway.rejudged_runs j ON j.run_id = r.id"
)
