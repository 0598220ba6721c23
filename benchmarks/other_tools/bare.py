"""A bare loop, nothing around it: ``WORK=… BASE_URL=… python -m benchmarks.other_tools.bare aiohttp|openai IN_FLIGHT``.

So many dialogues are played at a time, and nothing is kept but the number of scores. The last line of the output is
JSON: the seconds of the loop without the start of Python, and the scores.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from benchmarks.other_tools.work import CANDIDATE, JUDGE, SCORE, SIMULATOR, TALK, Messages, Work, load, scores

Chat = Callable[[str, Messages, dict[str, Any]], Awaitable[str]]


async def main(client: str, in_flight: int) -> None:
    """Play everything and say how long it took."""
    work = iter(load())  # one for all workers
    async with {"aiohttp": with_aiohttp, "openai": with_openai}[client](in_flight) as chat:
        started = time.monotonic()
        counts = await asyncio.gather(*(worker(chat, work) for _ in range(in_flight)))
        seconds = time.monotonic() - started
    print(json.dumps({"seconds": seconds, "scores": sum(counts)}))


async def worker(chat: Chat, work: Iterator[Work]) -> int:
    """Play dialogues until none is left; how many scores came of them."""
    return sum([len(await dialogue(chat, each)) for each in work])


async def dialogue(chat: Chat, work: Work) -> dict[str, int]:
    """Two rounds and their scores."""
    a1 = await chat(CANDIDATE, work.first(), TALK)
    q2 = await chat(SIMULATOR, work.ask(a1), TALK)
    a2 = await chat(CANDIDATE, work.second(a1, q2), TALK)
    return scores(await chat(JUDGE, work.rate(a1, q2, a2), SCORE))


@asynccontextmanager
async def with_aiohttp(in_flight: int) -> AsyncIterator[Chat]:
    """Calls by aiohttp, with a connection for each that may be in flight."""
    # Whoever runs the other loop need not have this library, nor pay for its import.
    aiohttp = importlib.import_module("aiohttp")
    url = os.environ["BASE_URL"] + "/chat/completions"
    options = {
        "connector": aiohttp.TCPConnector(limit=in_flight),
        "headers": {"Authorization": "Bearer none"},
        "json_serialize": partial(json.dumps, ensure_ascii=False),  # as the others: half the bytes for Chinese
    }
    async with aiohttp.ClientSession(**options) as session:

        async def chat(model: str, messages: Messages, params: dict[str, Any]) -> str:
            async with session.post(url, json={"model": model, "messages": messages, **params}) as answer:
                answer.raise_for_status()
                content: str = (await answer.json())["choices"][0]["message"]["content"]
                return content

        yield chat


@asynccontextmanager
async def with_openai(in_flight: int) -> AsyncIterator[Chat]:
    """Calls by ``AsyncOpenAI``, with a connection kept for each that may be in flight (it keeps 100 by itself)."""
    openai, httpx2 = importlib.import_module("openai"), importlib.import_module("httpx2")
    limits = httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    http = openai.DefaultAsyncHttpxClient(limits=limits)
    async with openai.AsyncOpenAI(base_url=os.environ["BASE_URL"], api_key="none", http_client=http) as client:

        async def chat(model: str, messages: Messages, params: dict[str, Any]) -> str:
            answer = await client.chat.completions.create(model=model, messages=messages, **params)
            content: str = answer.choices[0].message.content
            return content

        yield chat


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
