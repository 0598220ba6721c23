"""Transcripts: recorded dialogues that are judged as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import TranscriptOut
from esrp.errors import Conflict, Fault, InvalidInput, NotFound
from services.gateway.suites.parsing import Line, Recorded
from services.gateway.suites.suites import WholeSuite
from services.kit.db import count, many, one, row
from services.kit.ids import decode, encode, uuid7

FAULTS = 100  # how many are told at once


@dataclass(frozen=True, slots=True)
class StoredTranscript:
    """A transcript as it is stored, without its dialogues."""

    id: UUID
    name: str
    suite_id: UUID
    sha256: str
    dialogues: int


@dataclass(frozen=True, slots=True)
class Replies:
    """How many replies a recorded dialogue has that say something."""

    character: str
    scenario: str | None
    replies: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the user says in a recorded dialogue, turn by turn."""

    character: str
    scenario: str | None
    turns: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Kept:
    id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Shown(_Kept):
    name: str
    suite: str
    dialogues: int


async def add(tx: AsyncConnection, tenant_id: UUID, name: str, suite: WholeSuite, recorded: Recorded) -> TranscriptOut:
    """Keep the transcript; the same content under the same name is the one that is there."""
    check(suite, recorded.lines)
    found = await _same(tx, tenant_id, name, suite, recorded.sha256)
    if found is None:
        found = await _insert(tx, tenant_id, name, suite, recorded)
    return TranscriptOut(
        id=encode("trn", found.id),
        name=name,
        suite=suite.label,
        dialogues=len(recorded.lines),
        created_at=found.created_at,
    )


def check(suite: WholeSuite, dialogues: Sequence[Line]) -> None:
    """Every character and scenario is the suite's, and no dialogue is there twice; else ``InvalidInput``."""
    characters, scenarios = ({item["id"] for item in suite.document[of]} for of in ("characters", "scenarios"))
    seen: set[tuple[str, str, int]] = set()
    faults = []
    for place, dialogue in enumerate(dialogues):
        if dialogue.character not in characters:
            faults.append(Fault(f"/dialogues/{place}/character", f"{dialogue.character!r} is not in {suite.name}"))
        if dialogue.scenario is None:
            continue
        if dialogue.scenario not in scenarios:
            faults.append(Fault(f"/dialogues/{place}/scenario", f"{dialogue.scenario!r} is not in {suite.name}"))
        key = (dialogue.character, dialogue.scenario, dialogue.replicate)
        if key in seen:
            faults.append(Fault(f"/dialogues/{place}", "the same character, scenario and replicate as one before"))
        seen.add(key)
    if faults:
        raise InvalidInput(
            f"{len(faults)} of the dialogues' fields are wrong; nothing was stored.", errors=faults[:FAULTS]
        )


