"""What the gateway asks over HTTP for figures: breakdowns, series, comparisons and leaderboards."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Choice, GroupBy, RaterKind
from esrp.errors import NotFound
from services.analytics.figures.breakdown import Asked, Page, kind_of
from services.analytics.figures.leaderboard import Chosen, chosen
from services.analytics.figures.store import LOOKED_AT, Question, find, keep
from services.analytics.http.api import Res
from services.analytics.report import computing, kept, store
from services.analytics.report.computing import Contender, PackedSide
from services.analytics.report.groups import MOST_GROUPS
from services.analytics.report.packed import Packed, documented, packed, with_rows
from services.analytics.report.packed import kept as kept_ratings
from services.analytics.report.played import scenarios
from services.analytics.resources import Resources
from services.analytics.runs import FinishedRun, Run, finished, run_of
from services.kit.aside import Do
from services.kit.db import reading
from services.kit.ids import decode, encode

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
    page = Page(start, limit)
    parameters = {"kind": "metrics", "by": group_by, "raters": raters, "page": asdict(page), "format": format}

    async def made() -> Made:
        async with reading(resources.engine) as tx:
            run = await _run(tx, run_id, tenant)
        async with resources.figures.slot() as do:
            async with reading(resources.engine) as tx:
                ratings, given = await packed(tx, run_id), await scenarios(tx, run.suite_id)
            ratings = await documented(resources.engine, do, ratings)
            return Made([run_id], await do(computing.metrics, run, ratings, given, group_by, raters, page, format))

    found = await _once(resources, Question(tenant, parameters, [run_id]), made)
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
    runs = [decode("run", pair.candidate), decode("run", pair.baseline)]

    async def made() -> Made:
        async with reading(resources.engine) as tx:
            found = [await _run(tx, run_id, tenant) for run_id in runs]
        async with resources.figures.slot() as do:
            candidate, baseline = [await _side(resources, do, run) for run in found]
            return Made(runs, await do(computing.comparison, candidate, baseline, pair.raters))

    parameters = {"kind": "comparison", "raters": pair.raters}
    return _answer(await _once(resources, Question(tenant, parameters, runs), made))


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

    async def made() -> Made:
        async with reading(resources.engine) as tx:
            picked = chosen(await finished(tx, tenant, suite=suite, most=LOOKED_AT))
        await _written(resources, tenant, picked.runs)
        ratings = await _documented(resources, picked.runs)
        kind = kind_of({kind for of in ratings for kind in of.kinds}, raters)
        reports = await _reports(resources, tenant, picked, kind)
        contenders = [Contender(run, of, reports.get(run.id)) for run, of in zip(picked.runs, ratings, strict=True)]
        found = await resources.figures.do(computing.board, suite, contenders, picked.others, kind, reference, format)
        others = [decode("run", other.run) for other in picked.others]
        return Made([*(run.id for run in picked.runs), *others], found)

    parameters = {"kind": "leaderboard", "raters": raters, "reference": reference, "format": format}
    return _answer(await _once(resources, Question(tenant, parameters, suite=suite), made))


# --- asking once ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """An answer, and the runs that it shows."""

    runs: Sequence[UUID]
    body: computing.Body


async def _once(resources: Resources, asked: Question, make: Callable[[], Awaitable[Made]]) -> computing.Body:
    """The answer as it is kept, else made and kept; who asks the same meanwhile waits for it."""
    if (found := await find(resources.engine, asked)).body is not None:
        return found.body
    async with resources.turn(found.key):
        if (found := await find(resources.engine, asked)).body is not None:
            return found.body
        made = await make()
        async with resources.engine.begin() as tx:
            await keep(tx, asked.tenant_id, found.key, made.runs, made.body)
        return made.body


# --- reading ----------------------------------------------------------------------------------------------------------


async def _run(tx: AsyncConnection, run_id: UUID, tenant: UUID) -> Run:
    run = await run_of(tx, run_id, tenant)
    if run is None:
        raise NotFound("run", encode("run", run_id))
    return run


async def _side(resources: Resources, do: Do, run: Run) -> PackedSide:
    async with reading(resources.engine) as tx:
        ratings = await packed(tx, run.id)
    return PackedSide(run, await documented(resources.engine, do, ratings))


async def _documented(resources: Resources, runs: Sequence[FinishedRun]) -> list[Packed]:
    """The ratings of each."""
    async with reading(resources.engine) as tx:
        found = await kept_ratings(tx, [run.id for run in runs])
    if all(of.document for of in found):
        return found
    async with resources.figures.slot() as do:
        return [await _packed(resources, do, of) for of in found]


async def _packed(resources: Resources, do: Do, of: Packed) -> Packed:
    if of.document:
        return of
    async with reading(resources.engine) as tx:
        of = await with_rows(tx, of)
    return await documented(resources.engine, do, of)


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


def _answer(found: computing.Body, headers: dict[str, str] | None = None) -> Response:
    return Response(found.content, media_type=found.media_type, headers=headers)
