"""The judge's composition root: what it works with, chosen in one place."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from services.judge.lora.rater import LoraRater, lora_rater
from services.judge.panel import panel_rater
from services.judge.rating import Rater, Unserved
from services.kit.chat import ChatClient
from services.kit.db import open_engine
from services.kit.endpoint import Timeouts
from services.kit.queue import ArqQueue, Queue
from services.kit.secrets import KeyFile
from services.kit.settings import JudgeSettings, Settings
from services.work.loop import Slices
from services.work.seats import OPERATOR, AllSeats, Caps


@dataclass(frozen=True)
class Resources:
    """All that the judge needs from outside, and the slices that it is busy with."""

    settings: Settings
    engine: AsyncEngine
    queue: Queue
    keys: KeyFile
    raters: Mapping[str, Rater]
    slices: Slices

    def rater(self, name: str) -> Rater:
        """The judge of that name; one that was taken out of the configuration says so in each verdict."""
        missing = f"The judge {name} is no longer configured: add it to the judges of esrp.yaml."
        return self.raters.get(name) or Unserved("judge_not_configured", missing)

    def served(self) -> dict[str, bool]:
        """The judges whose vLLM we run ourselves, and whether it is ready."""
        ours = [judge.name for judge in self.settings.judges if judge.serve is not None]
        return {name: isinstance(rater := self.raters.get(name), LoraRater) and rater.is_ready for name in ours}


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open them, and close them in the end."""
    engine = open_engine(settings.database_url, "esrp_judge")
    queue = ArqQueue(settings.redis_url)
    # Judges are the operator's own: their addresses are not checked.
    chat = ChatClient(timeouts=Timeouts(**settings.timeouts.model_dump()))
    seats = AllSeats(engine, "judge")
    try:
        async with AsyncExitStack() as engines:
            raters = {judge.name: await _rater(judge, chat, seats, engines) for judge in settings.judges}
            yield Resources(
                settings, engine, queue, KeyFile(settings.secret_key_file), raters, Slices(engine, queue, "judge")
            )
    finally:
        await seats.close()
        await chat.close()
        await queue.close()
        await engine.dispose()


async def _rater(judge: JudgeSettings, chat: ChatClient, seats: AllSeats, engines: AsyncExitStack) -> Rater:
    own = seats.at(OPERATOR, f"judge {judge.name}", Caps(judge.max_concurrency))
    if judge.kind == "chat":
        return panel_rater(judge, chat, own)
    return await engines.enter_async_context(lora_rater(judge, chat, own))
