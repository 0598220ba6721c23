"""The queries of judged diversity: batches of a run's replies, made as the replies come, claimed and saved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.canonical import digest
from esrp.diversity import BATCH, Batch, Reply, batches
from services.judge.diversity import BatchVerdict
from services.judge.store import ATTEMPTS, LEFT_BY_A_CALL, STATE_AFTER, shown
from services.kit.db import count, json, many, row, rows
from services.work import claims
from services.work.claims import chosen, free, goes_on, saved
from services.work.published import PlayedRun, Run, played_run

TO_COME = "to come"  # this very string, in the place of a reply


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """A judge's verdict on a batch that is ours to give until the lease ends."""

    id: UUID
    judge: str
    character: str
    batch: int
    replies: Sequence[str]


@dataclass(frozen=True, slots=True)
class GivenBatch:
    """A verdict to be saved."""

    id: UUID
    verdict: BatchVerdict


def judges_of(run: Run) -> list[str]:
    """The run's judges that rate diversity: those of kind chat, whose entries in its manifest go by name.

    None for a run of before diversity was rated: its manifest does not know of it.
    """
    manifest = run.manifest
    if not manifest.get("diversity"):
        return []
    return [name for name, entry in zip(sorted(run.judges), manifest["judges"], strict=True) if entry["kind"] == "chat"]


