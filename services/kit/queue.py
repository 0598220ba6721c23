"""The doorbell: messages that may be lost or doubled at no harm. arq stays behind this file and ``worker.py``."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis import exceptions as redis_errors
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """One message: what it is about, mostly a run. ``to`` is the service that works it."""

    to: ClassVar[str]
    subject: UUID


class Queue(Protocol):
    """Somewhere to ring."""

    async def ring(self, *jobs: Job) -> None:
        """Send the messages. Never fails: a bell that nobody hears costs one tick of the listener's own clock."""

    async def ping(self) -> bool:
        """Whether there is somebody to hear."""

    async def close(self) -> None:
        """Hang up."""


class ArqQueue:
    """Rings through arq on Redis. Connects when first used, and again after Redis was away."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: ArqRedis | None = None
        self._lock = asyncio.Lock()

    async def ring(self, *jobs: Job) -> None:
        """See ``Queue``. Waits at most a second."""
        try:
            async with asyncio.timeout(1):
                pool = await self._connected()
                for job in jobs:
                    # No fixed job id: the id of a dead worker's job stays blocked until its timeout.
                    await pool.enqueue_job(type(job).__name__, str(job.subject), _queue_name=queue_name(job.to))
                for service in {job.to for job in jobs}:
                    await pool.publish(bell(service), b"")
        except (redis_errors.RedisError, OSError, TimeoutError) as error:
            log.warning("queue.unheard", jobs=[type(job).__name__ for job in jobs], error=repr(error))

    async def ping(self) -> bool:
        """Whether Redis answers."""
        try:
            async with asyncio.timeout(1):
                return bool(await (await self._connected()).ping())
        except (redis_errors.RedisError, OSError, TimeoutError):
            return False

    async def close(self) -> None:
        """Hang up."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _connected(self) -> ArqRedis:
        async with self._lock:
            if self._pool is None:
                self._pool = await create_pool(redis_settings(self._url, tries=2), **SERIALISED)
            return self._pool


class RecordedQueue:
    """For tests: remembers what was rung."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    async def ring(self, *jobs: Job) -> None:
        """See ``Queue``."""
        self.jobs += jobs

    async def ping(self) -> bool:
        """See ``Queue``."""
        return True

    async def close(self) -> None:
        """See ``Queue``."""


class Chime:
    """Rings the same bells at most every ``pause`` seconds while there is news, and once more at the block's end."""

    def __init__(self, queue: Queue, *jobs: Job, pause: float = 0.5) -> None:
        self._queue, self._jobs, self._pause = queue, jobs, pause
        self._news = asyncio.Event()

    def news(self) -> None:
        """There is something for the others to look at."""
        self._news.set()

    async def __aenter__(self) -> "Chime":
        self._ringer = asyncio.create_task(self._ring())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ringer.cancel()
        await self._queue.ring(*self._jobs)

    async def _ring(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._queue.ring(*self._jobs)
            await asyncio.sleep(self._pause)


def queue_name(service: str) -> str:
    """The Redis key of a service's queue."""
    return f"esrp:{service}"


def bell(service: str) -> str:
    """The Redis channel on which its worker hears that there is something in its queue."""
    return f"esrp:{service}:bell"


def _to_json(message: dict[str, Any]) -> bytes:
    return json.dumps(message, default=repr).encode()


# arq's default is pickle: whoever can write to Redis could run code.
SERIALISED: dict[str, Any] = {"job_serializer": _to_json, "job_deserializer": json.loads}


def redis_settings(url: str, *, tries: int = 60) -> RedisSettings:
    """arq's settings for a URL; with ``tries`` the connection outlives a restart of Redis."""
    parts = urlsplit(url)
    settings = RedisSettings(unix_socket_path=parts.path) if parts.scheme == "unix" else RedisSettings.from_dsn(url)
    settings.conn_retries = tries
    settings.retry = Retry(ExponentialBackoff(cap=1, base=0.05), tries)
    settings.retry_on_timeout = True
    settings.retry_on_error = [
        redis_errors.ConnectionError,
        redis_errors.TimeoutError,
        redis_errors.BusyLoadingError,
        OSError,
    ]
    return settings
