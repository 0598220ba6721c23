"""Work that would hold up an event loop, done in processes of our own: few, bounded, and replaced when they fail.

A process begins at the first work and stays. It is nicer than ours, may take so much memory and so many seconds, and
ends when we do: its standard input is closed then, also by ``kill -9``.
"""

import asyncio
import gc
import os
import pickle
import queue
import resource
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, ParamSpec, Protocol, TypeVar

import structlog
from prometheus_client import Counter

from esrp.errors import EsrpError, Unavailable

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

WORK = Counter("esrp_aside_work_total", "Work done in processes aside", ["aside", "outcome"])

HEAD = 8  # bytes of a message's length
# Not -m: what is pickled by name must be of one module.
BEGIN = "import sys; from services.kit.aside import serve; serve(int(sys.argv[1]))"
NICER = 5  # a quarter of a core beside a busy service, all of one that has nothing to do
FAT = 768 << 20  # bytes that a process has ever held: one that took more is replaced, or it would keep them
AGAIN = 5  # seconds after which a refused caller may ask again


class Do(Protocol):
    """Does work in a process and returns its answer; both and what is given are pickled."""

    async def __call__(self, work: Callable[P, T], /, *given: P.args, **named: P.kwargs) -> T:
        """The answer; the work's own ``EsrpError``, or ``Unavailable``."""


async def unless_too_much(answer: Awaitable[T]) -> T | None:
    """The answer; ``None`` for what takes too long or too much: it would the next time, so none is of use."""
    try:
        return await answer
    except Unavailable as error:
        if error.retryable:
            raise
        return None


class Aside:
    """A few processes, one work each at a time.

    ``waiting`` callers may wait for one, for ``seconds``, which is also what a work may take. Whoever comes when the
    line is full is refused at once. ``pool`` is where the processes come from.
    """

    def __init__(
        self, name: str, *, processes: int = 1, waiting: int = 16, seconds: float = 60, pool: "Pool | None" = None
    ) -> None:
        self.name, self._seconds, self._most = name, seconds, processes + waiting
        self._pool = pool or Pool()
        self._free = asyncio.Semaphore(processes)
        self._threads = ThreadPoolExecutor(processes, f"aside-{name}")
        self._callers = 0

    @asynccontextmanager
    async def slot(self, *, patient: bool = False) -> AsyncIterator[Do]:
        """Hold a process; ``Unavailable`` if too many wait. The patient wait however many there are.

        Read what the work needs inside: whoever waits then holds neither rows nor a connection.
        """
        if self._callers >= self._most and not patient:
            WORK.labels(self.name, "refused").inc()
            raise Unavailable("Too much is being computed already; ask again in a moment.", retry_after=AGAIN)
        self._callers += 1
        try:
            await self._wait(None if patient else self._seconds)
            try:
                yield self._do
            finally:
                self._free.release()
        finally:
            self._callers -= 1

    async def do(self, work: Callable[P, T], /, *given: P.args, **named: P.kwargs) -> T:
        """Work that needs nothing to be read before."""
        async with self.slot() as do:
            return await do(work, *given, **named)

    async def close(self) -> None:
        """End the processes."""
        self._threads.shutdown(wait=False)
        self._pool.close()

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        except TimeoutError as error:
            WORK.labels(self.name, "refused").inc()
            detail = f"What was asked before is still being computed after {seconds:g} s; ask again in a moment."
            raise Unavailable(detail, retry_after=AGAIN) from error

    async def _do(self, work: Callable[P, T], /, *given: P.args, **named: P.kwargs) -> T:
        """Everything that takes time is done in a thread, and waits for the process there."""
        loop = asyncio.get_running_loop()
        try:
            process = await loop.run_in_executor(self._threads, self._pool.take)
        except EOFError as error:
            raise self._failed("died", "A process to compute it in did not begin; try again.", again=True) from error
        try:
            async with asyncio.timeout(self._seconds):
                answer = await loop.run_in_executor(self._threads, process.ask, (work, given, named))
        except TimeoutError as error:
            process.kill()
            raise self._failed("overtime", f"This takes longer than {self._seconds:g} s to compute.") from error
        except (EOFError, ConnectionError) as error:
            process.kill()
            raise self._failed("died", "The process that computed it ended; try again.", again=True) from error
        except BaseException:  # whoever waited is gone: nobody will read the answer
            process.kill()
            raise
        self._pool.give_back(process, spent=answer.spent)
        return self._told(answer)  # type: ignore[no-any-return]  # a process says what it likes

    def _told(self, answer: "Answer") -> Any:
        if answer.outcome == "memory":
            most = f"{self._pool.memory >> 20} MiB"
            raise self._failed(answer.outcome, f"This takes more than {most} of memory to compute.")
        WORK.labels(self.name, answer.outcome).inc()
        if answer.outcome == "refused":
            raise answer.value
        if answer.outcome == "crashed":
            raise RuntimeError(f"in a process aside:\n{answer.value}")
        return answer.value

    def _failed(self, outcome: str, detail: str, *, again: bool = False) -> Unavailable:
        WORK.labels(self.name, outcome).inc()
        log.warning("aside.failed", aside=self.name, outcome=outcome)
        error = Unavailable(detail, retry_after=AGAIN if again else None)
        error.retryable = again  # what was too much once is too much again
        return error


