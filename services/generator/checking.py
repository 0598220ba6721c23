"""One dialogue against a candidate, nothing stored: what was sent, what came back, what would fail."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from esrp.api import Check, EndpointCandidate, Exchange, RunError
from esrp.dialogue import Character, Frozen, Scenario, Turn
from esrp.metrics import Language
from services.generator.roleplay import OpenTurn, Role, Said, Scene, play
from services.generator.speakers import Candidate, Nobody, Simulator
from services.kit.chat import ChatError, Reply


class CheckJob(Frozen):
    """What the gateway asks to have checked."""

    candidate: EndpointCandidate
    character: Character
    scenario: Scenario
    language: Language
    rounds: int


async def check(job: CheckJob, candidate: Candidate, simulator: Simulator | Nobody) -> Check:
    """Play one dialogue and tell all about it."""
    scene = Scene(job.character, job.scenario, 1, job.rounds, job.language)
    exchanges: list[Exchange] = []
    spoken: list[OpenTurn] = []

    async def keep(said: Said) -> None:
        spoken[:] = said.turns

    failure = await play(
        scene,
        (),
        _Watched(candidate, "candidate", exchanges),
        _Watched(simulator, "simulator", exchanges),
        keep,
        asyncio.Event(),
    )
    turns = [Turn(user=turn.user, assistant=turn.assistant) for turn in spoken if turn.assistant is not None]
    problems = [f"{failure.role}: {failure.error.message}"] if failure else []
    return Check(
        ok=not problems,
        character=job.character.id,
        scenario=job.scenario.id,
        turns=turns,
        exchanges=exchanges,
        problems=problems,
    )


@dataclass
class _Watched:
    """A speaker whose every call is written down."""

    speaker: Candidate | Simulator | Nobody
    role: Role
    exchanges: list[Exchange] = field(default_factory=list)

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], stopped: asyncio.Event) -> Reply:
        request = {} if isinstance(self.speaker, Nobody) else self.speaker.request(scene, turns)
        started = time.monotonic()
        exchange = Exchange(role=self.role, request=request, reply=None, finish_reason=None, error=None, seconds=0)
        self.exchanges.append(exchange)
        try:
            reply = await self.speaker.say(scene, turns, stopped)
            exchange.reply, exchange.finish_reason = reply.text, reply.finish_reason
            return reply
        except ChatError as error:
            exchange.error = RunError(code=error.code, message=error.message)
            raise
        finally:
            exchange.seconds = round(time.monotonic() - started, 3)
