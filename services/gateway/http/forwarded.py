"""Answers of the analytics service, passed on as they are: JSON, tables and files."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

from fastapi import Header, Response
from fastapi.responses import StreamingResponse

from services.gateway.access.keys import Principal
from services.gateway.resources import Resources
from services.gateway.runs.store import require_run
from services.kit.db import reading
from services.kit.ids import decode

SECONDS = 300  # that an import or a figure over many runs may take
TYPES = {
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "md": "text/markdown",
}
Table: TypeAlias = Literal["json", "csv", "parquet"]
Accept = Annotated[str | None, Header(include_in_schema=False)]


def files(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of an answer that may be a file."""
    return {200: {"content": {TYPES[kind]: {} for kind in kinds}}}


def accepted(accept: str | None, *kinds: str) -> str:
    """The format that the client names first among those there are; JSON if none."""
    for part in (accept or "").split(","):
        media = part.partition(";")[0].strip().lower()
        for kind in kinds:
            if media == TYPES[kind]:
                return kind
        if media == "application/json":
            break
    return "json"


async def required(resources: Resources, who: Principal, run: str) -> UUID:
    """The id of a run of the tenant."""
    run_id = decode("run", run)
    async with reading(resources.engine) as tx:
        await require_run(tx, who.tenant_id, run_id)
    return run_id


async def read(resources: Resources, who: Principal, path: str, query: dict[str, str]) -> Response:
    """A figure of the tenant's."""
    tenant = {"tenant": str(who.tenant_id)}
    answer = await resources.peers.call("analytics", "GET", path, query={**tenant, **query}, seconds=SECONDS)
    return Response(answer.body, media_type=answer.content_type)


async def export(run: str, resources: Resources, who: Principal, path: str, format: str) -> StreamingResponse:
    """A file over one run, as it is made."""
    run_id = await required(resources, who, run)
    query = {"tenant": str(who.tenant_id), "run": str(run_id), "format": format}
    chunks = resources.peers.stream("analytics", path, query)
    first = await anext(chunks, b"")  # an error is answered as one, before the status is sent

    async def body() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(body(), media_type=TYPES[format])
