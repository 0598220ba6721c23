"""The analytics service's composition root: what it works with, chosen in one place."""

import asyncio
import os
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit.aside import Aside, Pool
from services.kit.db import open_engine
from services.kit.queue import ArqQueue, Queue
from services.kit.secrets import KeyFile
from services.kit.settings import Settings
from services.kit.uploads import Uploads

ROOM = 64 << 20  # bytes of uploads that are worked on at once: the largest alone
LONG, LARGE = 240, 4 << 30  # seconds and bytes that the report of a run may take: a job has 300 s
PROCESSES = max(1, min(4, (os.cpu_count() or 2) // 2))  # for figures: half of the machine is the pipeline's


@dataclass(frozen=True)
class Resources:
    """All that the analytics service needs from outside.

    What is asked for is computed in ``figures``; ``reports`` are for runs that end, so that nobody who asks holds up
    the pipeline.
    """

    settings: Settings
    engine: AsyncEngine
    queue: Queue
    keys: KeyFile
    figures: Aside = field(default_factory=lambda: Aside("figures", processes=PROCESSES))
    reports: Aside = field(default_factory=lambda: Aside("reports", seconds=LONG, pool=Pool(memory=LARGE)))
    uploads: Uploads = field(default_factory=lambda: Uploads(ROOM))
    _turns: WeakValueDictionary[Hashable, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def turn(self, of: Hashable) -> asyncio.Lock:
        """In this process one at a time makes a run's report, by the run, or a figure, by its key."""
        return self._turns.setdefault(of, asyncio.Lock())

    async def close(self) -> None:
        """Close them in the end."""
        await self.figures.close()
        await self.reports.close()
        await self.queue.close()
        await self.engine.dispose()


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open them, and close them in the end."""
    engine = open_engine(settings.database_url, "esrp_analytics")
    queue = ArqQueue(settings.redis_url)
    resources = Resources(settings=settings, engine=engine, queue=queue, keys=KeyFile(settings.secret_key_file))
    try:
        yield resources
    finally:
        await resources.close()
