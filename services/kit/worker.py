"""The working half of a service: answers the doorbell, and looks for itself every few seconds."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

import structlog
from arq.connections import create_pool
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from prometheus_client import Counter

from services.kit.queue import SERIALISED, Job, bell, queue_name, redis_settings

log = structlog.get_logger()

Handler = Callable[[UUID], Awaitable[None]]
Look = Callable[[], Awaitable[Sequence[Job]]]
Share = Callable[[UUID], Awaitable[bool]]
"""Works what there is of a subject, and says whether it must be looked at again."""

JOBS = Counter("esrp_worker_jobs_total", "Messages worked", ["job", "outcome"])

# A slice lasts some 20 s and then drains its calls in flight; a doorbell of a dead worker is never waited for.
JOB_TIMEOUT = 300
# In flight at once. Slices mostly wait for models, so this is not about processors: each open run has one, and none
# shall wait until another run's time is up.
MAX_JOBS = 512
# Seconds between looks: what a lost message costs. A look is a few milliseconds of Postgres.
PAUSE = 5.0
# Seconds between looks into the queue: what it costs that a bell was not heard.
DEAF = 0.5


def coalesced(share: Share, *, at_once: int = MAX_JOBS) -> Handler:
    """A handler that works a subject one at a time, and again while there is more or it was rung for meanwhile.

    A message about a subject that is being worked returns at once: whoever works it looks again after this look, so
    any number of them cost one. Of all subjects ``at_once`` are worked at the same time; who waits holds nothing.
    """
    due: dict[UUID, bool] = {}  # the subjects at work, and whether each is to be looked at once more
    seats = asyncio.Semaphore(at_once)

    async def handler(subject: UUID) -> None:
        if subject in due:
            due[subject] = True
            return
        due[subject] = True
        try:
            while due[subject]:
                async with seats:
                    due[subject] = False
                    more = await share(subject)
                due[subject] |= more
        finally:
            del due[subject]

    return handler


async def work(service: str, redis_url: str, handlers: Mapping[type[Job], Handler], look_around: Look) -> None:
    """Answer messages, and look around every few seconds, until cancelled.

    ``handlers`` maps each message to what works it; ``look_around`` finds what should have been rung for. That is
    worked right here, without Redis: nothing depends on a message arriving.
    """
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_answer(service, redis_url, handlers))
        tasks.create_task(_look(tasks, handlers, look_around))


async def _answer(service: str, redis_url: str, handlers: Mapping[type[Job], Handler]) -> None:
    while True:
        worker = _Hearing(
            service,
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
            poll_delay=DEAF,
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


class _Hearing(Worker):
    """arq's worker looks into its queue every so often; this one also when its bell rings: no message waits."""

    def __init__(self, service: str, **options: Any) -> None:
        super().__init__(**options)
        self._bell = bell(service)

    async def main(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(self._hear())
            await super().main()
            hearing.cancel()

    async def _hear(self) -> None:
        pool = await create_pool(self.redis_settings)
        async with pool, pool.pubsub() as heard:
            await heard.subscribe(self._bell)
            async for message in heard.listen():
                if message["type"] == "message":
                    await self._poll_iteration()


def _guarded(job: type[Job], handler: Handler) -> Callable[..., Awaitable[None]]:
    async def guarded(_: dict[str, Any], subject: str) -> None:
        # A doorbell never carries a failure: the work list is in Postgres, and the timer comes back to it.
        try:
            await handler(UUID(subject))
            JOBS.labels(job.__name__, "done").inc()
        except Exception:
            JOBS.labels(job.__name__, "failed").inc()
            log.exception("job.failed", job=job.__name__, subject=subject)

    return guarded


async def _look(tasks: asyncio.TaskGroup, handlers: Mapping[type[Job], Handler], look_around: Look) -> None:
    busy: set[Job] = set()
    seats = asyncio.Semaphore(MAX_JOBS)

    async def do(job: Job) -> None:
        try:
            async with seats:
                await _guarded(type(job), handlers[type(job)])({}, str(job.subject))
        finally:
            busy.discard(job)

    while True:
        try:
            async with asyncio.timeout(JOB_TIMEOUT):
                found = await look_around()
            for job in found:
                if job not in busy:
                    busy.add(job)
                    tasks.create_task(do(job))
        except Exception:
            log.exception("look.failed")
        await asyncio.sleep(PAUSE)
