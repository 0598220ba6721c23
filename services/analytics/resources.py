"""The analytics service's composition root: what it works with, chosen in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

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
