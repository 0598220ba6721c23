"""The public API of ratings: imports and exports."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from esrp import api
from services.gateway.access.keys import Principal
from services.gateway.http.deps import Key, Rater, Reader, Res
from services.gateway.http.forwarded import SECONDS, export, files
from services.gateway.http.idempotency import Made, once
from services.gateway.resources import Resources
from services.kit.unit import Unit

router = APIRouter(prefix="/v1", tags=["ratings"])
FILE = {"requestBody": {"required": True, "content": {"text/csv": {}, "application/x-ndjson": {}}}}
EXPORTS = files("csv", "jsonl", "parquet")


@router.post("/ratings", response_model=api.Imported, openapi_extra=FILE)
async def import_ratings(
    request: Request,
    resources: Res,
    who: Rater,
    replace: bool = False,
    sampling: Annotated[
        api.Sampling | None, Query(description="how the rated dialogues were chosen, if at random")
    ] = None,
    idempotency_key: Key = None,
) -> Response:
    """Import human ratings: CSV or JSONL with the columns run, character, scenario, metric, rater, score.

    Also rater_kind, and where these do not say which dialogue is meant, replicate or dialogue (its id). All of the file
    or nothing of it. The same file again stores nothing twice.
    """
    query: dict[str, str] = {"sampling": sampling} if sampling else {}
    return await _import(request, resources, who, "/internal/ratings", replace, query)


@router.post("/ratings/diversity", response_model=api.Imported, openapi_extra=FILE)
async def import_diversity(
    request: Request, resources: Res, who: Rater, replace: bool = False, idempotency_key: Key = None
) -> Response:
    """Import how people rated the batches: CSV or JSONL with the columns run, character, batch, rater, score."""
    return await _import(request, resources, who, "/internal/ratings/diversity", replace, {})


@router.get("/ratings", responses=EXPORTS)
async def export_ratings(
    run: str, resources: Res, who: Reader, format: Literal["csv", "jsonl", "parquet"] = "csv"
) -> StreamingResponse:
    """Every rating of a run, people's and judges', with the columns of the import (docs/exports.md)."""
    return await export(run, resources, who, "/internal/ratings", format)


@router.get("/ratings/diversity", responses=EXPORTS)
async def export_diversity(
    run: str, resources: Res, who: Reader, format: Literal["csv", "jsonl", "parquet"] = "csv"
) -> StreamingResponse:
    """Every rating of a run's batches, with the columns of the import."""
    return await export(run, resources, who, "/internal/ratings/diversity", format)


async def _import(
    request: Request, resources: Resources, who: Principal, path: str, replace: bool, extra: dict[str, str]
) -> Response:
    by = {"key": str(who.key_id), "key_name": who.key_name}
    query = {"tenant": str(who.tenant_id), **by, "replace": "true" if replace else "false", **extra}
    kind = request.headers.get("content-type", "text/csv")
    async with resources.uploads.received(request) as upload:  # before a connection is taken: a client may be slow

        async def work(_: Unit) -> Made:
            answer = await resources.peers.call(
                "analytics", "POST", path, query=query, body=upload, content_type=kind, seconds=SECONDS
            )
            return Made(api.Imported.model_validate_json(answer.body))

        return await once(
            resources, who.tenant_id, request, work, status=200, patience=SECONDS, body_sha256=upload.sha256
        )
