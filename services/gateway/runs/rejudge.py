"""Other judges over the dialogues that a run has played: a run of its own that asks no candidate."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import RecordedDialogue, RejudgeRequest
from esrp.errors import Conflict, WrongState
from services.gateway.runs import change, store
from services.gateway.runs.found import Found, judges_named
from services.gateway.runs.plan import Order, Recorded, dumped, rejudged
from services.gateway.runs.rows import NewRun, StoredRun
from services.gateway.suites import suites, transcripts
from services.gateway.suites.parsing import recorded
from services.gateway.suites.suites import WholeSuite
from services.kit.db import count, many
from services.kit.ids import decode, encode, uuid7
from services.kit.settings import Settings


@dataclass(frozen=True, slots=True)
class _Played:
    character: str
    scenario: str | None
    replicate: int
    turns: Sequence[Mapping[str, Any]]


async def rejudge(tx: AsyncConnection, settings: Settings, source: StoredRun, body: RejudgeRequest) -> StoredRun:
    """The new run over what the (locked) source has played, queued.

    ``InvalidInput`` names a judge that is not there; ``WrongState`` if the source has not ended, ``Conflict`` if
    nothing was played.
    """
    if source.is_open:
        raise WrongState(encode("run", source.id), source.status, "final")
    suite = await suites.of(tx, source.suite_id)
    dialogues = await _played(tx, source)
    if not dialogues:
        raise Conflict(f"Run {encode('run', source.id)} has no dialogues: there is nothing to judge.")
    placed = _order(_found(settings, source, suite, body), source, dialogues)
    copy_id = None if source.transcript_id else await _copied(tx, source, suite, dialogues)
    return await _add(tx, source, body, placed, copy_id)


def _found(settings: Settings, source: StoredRun, suite: WholeSuite, body: RejudgeRequest) -> Found:
    """What the source's request names, with the judges that are asked for."""
    request = change.request_of(source).model_copy(
        update={"judges": body.judges, "diversity": True, "budget": body.budget, "prices": body.prices}
    )
    return Found(request, suite, judges_named(body.judges, settings))


def _order(found: Found, source: StoredRun, dialogues: Sequence[RecordedDialogue]) -> Order:
    replies: Counter[str] = Counter()
    for dialogue in dialogues:
        replies[dialogue.character] += sum(bool(turn.assistant.strip()) for turn in dialogue.turns)
    placed = rejudged(found, source, Recorded(len(dialogues), list(replies.values()), source.candidate_name))
    lacking = source.dialogues - len(dialogues)
    told = [f"Other judges rate the dialogues of {encode('run', source.id)}; its candidate is not asked again."]
    if lacking > 0:
        told.append(f"{lacking} of that run's {source.dialogues} dialogues were not played to the end.")
    return replace(placed, warnings=[*told, *placed.warnings])


async def _played(tx: AsyncConnection, source: StoredRun) -> list[RecordedDialogue]:
    found = await many(
        tx,
        _Played,
        "SELECT character, scenario, replicate, turns FROM generator.dialogues_v1"
        " WHERE run_id = :run AND state = 'done' ORDER BY position",
        run=source.id,
    )
    return [RecordedDialogue.model_validate(asdict(dialogue)) for dialogue in found]


async def _copied(
    tx: AsyncConnection, source: StoredRun, suite: WholeSuite, dialogues: Sequence[RecordedDialogue]
) -> UUID:
    """A transcript of the dialogues; the one that is there if they were rejudged before."""
    name = f"dialogues of {encode('run', source.id)}"
    made = await transcripts.add(tx, source.tenant_id, name, suite, recorded(dialogues))
    return decode("trn", made.id)


async def _add(
    tx: AsyncConnection, source: StoredRun, body: RejudgeRequest, placed: Order, copy_id: UUID | None
) -> StoredRun:
    new = NewRun(
        id=uuid7(),
        tenant_id=source.tenant_id,
        name=body.name if body.name is not None else source.name,
        suite_id=source.suite_id,
        suite_label=source.suite_label,
        candidate=source.candidate,
        candidate_name=source.candidate_name,
        secret_id=None,
        transcript_id=copy_id or source.transcript_id,
        frozen_id=source.frozen_id,
        simulator=source.simulator,
        judges=body.judges,
        rounds=source.rounds,
        replicates=source.replicates,
        sample=source.sample,
        budget=dumped(body.budget),
        prices=dumped(body.prices),
        labels=body.labels,
        plan=placed.plan.model_dump(),
        manifest=placed.manifest,
        manifest_sha256=placed.sha256,
        warnings=placed.warnings,
    )
    run = await store.add_run(tx, new)
    await count(
        tx,
        "INSERT INTO gateway.rejudged_runs (run_id, tenant_id, source_id, copy_id)"
        " VALUES (:run, :tenant, :source, :copy)",
        run=run.id,
        tenant=source.tenant_id,
        source=source.id,
        copy=copy_id,
    )
    return await store.find_run(tx, run.tenant_id, run.id)  # with its source