class Pool:
    """Processes that have nothing to do; ``memory`` bytes are what each may hold."""

    def __init__(self, *, memory: int = 2 << 30) -> None:
        self.memory = memory
        self._idle: list[_Process] = []
        self._closed = False

    def take(self) -> "_Process":
        """One that is alive, begun if there is none."""
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            process.kill()
        return _Process(self.memory)

    def give_back(self, process: "_Process", *, spent: bool = False) -> None:
        """It has answered."""
        if spent or self._closed:
            process.kill()
        else:
            self._idle.append(process)

    def close(self) -> None:
        """End them all, and what is given back later."""
        self._closed = True
        while self._idle:
            self._idle.pop().kill()


class Answer(NamedTuple):
    """How some work ended, with what, and whether its process is to be replaced."""

    outcome: Literal["done", "refused", "memory", "crashed"]
    value: Any
    spent: bool


class _Process:
    """Our end of a process."""

    def __init__(self, memory: int) -> None:
        command = [sys.executable, "-P", "-c", BEGIN, str(memory)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        _read(self._out)  # it has begun: that is no part of any work's time

    @property
    def alive(self) -> bool:
        """Whether it answers: one that is being killed is there until the last of its threads has gone."""
        try:
            return self._process.poll() is None and self.ask((bool, (), {})).outcome == "done"
        except (EOFError, ConnectionError):
            return False

    def ask(self, asked: Any) -> Answer:
        """The answer; ``EOFError`` or ``ConnectionError`` if the process has ended."""
        _write(self._in, pickle.dumps(asked, protocol=pickle.HIGHEST_PROTOCOL))
        found: Answer = pickle.loads(_read(self._out))  # noqa: S301  # our own child's
        return found

    def kill(self) -> None:
        """End it; whoever waits for its answer is told."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):  # what it was to be told last
            self._in.close()
        self._out.close()


def _write(to: IO[bytes], message: bytes) -> None:
    to.write(len(message).to_bytes(HEAD))
    to.write(message)
    to.flush()


def _read(source: IO[bytes]) -> bytes:
    head = source.read(HEAD)
    message = source.read(int.from_bytes(head)) if len(head) == HEAD else b""
    if len(head) < HEAD or len(message) < int.from_bytes(head):
        raise EOFError
    return message


# --- in the process ---------------------------------------------------------------------------------------------------


def serve(memory: int) -> None:
    """The process: do what comes on standard input, one after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us
    os.nice(NICER)
    with suppress(ValueError, OSError):  # where there is no such limit, or a lower one
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    gc.disable()  # it finds nothing in a million new tuples and takes half of the time
    _write(answers, b"")
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, messages), daemon=True).start()
    loaded = 0
    while True:
        _write(answers, _done(messages.get()))
        gc.collect()
        if len(sys.modules) > loaded:  # what modules hold stays: going through it took 40 ms after each work
            loaded = len(sys.modules)
            gc.freeze()


def _listen(source: IO[bytes], messages: "queue.SimpleQueue[bytes]") -> None:
    """Whole messages as they come; who began us has gone where they end, also in the middle of some work."""
    with suppress(EOFError):
        while True:
            messages.put(_read(source))
    os._exit(0)


def _done(message: bytes) -> bytes:
    answer = _answer(message)
    try:
        return pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(Answer("memory", None, True))
    except Exception:
        return pickle.dumps(Answer("crashed", traceback.format_exc(), False))


def _answer(message: bytes) -> Answer:
    try:
        work, given, named = pickle.loads(message)  # noqa: S301  # from who started us
        return Answer("done", work(*given, **named), _spent())
    except EsrpError as error:
        return Answer("refused", error.with_traceback(None), _spent())
    except MemoryError:
        return Answer("memory", None, True)
    except Exception:
        return Answer("crashed", traceback.format_exc(), _spent())


def _spent() -> bool:
    return peak() > FAT


def peak() -> int:
    """Bytes that this process has ever held, as far as its system says: Linux."""
    with suppress(OSError):
        status = Path("/proc/self/status").read_text()  # getrusage tells of who began the process, too
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    return 0
