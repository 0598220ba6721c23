"""The generator's queries on scenario drafts: written down once, claimed under a lease, saved answer by answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.grid import Cell, Slot
from esrp.metrics import Language
from esrp.similarity import Likeness
from services.generator.writing import Draft
from services.kit.db import count, json, many, one, row, rows
from services.kit.endpoint import Usage
from services.work import claims
from services.work.claims import chosen, free, saved
from services.work.published import columns

RAW = 20_000  # characters of a raw reply that are kept
NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class ScenarioSet:
    """A row of ``gateway.scenario_sets_v1``: a set that was asked for."""

    id: UUID
    tenant_id: UUID
    language: Language
    grid: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A draft that is to be compared with the others."""

    id: UUID
    event: str
    question: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A draft that is ours until the lease ends; ``asked`` answers were of no use so far."""

    id: UUID
    position: int
    persona: str
    emotion: str
    location: str
    number: int
    asked: int

    @property
    def slot(self) -> Slot:
        """Its place in the grid."""
        return Slot(
            self.position, Cell(persona=self.persona, emotion=self.emotion, location=self.location), self.number
        )


@dataclass(frozen=True, slots=True)
class Save:
    """What to write of a draft: an answer (``asks`` 1) or none, and the state that it leaves the draft in."""

    id: UUID
    state: str
    asks: int = 0
    usage: Usage = NOTHING
    draft: Draft | None = None
    writer: dict[str, Any] | None = None
    raw: str | None = None
    error: dict[str, str] | None = None


async def find_set(tx: AsyncConnection, set_id: UUID) -> ScenarioSet | None:
    """The scenario set as the gateway publishes it."""
    sql = f"SELECT {columns(ScenarioSet)} FROM gateway.scenario_sets_v1 WHERE id = :id"
    return await one(tx, ScenarioSet, sql, id=set_id)


async def add(tx: AsyncConnection, set_: ScenarioSet, slots: Sequence[Slot]) -> int:
    """Write down what waits to be written; what is there already stays. Returns how many are new."""
    return await count(
        tx,
        "INSERT INTO generator.scenario_drafts"
        " (id, tenant_id, set_id, position, persona, emotion, location, number, state)"
        " SELECT x.id, :tenant, :set, x.position, x.persona, x.emotion, x.location, x.number, 'waiting'"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:positions AS integer[]), CAST(:personas AS text[]),"
        " CAST(:emotions AS text[]), CAST(:locations AS text[]), CAST(:numbers AS integer[]))"
        " AS x(id, position, persona, emotion, location, number) ON CONFLICT DO NOTHING",
        tenant=set_.tenant_id,
        set=set_.id,
        ids=[draft_id(set_.id, slot) for slot in slots],
        positions=[slot.position for slot in slots],
        personas=[slot.cell.persona for slot in slots],
        emotions=[slot.cell.emotion for slot in slots],
        locations=[slot.cell.location for slot in slots],
        numbers=[slot.number for slot in slots],
    )


def draft_id(set_id: UUID, slot: Slot) -> UUID:
    """The id of a set's draft."""
    cell = slot.cell
    return uuid5(set_id, "\x1f".join((cell.persona, cell.emotion, cell.location, str(slot.number))))


async def claim(tx: AsyncConnection, set_id: UUID, slice_id: UUID, wanted: int) -> list[Claimed]:
    """Lease up to ``wanted`` drafts."""
    return await many(
        tx,
        Claimed,
        f"""
        {chosen("generator.scenario_drafts", "d", "d.set_id = :set", _FREE, order="position")}
        UPDATE generator.scenario_drafts d SET state = 'writing', slice_id = :slice FROM free WHERE d.id = free.id
        RETURNING d.id, d.position, d.persona, d.emotion, d.location, d.number, d.attempts AS asked
        """,
        set=set_id,
        slice=slice_id,
        wanted=wanted,
    )


async def save(tx: AsyncConnection, slice_id: UUID, saves: Sequence[Save]) -> list[bool]:
    """Write all of them in one statement, fenced by the lease; says of each whether it was still ours.

    Two saves of one draft never meet in a batch: the next ask waits for the save of the last.
    """
    return await saved(
        tx,
        _SAVE,
        slice_id,
        [s.id for s in saves],
        states=[s.state for s in saves],
        events=[s.draft and s.draft.event for s in saves],
        questions=[s.draft and s.draft.question for s in saves],
        writers=[None if s.writer is None else json(s.writer) for s in saves],
        raws=[s.raw and s.raw[:RAW] for s in saves],
        errors=[None if s.error is None else json(s.error) for s in saves],
        asks=[s.asks for s in saves],
        calls=[s.usage.calls for s in saves],
        prompt_tokens=[s.usage.prompt_tokens for s in saves],
        completion_tokens=[s.usage.completion_tokens for s in saves],
    )


