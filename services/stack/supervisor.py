"""A child process that is kept running: started, watched until ready, started again when it ends, stopped in order."""

import asyncio
import os
import re
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.kit.sparing import Sparing
from services.stack.errors import CannotStart
from services.stack.tether import Tether

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0  # seconds before a child that ended is started again; doubled each time
STEADY = 30.0  # seconds of life after which the next end is a first one again
TRIES = 2  # ends before it was ever ready: after that many, waiting for it is given up
PROBE = 0.05  # seconds between two looks at whether it is ready
LARGEST_LOG = 16 << 20  # bytes; a log that would grow over it is put aside, in the place of the one before
LONGEST_LINE = 1 << 16  # bytes that are looked through for what is worth the terminal
LOUD = 20, 10.0  # lines for the terminal in so many seconds; it may be a file too
LAST_LINES = 12  # of a log, shown when a child cannot be started

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how it is told from outside.

    ``ready`` is asked with the process id. ``stop`` is the signal for a clean end, ``orphaned`` the one that comes when
    we are killed. ``loud`` finds the lines of its output that are also worth the terminal. ``owner`` is another user.
    """

    name: str
    command: Sequence[str | Path]
    ready: Callable[[int], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM
    orphaned: signal.Signals = signal.SIGKILL
    loud: re.Pattern[str] | None = None
    before: Callable[[], Awaitable[None]] | None = None
    directory: Path | None = None
    owner: int | None = None


class Child:
    """A program kept running. Its output goes to ``log``; ``say`` is told what a person should know."""

    def __init__(self, program: Program, log: Path, tether: Tether, say: Say) -> None:
        self.name = program.name
        self.restarts = 0
        self._program, self._log, self._tether, self._say = program, log, tether, say
        self._process: Process | None = None
        self._loudness = Sparing(*LOUD)
        self._stopping = False
        self._was_ready = False
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it, and start it again whenever it ends."""
        self._task = asyncio.create_task(self._keep_running(), name=self.name)

    async def wait_ready(self) -> None:
        """Until it is ready; ``CannotStart`` once it will not be."""
        assert self._task is not None
        waiting = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    @property
    def is_ready(self) -> bool:
        """Whether it is ready now."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def stop(self, grace: float) -> None:
        """Ask it to end, and after ``grace`` seconds make it end."""
        self._stopping = True
        if self._task is None:
            return
        if self.pid is None:
            self._task.cancel()
        self.signal(self._program.stop)
        done, _ = await asyncio.wait([self._task], timeout=grace)
        if not done:
            self.kill()
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def kill(self) -> None:
        """End it at once, with whatever it has started."""
        self._stopping = True
        if self.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep_running(self) -> None:
        pause, tries = FIRST_PAUSE, 0
        while not self._stopping:
            born = time.monotonic()
            try:
                ended = await self._live()
            except (CannotStart, OSError) as error:
                ended = f"could not be started ({error})"
            if self._stopping:
                return
            tries += 1
            if not self._was_ready and tries >= TRIES:
                raise CannotStart(f"{self.name} {ended} before it was ready. The end of {self._log}:\n{self._tail()}")
            pause = FIRST_PAUSE if time.monotonic() - born > STEADY else min(2 * pause, LONGEST_PAUSE)
            self.restarts += 1
            self._say(f"{self.name} {ended}; starting it again. Its log is {self._log}")
            await asyncio.sleep(pause)

    async def _live(self) -> str:
        """One life: from its start to how it ended."""
        if self._program.before is not None:
            await self._program.before()
        self._process = process = await self._spawn()
        await self._tether.tie(process.pid, self._program.orphaned)  # before anybody is told that it is ready
        if self._stopping:
            self.signal(self._program.stop)
        probing = asyncio.create_task(self._probe(process.pid))
        pumping = asyncio.create_task(self._pump(process))
        try:
            code = await process.wait()
            await self._tether.untie(process.pid)
            # What it leaves running may still hold the pipe; nothing of that is worth waiting for.
            await asyncio.wait([pumping], timeout=0.2)
        finally:
            self._ready.clear()
            probing.cancel()
            pumping.cancel()
            await asyncio.gather(probing, pumping, return_exceptions=True)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def _spawn(self) -> Process:
        program = self._program
        owner = program.owner
        another: dict[str, Any] = {} if owner is None else {"user": owner, "group": owner, "extra_groups": []}
        return await asyncio.create_subprocess_exec(
            *map(str, program.command),
            env={**os.environ, **program.environment},
            cwd=program.directory,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,  # so that the terminal's Ctrl-C reaches only us
            preexec_fn=self._tether.in_child(program.orphaned),
            **another,
        )

    async def _probe(self, pid: int) -> None:
        while not await self._program.ready(pid):
            await asyncio.sleep(PROBE)
        if self._was_ready:
            self._say(f"{self.name} is back")
        self._was_ready = True
        self._ready.set()

    async def _pump(self, process: Process) -> None:
        """Its output to its log, and what is loud to the terminal. Always drained, or it would block."""
        assert process.stdout is not None
        rest = b""
        with _Log(self._log) as log:
            while chunk := await process.stdout.read(1 << 16):
                with suppress(OSError):  # a full disk: a child that cannot write its log still works
                    log.write(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                self._tell(lines)
                rest = rest[-LONGEST_LINE:]

    def _tell(self, lines: Sequence[bytes]) -> None:
        loud = self._program.loud
        if loud is None or not self._was_ready or self._stopping:
            return
        for line in lines:
            text = line.decode("utf-8", "replace")
            if not loud.search(text):
                continue
            left_out = self._loudness.admit("line", time.monotonic())
            if left_out is not None:
                more = f" (and {left_out} lines that are in {self._log})" if left_out else ""
                self._say(f"{self.name}: {text.strip()}{more}")

    def _tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:])
        return ""


class _Log:
    """A file that is appended to and has an end: with the one put aside it never takes more than twice LARGEST_LOG."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, chunk: bytes) -> None:
        """Append the chunk, to a new file if this one is full."""
        if self._file.tell() + len(chunk) > LARGEST_LOG:
            self._path.replace(self._path.with_suffix(".log.1"))
            full, self._file = self._file, self._path.open("ab", buffering=0)
            full.close()
        self._file.write(chunk)
