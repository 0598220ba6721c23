"""The generator's composition root: what it works with, chosen in one place."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.generator.speakers import Nobody, Simulator, simulator
from services.kit.chat import ChatClient
from services.kit.db import open_engine
from services.kit.endpoint import Timeouts
from services.kit.queue import ArqQueue, Queue
from services.kit.secrets import KeyFile
from services.kit.settings import Settings
from services.work.loop import Slices
from services.work.seats import OPERATOR, AllSeats, Caps, Seats


@dataclass(frozen=True)
class Resources:
    """All that the generator needs from outside."""

    settings: Settings
    engine: AsyncEngine
    queue: Queue
    keys: KeyFile
    chat: ChatClient
    seats: AllSeats
    slices: Slices
    simulator: Simulator | Nobody


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open them, and close them in the end."""
    engine = open_engine(settings.database_url, "esrp_generator")
    queue = ArqQueue(settings.redis_url)
    chat = ChatClient(settings.allowed_networks, Timeouts(**settings.timeouts.model_dump()))
    seats = AllSeats(engine, "generator")
    try:
        yield Resources(
            settings=settings,
            engine=engine,
            queue=queue,
            keys=KeyFile(settings.secret_key_file),
            chat=chat,
            seats=seats,
            slices=Slices(engine, queue, "generator"),
            simulator=simulator(settings.simulator, chat, _simulator_seats(settings, seats)),
        )
    finally:
        await seats.close()
        await chat.close()
        await queue.close()
        await engine.dispose()


def _simulator_seats(settings: Settings, seats: AllSeats) -> Seats | None:
    if settings.simulator is None:
        return None
    return seats.at(OPERATOR, "simulator", Caps(settings.simulator.max_concurrency))
