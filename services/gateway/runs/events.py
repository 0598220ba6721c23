"""What happens to a run, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import structlog
from fastapi.sse import ServerSentEvent

from services.gateway.resources import Resources
from services.gateway.runs import store
from services.gateway.runs.shown import progress
from services.kit.db import FAILURES, is_away

log = structlog.get_logger()

PAUSE = 0.2  # seconds between looks
PROGRESS = 5  # looks; so progress is told at most once a second


async def stream(resources: Resources, tenant_id: UUID, run_id: UUID, last: int) -> AsyncIterator[ServerSentEvent]:
    """The run's events after ``last``, and its progress, until it is final or the database is away.

    An end before ``run.finished`` means: come again with ``Last-Event-ID``; nothing is missed.
    """
    try:
        async for event in _events(resources, tenant_id, run_id, last):
            yield event
    except FAILURES as error:
        if not is_away(error):
            raise
        log.info("events.ended", error=repr(error)[:200])


async def _events(resources: Resources, tenant_id: UUID, run_id: UUID, last: int) -> AsyncIterator[ServerSentEvent]:
    told: dict[str, Any] | None = None
    look = 0
    while True:
        async with resources.engine.begin() as tx:
            run = await store.find_run(tx, tenant_id, run_id)
            events = await store.events_after(tx, run_id, last)
            counts = (await store.counts(tx, [run_id]))[run_id] if look % PROGRESS == 0 else None
            used = (await store.usage(tx, [run_id]))[run_id] if look % PROGRESS == 0 else None
        final = run["finished_at"] is not None
        if counts is not None and (now := progress(run, counts, used)) != told:
            told = now
            yield ServerSentEvent(event="run.progress", data=now)
        for event in events:
            last = event["id"]
            yield ServerSentEvent(event=event["type"], id=str(last), data=event["data"])
        if final and not events:
            return
        look += 1
        if not events:
            await asyncio.sleep(PAUSE)
