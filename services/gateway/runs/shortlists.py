"""A shortlist: a panel's run over each of many candidates, and the best of them as in the paper's Table 4."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import (
    OPEN,
    Candidate,
    Report,
    RunRequest,
    RunStatus,
    Shortlist,
    ShortlistLinks,
    ShortlistRequest,
    ShortlistRow,
    TranscriptCandidate,
)
from esrp.errors import EsrpError, InvalidInput, NotFound
from esrp.metrics import DIMENSIONS, METRIC_IDS
from esrp.paper_tables import published
from services.gateway.resources import Resources
from services.gateway.runs import store
from services.gateway.runs.found import find as find_named
from services.gateway.runs.plan import Order, order
from services.gateway.upstream import Peers
from services.kit.db import count, many, one
from services.kit.ids import encode, uuid7

AT_ONCE = 4  # reports asked of the analytics service


@dataclass(frozen=True, slots=True)
class StoredShortlist:
    """What was asked for."""

    id: UUID
    tenant_id: UUID
    name: str | None
    suite_label: str
    judges: Sequence[str]
    keep: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RunOfList:
    """The run over one of its candidates."""

    id: UUID
    tenant_id: UUID
    status: RunStatus
    candidate_name: str
    dialogues: int


# --- asking for one ---------------------------------------------------------------------------------------------------


async def add(
    tx: AsyncConnection, resources: Resources, tenant_id: UUID, body: ShortlistRequest
) -> tuple[StoredShortlist, list[UUID]]:
    """Keep the shortlist and start its runs; returns both. ``InvalidInput`` names whose candidate is wrong."""
    orders = [await _ordered(tx, resources, tenant_id, body, *entry) for entry in _entries(body)]
    added = await one(
        tx,
        StoredShortlist,
        "INSERT INTO gateway.shortlists (id, tenant_id, name, suite_label, judges, keep)"
        f" VALUES (:id, :tenant, :name, :suite, CAST(:judges AS text[]), :keep) RETURNING {_COLUMNS}",
        id=uuid7(),
        tenant=tenant_id,
        name=body.name,
        suite=orders[0].found.suite.label,
        judges=body.judges,
        keep=body.keep,
    )
    assert added is not None
    started = [(await store.start(tx, resources.keys, tenant_id, order)).id for order in orders]
    await count(
        tx,
        "INSERT INTO gateway.shortlist_runs (shortlist_id, position, tenant_id, run_id)"
        " SELECT :id, x.n, :tenant, x.run FROM unnest(CAST(:runs AS uuid[])) WITH ORDINALITY AS x(run, n)",
        id=added.id,
        tenant=tenant_id,
        runs=started,
    )
    return added, started


def _entries(body: ShortlistRequest) -> Iterator[tuple[str, Candidate]]:
    """Each candidate with the place in the body that it stands at."""
    for place, candidate in enumerate(body.candidates):
        yield f"/candidates/{place}", candidate
    for place, transcript in enumerate(body.transcripts):
        yield f"/transcripts/{place}", TranscriptCandidate(kind="transcript", transcript=transcript)


async def _ordered(
    tx: AsyncConnection,
    resources: Resources,
    tenant_id: UUID,
    body: ShortlistRequest,
    pointer: str,
    candidate: Candidate,
) -> Order:
    shared = body.model_dump(include={"suite", "judges", "name", "simulator", "rounds", "labels"})
    request = RunRequest.model_validate(
        {**shared, "candidate": candidate, "sample": body.sample, "budget": body.budget, "prices": body.prices}
    )
    try:
        return order(await find_named(tx, resources.settings, tenant_id, request))
    except InvalidInput as error:
        if any(fault.pointer.startswith("/candidate") for fault in error.errors):
            raise InvalidInput.at(pointer, error.errors[0].message) from error
        raise


# --- reading it -------------------------------------------------------------------------------------------------------


async def find(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> StoredShortlist:
    """The shortlist; ``NotFound`` if the tenant has none of that id."""
    sql = f"SELECT {_COLUMNS} FROM gateway.shortlists WHERE id = :id AND tenant_id = :tenant"
    found = await one(tx, StoredShortlist, sql, id=id, tenant=tenant_id)
    if found is None:
        raise NotFound("shortlist", encode("shl", id))
    return found


async def runs(tx: AsyncConnection, shortlist: StoredShortlist) -> list[RunOfList]:
    """Its runs, in the order in which they were asked for; a run that was deleted is not among them."""
    return await many(
        tx,
        RunOfList,
        "SELECT r.id, r.tenant_id, r.status, r.candidate_name, (r.plan ->> 'dialogues')::int AS dialogues"
        " FROM gateway.shortlist_runs s JOIN gateway.runs r ON r.id = s.run_id"
        " WHERE s.shortlist_id = :id ORDER BY s.position",
        id=shortlist.id,
    )


async def read(peers: Peers, shortlist: StoredShortlist, found: Sequence[RunOfList]) -> Shortlist:
    """With what the panel says of each candidate whose run has ended; it is decided once all have."""
    seats = asyncio.Semaphore(AT_ONCE)

    async def report(run: RunOfList) -> Report | None:
        if run.status in OPEN:
            return None
        async with seats:
            return await _report(peers, run)

    reports = await asyncio.gather(*map(report, found))
    candidates = [_row(run, made) for run, made in zip(found, reports, strict=True)]
    finished = all(run.status not in OPEN for run in found)
    id = encode("shl", shortlist.id)
    return Shortlist(
        id=id,
        name=shortlist.name,
        status="finished" if finished else "running",
        suite=shortlist.suite_label,
        judges=list(shortlist.judges),
        keep=shortlist.keep,
        created_at=shortlist.created_at,
        rows=ranked(candidates, shortlist.keep) if finished else _sorted(candidates),
        published=published(shortlist.suite_label, "judge"),
        links=ShortlistLinks(self=f"/v1/shortlists/{id}"),
    )


def ranked(candidates: Sequence[ShortlistRow], keep: int) -> list[ShortlistRow]:
    """In descending order, the first ``keep`` kept. Equals share a place and stand as they were asked for.

    Who has no score comes last, without a place, and is not kept.
    """
    scores = [found.overall for found in candidates if found.overall is not None]
    ordered = []
    for number, found in enumerate(_sorted(candidates)):
        place = None if found.overall is None else 1 + sum(score > found.overall for score in scores)
        ordered.append(found.model_copy(update={"place": place, "kept": place is not None and number < keep}))
    return ordered


def _sorted(candidates: Sequence[ShortlistRow]) -> list[ShortlistRow]:
    return sorted(candidates, key=lambda found: (found.overall is None, -(found.overall or 0)))


async def _report(peers: Peers, run: RunOfList) -> Report | None:
    query = {"tenant": str(run.tenant_id), "raters": "judge", "format": "json"}
    try:
        answer = await peers.call("analytics", "GET", f"/internal/runs/{run.id}/report", query=query)
    except EsrpError as error:
        if error.status == 404:
            return None
        raise
    return Report.model_validate_json(answer.body)


def _row(run: RunOfList, report: Report | None) -> ShortlistRow:
    return ShortlistRow(
        place=None,
        kept=None,
        candidate=run.candidate_name,
        run=encode("run", run.id),
        status=run.status,
        overall=report and report.overall.mean,
        dimensions={name: report and report.dimensions[name].mean for name in DIMENSIONS},
        metrics={id: report and report.metrics[id].mean for id in METRIC_IDS},
        ci=report and report.overall.ci.suite,
        scored=report.coverage.scored if report else 0,
        dialogues=run.dialogues,
    )


_COLUMNS = "id, tenant_id, name, suite_label, judges, keep, created_at"
