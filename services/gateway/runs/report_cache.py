"""Stored reports as they were answered last, for whoever asks again before anything in them has changed."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeAlias
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from esrp.api import FINAL
from services.gateway.upstream import Forwarded
from services.kit.db import fetch

KEPT = 128  # answers; a report has some 40 KB
Stamp: TypeAlias = tuple[object, ...]


class Shelf:
    """The newest answers by what was asked for, each with the stamp of what it was made of."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, tuple[Stamp, Forwarded]] = OrderedDict()

    def find(self, asked: Hashable, stamp: Stamp | None) -> Forwarded | None:
        """The answer, if nothing has changed since."""
        kept = self._answers.get(asked)
        if stamp is None or kept is None or kept[0] != stamp:
            return None
        self._answers.move_to_end(asked)
        return kept[1]

    def put(self, asked: Hashable, stamp: Stamp | None, answer: Forwarded) -> None:
        """Keep it in place of an older one; what has no stamp may change at any time."""
        if stamp is None:
            return
        self._answers[asked] = stamp, answer
        self._answers.move_to_end(asked)
        if len(self._answers) > KEPT:
            self._answers.popitem(last=False)


async def stamp(engine: AsyncEngine, tenant_id: UUID, run_id: UUID) -> Stamp | None:
    """What changes whenever the run's stored report, its agreement or its judges' cards do.

    ``None`` where no report is stored, or the run is not the tenant's.
    """
    found = await fetch(engine, STAMP, run_id, tenant_id, list(FINAL))
    return None if found is None else tuple(found.values())


STAMP = """
    SELECT r.status, r.revision, p.sha256, p.created_at,
        (SELECT max(a.created_at) FROM analytics.agreements_v1 a WHERE a.run_id = r.id),
        (SELECT (count(*), max(m.measured_at))::text FROM analytics.judge_measures_v1 m WHERE m.tenant_id = $2),
        (SELECT (count(*), max(c.measured_at))::text FROM judge.cards_v1 c)
    FROM gateway.runs r JOIN analytics.reports_v1 p ON p.run_id = r.id AND p.revision = r.revision
    WHERE r.id = $1 AND r.tenant_id = $2 AND r.status = ANY($3)
"""
