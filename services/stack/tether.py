"""Ties children to our life: however we end, also by ``kill -9``, they get a signal."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1

# Notes "pid signal" (0: that one has ended) as they come; once nobody can write any more, sends the signals.
WATCH = """
import os, sys
alive = {}
for line in sys.stdin:
    pid, number = map(int, line.split())
    alive[pid] = number
for pid, number in alive.items():
    if number:
        try:
            os.kill(pid, number)
        except OSError:
            pass
"""


class DeathSignal:
    """Linux: the kernel sends the signal when the thread that started the child ends."""

    def __init__(self) -> None:
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl

    def in_child(self, number: signal.Signals) -> Callable[[], None]:
        """Runs in the child, last before the program: a change of user would clear it again."""
        parent = os.getpid()

        def tie() -> None:
            self._prctl(PR_SET_PDEATHSIG, int(number))
            if os.getppid() != parent:  # it ended in between
                os._exit(1)

        return tie

    async def tie(self, pid: int, number: signal.Signals) -> None:
        """Nothing left to do."""

    async def untie(self, pid: int) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""


class WatchedPipe:
    """Elsewhere: one small process that reads a pipe of ours, and so learns that we are gone."""

    def __init__(self) -> None:
        self._watcher: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()

    def in_child(self, number: signal.Signals) -> Callable[[], None] | None:
        """Nothing to run in the child."""
        return None

    async def tie(self, pid: int, number: signal.Signals) -> None:
        """From now on ``pid`` does not outlive us."""
        await self._note(pid, int(number))

    async def untie(self, pid: int) -> None:
        """``pid`` has ended; its number may soon be another's."""
        await self._note(pid, 0)

    async def close(self) -> None:
        """Let the watcher go: everything it watches should have ended."""
        if self._watcher is not None:
            assert self._watcher.stdin is not None
            self._watcher.stdin.close()
            await self._watcher.wait()

    async def _note(self, pid: int, number: int) -> None:
        async with self._starting:
            if self._watcher is None:
                self._watcher = await asyncio.create_subprocess_exec(
                    sys.executable, "-I", "-S", "-c", WATCH, stdin=asyncio.subprocess.PIPE, start_new_session=True
                )
        assert self._watcher.stdin is not None
        self._watcher.stdin.write(f"{pid} {number}\n".encode())
        await self._watcher.stdin.drain()


Tether = DeathSignal | WatchedPipe


def tether() -> Tether:
    """What this system offers."""
    return DeathSignal() if sys.platform.startswith("linux") else WatchedPipe()
