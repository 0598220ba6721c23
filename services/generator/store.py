"""The generator's queries: dialogues, written down once, claimed under a lease, saved turn by turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.generator.roleplay import OpenTurn
from services.kit.db import count, json, many, row, rows
from services.kit.endpoint import Usage
from services.work import claims
from services.work.claims import chosen, free, goes_on, saved
from services.work.published import PlayedRun

NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Planned:
    """A dialogue to be played: its id and its place in the order of play."""

    id: UUID
    position: int
    character: str
    scenario: str | None
    replicate: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """A dialogue of a transcript, without its turns."""

    position: int
    character: str
    scenario: str | None
    replicate: int


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that goes on: whether all its dialogues are written down, and whether some may be played now."""

    id: UUID
    planned: bool
    free: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A dialogue that is ours until the lease ends, with the turns that it has."""

    id: UUID
    character: str
    scenario: str
    replicate: int
    turns: tuple[OpenTurn, ...]
    attempts: int


@dataclass(frozen=True, slots=True)
class Save:
    """What to write of a dialogue: an answer more, its end, or both. ``turns`` ``None`` leaves them as they are.

    ``cut``: the answer ended at its limit of tokens. ``tried``: the ``error`` counts as an attempt. ``pause``: seconds
    before a dialogue that waits is played on.
    """

    id: UUID
    state: str
    turns: tuple[OpenTurn, ...] | None = None
    role: str | None = None
    usage: Usage = NOTHING
    error: dict[str, str] | None = None
    cut: bool = False
    tried: bool = False
    pause: float = 0


async def sealed_key(tx: AsyncConnection, secret_id: UUID) -> bytes | None:
    """The candidate's encrypted key."""
    found = await row(tx, "SELECT sealed FROM gateway.secrets_v1 WHERE id = :id", id=secret_id)
    return found["sealed"] if found else None


async def add_dialogues(tx: AsyncConnection, run: PlayedRun, planned: Sequence[Planned]) -> int:
    """Write down what waits to be played; what is there already stays. Returns how many are new."""
    return await count(
        tx,
        "INSERT INTO generator.dialogues (id, tenant_id, run_id, position, character, scenario, replicate, state)"
        " SELECT x.id, :tenant, :run, x.position, x.character, x.scenario, x.replicate, 'waiting'"
        f" FROM {_PLANNED} ON CONFLICT (id) DO NOTHING",
        **_columns(run, planned),
    )


async def add_recorded(tx: AsyncConnection, run: PlayedRun, planned: Sequence[Planned], at: Sequence[int]) -> int:
    """Take over a transcript's dialogues, played already; ``at`` are their positions in the transcript."""
    return await count(
        tx,
        "INSERT INTO generator.dialogues"
        " (id, tenant_id, run_id, position, character, scenario, replicate, state, turns, finished_at)"
        " SELECT x.id, :tenant, :run, x.position, x.character, x.scenario, x.replicate, 'done', t.turns, now()"
        f" FROM {_PLANNED} JOIN unnest(CAST(:at AS integer[])) WITH ORDINALITY AS a(position, n) ON a.n = x.n"
        " JOIN gateway.transcript_dialogues_v1 t ON t.transcript_id = :transcript AND t.position = a.position"
        " ON CONFLICT (id) DO NOTHING",
        at=list(at),
        transcript=run.transcript_id,
        **_columns(run, planned),
    )


async def recorded(tx: AsyncConnection, transcript_id: UUID) -> list[Recorded]:
    """What a transcript holds, without the turns."""
    return await many(
        tx,
        Recorded,
        "SELECT position, character, scenario, replicate FROM gateway.transcript_dialogues_v1"
        " WHERE transcript_id = :transcript ORDER BY position",
        transcript=transcript_id,
    )


async def said(tx: AsyncConnection, transcript_id: UUID) -> dict[tuple[str, str | None], list[str]]:
    """What the user said in a transcript's dialogues, by character and scenario; of replicates the first."""
    found = await rows(
        tx,
        "SELECT character, scenario, turns FROM gateway.transcript_dialogues_v1 WHERE transcript_id = :transcript"
        " ORDER BY replicate DESC, position DESC",
        transcript=transcript_id,
    )
    return {(d["character"], d["scenario"]): [turn["user"] for turn in d["turns"]] for d in found}


async def retry_failed(tx: AsyncConnection, run: PlayedRun) -> None:
    """What had failed when a retry was asked for waits again, from its last answer on."""
    await count(
        tx,
        "UPDATE generator.dialogues SET state = 'waiting', attempts = 0, not_before = NULL, finished_at = NULL"
        " WHERE run_id = :run AND state = 'failed' AND finished_at < CAST(:at AS timestamptz)",
        run=run.id,
        at=run.retry_at,
    )


async def claim(tx: AsyncConnection, run_id: UUID, slice_id: UUID, wanted: int) -> list[Claimed]:
    """Lease up to ``wanted`` dialogues of an open run that may be played now."""
    claimed = await rows(
        tx,
        f"""
        {chosen("generator.dialogues", "d", "d.run_id = :run", _FREE, goes_on(":run"), order="position")}
        UPDATE generator.dialogues d SET state = 'playing', slice_id = :slice FROM free WHERE d.id = free.id
        RETURNING d.id, d.character, d.scenario, d.replicate, d.turns, d.attempts
        """,
        run=run_id,
        wanted=wanted,
        slice=slice_id,
    )
    return [Claimed(**{**r, "turns": tuple(OpenTurn(**turn) for turn in r["turns"])}) for r in claimed]


