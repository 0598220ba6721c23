"""Recorded models: an OpenAI-compatible server whose every reply and verdict was written down beforehand."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml
from aiohttp import web

from esrp.dialogue import Frozen, Turn
from esrp.metrics import METRIC_IDS
from esrp.prompts.fence import fence
from esrp.suite import Suite, bundled

RELEASES = ("release-a", "release-b")
SIMULATOR, JUDGE = "recorded-simulator", "recorded-judge"
SHORTEST, SPREAD = 0.05, 0.1  # seconds that a reply takes: so that a person sees the work go on

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it is there


class Verdict(Frozen):
    """A score and the reason for it."""

    score: int
    explanation: str


class Recording(Frozen):
    """One dialogue with a release, and the verdict on it."""

    character: str
    scenario: str
    turns: tuple[Turn, ...]
    verdict: dict[str, Verdict]


@dataclass(frozen=True)
class Recordings:
    """All that the recorded models know: a suite, every release's dialogues over it, and how varied its replies are."""

    suite: Suite
    releases: dict[str, tuple[Recording, ...]]
    diversity: dict[str, dict[str, Verdict]]

    def candidate(self, release: str, messages: Sequence[dict[str, str]]) -> str | None:
        """What the release said to the last message as the character that the system message names."""
        said = [message["content"] for message in messages if message["role"] == "user"]
        system = "\n".join(message["content"] for message in messages if message["role"] == "system")
        names = {character.id: character.name for character in self.suite.characters}
        found = [
            (system.index(names[recording.character]), turn.assistant)
            for recording in self.releases[release]
            if names[recording.character] in system
            for turn in recording.turns
            if said and turn.user == said[-1]
        ]
        # One character may be spoken of in another's profile; whom the bot plays stands first.
        return min(found)[1] if found else None

    def simulator(self, text: str) -> str | None:
        """What the user went on to say in the dialogue whose first reply stands in ``text``."""
        found = self._with_first_reply_in(text)
        return found[0][1].turns[1].user if found else None

    def judge(self, text: str) -> str | None:
        """The verdict on the dialogue whose first reply stands in ``text``, or on several together, as JSON."""
        found = self._with_first_reply_in(text)
        if not found:
            return None
        release, recording = found[0]
        if len(found) > 1:
            return json.dumps(self.diversity[release][recording.character].model_dump(), ensure_ascii=False)
        verdict = {metric: recording.verdict[metric].model_dump() for metric in METRIC_IDS}
        return json.dumps(verdict, ensure_ascii=False)

    def _with_first_reply_in(self, text: str) -> list[tuple[str, Recording]]:
        everything = ((name, recording) for name, recordings in self.releases.items() for recording in recordings)
        return [(name, found) for name, found in everything if fence(found.turns[0].assistant) in text]


def load() -> Recordings:
    """The recordings that ship with the stack."""
    chosen = _read("suite")
    whole = bundled(chosen["suite"])
    suite = Suite(
        name="esrp-demo",
        language=whole.language,
        experimental=whole.experimental,
        characters=tuple(whole.character(id) for id in chosen["characters"]),
        scenarios=tuple(whole.scenario(id) for id in chosen["scenarios"]),
    )
    releases = {name: tuple(Recording.model_validate(item) for item in _read(name)) for name in RELEASES}
    diversity = {
        name: {character: Verdict.model_validate(verdict) for character, verdict in verdicts.items()}
        for name, verdicts in _read("diversity").items()
    }
    return Recordings(suite, releases, diversity)


@asynccontextmanager
async def serving(recordings: Recordings) -> AsyncIterator[str]:
    """Serve them on a free port of 127.0.0.1; yields the base URL."""
    runner = web.AppRunner(create_app(recordings), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/v1"
    finally:
        await runner.cleanup()


def create_app(recordings: Recordings) -> web.Application:
    """The server."""
    speak: dict[str, Callable[[Sequence[dict[str, str]]], str | None]] = {
        **{name: _candidate(recordings, name) for name in recordings.releases},
        SIMULATOR: lambda messages: recordings.simulator(_text(messages)),
        JUDGE: lambda messages: recordings.judge(_text(messages)),
    }

    async def complete(request: web.Request) -> web.Response:
        """``POST /v1/chat/completions``."""
        try:
            body = await request.json()
            model, messages = str(body["model"]), [_message(item) for item in body["messages"]]
        except (ValueError, KeyError, TypeError):
            return _error(400, "invalid_request", "The body must be JSON with `model` and `messages`.")
        if model not in speak:
            there = ", ".join(speak)
            return _error(404, "model_not_found", f"There is no recorded model {model!r}; there are {there}.")
        reply = speak[model](messages)
        if reply is None:
            return _error(404, "not_recorded", f"{model} has no recording of this dialogue.")
        await asyncio.sleep(latency(reply))
        return web.json_response(_completion(model, messages, reply))

    async def models(_: web.Request) -> web.Response:
        """``GET /v1/models``."""
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "esrp"} for name in speak]
        return web.json_response({"object": "list", "data": listed})

    app = web.Application(client_max_size=4 << 20)
    app.add_routes([web.post("/v1/chat/completions", complete), web.get("/v1/models", models)])
    return app


def latency(text: str) -> float:
    """Seconds that a reply takes: always the same for the same text."""
    return SHORTEST + SPREAD * hashlib.sha256(text.encode()).digest()[0] / 255


def _candidate(recordings: Recordings, release: str) -> Callable[[Sequence[dict[str, str]]], str | None]:
    return lambda messages: recordings.candidate(release, messages)


def _message(item: dict[str, Any]) -> dict[str, str]:
    return {"role": str(item["role"]), "content": str(item["content"])}


def _text(messages: Iterable[dict[str, str]]) -> str:
    return "\n".join(message["content"] for message in messages)


def _completion(model: str, messages: Sequence[dict[str, str]], reply: str) -> dict[str, Any]:
    # No tokeniser: the usual four letters a token.
    prompt, completion = len(_text(messages)) // 4 + 1, len(reply) // 4 + 1
    return {
        "id": f"chatcmpl-{hashlib.sha256(reply.encode()).hexdigest()[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }


def _error(status: int, code: str, message: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)


def _read(name: str) -> Any:
    text = files("services.stack.recordings").joinpath(f"{name}.yaml").read_text("utf-8")
    return yaml.load(text, Loader=_Loader)  # noqa: S506 a safe loader
