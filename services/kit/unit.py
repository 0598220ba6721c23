"""A unit of work: one transaction, and whoever is to be told of it is rung once that is committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kit.queue import Job, Queue


@dataclass(frozen=True, slots=True)
class Unit:
    """A transaction ``tx``, and the bells that its commit rings."""

    tx: AsyncConnection
    bells: list[Job] = field(default_factory=list)

    def ring(self, *jobs: Job) -> None:
        """Ring once this is committed."""
        self.bells.extend(jobs)


@asynccontextmanager
async def unit(engine: AsyncEngine, queue: Queue) -> AsyncIterator[Unit]:
    """Commit at the block's end and ring then; where the block raises, nothing is kept and nobody is told."""
    async with engine.begin() as tx:
        work = Unit(tx)
        yield work
    await queue.ring(*work.bells)