async def expect(tx: AsyncConnection, run_id: UUID) -> None:
    """Write down what the run's judges shall rate: what is known already, and all of it once the run is played.

    A batch is known early if its replies are there and those before it are there or may still come. One of them that
    never comes moves the others up: other replies make another verdict, and the old one is outdated. What is there and
    still the same replies stays.
    """
    await rows(tx, "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"diversity:{run_id}")
    run = await played_run(tx, run_id)
    if run is None:
        return
    is_played = await row(tx, f"SELECT r.id FROM gateway.runs_v1 r WHERE r.id = :run AND {_UNPLANNED}", run=run_id)
    if is_played is None and not await is_due(tx, run):
        return
    played, replies = await _replies(tx, run)
    wanted = list(_wanted(run, [b for b in batches(replies) if not any(text is TO_COME for text in b.texts)]))
    await _write(tx, run, wanted)
    if is_played is not None:
        await _settle(tx, run, [id for id, _, _ in wanted])
    await count(
        tx,
        "INSERT INTO judge.diversity_plans AS p (run_id, tenant_id, revision, played)"
        " VALUES (:run, :tenant, :revision, :played) ON CONFLICT (run_id) DO UPDATE SET played = excluded.played,"
        " revision = greatest(p.revision, excluded.revision)",
        run=run_id,
        tenant=run.tenant_id,
        revision=run.revision if is_played is not None else None,
        played=played,
    )


async def is_due(tx: AsyncConnection, run: Run) -> bool:
    """Whether enough was played since the batches of a run under way were made that more of them may be known."""
    if not judges_of(run):
        return False
    sql = """
        SELECT d.played FROM (SELECT sum(written)::bigint AS written, sum(done)::bigint AS played
            FROM generator.tallies_v1 WHERE run_id = :run) d
        LEFT JOIN judge.diversity_plans p ON p.run_id = :run
        WHERE d.written >= :dialogues AND d.played >= coalesce(p.played, 0) + greatest(:least, d.written / 16)
            AND p.revision IS DISTINCT FROM :revision"""
    values = {"dialogues": run.dialogues, "revision": run.revision, "least": BATCH}
    return await row(tx, sql, run=run.id, **values) is not None


async def claim(tx: AsyncConnection, run_id: UUID, judge: str, slice_id: UUID, wanted: int) -> list[ClaimedBatch]:
    """Lease up to ``wanted`` verdicts of an open run that the judge may give now."""
    return await many(
        tx,
        ClaimedBatch,
        f"""
        {chosen("judge.diversity_verdicts", "v", "v.run_id = :run", "v.judge = :judge", _FREE, goes_on(":run"))}
        UPDATE judge.diversity_verdicts v SET state = 'rating', slice_id = :slice FROM free WHERE v.id = free.id
        RETURNING v.id, v.judge, v.character, v.batch, v.replies
        """,
        run=run_id,
        judge=judge,
        slice=slice_id,
        wanted=wanted,
    )


async def save(tx: AsyncConnection, slice_id: UUID, given: Sequence[GivenBatch]) -> list[bool]:
    """Write all of them in one statement, fenced by the lease; says of each whether it was still ours."""
    verdicts = [g.verdict for g in given]
    return await saved(
        tx,
        _SAVE,
        slice_id,
        [g.id for g in given],
        scores=[v.score and v.score.score for v in verdicts],
        explanations=[v.score and v.score.explanation for v in verdicts],
        raws=[v.raw for v in verdicts],
        errors=[None if v.error is None else json(shown(v.error)) for v in verdicts],
        retryable=[v.error is not None and v.error.retryable for v in verdicts],
        stopped=[v.stopped for v in verdicts],
        attempts=ATTEMPTS,
        calls=[v.usage.calls for v in verdicts],
        prompt_tokens=[v.usage.prompt_tokens for v in verdicts],
        completion_tokens=[v.usage.completion_tokens for v in verdicts],
    )


async def is_left(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether batches of the run wait for somebody."""
    sql = f"SELECT v.id FROM judge.diversity_verdicts v WHERE v.run_id = :run AND {_FREE} LIMIT 1"
    return await row(tx, sql, run=run_id) is not None


async def unrated_runs(tx: AsyncConnection) -> list[UUID]:
    """Open runs that are played and whose batches are still to be made, or to be rated and nobody is about to."""
    found = await rows(
        tx,
        f"""
        SELECT r.id FROM gateway.runs_v1 r WHERE r.status IN ('queued', 'running') AND ({_UNPLANNED}
            OR EXISTS (SELECT FROM judge.diversity_verdicts v WHERE v.run_id = r.id AND {_FREE}))
        """,
    )
    return [r["id"] for r in found]


async def free_abandoned(tx: AsyncConnection) -> None:
    """Give back what dead leases hold; what is outdated is given by nobody any more."""
    waiting = "CASE WHEN t.outdated THEN 'outdated' ELSE 'waiting' END"
    await claims.free_abandoned(tx, "judge.diversity_verdicts", "rating", waiting=waiting)


Wanted = tuple[UUID, str, Batch]  # a verdict's id, its judge, the batch


def _wanted(run: Run, made: Sequence[Batch]) -> Iterator[Wanted]:
    for batch in made:
        replies = digest(list(batch.texts))
        for judge in judges_of(run):
            words = ("diversity", batch.character, str(batch.number), judge, replies)
            yield uuid5(run.id, "\x1f".join(words)), judge, batch


async def _replies(tx: AsyncConnection, run: PlayedRun) -> tuple[int, list[Reply]]:
    """How many dialogues were played, and what the candidate said in them; ``TO_COME`` for what it may still say.

    Own logs stand after the suite's scenarios.
    """
    scenarios = run.suite.scenarios
    places = {scenario.id: place for place, scenario in enumerate(scenarios)}
    found = await rows(
        tx,
        "SELECT character, scenario, replicate, position, state, jsonb_path_query_array(turns, '$[*].assistant')"
        " AS replies FROM generator.dialogues_v1 WHERE run_id = :run AND state <> 'failed'",
        run=run.id,
    )
    rounds = run.rounds
    replies = [
        Reply(d["character"], places.get(d["scenario"], len(places) + d["position"]), round_, text, d["replicate"])
        for d in found
        for round_, text in enumerate(d["replies"] if d["state"] == "done" else [TO_COME] * rounds, start=1)
    ]
    return sum(d["state"] == "done" for d in found), replies


async def _settle(tx: AsyncConnection, run: Run, wanted: Sequence[UUID]) -> None:
    """What is not wanted is outdated, and what failed before the run was told to try again waits again."""
    await count(
        tx,
        "WITH gone AS (SELECT v.id FROM judge.diversity_verdicts v WHERE v.run_id = :run AND NOT v.outdated"
        f" AND v.id <> ALL(CAST(:ids AS uuid[])) {_IN_ORDER})"
        " UPDATE judge.diversity_verdicts v SET outdated = true,"
        " state = CASE WHEN v.state = 'rating' THEN v.state ELSE 'outdated' END FROM gone WHERE v.id = gone.id",
        run=run.id,
        ids=wanted,
    )
    await count(
        tx,
        "UPDATE judge.diversity_verdicts SET state = 'waiting', attempts = 0, not_before = NULL, finished_at = NULL"
        " WHERE run_id = :run AND state = 'failed' AND finished_at < CAST(:at AS timestamptz)",
        run=run.id,
        at=run.retry_at,
    )


async def _write(tx: AsyncConnection, run: Run, wanted: Sequence[Wanted]) -> None:
    await count(
        tx,
        """
        INSERT INTO judge.diversity_verdicts AS v (id, tenant_id, run_id, character, batch, judge, replies, state)
        SELECT x.id, :tenant, :run, x.character, x.batch, x.judge, CAST(x.replies AS jsonb), 'waiting'
        FROM unnest(CAST(:ids AS uuid[]), CAST(:characters AS text[]), CAST(:batches AS integer[]),
            CAST(:judges AS text[]), CAST(:replies AS text[])) AS x(id, character, batch, judge, replies)
        WHERE NOT EXISTS (SELECT FROM judge.diversity_verdicts t WHERE t.id = x.id AND NOT t.outdated)
        ORDER BY x.id
        ON CONFLICT (id) DO UPDATE SET outdated = false,
            state = CASE WHEN v.state = 'outdated' THEN 'waiting' ELSE v.state END WHERE v.outdated
        """,
        tenant=run.tenant_id,
        run=run.id,
        ids=[id for id, _, _ in wanted],
        characters=[batch.character for _, _, batch in wanted],
        batches=[batch.number for _, _, batch in wanted],
        judges=[judge for _, judge, _ in wanted],
        replies=[json(batch.texts) for _, _, batch in wanted],
    )


# Who changes several rows that others may change too locks them first, all in one order, or two wait for each other.
_IN_ORDER = "ORDER BY v.id FOR UPDATE"

# Of what is outdated and at work nobody takes over anything.
_FREE = f"(NOT v.outdated AND {free('judge', 'v', 'rating')})"

# Every dialogue has ended, at least one was played, and the batches of this revision were not made yet.
_UNPLANNED = """cardinality(r.judges) > 0
    AND EXISTS (SELECT FROM generator.tallies_v1 t WHERE t.run_id = r.id HAVING sum(t.done) > 0
        AND sum(t.done + t.failed) - (SELECT count(*) FROM generator.dialogues_v1 d WHERE d.run_id = r.id
            AND d.state = 'failed' AND d.finished_at < r.retry_at) >= (r.plan ->> 'dialogues')::int)
    AND NOT EXISTS (SELECT FROM judge.diversity_plans p WHERE p.run_id = r.id AND p.revision = r.revision)"""

_SAVE = f"""
    WITH ours AS (
        SELECT v.id FROM judge.diversity_verdicts v
        WHERE v.id = ANY(CAST(:ids AS uuid[])) AND v.slice_id = :slice AND v.state = 'rating' {_IN_ORDER})
    UPDATE judge.diversity_verdicts v SET
        state = CASE WHEN v.outdated THEN 'outdated' {STATE_AFTER},
        score = x.score,
        explanation = x.explanation,
        {LEFT_BY_A_CALL}
    FROM unnest(CAST(:ids AS uuid[]), CAST(:scores AS smallint[]), CAST(:explanations AS text[]),
        CAST(:raws AS text[]), CAST(:errors AS text[]), CAST(:retryable AS boolean[]), CAST(:stopped AS boolean[]),
        CAST(:calls AS integer[]), CAST(:prompt_tokens AS bigint[]), CAST(:completion_tokens AS bigint[]))
        AS x(id, score, explanation, raw, error, retryable, stopped, calls, prompt_tokens, completion_tokens)
    JOIN ours ON ours.id = x.id
    WHERE v.id = x.id
    RETURNING v.id"""
