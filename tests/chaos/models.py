"""A scripted model server with seeded faults; what it answers depends on the request alone."""

import asyncio
import json
import random
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from esrp.metrics import METRIC_IDS
from tests.chaos.harness import Seen

Fault = Literal["429", "500", "drop", "hang"]
PERSISTENT = 2  # faults in a row that one body meets at most: fewer than any caller gives up after


@dataclass
class FaultyModels:
    """An OpenAI-compatible server. A fault is decided by the seed, the body, and how often that body was sent.

    ``faults`` are shares of calls. A call counts as answered even if its client went away: the model did the work.
    """

    seed: int = 1
    latency: float = 0.1  # seconds
    faults: Mapping[Fault, float] = field(default_factory=dict)
    base_url: str = ""
    met: Counter[Fault] = field(default_factory=Counter)
    sent: Counter[bytes] = field(default_factory=Counter)
    answered: Counter[bytes] = field(default_factory=Counter)
    in_flight: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def seen(self) -> Seen:
        """The counters as they are now."""
        total = self.answered.total()
        return Seen(answered=total, again=total - len(self.answered), in_flight=self.in_flight)

    def forget(self) -> None:
        """Begin to count anew; what is in flight stays."""
        self.met.clear()
        self.sent.clear()
        self.answered.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One chat completion, or the fault that was drawn for it."""
        body = await request.read()
        self.sent[body] += 1
        if (fault := self._fault(body)) is not None:
            self.met[fault] += 1
            return await self._fail(fault, request)
        self.in_flight += 1
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.in_flight -= 1
        self.answered[body] += 1
        return web.json_response(_completion(_words(body)))

    def _fault(self, body: bytes) -> Fault | None:
        if (times := self.sent[body]) > PERSISTENT:
            return None
        drawn = random.Random(f"{self.seed} {times} {zlib.crc32(body)}").random()
        for fault, share in self.faults.items():
            if drawn < share:
                return fault
            drawn -= share
        return None

    async def _fail(self, fault: Fault, request: web.Request) -> web.StreamResponse:
        if fault == "hang":
            await self.closing.wait()
        elif fault == "drop" and request.transport is not None:
            request.transport.abort()
        elif fault == "429":
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "0.2"})
        return web.json_response({"error": {"message": "broken"}}, status=500)


@asynccontextmanager
async def serve(models: FaultyModels) -> AsyncIterator[FaultyModels]:
    """Serve on a free port of loopback."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", models.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    models.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield models
    finally:
        models.closing.set()
        await runner.cleanup()


def _words(body: bytes) -> str:
    """Scores from a judge, text from anybody else; each body has its own.

    Whether a judge was asked about a dialogue or about a batch of replies, what it wants to know is in the answer.
    """
    own = random.Random(zlib.crc32(body))
    if json.loads(body)["model"] != "judge":
        return f"I hear you, {own.randrange(10**9)}."
    scores = {metric: {"score": own.randint(1, 5), "explanation": "so it seems"} for metric in METRIC_IDS}
    return json.dumps({**scores, "score": own.randint(1, 5), "explanation": "so it seems"})


def _completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}
