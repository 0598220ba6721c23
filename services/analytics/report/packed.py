"""A run's ratings as arrays, kept in one row until they change: bytes to the event loop, ratings where they are needed.

Whoever reads them first after a change gets them row by row, has them packed in a process aside, and keeps that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from esrp.api import RaterKind
from esrp.metrics import METRIC_IDS
from services.analytics.imports.imported import COUNTS
from services.analytics.report import packing
from services.analytics.report.packing import Document, Unpacked
from services.kit.aside import Do
from services.kit.bulk import Rows, copied
from services.kit.db import count, rows


@dataclass(frozen=True, slots=True)
class Packed:
    """All ratings of a run that count, after so many ``changes``: as a document, or as rows that are to be packed.

    ``judged``: the service's own judges rate the run, which says what counts of what was imported.
    """

    run_id: UUID
    changes: int
    judged: bool
    document: Document | None = None
    rows: Rows = field(default_factory=Rows)
    sampling: Rows = field(default_factory=Rows)

    @property
    def kinds(self) -> Sequence[RaterKind]:
        """Who rated, as a document says."""
        return self.document.kinds if self.document else ()

    def unpacked(self) -> Unpacked:
        """The ratings; some ms for 100,000."""
        return packing.unpack(self.document or packing.pack(self.rows, self.sampling))


async def packed(tx: AsyncConnection, run_id: UUID) -> Packed:
    """The run's ratings as they are now."""
    [found] = await kept(tx, [run_id])
    return found if found.document else await with_rows(tx, found)


async def kept(tx: AsyncConnection, run_ids: Sequence[UUID]) -> list[Packed]:
    """The ratings of each run, without any where nobody has packed them."""
    found = {of["id"]: of for of in await rows(tx, _KEPT, runs=list(run_ids))}
    return [_kept(found[run_id]) if run_id in found else Packed(run_id, 0, judged=False) for run_id in run_ids]


async def with_rows(tx: AsyncConnection, of: Packed) -> Packed:
    """With its ratings, which are of the state that ``of`` was read in or of a later one, which says so."""
    return replace(of, rows=await _rows(tx, of.run_id), sampling=await _sampling(tx, of.run_id))


async def documented(engine: AsyncEngine, do: Do, read: Packed) -> Packed:
    """The same as a document, made of its rows in the process ``do`` and kept for who comes next."""
    if read.document is not None:
        return read
    document = await do(packing.pack, read.rows, read.sampling)
    if read.changes:  # nothing says when the ratings of a run change that never had any
        async with engine.begin() as tx:
            await _keep(tx, read, document)
    return replace(read, document=document, rows=Rows(), sampling=Rows())


def _kept(found: RowMapping) -> Packed:
    of = Packed(found["id"], found["changes"], found["judged"])
    if found["document"] is None:
        return of
    return replace(of, document=Document(found["document"], found["sha256"], found["kinds"]))


async def _rows(tx: AsyncConnection, run_id: UUID) -> Rows:
    """As ``packing.Row``: one number for the nine scores takes half of the time that nine numbers take."""
    digits = " ".join(f"WHEN '{metric}' THEN {10**place}" for place, metric in enumerate(METRIC_IDS))
    whose = "t.dialogue_id, t.character, t.scenario, t.rater, t.kind"
    return await copied(
        tx,
        f"SELECT json_build_array({whose}, sum(t.score * CASE t.metric {digits} END))"
        " FROM analytics.ratings t JOIN gateway.runs_v1 r ON r.id = t.run_id"
        f" WHERE t.run_id = '{run_id}' AND {COUNTS} GROUP BY {whose}",
    )


async def _sampling(tx: AsyncConnection, run_id: UUID) -> Rows:
    """Each dialogue whose human ratings belong to a random sample, and who says so: ``random`` or ``drawn``."""
    return await copied(
        tx,
        "SELECT json_build_array(dialogue_id, min(sampling)) FROM analytics.ratings"
        f" WHERE run_id = '{run_id}' AND kind = 'human' AND sampling IS NOT NULL GROUP BY dialogue_id",
    )


async def _keep(tx: AsyncConnection, read: Packed, document: Document) -> None:
    """In place of an older one; nothing of a run that is gone."""
    await count(
        tx,
        "INSERT INTO analytics.packed AS p (run_id, tenant_id, changes, judged, kinds, document, sha256)"
        " SELECT id, tenant_id, :changes, :judged, CAST(:kinds AS text[]), :document, :sha256"
        " FROM gateway.runs_v1 WHERE id = :run ON CONFLICT (run_id) DO UPDATE SET changes = excluded.changes,"
        " judged = excluded.judged, kinds = excluded.kinds, document = excluded.document, sha256 = excluded.sha256"
        " WHERE p.changes <= excluded.changes",
        run=read.run_id,
        changes=read.changes,
        judged=read.judged,
        kinds=list(document.kinds),
        document=document.content,
        sha256=document.sha256,
    )


_KEPT = """
    SELECT r.id, coalesce(a.changes, 0) AS changes, r.judges <> '{}' AS judged, p.document, p.sha256, p.kinds
    FROM gateway.runs_v1 r LEFT JOIN analytics.rated a ON a.run_id = r.id
    LEFT JOIN analytics.packed p ON p.run_id = r.id AND p.changes = a.changes AND p.judged = (r.judges <> '{}')
    WHERE r.id = ANY(CAST(:runs AS uuid[]))
"""
