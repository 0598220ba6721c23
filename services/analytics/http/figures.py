"""What the gateway asks over HTTP for figures: breakdowns, series, comparisons and leaderboards."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Choice, Comparison, Coverage, GroupBy, RaterKind, Report, Series, SeriesPoint
from esrp.errors import NotFound
from esrp.render import tables
from esrp.render.leaderboard import markdown
from esrp.stats import Rating
from services.analytics import store
from services.analytics.exports import TYPES, whole
from services.analytics.figures.breakdown import Asked, breakdown, kind_of
from services.analytics.figures.compare import Side, compare
from services.analytics.figures.leaderboard import Chosen, Entry, chosen, leaderboard
from services.analytics.http.api import Res
from services.analytics.report import kept
from services.analytics.resources import Resources
from services.analytics.store import Fields
from services.kit.ids import decode, encode

LOOKED_AT = 1000  # runs of a suite, the newest, among which a leaderboard finds its candidates

router = APIRouter(prefix="/internal")


class Pair(BaseModel):
    """Two runs to compare, as their names on the wire."""

    candidate: str
    baseline: str
    raters: Choice = "auto"


@router.get("/runs/{run_id}/metrics")
async def read_metrics(
    run_id: UUID,
    group_by: GroupBy,
    resources: Res,
    tenant: UUID,
    raters: Asked = "auto",
    format: Literal["json", "csv", "parquet"] = "json",
) -> Response:
    """The run's scores by group."""
    async with resources.engine.begin() as tx:
        run = await _run(tx, run_id, tenant)
        rows = await kept.ratings(tx, run_id)
        scenarios = await store.scenarios(tx, run["suite_id"])
    found = await asyncio.to_thread(breakdown, run, rows, scenarios, group_by, raters)
    if format == "json":
        return _json(found)
    return Response(whole(tables.metrics_rows(found), tables.METRICS, format), media_type=TYPES[format])


@router.get("/series")
async def read_series(
    resources: Res,
    tenant: UUID,
    candidate: str | None = None,
    suite: str | None = None,
    judge: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    format: Literal["json", "csv", "parquet"] = "json",
) -> Response:
    """Each metric with its intervals, run by run: the newest finished runs, the oldest of them first."""
    async with resources.engine.begin() as tx:
        runs = await store.finished(tx, tenant, suite=suite, candidate=candidate, judge=judge, most=limit)
    points = [await _point(resources, tenant, run) for run in reversed(runs)]
    found = Series(data=[point for point in points if point is not None])
    if format == "json":
        return _json(found)
    return Response(whole(tables.series_rows(found), tables.SERIES, format), media_type=TYPES[format])


@router.post("/comparisons")
async def compare_runs(pair: Annotated[Pair, Body()], resources: Res, tenant: UUID) -> Comparison:
    """Paired differences, or 409 with what makes the runs not comparable."""
    async with resources.engine.begin() as tx:
        candidate = await _side(tx, pair.candidate, tenant)
        baseline = await _side(tx, pair.baseline, tenant)
    return await asyncio.to_thread(compare, candidate, baseline, pair.raters)


@router.get("/leaderboard")
async def read_leaderboard(
    suite: str,
    resources: Res,
    tenant: UUID,
    raters: Asked = "auto",
    reference: str | None = None,
    format: Literal["json", "md", "csv", "parquet"] = "json",
) -> Response:
    """The suite's candidates, best first."""
    async with resources.engine.begin() as tx:
        runs = await store.finished(tx, tenant, suite=suite, most=LOOKED_AT)
    picked = chosen(runs)
    kind, entries = await _entries(resources, tenant, picked, raters)
    found = await asyncio.to_thread(leaderboard, suite, entries, picked.others, kind, reference)
    if format == "json":
        return _json(found)
    if format == "md":
        return Response(markdown(found), media_type="text/markdown")
    return Response(whole(tables.leaderboard_rows(found), tables.LEADERBOARD, format), media_type=TYPES[format])


# --- reading ----------------------------------------------------------------------------------------------------------


async def _run(tx: AsyncConnection, run_id: UUID, tenant: UUID) -> Fields:
    run = await store.run(tx, run_id, tenant)
    if run is None:
        raise NotFound("run", encode("run", run_id))
    return run


async def _side(tx: AsyncConnection, name: str, tenant: UUID) -> Side:
    run = await _run(tx, decode("run", name), tenant)
    return Side(run, await kept.ratings(tx, run["id"]), await store.sampling(tx, run["id"]))


async def _point(resources: Resources, tenant: UUID, run: Fields) -> SeriesPoint | None:
    """From the run's report; ``None`` if it was deleted meanwhile."""
    report = await _report(resources, tenant, run["id"], "auto")
    if report is None:
        return None
    return SeriesPoint(
        run=report.run,
        name=run["name"],
        suite=report.suite,
        candidate=report.candidate,
        judges=run["judges"],
        raters=report.raters,
        status=report.status,
        labels=run["labels"],
        created_at=run["created_at"],
        overall=report.overall,
        dimensions=report.dimensions,
        metrics=report.metrics,
    )


async def _report(resources: Resources, tenant: UUID, run_id: UUID, raters: Choice) -> Report | None:
    read = await kept.read(resources, run_id, tenant, raters)
    return None if read is None else read.report


async def _entries(
    resources: Resources, tenant: UUID, picked: Chosen, raters: Asked
) -> tuple[RaterKind | None, list[Entry]]:
    """What is to be ranked, and by whose ratings: people's, if no judge rated any of the runs."""
    rows = {}
    for run in picked.runs:
        async with resources.engine.begin() as tx:
            rows[run["id"]] = await kept.ratings(tx, run["id"])
    kind = kind_of({of for given in rows.values() for of in given}, raters)
    if kind is None:
        return None, [await _entry(resources, tenant, run, (), "auto") for run in picked.runs]
    return kind, [await _entry(resources, tenant, run, rows[run["id"]].get(kind, ()), kind) for run in picked.runs]


async def _entry(
    resources: Resources, tenant: UUID, run: Fields, rows: Sequence[Rating], raters: Literal["auto"] | RaterKind
) -> Entry:
    """With coverage and diversity from the stored report, if that shows the same raters."""
    report = await _report(resources, tenant, run["id"], "auto")
    if report is not None and raters != "auto" and _shown(report) != raters:
        report = await _report(resources, tenant, run["id"], raters)
    if report is None:
        return Entry(run, (), Coverage(dialogues=0, scored=0, missing={}), None)
    return Entry(run, rows, report.coverage, report.diversity)


def _shown(report: Report) -> RaterKind | None:
    """Whose ratings the report covers: calibrated means are those of what judges rated."""
    return "judge" if report.raters == "calibrated" else report.raters


def _json(found: BaseModel) -> Response:
    return Response(found.model_dump_json(), media_type="application/json")
