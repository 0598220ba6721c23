"""The analytics service's composition root: what it works with, chosen in one place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit.db import open_engine
from services.kit.queue import ArqQueue, Queue
from services.kit.secrets import KeyFile
from services.kit.settings import Settings


@dataclass(frozen=True)
class Resources:
    """All that the analytics service needs from outside."""

    settings: Settings
    engine: AsyncEngine
    queue: Queue
    keys: KeyFile
    _turns: WeakValueDictionary[UUID, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def turn(self, run_id: UUID) -> asyncio.Lock:
        """In this process one at a time makes a run's report."""
        return self._turns.setdefault(run_id, asyncio.Lock())


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open them, and close them in the end."""
    engine = open_engine(settings.database_url, "esrp_analytics")
    queue = ArqQueue(settings.redis_url)
    try:
        yield Resources(settings=settings, engine=engine, queue=queue, keys=KeyFile(settings.secret_key_file))
    finally:
        await queue.close()
        await engine.dispose()
