"""The public API of reports."""

from typing import Literal

from fastapi import APIRouter, Response

from esrp import api
from services.gateway.http.deps import Reader, Res
from services.gateway.runs import report_cache
from services.gateway.runs.store import require_run
from services.kit.db import reading
from services.kit.ids import decode

SECONDS = 150  # that a report may take, for others may be made before it
router = APIRouter(prefix="/v1", tags=["runs"])


@router.get(
    "/runs/{id}/report",
    response_model=api.Report,
    responses={200: {"content": {"text/markdown": {}}}},
)
async def read_report(
    id: str,
    resources: Res,
    who: Reader,
    raters: api.Choice = "auto",
    format: Literal["json", "md"] = "json",
) -> Response:
    """The ESRP report: JSON or Markdown."""
    run_id = decode("run", id)
    stamp = await report_cache.stamp(resources.engine, who.tenant_id, run_id) if raters == "auto" else None
    answer = resources.shelf.find((run_id, format), stamp)
    if answer is None:
        async with reading(resources.engine) as tx:
            await require_run(tx, who.tenant_id, run_id)
        query = {"tenant": str(who.tenant_id), "raters": raters, "format": format}
        answer = await resources.peers.call(
            "analytics", "GET", f"/internal/runs/{run_id}/report", query=query, seconds=SECONDS
        )
        resources.shelf.put((run_id, format), stamp, answer)
    return Response(answer.body, media_type=answer.content_type)
