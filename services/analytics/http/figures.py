"""What the gateway asks over HTTP for figures: breakdowns, series, comparisons and leaderboards."""

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Choice, GroupBy, RaterKind
from esrp.errors import NotFound
from services.analytics.figures.breakdown import Asked, Page, kind_of
from services.analytics.figures.leaderboard import Chosen, chosen
from services.analytics.http.api import Res
from services.analytics.ratings import kinds, sampling
from services.analytics.report import computing, kept, store
from services.analytics.report.computing import Contender, PackedSide
from services.analytics.report.groups import MOST_GROUPS
from services.analytics.report.packed import Packed, packed
from services.analytics.report.played import scenarios
from services.analytics.resources import Resources
from services.analytics.runs import FinishedRun, Run, finished, run_of
from services.kit.db import reading
from services.kit.ids import decode, encode

LOOKED_AT = 1000  # runs of a suite, the newest, among which a leaderboard finds its candidates
COUNT = "X-ESRP-Count"  # how many groups a breakdown has in all

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
    start: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_GROUPS)] = MOST_GROUPS,
) -> Response:
    """The run's scores by group, so many groups from a place on."""
    async with resources.figures.slot() as do:
        async with resources.engine.begin() as tx:
            run = await _run(tx, run_id, tenant)
            ratings, given = await packed(tx, run_id), await scenarios(tx, run.suite_id)
        page = Page(start, limit)
        found = await do(computing.metrics, run, ratings, given, group_by, raters, page, format)
    return _answer(found, {COUNT: str(found.count)})


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
        runs = await finished(tx, tenant, suite=suite, candidate=candidate, judge=judge, most=limit)
    await _written(resources, tenant, runs)
    async with resources.figures.slot() as do:
        async with reading(resources.engine) as tx:
            reports = await store.documents(tx, [run.id for run in runs])
        found = await do(computing.series, runs[::-1], reports, format)
    return _answer(found)


@router.post("/comparisons")
async def compare_runs(pair: Annotated[Pair, Body()], resources: Res, tenant: UUID) -> Response:
    """Paired differences, or 409 with what makes the runs not comparable."""
    async with resources.figures.slot() as do:
        async with resources.engine.begin() as tx:
            candidate = await _side(tx, pair.candidate, tenant)
            baseline = await _side(tx, pair.baseline, tenant)
        return _answer(await do(computing.comparison, candidate, baseline, pair.raters))


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
        runs = await finished(tx, tenant, suite=suite, most=LOOKED_AT)
        picked = chosen(runs)
        kind = kind_of(await kinds(tx, [run.id for run in picked.runs]), raters)
    reports = await _reports(resources, tenant, picked, kind)
    async with resources.figures.slot() as do:
        async with resources.engine.begin() as tx:
            contenders = [await _contender(tx, run, kind, reports.get(run.id)) for run in picked.runs]
        found = await do(computing.board, suite, contenders, picked.others, kind, reference, format)
    return _answer(found)


# --- reading ----------------------------------------------------------------------------------------------------------


async def _run(tx: AsyncConnection, run_id: UUID, tenant: UUID) -> Run:
    run = await run_of(tx, run_id, tenant)
    if run is None:
        raise NotFound("run", encode("run", run_id))
    return run


async def _side(tx: AsyncConnection, name: str, tenant: UUID) -> PackedSide:
    run = await _run(tx, decode("run", name), tenant)
    return PackedSide(run, await packed(tx, run.id), await sampling(tx, run.id))


async def _written(resources: Resources, tenant: UUID, runs: Sequence[FinishedRun]) -> None:
    """Make and keep the reports that are not there; a run that was deleted meanwhile has none."""
    async with reading(resources.engine) as tx:
        there = await store.reported(tx, [run.id for run in runs])
    for run in runs:
        if run.id not in there:
            await kept.read(resources, run.id, tenant, "auto")


async def _reports(resources: Resources, tenant: UUID, picked: Chosen, kind: RaterKind | None) -> dict[UUID, str]:
    """The stored report of each run, if it shows the raters that count; else one that does."""
    await _written(resources, tenant, picked.runs)
    async with reading(resources.engine) as tx:
        found = await store.documents(tx, [run.id for run in picked.runs])
        shown = await store.reported(tx, list(found))
    for run_id in found:
        if kind is not None and shown.get(run_id) != kind:
            read = await kept.read(resources, run_id, tenant, kind)
            if read is not None:
                found[run_id] = read.report.model_dump_json()
    return found


async def _contender(tx: AsyncConnection, run: FinishedRun, kind: RaterKind | None, report: str | None) -> Contender:
    return Contender(run, Packed() if kind is None else await packed(tx, run.id), report)


def _answer(found: computing.Body, headers: dict[str, str] | None = None) -> Response:
    return Response(found.content, media_type=found.media_type, headers=headers)
