"""Other judges over the dialogues that a run has played: a run of its own that asks no candidate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import RecordedDialogue, RejudgeRequest
from esrp.errors import Conflict
from esrp.suite import Suite
from services.gateway.http.parsing import recorded
from services.gateway.resources import Resources
from services.gateway.runs import change, store
from services.gateway.runs.plan import Order, Recorded, rejudged
from services.gateway.suites import transcripts
from services.kit.db import count, json, row, rows
from services.kit.ids import decode, encode, uuid7


async def rejudge(tx: AsyncConnection, resources: Resources, source: RowMapping, body: RejudgeRequest) -> RowMapping:
    """The new run over what the (locked, final) source has played, queued.

    ``InvalidInput`` names a judge that is not there; ``Conflict`` if nothing was played.
    """
    suite = await _suite(tx, source)
    document = Suite.model_validate(suite["document"])
    dialogues = await _played(tx, source)
    if not dialogues:
        raise Conflict(f"Run {encode('run', source['id'])} has no dialogues: there is nothing to judge.")
    placed = _order(resources, source, document, body, dialogues)
    copy_id = None if source["transcript_id"] else await _copied(tx, source, suite, dialogues)
    return await _add(tx, source, body, placed, copy_id)


def _order(
    resources: Resources,
    source: RowMapping,
    suite: Suite,
    body: RejudgeRequest,
    dialogues: Sequence[RecordedDialogue],
) -> Order:
    replies: Counter[str] = Counter()
    for dialogue in dialogues:
        replies[dialogue.character] += sum(bool(turn.assistant.strip()) for turn in dialogue.turns)
    recorded = Recorded(len(dialogues), list(replies.values()), source["candidate_name"])
    request = change.request_of(source).model_copy(
        update={"judges": body.judges, "diversity": True, "budget": body.budget, "prices": body.prices}
    )
    placed = rejudged(request, suite, resources.settings, source, recorded)
    lacking = source["plan"]["dialogues"] - len(dialogues)
    told = [f"Other judges rate the dialogues of {encode('run', source['id'])}; its candidate is not asked again."]
    if lacking > 0:
        told.append(f"{lacking} of that run's {source['plan']['dialogues']} dialogues were not played to the end.")
    return replace(placed, warnings=[*told, *placed.warnings])


async def _played(tx: AsyncConnection, source: RowMapping) -> list[RecordedDialogue]:
    found = await rows(
        tx,
        "SELECT character, scenario, replicate, turns FROM generator.dialogues_v1"
        " WHERE run_id = :run AND state = 'done' ORDER BY position",
        run=source["id"],
    )
    return [RecordedDialogue.model_validate(dict(dialogue)) for dialogue in found]


async def _copied(
    tx: AsyncConnection, source: RowMapping, suite: RowMapping, dialogues: Sequence[RecordedDialogue]
) -> UUID:
    """A transcript of the dialogues; the one that is there if they were rejudged before."""
    name = f"dialogues of {encode('run', source['id'])}"
    made = await transcripts.add(tx, source["tenant_id"], name, suite, recorded(dialogues))
    return decode("trn", made.id)


async def _add(
    tx: AsyncConnection, source: RowMapping, body: RejudgeRequest, placed: Order, copy_id: UUID | None
) -> RowMapping:
    run = await store.add_run(
        tx,
        id=uuid7(),
        tenant_id=source["tenant_id"],
        name=body.name if body.name is not None else source["name"],
        suite_id=source["suite_id"],
        suite_label=source["suite_label"],
        candidate=json(source["candidate"]),
        candidate_name=source["candidate_name"],
        secret_id=None,
        transcript_id=copy_id or source["transcript_id"],
        simulator=source["simulator"],
        judges=body.judges,
        rounds=source["rounds"],
        replicates=source["replicates"],
        sample=json(source["sample"]),
        budget=json(body.budget.model_dump() if body.budget else None),
        prices=json(body.prices.model_dump() if body.prices else None),
        frozen_id=source["frozen_id"],
        request_sha256=None,
        labels=json(body.labels),
        plan=json(placed.plan.model_dump()),
        manifest=json(placed.manifest),
        manifest_sha256=placed.sha256,
        warnings=json(placed.warnings),
    )
    await count(
        tx,
        "INSERT INTO gateway.rejudged_runs (run_id, tenant_id, source_id, copy_id)"
        " VALUES (:run, :tenant, :source, :copy)",
        run=run["id"],
        tenant=source["tenant_id"],
        source=source["id"],
        copy=copy_id,
    )
    return run


async def _suite(tx: AsyncConnection, source: RowMapping) -> RowMapping:
    found = await row(
        tx, "SELECT id, name, version, document FROM gateway.suites WHERE id = :id", id=source["suite_id"]
    )
    assert found is not None
    return found
