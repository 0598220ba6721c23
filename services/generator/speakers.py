"""The two who speak: the candidate behind the user's endpoint, and the simulated user behind the operator's."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from esrp.api import EndpointCandidate
from services.generator.roleplay import (
    PAPER,
    OpenTurn,
    Request,
    Scene,
    candidate_request,
    simulator_request,
)
from services.kit.chat import ChatClient, ChatError, Endpoint, Reply, Stopped
from services.kit.settings import ModelSettings

LONGEST = 20_000  # characters of a user's turn, as everywhere


@dataclass(frozen=True, slots=True)
class Candidate:
    """The bot under test. Its address comes from a user, so it is checked when we connect."""

    bot: EndpointCandidate
    endpoint: Endpoint
    client: ChatClient

    def request(self, scene: Scene, turns: Sequence[OpenTurn]) -> Request:
        """What is sent for the last, unanswered turn."""
        return candidate_request(self.bot, scene, turns)

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], stopped: asyncio.Event) -> Reply:
        """The bot's answer."""
        return await self.client.insist(self.endpoint, self.request(scene, turns), stopped=stopped)


@dataclass(frozen=True, slots=True)
class Simulator:
    """The simulated user. All runs share its endpoint, so ``seats`` caps the calls in flight."""

    model: ModelSettings
    endpoint: Endpoint
    client: ChatClient
    seats: asyncio.Semaphore

    def request(self, scene: Scene, turns: Sequence[OpenTurn]) -> Request:
        """What is sent to go on."""
        params = PAPER if self.model.params is None else self.model.params
        return simulator_request(self.model.model, params, scene, turns)

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], stopped: asyncio.Event) -> Reply:
        """The user's next words."""
        async with self.seats:
            if stopped.is_set():  # it was, while we waited for a seat
                raise Stopped
            reply = await self.client.insist(self.endpoint, self.request(scene, turns), stopped=stopped)
        if len(reply.text) > LONGEST:
            raise ChatError("reply_too_long", f"the simulated user wrote {len(reply.text)} characters at once")
        return reply


class Nobody:
    """No simulator is configured: a second round fails with that reason."""

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], stopped: asyncio.Event) -> Reply:
        """Raises ``ChatError``."""
        raise ChatError("not_configured", "a second round needs a simulator, and none is configured")


def candidate(bot: EndpointCandidate, client: ChatClient) -> Candidate:
    """The speaker for a candidate as it was sent to us."""
    endpoint = Endpoint(
        base_url=bot.base_url,
        model=bot.model,
        api_key=bot.api_key.get_secret_value() if bot.api_key else None,
        headers=bot.headers,
        max_concurrency=bot.max_concurrency,
        guarded=True,
    )
    return Candidate(bot, endpoint, client)


def simulator(model: ModelSettings | None, client: ChatClient) -> Simulator | Nobody:
    """The speaker for the configured simulator."""
    if model is None:
        return Nobody()
    endpoint = Endpoint(
        base_url=model.base_url,
        model=model.model,
        api_key=model.key(),
        headers={},
        max_concurrency=model.max_concurrency,
        guarded=False,
    )
    return Simulator(model, endpoint, client, asyncio.Semaphore(model.max_concurrency))
