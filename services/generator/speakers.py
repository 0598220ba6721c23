"""The two who speak: the candidate behind the user's endpoint, and the simulated user behind the operator's."""

from collections.abc import Mapping, Sequence
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
from services.kit.chat import ChatClient
from services.kit.endpoint import ChatError, Endpoint, Reply
from services.kit.settings import ModelSettings
from services.work.budget import Errand
from services.work.seats import Caps, Seats

LONGEST = 20_000  # characters of a user's turn, as everywhere


@dataclass(frozen=True, slots=True)
class Candidate:
    """The bot under test. Its address comes from a user, so it is checked when we connect."""

    bot: EndpointCandidate
    endpoint: Endpoint
    client: ChatClient
    seats: Seats | None = None

    def request(self, scene: Scene, turns: Sequence[OpenTurn]) -> Request:
        """What is sent for the last, unanswered turn."""
        return candidate_request(self.bot, scene, turns)

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], errand: Errand) -> Reply:
        """The bot's answer."""
        body = self.request(scene, turns)
        door = errand.door(self.seats, body, "candidate")
        return await self.client.insist(self.endpoint, body, stopped=errand.stopped, door=door)


@dataclass(frozen=True, slots=True)
class Simulator:
    """The simulated user. All runs share its endpoint."""

    model: ModelSettings
    endpoint: Endpoint
    client: ChatClient
    seats: Seats | None = None

    def request(self, scene: Scene, turns: Sequence[OpenTurn]) -> Request:
        """What is sent to go on."""
        params = PAPER if self.model.params is None else self.model.params
        return simulator_request(self.model.model, params, scene, turns)

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], errand: Errand) -> Reply:
        """The user's next words."""
        body = self.request(scene, turns)
        door = errand.door(self.seats, body, "simulator")
        reply = await self.client.insist(self.endpoint, body, stopped=errand.stopped, door=door)
        if len(reply.text) > LONGEST:
            raise ChatError("reply_too_long", f"the simulated user wrote {len(reply.text)} characters at once")
        return reply


@dataclass(frozen=True, slots=True)
class Frozen:
    """The user of a transcript: says what was said there, so that two candidates meet the same questions.

    ``said`` maps character and scenario to the user's turns, the first included.
    """

    said: Mapping[tuple[str, str | None], Sequence[str]]

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], errand: Errand) -> Reply:
        """The transcript's next words; costs nothing."""
        said = self.said.get((scene.character.id, scene.scenario.id), ())
        if len(said) <= len(turns):
            raise ChatError("not_recorded", f"the transcript has no user turn {len(turns) + 1} for this dialogue")
        return Reply(said[len(turns)], None, 0, 0, 0.0, calls=0)


class Nobody:
    """No simulator is configured: a second round fails with that reason."""

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], errand: Errand) -> Reply:
        """Raises ``ChatError``."""
        raise ChatError("not_configured", "a second round needs a simulator, and none is configured")


def door(bot: EndpointCandidate) -> tuple[str, Caps]:
    """The candidate's endpoint as it is known without its secrets, and its hard limits."""
    address, _, query = bot.base_url.partition("?")
    caps = Caps(bot.max_concurrency, bot.requests_per_minute, bot.tokens_per_minute)
    return f"candidate {address}{'?***' if query else ''}", caps


def candidate(bot: EndpointCandidate, client: ChatClient, seats: Seats | None = None) -> Candidate:
    """The speaker for a candidate as it was sent to us."""
    endpoint = Endpoint(
        base_url=bot.base_url,
        model=bot.model,
        api_key=bot.api_key.get_secret_value() if bot.api_key else None,
        headers=bot.headers,
        guarded=True,
    )
    return Candidate(bot, endpoint, client, seats)


def simulator(model: ModelSettings | None, client: ChatClient, seats: Seats | None = None) -> Simulator | Nobody:
    """The speaker for the configured simulator."""
    if model is None:
        return Nobody()
    return Simulator(model, Endpoint(model.base_url, model.model, model.key()), client, seats)
