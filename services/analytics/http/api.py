"""What the gateway asks over HTTP: import and export of ratings, and reports."""

import asyncio
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Choice, Imported, Sampling
from esrp.errors import NotFound
from esrp.render.markdown import markdown
from services.analytics import exports
from services.analytics.cards.cards import with_cards
from services.analytics.cards.store import mark
from services.analytics.exports import TYPES, Format
from services.analytics.imports import diversity, imported, ratings, store
from services.analytics.imports.imported import Import
from services.analytics.imports.judge_names import Reserved
from services.analytics.imports.ratings import uncollected
from services.analytics.rated import lock
from services.analytics.report import kept
from services.analytics.resources import Resources
from services.analytics.runs import judge_names, run_of
from services.jobs import MeasureAgreement
from services.kit.db import reading
from services.kit.ids import encode, uuid7

IMPORT = "/internal/ratings"

router = APIRouter()


async def _resources(request: Request) -> Resources:
    found: Resources = request.app.state.resources
    return found


Res = Annotated[Resources, Depends(_resources)]


async def _import(key: UUID, key_name: str) -> Import:
    return Import(uuid7(), key, key_name)


By = Annotated[Import, Depends(_import)]


@router.post(IMPORT)
async def import_ratings(
    request: Request, resources: Res, tenant: UUID, by: By, replace: bool = False, sampling: Sampling | None = None
) -> Imported:
    """Store all ratings of a file, or none: 422 then names the lines."""
    content_type = request.headers.get("content-type", "")
    async with resources.uploads.received(request) as upload:
        parsed = await asyncio.to_thread(uncollected, ratings.parse, upload.file, content_type)
        async with reading(resources.engine) as tx:
            dialogues = await store.dialogues_of(tx, tenant, ratings.run_ids(parsed))
            reserved = await _reserved(tx, resources, tenant)
        found = await asyncio.to_thread(uncollected, ratings.resolve, parsed, dialogues, reserved, replace=replace)
        async with resources.engine.begin() as tx:
            await lock(tx, *{cell.run_id for cell in found.cells})
            changed = await store.import_cells(tx, tenant, by, found.cells, replace=replace, sampling=sampling)
            await mark(tx, tenant)
    await resources.queue.ring(*map(MeasureAgreement, changed))
    return _imported(found, sum(changed.values()), parsed.ignored_columns)


@router.post(f"{IMPORT}/diversity")
async def import_diversity(request: Request, resources: Res, tenant: UUID, by: By, replace: bool = False) -> Imported:
    """Store all ratings of batches in a file, or none."""
    content_type = request.headers.get("content-type", "")
    async with resources.uploads.received(request) as upload:
        parsed = await asyncio.to_thread(diversity.parse, upload.file, content_type)
        async with reading(resources.engine) as tx:
            known = await store.batches_of(tx, tenant, diversity.run_ids(parsed))
            reserved = await _reserved(tx, resources, tenant)
        found = await asyncio.to_thread(diversity.resolve, parsed, known, reserved, replace=replace)
        async with resources.engine.begin() as tx:
            await lock(tx, *{cell.run_id for cell in found.cells})
            changed = await store.import_batches(tx, tenant, by, found.cells, replace=replace)
    return _imported(found, sum(changed.values()), parsed.ignored_columns)


async def _reserved(tx: AsyncConnection, resources: Resources, tenant: UUID) -> Reserved:
    """The names of all judges: those configured, and those that runs have asked for."""
    configured = [judge.name for judge in resources.settings.judges]
    return Reserved([*await judge_names(tx, tenant), *configured])


def _imported(found: ratings.Resolved | diversity.Resolved, stored: int, ignored_columns: list[str]) -> Imported:
    return Imported(
        stored=stored,
        missing=found.missing,
        duplicates=found.repeated + len(found.cells) - stored,
        ignored_columns=ignored_columns,
    )


@router.get(IMPORT)
async def export_ratings(resources: Res, tenant: UUID, run: UUID, format: Format = "csv") -> StreamingResponse:
    """The run's ratings, in the columns of an import."""
    async with resources.engine.begin() as tx:
        if await run_of(tx, run, tenant) is None:
            raise NotFound("run", encode("run", run))
    return StreamingResponse(exports.ratings(resources.engine, run, format), media_type=TYPES[format])


@router.get(f"{IMPORT}/diversity")
async def export_diversity(resources: Res, tenant: UUID, run: UUID, format: Format = "csv") -> StreamingResponse:
    """The run's ratings of batches, in the columns of an import."""
    async with resources.engine.begin() as tx:
        if await run_of(tx, run, tenant) is None:
            raise NotFound("run", encode("run", run))
    return StreamingResponse(exports.diversity(resources.engine, run, format), media_type=TYPES[format])


@router.get("/internal/runs/{run_id}/report", response_model=None)
async def read_report(
    run_id: UUID, resources: Res, tenant: UUID, raters: Choice = "auto", format: Literal["json", "md"] = "json"
) -> Response:
    """The run's report, as far as it is rated."""
    read = await kept.read(resources, run_id, tenant, raters)
    if read is None:
        raise NotFound("run", encode("run", run_id))
    async with reading(resources.engine) as tx:
        found = await with_cards(tx, resources.settings, read)
        found = imported.with_imports(found, await imported.of_run(tx, read.run.id, judged=bool(read.run.judges)))
    if format == "md":
        return Response(markdown(found), media_type="text/markdown")
    return Response(found.model_dump_json(), media_type="application/json")
