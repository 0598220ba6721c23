"""Uploads, all together: on disk while they arrive, and so many bytes of them worked on at once.

A slow client holds a file and nothing else. What is worked on takes memory in proportion to its size, so its bytes are
what is limited; the others wait their turn, for a while.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from fastapi import Request

from esrp.errors import Unavailable

IN_MEMORY = 64 << 10  # bytes of an upload that need no file
PIECE = 1 << 20  # bytes written at once, in a thread
AGAIN = 10  # seconds after which a refused client may send again


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that has come in full; ``sha256`` is of it."""

    file: IO[bytes]
    size: int
    sha256: str

    async def whole(self) -> bytes:
        """All of it."""
        self.file.seek(0)
        return await asyncio.to_thread(self.file.read)

    async def parts(self) -> AsyncIterator[bytes]:
        """A piece after another."""
        self.file.seek(0)
        while part := await asyncio.to_thread(self.file.read, PIECE):
            yield part


class Uploads:
    """What a process takes in.

    ``room``: bytes worked on at once; a larger upload is worked on alone. ``waiting`` uploads may wait for it, for
    ``seconds``. ``disk``: bytes that may lie there, of those that wait and of those that are still arriving.
    """

    def __init__(self, room: int, *, waiting: int = 32, seconds: float = 60, disk: int = 1 << 30) -> None:
        self._room, self._waiting, self._seconds, self._disk = room, waiting, seconds, disk
        self._lying = 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._used = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[Upload]:
        """The request's body, once it is here and may be worked on; ``Unavailable`` where too much is under way."""
        with SpooledTemporaryFile[bytes](max_size=IN_MEMORY) as file:
            lying = 0
            try:
                hashed = hashlib.sha256()
                async for part in _pieces(request):
                    self._lying += len(part)
                    lying += len(part)
                    if self._lying > self._disk:
                        raise _full("Too much is being uploaded already; send it again in a moment.")
                    await _written(file, part)
                    hashed.update(part)
                async with self._worked_on(lying):
                    yield Upload(file, lying, hashed.hexdigest())
            finally:
                self._lying -= lying

    @asynccontextmanager
    async def _worked_on(self, size: int) -> AsyncIterator[None]:
        size = min(max(1, size), self._room)
        await self._enter(size)
        try:
            yield
        finally:
            self._used -= size
            self._call_in()

    async def _enter(self, size: int) -> None:
        if not self._line and self._used + size <= self._room:
            self._used += size
            return
        if len(self._line) >= self._waiting:
            raise _full("Too many uploads are waiting already; send it again in a moment.")
        place = size, asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(self._seconds):
                await place[1]
        except BaseException as error:
            if place[1].done() and not place[1].cancelled():  # let in at the same moment
                self._used -= size
            else:
                self._line.remove(place)
            self._call_in()
            if isinstance(error, TimeoutError):
                raise _full("Other uploads are still being worked on; send it again in a moment.") from error
            raise

    def _call_in(self) -> None:
        """Let in those for whom there is room now, in the order of their coming."""
        while self._line and self._used + self._line[0][0] <= self._room:
            size, turn = self._line.popleft()
            if turn.cancelled():  # it is just leaving
                self._line.appendleft((size, turn))
                return
            self._used += size
            turn.set_result(None)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces of a size that is worth a thread."""
    gathered = bytearray()
    async for chunk in request.stream():
        gathered += chunk
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def _written(file: IO[bytes], part: bytes) -> None:
    try:
        await asyncio.to_thread(file.write, part)
    except OSError as error:
        raise _full("There is no room on disk for what is being uploaded; send it again later.") from error


def _full(detail: str) -> Unavailable:
    return Unavailable(detail, retry_after=AGAIN)
