"""What was imported into a run, by whom and when: kept with the ratings, shown with all that rests on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import ImportedRatings, RaterKind, Report, Sampling
from esrp.imported import LISTED, ImportTotals, sentences
from services.kit.db import many, row
from services.kit.ids import encode

Unit: TypeAlias = Literal["dialogue", "batch"]

# Of `analytics.ratings t` or `diversity_ratings t` and `gateway.runs_v1 r`: where judges of the service rate a run, no
# import speaks in their place or beside them. A run without judges is rated by what is imported.
COUNTS = "(t.kind = 'human' OR t.import_id IS NULL OR r.judges = '{}')"


class Import(NamedTuple):
    """One import, and the API key that it came with."""

    id: UUID
    key_id: UUID
    key_name: str


@dataclass(frozen=True, slots=True)
class Imports:
    """What was imported into a run: the newest, oldest of them first, and how much in all."""

    newest: Sequence[ImportedRatings]
    totals: ImportTotals


@dataclass(frozen=True, slots=True)
class _Imported:
    """A row of ``analytics.imports``: what one import brought of one rater."""

    rater: str
    kind: RaterKind
    unit: Unit
    rows: int
    replaced: int
    sampling: Sampling | None
    key_id: UUID | None
    key_name: str | None
    at: datetime

    def out(self) -> ImportedRatings:
        """As clients see it."""
        return ImportedRatings(
            rater=self.rater,
            kind=self.kind,
            unit=self.unit,
            rows=self.rows,
            replaced=self.replaced,
            sampling=self.sampling,
            at=self.at,
            by=None if self.key_id is None else encode("key", self.key_id),
            by_name=self.key_name,
        )


# --- keeping ----------------------------------------------------------------------------------------------------------


def kept(unit: Unit) -> str:
    """SQL after a CTE ``stored`` (run_id, rater, kind, replaced): keep the import; ``stored`` rows of each run."""
    return f""", kept AS (
            INSERT INTO analytics.imports (run_id, import_id, tenant_id, unit, rater, kind, rows, replaced, sampling,
                key_id, key_name)
            SELECT run_id, :import, :tenant, '{unit}', rater, kind, count(*), count(*) FILTER (WHERE replaced),
                CAST(:sampling AS text), :key, :key_name
            FROM stored GROUP BY run_id, rater, kind RETURNING run_id, rows)
        SELECT run_id, sum(rows)::int AS stored FROM kept GROUP BY run_id"""


def values(given: Import, tenant_id: UUID, sampling: str | None) -> dict[str, Any]:
    """What ``kept`` needs."""
    ours = {"import": given.id, "key": given.key_id, "key_name": given.key_name}
    return {**ours, "tenant": tenant_id, "sampling": sampling}


# After a CTE `declared` (run_id, rater, kind): keep that the import said of ratings that were there how their dialogues
# had been chosen; their runs. Where it stored ratings too, that is said with them.
DECLARED = """, kept AS (
            INSERT INTO analytics.imports (run_id, import_id, tenant_id, unit, rater, kind, rows, sampling, key_id,
                key_name)
            SELECT DISTINCT run_id, CAST(:import AS uuid), CAST(:tenant AS uuid), 'dialogue', rater, kind, 0,
                CAST(:sampling AS text), CAST(:key AS uuid), CAST(:key_name AS text) FROM declared
            ON CONFLICT (run_id, import_id, rater, kind) DO NOTHING)
        SELECT DISTINCT run_id FROM declared"""


# --- reading ----------------------------------------------------------------------------------------------------------


async def of_run(tx: AsyncConnection, run_id: UUID, *, judged: bool) -> Imports:
    """What was imported into the run; where it is ``judged`` here, no import speaks for a judge."""
    total = await row(
        tx,
        """
        SELECT count(*) AS times, coalesce(sum(rows) FILTER (WHERE kind = 'human'), 0)::int AS human,
            coalesce(sum(rows) FILTER (WHERE kind = 'judge'), 0)::int AS judge,
            coalesce(sum(replaced), 0)::int AS replaced, count(sampling) AS sampled
        FROM analytics.imports WHERE run_id = :run
        """,
        run=run_id,
    )
    assert total is not None
    newest = await _newest(tx, run_id) if total["times"] else []
    return Imports(newest, ImportTotals(**total, left_out=judged and total["judge"] > 0))


async def _newest(tx: AsyncConnection, run_id: UUID) -> list[ImportedRatings]:
    found = await many(
        tx,
        _Imported,
        "SELECT rater, kind, unit, rows, replaced, sampling, key_id, key_name, at FROM analytics.imports"
        " WHERE run_id = :run ORDER BY at DESC, import_id DESC, rater DESC, kind DESC LIMIT :listed",
        run=run_id,
        listed=LISTED,
    )
    return [one.out() for one in reversed(found)]


# --- saying -----------------------------------------------------------------------------------------------------------


def with_imports(report: Report, found: Imports) -> Report:
    """The report with what was imported: no part of what is stored or hashed, so that equal ratings hash alike."""
    if not found.totals.times:
        return report
    limits = [*report.limits, *sentences(found.totals, "of this run")]
    return report.model_copy(update={"imported": list(found.newest), "limits": limits})


def warnings(ours: Imports, theirs: Imports | None) -> Iterator[str]:
    """For a verdict: a code and how much."""
    for code, found in (("imported_ratings", ours), ("baseline_imported_ratings", theirs)):
        if found is not None and found.totals.times:
            total = found.totals
            yield f"{code}: human {total.human}, judge {total.judge}, replaced {total.replaced}"
