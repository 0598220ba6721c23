"""The working half of a service: answers the doorbell, and looks for itself every few seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

import structlog
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from prometheus_client import Counter

from services.kit.queue import SERIALISED, Job, queue_name, redis_settings

log = structlog.get_logger()

Handler = Callable[[UUID], Awaitable[None]]
Timer = Callable[[], Awaitable[None]]

JOBS = Counter("esrp_worker_jobs_total", "Messages worked", ["job", "outcome"])

# A slice lasts some 20 s and then drains its calls in flight; a doorbell of a dead worker is never waited for.
JOB_TIMEOUT = 300
# In flight at once. Slices mostly wait for models, so this is not about processors.
MAX_JOBS = 64


async def work(
    service: str, redis_url: str, handlers: Mapping[type[Job], Handler], every: Mapping[Timer, float]
) -> None:
    """Work messages and timers until cancelled.

    ``handlers`` maps each message to what works it; ``every`` maps what looks for work by itself to seconds.
    The timers do not need Redis, so nothing depends on a message arriving.
    """
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_answer(service, redis_url, handlers))
        for timer, seconds in every.items():
            tasks.create_task(_tick(timer, seconds))


async def _answer(service: str, redis_url: str, handlers: Mapping[type[Job], Handler]) -> None:
    while True:
        worker = Worker(
            functions=[
                func(cast(WorkerCoroutine, _guarded(job, handler)), name=job.__name__)
                for job, handler in handlers.items()
            ],
            queue_name=queue_name(service),
            redis_settings=redis_settings(redis_url),
            handle_signals=False,
            max_jobs=MAX_JOBS,
            job_timeout=JOB_TIMEOUT,
            keep_result=0,
            max_tries=3,
            poll_delay=0.1,
            health_check_interval=30,
            log_results=False,
            **SERIALISED,
        )
        try:
            await worker.async_run()
        except asyncio.CancelledError:
            with suppress(Exception):  # closing a connection that is already gone
                await worker.close()
            raise
        except Exception:
            # arq gives up where Redis stays away longer than its retries; we do not.
            log.exception("worker.restarted", service=service)
            with suppress(Exception):
                await worker.close()
            await asyncio.sleep(1)


def _guarded(job: type[Job], handler: Handler) -> Callable[..., Awaitable[None]]:
    async def guarded(_: dict[str, Any], run: str) -> None:
        # A doorbell never carries a failure: the work list is in Postgres, and the timer comes back to it.
        try:
            await handler(UUID(run))
            JOBS.labels(job.__name__, "done").inc()
        except Exception:
            JOBS.labels(job.__name__, "failed").inc()
            log.exception("job.failed", job=job.__name__, run_id=run)

    return guarded


async def _tick(timer: Timer, seconds: float) -> None:
    while True:
        try:
            await timer()
        except Exception:
            log.exception("timer.failed", timer=repr(timer))
        await asyncio.sleep(seconds)
