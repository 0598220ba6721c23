"""The public API of figures: breakdowns, series, comparisons, leaderboards."""

from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Query, Response

from esrp import api
from services.gateway.http.deps import Cursor, Reader, Res
from services.gateway.http.forwarded import SECONDS, Accept, Table, accepted, files, read, required
from services.gateway.http.paging import cursor, place
from services.kit.ids import decode

MOST_GROUPS = 100  # of one answer
router = APIRouter(prefix="/v1", tags=["figures"])
Asked: TypeAlias = Literal["auto", "judge", "human"]
TABLES = files("csv", "parquet")


@router.get("/runs/{id}/metrics", response_model=api.MetricsOut, responses=TABLES)
async def read_metrics(
    id: str,
    group_by: api.GroupBy,
    resources: Res,
    who: Reader,
    raters: Asked = "auto",
    limit: Annotated[int, Query(ge=1, le=MOST_GROUPS, description="groups")] = MOST_GROUPS,
    cursor_: Cursor = None,
    format: Table | None = None,
    accept: Accept = None,
) -> Response:
    """The run's scores by group, each with its count, standard error and three intervals.

    Of more than ``limit`` groups it is a page: ``next_cursor`` and a ``Link`` header say where the next begins.
    """
    start = (place(cursor_, int) or [0])[0]
    kind = format or accepted(accept, "csv", "parquet")
    asked = {"group_by": group_by, "raters": raters, "limit": str(limit)}
    query = {"tenant": str(who.tenant_id), **asked, "format": kind, "start": str(start)}
    path = f"/internal/runs/{decode('run', id)}/metrics"
    answer = await resources.peers.call("analytics", "GET", path, query=query, seconds=SECONDS)
    if start + limit >= int(answer.headers["X-ESRP-Count"]):
        return Response(answer.body, media_type=answer.content_type)
    following = cursor(start + limit)
    link = f"/v1/runs/{id}/metrics?{urlencode({**asked, 'format': kind, 'cursor': following})}"
    body = answer.body
    if kind == "json":
        body = orjson.dumps({**orjson.loads(body), "next_cursor": following})
    return Response(body, media_type=answer.content_type, headers={"Link": f'<{link}>; rel="next"'})


@router.get("/metrics/series", response_model=api.Series, responses=TABLES)
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
    query |= {"limit": str(limit), "format": format or accepted(accept, "csv", "parquet")}
    return await read(resources, who, "/internal/series", query)


@router.post(
    "/comparisons",
    response_model=api.Comparison,
    responses={409: {"description": "`not_comparable`: `differs` says in what the runs do"}},
)
async def compare(body: api.ComparisonRequest, resources: Res, who: Reader) -> Response:
    """Candidate − baseline on the dialogues that both were rated on, for each metric with three intervals."""
    answer = await resources.peers.call(
        "analytics",
        "POST",
        "/internal/comparisons",
        query={"tenant": str(who.tenant_id)},
        body=orjson.dumps(body.model_dump()),
    )
    return Response(answer.body, media_type=answer.content_type)


@router.get("/leaderboard", response_model=api.Leaderboard, responses=files("md", "csv", "parquet"))
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
    query = {"suite": suite, "raters": raters, "format": format or accepted(accept, "md", "csv", "parquet")}
    if reference is not None:
        await required(resources, who, reference)
        query["reference"] = reference
    return await read(resources, who, "/internal/leaderboard", query)