async def save(tx: AsyncConnection, slice_id: UUID, saves: Sequence[Save]) -> list[bool]:
    """Write all of them in one statement, fenced by the lease; says of each whether it was still ours.

    Two saves of one dialogue never meet in a batch: the next call waits for the save of the last.
    """
    return await saved(
        tx,
        _SAVE,
        slice_id,
        [s.id for s in saves],
        states=[s.state for s in saves],
        turns=[None if s.turns is None else json([_turn(turn) for turn in s.turns]) for s in saves],
        roles=[s.role or "" for s in saves],
        calls=[s.usage.calls for s in saves],
        prompt_tokens=[s.usage.prompt_tokens for s in saves],
        completion_tokens=[s.usage.completion_tokens for s in saves],
        errors=[None if s.error is None else json(s.error) for s in saves],
        cuts=[s.cut for s in saves],
        tried=[s.tried for s in saves],
        pauses=[s.pause for s in saves],
    )


async def fail_waiting(tx: AsyncConnection, run_id: UUID, error: dict[str, str]) -> None:
    """What waits of the run has failed, with that error."""
    await count(
        tx,
        "UPDATE generator.dialogues SET state = 'failed', error = CAST(:error AS jsonb), finished_at = now()"
        " WHERE run_id = :run AND state = 'waiting'",
        run=run_id,
        error=json(error),
    )


async def is_left(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether dialogues of the run wait for somebody."""
    sql = f"SELECT d.id FROM generator.dialogues d WHERE d.run_id = :run AND {_FREE} LIMIT 1"
    return await row(tx, sql, run=run_id) is not None


async def open_runs(tx: AsyncConnection) -> list[OpenRun]:
    """Runs that may want something of us."""
    return await many(
        tx,
        OpenRun,
        f"""
        SELECT r.id,
            (r.plan ->> 'dialogues')::int <= (SELECT coalesce(sum(t.written), 0) FROM generator.tallies t
                WHERE t.run_id = r.id)
            AND NOT EXISTS (SELECT FROM generator.dialogues d
                WHERE d.run_id = r.id AND d.state = 'failed' AND d.finished_at < r.retry_at) AS planned,
            EXISTS (SELECT FROM generator.dialogues d WHERE d.run_id = r.id AND {_FREE}) AS free
        FROM gateway.runs_v1 r WHERE r.status IN ('queued', 'running')
        """,
    )


async def free_abandoned(tx: AsyncConnection) -> None:
    """Give back what dead leases hold."""
    await claims.free_abandoned(tx, "generator.dialogues", "playing")
    await claims.forget_leases(tx, "generator")


OF_A_RUN = ("generator.dialogues", "generator.tallies")
_FREE = free("generator", "d", "playing")
_PLANNED = (
    "unnest(CAST(:ids AS uuid[]), CAST(:positions AS integer[]), CAST(:characters AS text[]),"
    " CAST(:scenarios AS text[]), CAST(:replicates AS integer[]))"
    " WITH ORDINALITY AS x(id, position, character, scenario, replicate, n)"
)


def _columns(run: PlayedRun, planned: Sequence[Planned]) -> dict[str, Any]:
    return {
        "tenant": run.tenant_id,
        "run": run.id,
        "ids": [p.id for p in planned],
        "positions": [p.position for p in planned],
        "characters": [p.character for p in planned],
        "scenarios": [p.scenario for p in planned],
        "replicates": [p.replicate for p in planned],
    }


def _turn(turn: OpenTurn) -> dict[str, str | None]:
    return {"user": turn.user, "assistant": turn.assistant}


_SAVE = """
    UPDATE generator.dialogues d SET
        state = x.state,
        turns = coalesce(CAST(x.turns AS jsonb), d.turns),
        error = CASE WHEN x.error IS NOT NULL THEN CAST(x.error AS jsonb) WHEN x.state = 'waiting' THEN d.error END,
        attempts = CASE WHEN x.turns IS NULL THEN d.attempts + x.tried::int ELSE 0 END,
        not_before = CASE WHEN x.pause > 0 THEN now() + make_interval(secs => x.pause) END,
        cut_replies = d.cut_replies + x.cut::int,
        slice_id = CASE WHEN x.state = 'playing' THEN d.slice_id END,
        finished_at = CASE WHEN x.state IN ('done', 'failed') THEN now() END,
        candidate_calls = d.candidate_calls + x.calls * (x.role = 'candidate')::int,
        candidate_prompt_tokens = d.candidate_prompt_tokens + x.prompt_tokens * (x.role = 'candidate')::int,
        candidate_completion_tokens =
            d.candidate_completion_tokens + x.completion_tokens * (x.role = 'candidate')::int,
        simulator_calls = d.simulator_calls + x.calls * (x.role = 'simulator')::int,
        simulator_prompt_tokens = d.simulator_prompt_tokens + x.prompt_tokens * (x.role = 'simulator')::int,
        simulator_completion_tokens =
            d.simulator_completion_tokens + x.completion_tokens * (x.role = 'simulator')::int
    FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:turns AS text[]),
        CAST(:roles AS text[]), CAST(:calls AS integer[]), CAST(:prompt_tokens AS bigint[]),
        CAST(:completion_tokens AS bigint[]), CAST(:errors AS text[]), CAST(:cuts AS boolean[]),
        CAST(:tried AS boolean[]), CAST(:pauses AS double precision[]))
        AS x(id, state, turns, role, calls, prompt_tokens, completion_tokens, error, cut, tried, pause)
    WHERE d.id = x.id AND d.slice_id = :slice AND d.state = 'playing'
    RETURNING d.id"""
