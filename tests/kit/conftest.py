"""Real servers that misbehave as a test tells them, and a model client that only notes its pauses."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.kit.chat import ChatClient
from services.kit.endpoint import ChatError, Endpoint, Timeouts

Answer = web.StreamResponse | dict[str, Any]
Handler = Callable[[web.Request], Awaitable[Answer]]
Serve = Callable[..., Awaitable[Endpoint]]

KEY = "sk-very-secret-0123"
LOOPBACK = [ip_network("127.0.0.0/8")]


def said(text: Any = "你好。", finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A proper answer."""
    return {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
    }


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """``endpoint = await serve(handler)``: a server for this test; a list of answers is given out in order."""
    servers: list[TestServer] = []

    async def start(handler: Handler | list[Answer], path: str = "/v1/chat/completions", **fields: Any) -> Endpoint:
        async def handle(request: web.Request) -> web.StreamResponse:
            answer = handler.pop(0) if isinstance(handler, list) else await handler(request)
            return web.json_response(answer) if isinstance(answer, dict) else answer

        app = web.Application()
        app.router.add_post(path, handle)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        base = f"http://127.0.0.1:{server.port}{path.removesuffix('/chat/completions')}"
        return Endpoint(**{"base_url": base, "model": "m", "api_key": KEY, **fields})

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def naps() -> list[float]:
    """The pauses that the client made."""
    return []


@pytest.fixture
async def client(naps: list[float]) -> AsyncIterator[ChatClient]:
    async def nap(seconds: float) -> None:
        naps.append(seconds)

    chat = ChatClient(timeouts=Timeouts(connect=5, total=5), sleep=nap)
    yield chat
    await chat.close()


async def failure(call: Awaitable[object]) -> ChatError:
    with pytest.raises(ChatError) as caught:
        await call
    return caught.value


def http(status: int, body: Any = b"", **headers: str) -> web.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.Response(status=status, body=raw, headers=headers)
