"""The judge's composition root: what it works with, chosen in one place."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.judge.panel import panel_rater
from services.judge.rating import Rater, Unserved
from services.kit.chat import ChatClient
from services.kit.db import open_engine
from services.kit.queue import ArqQueue, Queue
from services.kit.secrets import KeyFile
from services.kit.settings import JudgeSettings, Settings


@dataclass
class Bench:
    """A run that this process is judging: ``rung`` says that it was rung for again, ``stir`` that there is news."""

    rung: bool = True
    stir: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Resources:
    """All that the judge needs from outside, and the runs that it is busy with."""

    settings: Settings
    engine: AsyncEngine
    queue: Queue
    keys: KeyFile
    raters: Mapping[str, Rater]
    benches: dict[UUID, Bench] = field(default_factory=dict)

    def rater(self, name: str) -> Rater:
        """The judge of that name; one that was taken out of the configuration says so in each verdict."""
        missing = f"The judge {name} is no longer configured: add it to the judges of esrp.yaml."
        return self.raters.get(name) or Unserved("judge_not_configured", missing)


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open them, and close them in the end."""
    engine = open_engine(settings.database_url, "esrp_judge")
    queue = ArqQueue(settings.redis_url)
    chat = ChatClient()  # judges are the operator's own: their addresses are not checked
    try:
        raters = {judge.name: _rater(judge, chat) for judge in settings.judges}
        yield Resources(settings, engine, queue, KeyFile(settings.secret_key_file), raters)
    finally:
        await chat.close()
        await queue.close()
        await engine.dispose()


def _rater(judge: JudgeSettings, chat: ChatClient) -> Rater:
    if judge.kind == "chat":
        return panel_rater(judge, chat)
    message = (
        f"The judge {judge.name} is of kind {judge.kind}, which this version does not serve; take one of kind chat."
    )
    return Unserved("judge_kind_not_served", message)
