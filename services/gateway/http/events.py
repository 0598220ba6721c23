"""The public API of events: what happens to a run, as it happens."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.gateway.http.deps import Reader, Res
from services.gateway.runs.store import require_run
from services.kit.db import reading
from services.kit.ids import decode

router = APIRouter(prefix="/v1", tags=["runs"])


async def _seen_run(id: str, resources: Res, who: Reader) -> UUID:
    run_id = decode("run", id)
    async with reading(resources.engine) as tx:
        await require_run(tx, who.tenant_id, run_id)
    return run_id


@router.get("/runs/{id}/events", response_class=EventSourceResponse)
async def run_events(
    run_id: Annotated[UUID, Depends(_seen_run)],
    resources: Res,
    who: Reader,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events until the run is final; ``Last-Event-ID`` resumes."""
    last = int(last_event_id) if last_event_id and last_event_id.isdigit() else 0
    async with aclosing(resources.streams.follow(run_id, min(last, 2**62))) as following:
        async for told in following:
            yield ServerSentEvent(event=told.type, id=None if told.id is None else str(told.id), data=told.data)