async def find(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> StoredTranscript:
    """The transcript; ``NotFound`` if the tenant has none of that id."""
    found = await one(
        tx,
        StoredTranscript,
        "SELECT id, name, suite_id, sha256, dialogues FROM gateway.transcripts WHERE id = :id AND tenant_id = :tenant",
        id=id,
        tenant=tenant_id,
    )
    if found is None:
        raise NotFound("transcript", encode("trn", id))
    return found


async def named(tx: AsyncConnection, tenant_id: UUID, id: str, suite: WholeSuite, pointer: str) -> StoredTranscript:
    """The transcript over the suite that a body names; what is not there is wrong input (422)."""
    try:
        found = await find(tx, tenant_id, decode("trn", id))
    except NotFound as error:
        raise InvalidInput.at(pointer, error.detail) from error
    if found.suite_id != suite.id:
        raise InvalidInput.at(pointer, f"this transcript was recorded over another suite than {suite.label}")
    return found


async def replies(tx: AsyncConnection, id: UUID) -> list[Replies]:
    """How many replies each of its dialogues has."""
    return await many(
        tx,
        Replies,
        r"""
        SELECT character, scenario, (
            SELECT count(*) FROM jsonb_array_elements(turns) t WHERE t ->> 'assistant' ~ '\S') AS replies
        FROM gateway.transcript_dialogues WHERE transcript_id = :id
        """,
        id=id,
    )


async def spoken(tx: AsyncConnection, id: UUID) -> dict[tuple[str, str | None], Sequence[str]]:
    """What the user says in it, by character and scenario; of replicates the first."""
    found = await many(
        tx,
        Spoken,
        "SELECT DISTINCT ON (character, scenario) character, scenario,"
        " jsonb_path_query_array(turns, '$[*].user') AS turns FROM gateway.transcript_dialogues"
        " WHERE transcript_id = :id ORDER BY character, scenario, replicate, position",
        id=id,
    )
    return {(one.character, one.scenario): one.turns for one in found}


async def read(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> TranscriptOut:
    """The transcript as clients see it."""
    found = await one(
        tx,
        _Shown,
        "SELECT t.id, t.name, t.dialogues, t.created_at, s.name || '@' || s.version AS suite"
        " FROM gateway.transcripts t JOIN gateway.suites s ON s.id = t.suite_id"
        " WHERE t.id = :id AND t.tenant_id = :tenant",
        id=id,
        tenant=tenant_id,
    )
    if found is None:
        raise NotFound("transcript", encode("trn", id))
    return TranscriptOut(
        id=encode("trn", id),
        name=found.name,
        suite=found.suite,
        dialogues=found.dialogues,
        created_at=found.created_at,
    )


async def delete(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> None:
    """Remove it; ``Conflict`` while a run is over it."""
    await find(tx, tenant_id, id)
    if run := await row(tx, "SELECT id FROM gateway.runs WHERE :id IN (transcript_id, frozen_id) LIMIT 1", id=id):
        raise Conflict(f"Run {encode('run', run['id'])} is over this transcript; delete it first.")
    await count(tx, "DELETE FROM gateway.transcripts WHERE id = :id", id=id)


async def _same(tx: AsyncConnection, tenant_id: UUID, name: str, suite: WholeSuite, sha256: str) -> _Kept | None:
    return await one(
        tx,
        _Kept,
        "SELECT id, created_at FROM gateway.transcripts"
        " WHERE tenant_id = :tenant AND name = :name AND suite_id = :suite AND sha256 = :sha256 ORDER BY id LIMIT 1",
        tenant=tenant_id,
        name=name,
        suite=suite.id,
        sha256=sha256,
    )


async def _insert(
    tx: AsyncConnection,
    tenant_id: UUID,
    name: str,
    suite: WholeSuite,
    recorded: Recorded,
) -> _Kept:
    added = await one(
        tx,
        _Kept,
        "INSERT INTO gateway.transcripts (id, tenant_id, name, suite_id, sha256, dialogues)"
        " VALUES (:id, :tenant, :name, :suite, :sha256, :dialogues) RETURNING id, created_at",
        id=uuid7(),
        tenant=tenant_id,
        name=name,
        suite=suite.id,
        sha256=recorded.sha256,
        dialogues=len(recorded.lines),
    )
    assert added is not None
    await count(
        tx,
        "INSERT INTO gateway.transcript_dialogues"
        " (tenant_id, transcript_id, position, character, scenario, replicate, turns)"
        " SELECT :tenant, :transcript, x.n - 1, x.character, x.scenario, x.replicate, CAST(x.turns AS jsonb)"
        " FROM unnest(CAST(:characters AS text[]), CAST(:scenarios AS text[]), CAST(:replicates AS integer[]),"
        " CAST(:turns AS text[])) WITH ORDINALITY AS x(character, scenario, replicate, turns, n)",
        tenant=tenant_id,
        transcript=added.id,
        characters=[line.character for line in recorded.lines],
        scenarios=[line.scenario for line in recorded.lines],
        replicates=[line.replicate for line in recorded.lines],
        turns=[line.turns for line in recorded.lines],
    )
    return added
