"""One process of a service: its web half, its working half, or both on one event loop."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

import uvloop
from starlette.types import ASGIApp

from services.kit.queue import Job
from services.kit.server import serve
from services.kit.settings import Settings, load
from services.kit.telemetry import configure_logging
from services.kit.worker import Handler, work

Resources = TypeVar("Resources")


def main(
    service: str,
    *,
    open_resources: Callable[[Settings], AbstractAsyncContextManager[Resources]],
    create_app: Callable[[Resources], ASGIApp],
    handlers: Callable[[Resources], Mapping[type[Job], Handler]],
    look_around: Callable[[Resources], Awaitable[Sequence[Job]]],
) -> None:
    """``python -m services.<service> [serve|work]``; without a word, both."""
    words = sys.argv[1:]
    if words not in ([], ["serve"], ["work"]):
        sys.exit(f"usage: python -m services.{service} [serve|work]")
    settings = load()
    configure_logging(settings.log_format)

    async def process() -> None:
        async with open_resources(settings) as resources:
            parts: list[Awaitable[None]] = []
            if words != ["work"]:
                parts.append(serve(create_app(resources), settings.listen, settings.limits))
            if words != ["serve"]:
                parts.append(work(service, settings.redis_url, handlers(resources), partial(look_around, resources)))
            gc.collect()
            gc.freeze()  # what is there now stays: looking through it again took 0.2 s in the middle of a request
            await run(*parts)

    uvloop.run(process())


async def run(*parts: Awaitable[None]) -> None:
    """Run until one part ends or SIGTERM or SIGINT comes; then stop them all and raise what went wrong."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    stop = asyncio.create_task(_signalled())
    done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
    for task in [*tasks, stop]:
        task.cancel()
    await asyncio.gather(*tasks, stop, return_exceptions=True)
    for task in done - {stop}:
        if not task.cancelled() and (error := task.exception()):
            raise error


async def _signalled() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
