"""The heart: how a dialogue is played, and what exactly each side is sent.

What is sent is a pure function of suite, character, scenario, turn, replicate and earlier turns, so that the same run
gives the same requests. The candidate sees the role prompt, the profile and the user's words; never persona, place,
emotion or event. The simulated user sees those, and the dialogue so far.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from esrp.api import EndpointCandidate, Params
from esrp.dialogue import Character, Scenario, Turn
from esrp.metrics import Language
from esrp.prompts import fill, load
from esrp.prompts.fence import transcript
from esrp.prompts.labels import worded
from services.kit.chat import Stopped
from services.kit.endpoint import ChatError, Reply, Usage
from services.work.budget import Errand

Role = Literal["candidate", "simulator"]
Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """A round that may still wait for its answer."""

    user: str
    assistant: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that decides what is said, but for the models."""

    character: Character
    scenario: Scenario
    replicate: int
    rounds: int
    language: Language


@dataclass(frozen=True, slots=True)
class Said:
    """One answer more: the turns as they stand now, and what the call cost."""

    turns: tuple[OpenTurn, ...]
    role: Role
    reply: Reply


@dataclass(frozen=True, slots=True)
class Failure:
    """Who failed, and why."""

    role: Role | Literal["generator"]
    error: ChatError


@dataclass(frozen=True, slots=True)
class Halt:
    """Stopped before the next answer; ``billed``: what answers of no use had cost by then.

    ``error`` is what the last attempt met, if there was one, and ``pause`` the seconds that were left to wait after it.
    """

    role: Role
    billed: Usage
    error: ChatError | None = None
    pause: float = 0.0


class Speaker(Protocol):
    """Somebody who says the next words of a dialogue."""

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], errand: Errand) -> Reply:
        """The next words; ``ChatError`` once there is no hope of any, ``Stopped`` if no call may begin any more."""


async def play(
    scene: Scene,
    turns: Sequence[OpenTurn],
    candidate: Speaker,
    simulator: Speaker,
    save: Callable[[Said], Awaitable[None]],
    errand: Errand,
) -> Failure | Halt | None:
    """Play the dialogue on from where ``turns`` left it, saving each answer as it arrives.

    Returns ``None`` when it is complete or the errand was stopped before the next call, else what came in between.
    """
    turns = tuple(turns) or (OpenTurn(scene.scenario.question),)
    while not (finished(turns, scene.rounds) or errand.stopped.is_set()):
        answering = turns[-1].assistant is None
        role: Role = "candidate" if answering else "simulator"
        try:
            reply = await (candidate if answering else simulator).say(scene, turns, errand)
        except ChatError as error:
            return Failure(role, error)
        except Stopped as stop:
            return Halt(role, stop.billed, stop.fault, stop.pause)
        turns = (*turns[:-1], OpenTurn(turns[-1].user, reply.text)) if answering else (*turns, OpenTurn(reply.text))
        await save(Said(turns, role, reply))
    return None


def finished(turns: Sequence[OpenTurn], rounds: int) -> bool:
    """Whether every round was asked and answered."""
    return len(turns) >= rounds and turns[-1].assistant is not None


# --- what is sent -----------------------------------------------------------------------------------------------------


def candidate_request(bot: EndpointCandidate, scene: Scene, turns: Sequence[OpenTurn]) -> Request:
    """Plain chat turns: instructions and profile in the system message, the user's words unchanged as the user's."""
    messages = []
    if system := _system_message(bot.prompt, scene):
        messages.append({"role": "system", "content": system})
    for turn in turns:
        messages.append({"role": "user", "content": turn.user})
        if turn.assistant is not None:
            messages.append({"role": "assistant", "content": turn.assistant})
    streamed = {"stream": True, "stream_options": {"include_usage": True}} if bot.stream else {}
    return {
        **_given(bot.params),
        **bot.extra_body,
        **streamed,
        "model": bot.models.get(scene.character.id, bot.model),
        "messages": messages,
        "user": user_value(scene),
    }


def simulator_request(model: str, params: Mapping[str, Any], scene: Scene, turns: Sequence[OpenTurn]) -> Request:
    """The scenario and the dialogue so far, fenced; asked for the user's next words."""
    said = [Turn(user=turn.user, assistant=turn.assistant or "") for turn in turns]
    text = load("simulator", scene.language).render(
        name=scene.character.name,
        persona=worded(scene.scenario.persona, scene.language),
        location=worded(scene.scenario.location, scene.language),
        emotion=worded(scene.scenario.emotion, scene.language),
        event=scene.scenario.event,
        dialogue=transcript(said, scene.language),
    )
    return {**params, "model": model, "messages": [{"role": "user", "content": text}], "user": user_value(scene)}


def user_value(scene: Scene) -> str:
    """An opaque id of this dialogue, so that a bot with a session memory keeps dialogues apart."""
    words = "\x1f".join((scene.character.id, scene.scenario.id, str(scene.replicate)))
    return hashlib.sha256(f"esrp:{words}".encode()).hexdigest()[:32]


PAPER = Params().model_dump()  # paper 5.1: candidate, simulator and writer


def _system_message(prompt: str, scene: Scene) -> str:
    if prompt == "none":
        return ""
    character = scene.character
    if prompt == "suite":
        return load("role", scene.language).render(name=character.name, work=character.work, profile=character.profile)
    return fill(prompt, {"name": character.name, "work": character.work, "profile": character.profile})


def _given(params: Params) -> dict[str, Any]:
    return {name: value for name, value in params.model_dump().items() if value is not None}
