"""The public API of figures: breakdowns, series, comparisons, leaderboards."""

from typing import Annotated, Literal, TypeAlias

import orjson
from fastapi import APIRouter, Query, Response

from esrp import api
from services.gateway.http.deps import Reader, Res
from services.gateway.http.forwarded import Accept, Table, accepted, files, read, required

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
    format: Table | None = None,
    accept: Accept = None,
) -> Response:
    """The run's scores by group, each with its count, standard error and three intervals."""
    run_id = await required(resources, who, id)
    query = {"group_by": group_by, "raters": raters, "format": format or accepted(accept, "csv", "parquet")}
    return await read(resources, who, f"/internal/runs/{run_id}/metrics", query)


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
    responses={409: {"description": "`not_comparable`: `differs` says in what the runs do"}},
)
async def compare(body: api.ComparisonRequest, resources: Res, who: Reader) -> api.Comparison:
    """Candidate − baseline on the dialogues that both were rated on, for each metric with three intervals."""
    for run in (body.baseline, body.candidate):
        await required(resources, who, run)
    answer = await resources.peers.call(
        "analytics",
        "POST",
        "/internal/comparisons",
        query={"tenant": str(who.tenant_id)},
        body=orjson.dumps(body.model_dump()),
    )
    return api.Comparison.model_validate_json(answer.body)


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
