"""The outside world, scripted: a model server on a real port, and speakers without one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from esrp.metrics import METRIC_IDS
from services.generator.roleplay import OpenTurn, Scene
from services.kit.endpoint import ChatError, Reply
from services.work.budget import Errand

Answer = str | tuple[int, dict[str, Any]]


def verdict(score: int = 4) -> str:
    """A judge's reply that gives every metric one score."""
    return json.dumps({metric: {"score": score, "explanation": f"it is a {score}"} for metric in METRIC_IDS})


def is_batch(request: dict[str, Any]) -> bool:
    """Whether a judge is asked about a batch of replies, and not about a dialogue."""
    return any(mark in message["content"] for message in request["messages"] for mark in ("⟦reply 1⟧", "⟦回复1⟧"))


def rated(request: dict[str, Any], score: int = 4) -> str:
    """A judge's reply that gives this score to whatever it is asked about."""
    return json.dumps({"score": score, "explanation": f"it is a {score}"}) if is_batch(request) else verdict(score)


def by_model(request: dict[str, Any]) -> Answer:
    """A whole cast: `judge` rates 4, `simulator` asks on, anything else replies; all from the request alone."""
    said = str(request["messages"][-1]["content"])
    if request["model"] == "judge":
        return rated(request)
    if request["model"] == "simulator":
        return f"And then? ({len(said)})"
    return f"I hear you: {said[:40]}"


@dataclass
class Models:
    """A local OpenAI-compatible server that answers by a script and remembers every request."""

    answer: Callable[[dict[str, Any]], Answer] = by_model
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    base_url: str = ""

    def sent_to(self, model: str) -> list[dict[str, Any]]:
        """The requests for one model."""
        return [request for request in self.requests if request["model"] == model]

    async def handle(self, request: web.Request) -> web.Response:
        """One chat completion; waits to be opened, which it is unless a test closes it."""
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        await self.opened.wait()
        answer = self.answer(body)
        if isinstance(answer, tuple):
            return web.json_response(answer[1], status=answer[0])
        message = {"role": "assistant", "content": answer}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})


@asynccontextmanager
async def serve_models(models: Models, port: int = 0) -> AsyncIterator[Models]:
    """Serve on a port of loopback; a free one unless it is named."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", models.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    models.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    models.opened.set()
    try:
        yield models
    finally:
        await runner.cleanup()


@dataclass
class Scripted:
    """A speaker that says its lines in turn; an error among them is raised."""

    lines: list[str | ChatError]
    heard: list[tuple[OpenTurn, ...]] = field(default_factory=list)

    async def say(self, scene: Scene, turns: Sequence[OpenTurn], errand: Errand) -> Reply:
        """The next line."""
        self.heard.append(tuple(turns))
        line = self.lines.pop(0)
        if isinstance(line, ChatError):
            raise line
        return Reply(text=line, finish_reason="stop", prompt_tokens=10, completion_tokens=5, seconds=0.0)
