"""The public API of ratings and of figures: imports and exports, breakdowns, series, comparisons, leaderboards."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import text

from esrp import api
from services.gateway.access.keys import Principal
from services.gateway.http.api import Key, Rater, Reader, Res
from services.gateway.http.idempotency import once
from services.gateway.http.paging import cursor, place
from services.gateway.resources import Resources
from services.gateway.runs import store
from services.kit.db import reading
from services.kit.ids import decode

SECONDS = 300  # that an import or a figure over many runs may take
MOST_GROUPS = 100  # of one answer
TYPES = {
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "md": "text/markdown",
}

router = APIRouter(prefix="/v1")

Asked: TypeAlias = Literal["auto", "judge", "human"]
Table: TypeAlias = Literal["json", "csv", "parquet"]
Accept = Annotated[str | None, Header(include_in_schema=False)]


def _files(*kinds: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {TYPES[kind]: {} for kind in kinds}}}


FILE = {"requestBody": {"required": True, "content": {"text/csv": {}, "application/x-ndjson": {}}}}
TABLES = _files("csv", "parquet")
EXPORTS = _files("csv", "jsonl", "parquet")


# --- ratings ----------------------------------------------------------------------------------------------------------


@router.post("/ratings", tags=["ratings"], response_model=api.Imported, openapi_extra=FILE)
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


@router.post("/ratings/diversity", tags=["ratings"], response_model=api.Imported, openapi_extra=FILE)
async def import_diversity(
    request: Request, resources: Res, who: Rater, replace: bool = False, idempotency_key: Key = None
) -> Response:
    """Import how people rated the batches: CSV or JSONL with the columns run, character, batch, rater, score."""
    return await _import(request, resources, who, "/internal/ratings/diversity", replace, {})


async def _import(
    request: Request, resources: Resources, who: Principal, path: str, replace: bool, extra: dict[str, str]
) -> Response:
    by = {"key": str(who.key_id), "key_name": who.key_name}
    query = {"tenant": str(who.tenant_id), **by, "replace": "true" if replace else "false", **extra}
    kind = request.headers.get("content-type", "text/csv")
    async with resources.uploads.received(request) as upload:  # before a connection is taken: a client may be slow

        async def work(tx: Any) -> api.Imported:
            await tx.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{SECONDS}s'"))
            answer = await resources.peers.call(
                "analytics", "POST", path, query=query, body=upload, content_type=kind, seconds=SECONDS
            )
            return api.Imported.model_validate_json(answer.body)

        return await once(resources.engine, who.tenant_id, request, work, status=200, body_sha256=upload.sha256)


@router.get("/ratings", tags=["ratings"], responses=EXPORTS)
async def export_ratings(
    run: str, resources: Res, who: Reader, format: Literal["csv", "jsonl", "parquet"] = "csv"
) -> StreamingResponse:
    """Every rating of a run, people's and judges', with the columns of the import (docs/exports.md)."""
    return await _export(run, resources, who, "/internal/ratings", format)


@router.get("/ratings/diversity", tags=["ratings"], responses=EXPORTS)
async def export_diversity(
    run: str, resources: Res, who: Reader, format: Literal["csv", "jsonl", "parquet"] = "csv"
) -> StreamingResponse:
    """Every rating of a run's batches, with the columns of the import."""
    return await _export(run, resources, who, "/internal/ratings/diversity", format)


async def _export(run: str, resources: Resources, who: Principal, path: str, format: str) -> StreamingResponse:
    run_id = await _required(resources, who, run)
    query = {"tenant": str(who.tenant_id), "run": str(run_id), "format": format}
    chunks = resources.peers.stream("analytics", path, query)
    first = await anext(chunks, b"")  # an error is answered as one, before the status is sent

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(body(), media_type=TYPES[format])


# --- figures ----------------------------------------------------------------------------------------------------------


