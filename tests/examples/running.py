"""The adapter and its bot as processes on ports of their own, started the way their README says."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

FOLDER = Path(__file__).parents[2] / "examples"


@dataclass
class Adapted:
    """Where adapter and bot are."""

    base_url: str
    bot_url: str

    async def heard(self) -> list[tuple[str, list[str]]]:
        """The character and the messages of each session of the bot, oldest first."""
        async with httpx2.AsyncClient() as client:
            sessions: list[dict[str, Any]] = (await client.get(f"{self.bot_url}/sessions")).json()
        return [(session["character"], session["heard"]) for session in sessions]


@asynccontextmanager
async def adapted() -> AsyncIterator[Adapted]:
    """Both, ready."""
    async with AsyncExitStack() as stack:
        bot = await stack.enter_async_context(serving("bot.py"))
        adapter = await stack.enter_async_context(serving("adapter.py", "--bot", bot))
        yield Adapted(f"{adapter}/v1", bot)


@asynccontextmanager
async def serving(script: str, *arguments: str) -> AsyncIterator[str]:
    """The URL of an example's server."""
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(FOLDER / "adapter" / script),
        *arguments,
        "--port",
        str(port),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            while not await _is_open(port):
                assert process.returncode is None, f"{script} ended with {process.returncode}"
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