async def fail_waiting(tx: AsyncConnection, set_id: UUID, error: dict[str, str]) -> None:
    """What waits of the set has failed, with that error."""
    await count(
        tx,
        "UPDATE generator.scenario_drafts SET state = 'failed', error = CAST(:error AS jsonb), finished_at = now()"
        " WHERE set_id = :set AND state = 'waiting'",
        set=set_id,
        error=json(error),
    )


async def is_left(tx: AsyncConnection, set_id: UUID) -> bool:
    """Whether drafts of the set wait for somebody."""
    sql = f"SELECT d.id FROM generator.scenario_drafts d WHERE d.set_id = :set AND {_FREE} LIMIT 1"
    return await row(tx, sql, set=set_id) is not None


async def free_abandoned(tx: AsyncConnection) -> None:
    """Give back what dead leases hold."""
    await claims.free_abandoned(tx, "generator.scenario_drafts", "writing")


async def open_sets(tx: AsyncConnection) -> list[UUID]:
    """Sets that want something of us: not written down yet, with drafts that wait, or all written and not compared."""
    found = await rows(
        tx,
        """
        SELECT s.id FROM gateway.scenario_sets_v1 s
        WHERE NOT EXISTS (SELECT FROM generator.scenario_drafts d WHERE d.set_id = s.id)
        UNION
        SELECT d.set_id FROM generator.scenario_drafts d
        WHERE d.state IN ('waiting', 'writing') OR d.state = 'written' AND d.similarity IS NULL
        GROUP BY d.set_id HAVING bool_or(d.state = 'waiting') OR bool_and(d.state = 'written')
        """,
    )
    return [set_["id"] for set_ in found]


async def uncompared(tx: AsyncConnection, set_id: UUID) -> list[Written]:
    """All that was written of the set, in order, if nothing more is coming and it was not compared; else nothing."""
    await rows(tx, "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"compare scenarios:{set_id}")
    return await many(
        tx,
        Written,
        """
        SELECT id, event, question FROM generator.scenario_drafts d
        WHERE set_id = :set AND state = 'written'
            AND EXISTS (SELECT FROM generator.scenario_drafts o
                WHERE o.set_id = :set AND o.state = 'written' AND o.similarity IS NULL)
            AND NOT EXISTS (SELECT FROM generator.scenario_drafts o
                WHERE o.set_id = :set AND o.state IN ('waiting', 'writing'))
        ORDER BY position
        """,
        set=set_id,
    )


async def compare(tx: AsyncConnection, ids: Sequence[UUID], found: Sequence[Likeness]) -> None:
    """Keep how much each draft is like an earlier one, and like which."""
    await count(
        tx,
        "UPDATE generator.scenario_drafts d SET near_duplicate_of = x.of, similarity = x.similarity"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:ofs AS uuid[]), CAST(:similarities AS double precision[]))"
        " AS x(id, of, similarity) WHERE d.id = x.id",
        ids=list(ids),
        ofs=[None if one.of is None else ids[one.of] for one in found],
        similarities=[one.similarity for one in found],
    )


_FREE = free("generator", "d", "writing", paused=False)


_SAVE = """
    UPDATE generator.scenario_drafts d SET
        state = x.state,
        event = x.event,
        question = x.question,
        writer = CAST(x.writer AS jsonb),
        raw = CASE WHEN x.state <> 'written' THEN coalesce(x.raw, d.raw) END,
        error = CAST(x.error AS jsonb),
        slice_id = CASE WHEN x.state = 'writing' THEN d.slice_id END,
        finished_at = CASE WHEN x.state IN ('written', 'failed') THEN now() END,
        attempts = d.attempts + x.asks,
        calls = d.calls + x.calls,
        prompt_tokens = d.prompt_tokens + x.prompt_tokens,
        completion_tokens = d.completion_tokens + x.completion_tokens
    FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:events AS text[]),
        CAST(:questions AS text[]), CAST(:writers AS text[]), CAST(:raws AS text[]), CAST(:errors AS text[]),
        CAST(:asks AS integer[]), CAST(:calls AS integer[]), CAST(:prompt_tokens AS bigint[]),
        CAST(:completion_tokens AS bigint[]))
        AS x(id, state, event, question, writer, raw, error, asks, calls, prompt_tokens,
            completion_tokens)
    WHERE d.id = x.id AND d.slice_id = :slice AND d.state = 'writing'
    RETURNING d.id"""
