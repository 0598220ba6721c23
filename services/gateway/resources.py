"""The gateway's composition root: what it works with, chosen in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.access.quota import RateLimit
from services.gateway.runs.report_cache import Shelf
from services.gateway.runs.streams import Streams
from services.gateway.suites.suites import Known
from services.gateway.upstream import Peers
from services.kit.aside import Aside
from services.kit.db import open_engine
from services.kit.queue import ArqQueue, Queue
from services.kit.secrets import KeyFile
from services.kit.settings import Settings
from services.kit.uploads import Uploads

ROOM = 128 << 20  # bytes of uploads that are worked on at once, each with a connection of the pool


@dataclass
class Seeded:
    """Whether the first tenant and the bundled suites are in the database yet."""

    done: bool = False


@dataclass(frozen=True)
class Resources:
    """All that the gateway needs from outside. Long ``texts`` are read in a process aside."""

    settings: Settings
    engine: AsyncEngine
    queue: Queue
    keys: KeyFile
    peers: Peers
    rates: RateLimit
    streams: Streams
    seeded: Seeded = field(default_factory=Seeded)
    shelf: Shelf = field(default_factory=Shelf)
    known: Known = field(default_factory=Known)
    texts: Aside = field(default_factory=lambda: Aside("texts"))
    uploads: Uploads = field(default_factory=lambda: Uploads(ROOM, seconds=120))


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open them, and close them in the end."""
    engine = open_engine(settings.database_url, "esrp_gateway", pool_size=16)
    queue = ArqQueue(settings.redis_url)
    keys = KeyFile(settings.secret_key_file)
    peers = Peers(settings.services, keys.internal_token)
    streams = Streams(engine)
    resources = Resources(
        settings=settings,
        engine=engine,
        queue=queue,
        keys=keys,
        peers=peers,
        rates=RateLimit(settings.rate_limit_per_minute),
        streams=streams,
    )
    try:
        yield resources
    finally:
        await resources.texts.close()
        await streams.close()
        await peers.close()
        await queue.close()
        await engine.dispose()