@router.get("/runs/{id}/metrics", tags=["figures"], response_model=api.MetricsOut, responses=TABLES)
async def read_metrics(
    id: str,
    group_by: api.GroupBy,
    resources: Res,
    who: Reader,
    raters: Asked = "auto",
    limit: Annotated[int, Query(ge=1, le=MOST_GROUPS, description="groups")] = MOST_GROUPS,
    cursor_: Annotated[str | None, Query(alias="cursor")] = None,
    format: Table | None = None,
    accept: Accept = None,
) -> Response:
    """The run's scores by group, each with its count, standard error and three intervals.

    Of more than ``limit`` groups it is a page: ``next_cursor`` and a ``Link`` header say where the next begins.
    """
    run_id = await _required(resources, who, id)
    start = (place(cursor_, int) or [0])[0]
    kind = format or _accepted(accept, "csv", "parquet")
    asked = {"group_by": group_by, "raters": raters, "limit": str(limit)}
    query = {"tenant": str(who.tenant_id), **asked, "format": kind, "start": str(start)}
    path = f"/internal/runs/{run_id}/metrics"
    answer = await resources.peers.call("analytics", "GET", path, query=query, seconds=SECONDS)
    if start + limit >= int(answer.headers["X-ESRP-Count"]):
        return Response(answer.body, media_type=answer.content_type)
    following = cursor(start + limit)
    link = f"/v1/runs/{id}/metrics?{urlencode({**asked, 'format': kind, 'cursor': following})}"
    body = answer.body
    if kind == "json":
        body = orjson.dumps({**orjson.loads(body), "next_cursor": following})
    return Response(body, media_type=answer.content_type, headers={"Link": f'<{link}>; rel="next"'})


@router.get("/metrics/series", tags=["figures"], response_model=api.Series, responses=TABLES)
async def read_series(
    resources: Res,
    who: Reader,
    candidate: str | None = None,
    suite: str | None = None,
    judge: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="runs, the newest")] = 100,
    format: Table | None = None,
    accept: Accept = None,
) -> Response:
    """Each metric with its intervals, run by run of a candidate, oldest first: for dashboards."""
    named = {"candidate": candidate, "suite": suite, "judge": judge and judge.removeprefix("jdg_")}
    query = {name: value for name, value in named.items() if value is not None}
    query |= {"limit": str(limit), "format": format or _accepted(accept, "csv", "parquet")}
    return await _read(resources, who, "/internal/series", query)


@router.post(
    "/comparisons",
    tags=["figures"],
    responses={409: {"description": "`not_comparable`: `differs` says in what the runs do"}},
)
async def compare(body: api.ComparisonRequest, resources: Res, who: Reader) -> api.Comparison:
    """Candidate − baseline on the dialogues that both were rated on, for each metric with three intervals."""
    for run in (body.baseline, body.candidate):
        await _required(resources, who, run)
    answer = await resources.peers.call(
        "analytics",
        "POST",
        "/internal/comparisons",
        query={"tenant": str(who.tenant_id)},
        body=orjson.dumps(body.model_dump()),
        seconds=SECONDS,
    )
    return api.Comparison.model_validate_json(answer.body)


@router.get("/leaderboard", tags=["figures"], response_model=api.Leaderboard, responses=_files("md", "csv", "parquet"))
async def read_leaderboard(
    suite: str,
    resources: Res,
    who: Reader,
    raters: Asked = "auto",
    reference: Annotated[str | None, Query(description="the run that the rows are held against; the best")] = None,
    format: Literal["json", "md", "csv", "parquet"] | None = None,
    accept: Accept = None,
) -> Response:
    """The newest finished run of each candidate of a suite, best first, with who is tied with whom."""
    query = {"suite": suite, "raters": raters, "format": format or _accepted(accept, "md", "csv", "parquet")}
    if reference is not None:
        await _required(resources, who, reference)
        query["reference"] = reference
    return await _read(resources, who, "/internal/leaderboard", query)


async def _required(resources: Resources, who: Principal, run: str) -> UUID:
    """The id of a run of the tenant."""
    run_id = decode("run", run)
    async with reading(resources.engine) as tx:
        await store.require_run(tx, who.tenant_id, run_id)
    return run_id


async def _read(resources: Resources, who: Principal, path: str, query: dict[str, str]) -> Response:
    tenant = {"tenant": str(who.tenant_id)}
    answer = await resources.peers.call("analytics", "GET", path, query={**tenant, **query}, seconds=SECONDS)
    return Response(answer.body, media_type=answer.content_type)


def _accepted(accept: str | None, *kinds: str) -> str:
    """The format that the client names first among those there are; JSON if none."""
    for part in (accept or "").split(","):
        media = part.partition(";")[0].strip().lower()
        for kind in kinds:
            if media == TYPES[kind]:
                return kind
        if media == "application/json":
            break
    return "json"
