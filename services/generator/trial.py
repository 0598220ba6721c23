"""Dialogues against a candidate, nothing stored: one to see what would fail, or a pilot to see what a run takes."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from esrp.api import Check, EndpointCandidate, Exchange, RunError, Usage
from esrp.dialogue import Character, Frozen, Scenario, Turn
from esrp.metrics import Language
from services.generator.roleplay import Failure, OpenTurn, Role, Said, Scene, Speaker, play
from services.generator.speakers import Candidate, Nobody, Simulator
from services.generator.speakers import Frozen as Recorded
from services.kit.endpoint import ChatError, Reply
from services.work.budget import Errand


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
        Errand(),
    )
    turns = [Turn(user=turn.user, assistant=turn.assistant) for turn in spoken if turn.assistant is not None]
    problems = [f"{failure.role}: {failure.error.message}"] if isinstance(failure, Failure) else []
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

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], errand: Errand) -> Reply:
        request = {} if isinstance(self.speaker, Nobody) else self.speaker.request(scene, turns)
        started = time.monotonic()
        exchange = Exchange(role=self.role, request=request, reply=None, finish_reason=None, error=None, seconds=0)
        self.exchanges.append(exchange)
        try:
            reply = await self.speaker.say(scene, turns, errand)
            exchange.reply, exchange.finish_reason = reply.text, reply.finish_reason
            return reply
        except ChatError as error:
            exchange.error = RunError(code=error.code, message=error.message)
            raise
        finally:
            exchange.seconds = round(time.monotonic() - started, 3)


class SceneJob(Frozen):
    """Who meets what; ``asked`` are the user's turns where a transcript has them."""

    character: Character
    scenario: Scenario
    asked: tuple[str, ...] | None = None


class ProbeJob(Frozen):
    """A pilot that a tenant asks for through the gateway."""

    tenant_id: UUID
    candidate: EndpointCandidate
    scenes: tuple[SceneJob, ...]
    language: Language
    rounds: int


class Probe(Frozen):
    """What one dialogue of a pilot came to, and what each of its calls took."""

    turns: list[Turn]
    candidate: list[Usage]
    simulator: list[Usage]
    problem: str | None


async def probe(job: ProbeJob, candidate: Candidate, simulator: Simulator | Nobody) -> list[Probe]:
    """Play the pilot's dialogues side by side."""
    return list(await asyncio.gather(*(_probe(job, scene, candidate, simulator) for scene in job.scenes)))


async def _probe(job: ProbeJob, met: SceneJob, candidate: Candidate, simulator: Simulator | Nobody) -> Probe:
    scene = Scene(met.character, met.scenario, 1, job.rounds, job.language)
    spoken: list[OpenTurn] = []
    used: dict[Role, list[Usage]] = {"candidate": [], "simulator": []}

    async def keep(said: Said) -> None:
        spoken[:] = said.turns
        reply = said.reply
        use = Usage(calls=reply.calls, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)
        used[said.role].append(use)

    user: Speaker = simulator
    if met.asked is not None:
        user = Recorded({(met.character.id, met.scenario.id): met.asked})
    ended = await play(scene, (), candidate, user, keep, Errand())
    return Probe(
        turns=[Turn(user=turn.user, assistant=turn.assistant) for turn in spoken if turn.assistant is not None],
        candidate=used["candidate"],
        simulator=used["simulator"],
        problem=f"{ended.role}: {ended.error.message}" if isinstance(ended, Failure) else None,
    )
