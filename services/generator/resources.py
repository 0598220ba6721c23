"""The generator's composition root: what it works with, chosen in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.generator.speakers import Nobody, Simulator, simulator
from services.kit.chat import ChatClient
from services.kit.db import open_engine
from services.kit.queue import ArqQueue, Queue
from services.kit.secrets import KeyFile
from services.kit.settings import Settings


@dataclass(frozen=True)
class Resources:
    """All that the generator needs from outside."""

    settings: Settings
    engine: AsyncEngine
    queue: Queue
    keys: KeyFile
    chat: ChatClient
    simulator: Simulator | Nobody


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open them, and close them in the end."""
    engine = open_engine(settings.database_url, "esrp_generator")
    queue = ArqQueue(settings.redis_url)
    chat = ChatClient(allowed_networks=settings.allowed_networks)
    try:
        yield Resources(
            settings=settings,
            engine=engine,
            queue=queue,
            keys=KeyFile(settings.secret_key_file),
            chat=chat,
            simulator=simulator(settings.simulator, chat),
        )
    finally:
        await chat.close()
        await queue.close()
        await engine.dispose()
