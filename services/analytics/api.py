"""What the gateway asks over HTTP: import and export of ratings, and reports."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import Row

from esrp.api import Choice, Imported
from esrp.errors import NotFound
from services.analytics import ratings, report, store
from services.analytics.markdown import markdown
from services.analytics.resources import Resources
from services.kit.ids import encode

IMPORT = "/internal/ratings"
EXPORTED = ("run", "dialogue", "character", "scenario", "replicate", "metric", "rater", "rater_kind", "score")
TYPES = {"csv": "text/csv", "jsonl": "application/x-ndjson"}

router = APIRouter()


def _resources(request: Request) -> Resources:
    found: Resources = request.app.state.resources
    return found


Res = Annotated[Resources, Depends(_resources)]


@router.post(IMPORT)
async def import_ratings(request: Request, resources: Res, tenant: UUID, replace: bool = False) -> Imported:
    """Store all ratings of a file, or none: 422 then names the lines."""
    body, content_type = await request.body(), request.headers.get("content-type", "")
    parsed = await asyncio.to_thread(ratings.parse, body, content_type)
    async with resources.engine.begin() as tx:
        dialogues = await store.dialogues_of(tx, tenant, ratings.run_ids(parsed))
        found = await asyncio.to_thread(ratings.resolve, parsed, dialogues, replace=replace)
        await store.lock(tx, *{cell.run_id for cell in found.cells})
        stored = await store.import_cells(tx, tenant, found.cells, replace=replace)
    return Imported(
        stored=stored,
        missing=found.missing,
        duplicates=found.repeated + len(found.cells) - stored,
        ignored_columns=parsed.ignored_columns,
    )


@router.get(IMPORT)
async def export_ratings(
    resources: Res, tenant: UUID, run: UUID, format: Literal["csv", "jsonl"] = "csv"
) -> StreamingResponse:
    """The run's ratings, in the columns of an import."""
    async with resources.engine.begin() as tx:
        if await store.run(tx, run, tenant) is None:
            raise NotFound("run", encode("run", run))
    return StreamingResponse(_lines(resources, run, format), media_type=TYPES[format])


@router.get("/internal/runs/{run_id}/report", response_model=None)
async def read_report(
    run_id: UUID, resources: Res, tenant: UUID, raters: Choice = "auto", format: Literal["json", "md"] = "json"
) -> Response:
    """The run's report, as far as it is rated."""
    async with resources.engine.begin() as tx:
        run = await store.run(tx, run_id, tenant)
        if run is None:
            raise NotFound("run", encode("run", run_id))
        found = await report.read(tx, run, raters)
    if format == "md":
        return Response(markdown(found), media_type="text/markdown")
    return Response(found.model_dump_json(), media_type="application/json")


async def _lines(resources: Resources, run: UUID, format: Literal["csv", "jsonl"]) -> AsyncIterator[str]:
    if format == "csv":
        yield ",".join(EXPORTED) + "\n"
    async with resources.engine.begin() as tx:
        async for part in store.exported(tx, run):
            rows = [_exported(row) for row in part]
            yield _csv(rows) if format == "csv" else "".join(orjson.dumps(row).decode() + "\n" for row in rows)


def _exported(row: Row[Any]) -> dict[str, Any]:
    values = (encode("run", row.run_id), encode("dlg", row.dialogue_id), *row[2:])
    return dict(zip(EXPORTED, values, strict=True))


def _csv(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    csv.DictWriter(out, EXPORTED, lineterminator="\n").writerows(rows)
    return out.getvalue()
