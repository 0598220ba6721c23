"""A service to be attacked, in a process of its own, and served as every service is.

``python -m tests.kit.attacked LISTEN LIMITS NOFILE``; ``Attacked`` starts it and looks at it from outside.
"""

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

MIB = 1 << 20
PATIENCE = 30.0  # for a busy machine


class Attacked:
    """The process, its port, its log, and what it takes."""

    def __init__(self, folder: Path, nofile: int = 4096, unix: bool = False, **limits: float) -> None:
        self.log = folder / "server.log"
        self.address: Any = str(folder / "s.sock") if unix else ("127.0.0.1", _free_port())
        listen = f"unix:{self.address}" if unix else f"tcp:127.0.0.1:{self.address[1]}"
        command = [sys.executable, "-m", "tests.kit.attacked", listen, json.dumps(limits), str(nofile)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._until_up()

    def connect(self) -> socket.socket:
        """A connection with nothing sent yet."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        opened = socket.socket(family)
        opened.settimeout(PATIENCE)
        opened.connect(self.address)
        return opened

    def ask(self, path: str = "/healthz") -> tuple[int, float]:
        """The status of a request of another client, and the seconds until it was there."""
        began = time.monotonic()
        with self.connect() as one:
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            return int(received(one).split()[1]), time.monotonic() - began

    @property
    def memory(self) -> int:
        """Bytes resident."""
        line = next(x for x in self._proc("status").read_text().splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1]) << 10

    @property
    def files(self) -> int:
        """Descriptors open."""
        return len(os.listdir(self._proc("fd")))

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self._process.pid}/{name}")

    def _until_up(self) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self._process.poll() is None, self.log.read_text()
            with suppress(OSError):
                self.ask()
                return
            time.sleep(0.05)
        raise TimeoutError(self.log.read_text())


def received(one: socket.socket) -> bytes:
    """All that comes until the other side closes; a reset is a close."""
    found = b""
    with suppress(ConnectionError):
        while chunk := one.recv(1 << 16):
            found += chunk
    return found


def push(one: socket.socket, chunk: bytes, total: int) -> int:
    """Send the chunk over and over until ``total`` bytes are out or the other side has closed; the bytes that went."""
    sent = 0
    with suppress(ConnectionError):
        while sent < total:
            one.sendall(chunk)
            sent += len(chunk)
    return sent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def _main(listen: str, limits: str, nofile: str) -> None:
    # Imports of its own: whoever only looks on needs no web framework.
    from fastapi import Request
    from fastapi.responses import StreamingResponse

    from services.kit.server import serve
    from services.kit.settings import LimitSettings
    from services.kit.telemetry import configure_logging
    from services.kit.web import create_app

    resource.setrlimit(resource.RLIMIT_NOFILE, (int(nofile), int(nofile)))
    configure_logging("json")

    async def ready() -> dict[str, bool]:
        return {}

    app = create_app("attacked", ready=ready)

    @app.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.get("/trailed")
    async def trailed(request: Request) -> list[str]:
        await request.body()
        return sorted(request.headers)

    @app.get("/ticks")
    async def ticks(seconds: float) -> StreamingResponse:
        async def each() -> AsyncIterator[bytes]:
            yield b"tick\n"
            await asyncio.sleep(seconds)
            yield b"tock\n"

        return StreamingResponse(each(), media_type="text/event-stream")

    @app.get("/large")
    async def large(size: int) -> StreamingResponse:
        async def each() -> AsyncIterator[bytes]:
            for _ in range(size // MIB):
                yield bytes(MIB)

        return StreamingResponse(each(), media_type="application/octet-stream")

    asyncio.run(serve(app, listen, LimitSettings(**json.loads(limits))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
