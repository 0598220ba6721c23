"""The heart of scenario generation: what the writer is sent for one scenario, and what is taken from its reply.

What is sent is a pure function of the cell, the number in it, the try and the language (paper 3.1).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from esrp.grid import Cell, Slot
from esrp.metrics import Language
from esrp.prompts.writing import writer_hashes, writer_messages
from services.generator.roleplay import PAPER
from services.kit.answer import storable
from services.kit.chat import ChatClient
from services.kit.endpoint import Endpoint, Reply
from services.kit.settings import ModelSettings
from services.work.seats import Seats

ASKS = 3  # answers of no use until a scenario is given up
LONGEST = 2000  # characters of an event or a question; the published ones have at most 120
MOST_OBJECTS = 50  # braces that are looked at; a reply that is all braces must not cost a minute


@dataclass(frozen=True, slots=True)
class Draft:
    """What the writer wrote: a daily event, and what the user says of it to the character."""

    event: str
    question: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer more: the draft in it, or why there is none."""

    reply: Reply
    draft: Draft | None
    fault: str | None
    last: bool


class Author(Protocol):
    """Somebody who writes scenarios."""

    async def ask(self, cell: Cell, number: int, attempt: int, stopped: asyncio.Event) -> Reply:
        """An answer; ``ChatError`` once there is no hope of any, ``Stopped`` if no call may begin any more."""


async def write(
    slot: Slot, asked: int, author: Author, save: Callable[[Answered], Awaitable[None]], stopped: asyncio.Event
) -> None:
    """Have the slot's scenario written, saving each answer as it arrives; ``asked`` were of no use before.

    Returns with the scenario written, given up after ``ASKS`` answers, or left as it is because ``stopped`` was set.
    Raises what ``Author.ask`` raises.
    """
    for attempt in range(asked + 1, ASKS + 1):
        if stopped.is_set():
            return
        reply = await author.ask(slot.cell, slot.number, attempt, stopped)
        draft = draft_in(reply.text)
        await save(Answered(reply, draft, None if draft else _fault(reply), attempt == ASKS))
        if draft:
            return


# --- what is sent -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Writer:
    """The operator's writer model, for one language."""

    model: ModelSettings
    language: Language
    endpoint: Endpoint
    client: ChatClient
    seats: Seats | None = None

    async def ask(self, cell: Cell, number: int, attempt: int, stopped: asyncio.Event) -> Reply:
        """See ``Author``."""
        body = request(self.model, cell, number, attempt, self.language)
        return await self.client.insist(self.endpoint, body, stopped=stopped, door=self.seats)

    @property
    def described(self) -> dict[str, Any]:
        """What is kept with each draft: who wrote it, with which parameters and prompts."""
        return {"model": self.model.model, "params": _params(self.model), "prompts": writer_hashes(self.language)}


def writer(model: ModelSettings, language: Language, client: ChatClient, seats: Seats | None = None) -> Writer:
    """The configured writer."""
    endpoint = Endpoint(model.base_url, model.model, model.key())
    return Writer(model, language, endpoint, client, seats)


def request(model: ModelSettings, cell: Cell, number: int, attempt: int, language: Language) -> dict[str, Any]:
    """The body of the call."""
    return {**_params(model), "model": model.model, "messages": writer_messages(cell, number, attempt, language)}


def _params(model: ModelSettings) -> dict[str, Any]:
    return PAPER if model.params is None else model.params


# --- reading the reply ------------------------------------------------------------------------------------------------


def draft_in(text: str) -> Draft | None:
    """The first JSON object anywhere in the text with an event and a question; ``None`` if there is none."""
    return next(filter(None, map(_draft, _objects(text))), None)


def _objects(text: str) -> Iterator[Any]:
    """Every JSON object in the text, also those inside of others."""
    decoder, at = json.JSONDecoder(strict=False), -1
    for _ in range(MOST_OBJECTS):
        at = text.find("{", at + 1)
        if at < 0:
            return
        try:
            yield decoder.raw_decode(text, at)[0]
        except (ValueError, RecursionError):
            continue


def _draft(found: dict[str, Any]) -> Draft | None:
    texts = [found.get("event"), found.get("question")]
    event, question = (storable(text).strip() if isinstance(text, str) else "" for text in texts)
    if not (0 < len(event) <= LONGEST and 0 < len(question) <= LONGEST):
        return None
    return Draft(event, question)


def _fault(reply: Reply) -> str:
    if reply.finish_reason == "length":
        return "the answer was cut off before its JSON was complete; raise the writer's max_tokens"
    return "the answer holds no JSON object with the texts event and question"
