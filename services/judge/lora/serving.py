"""vLLM as a child of ours: launched, watched, started again when it ends; what a name serves never changes.

vLLM keys its prefix cache by an adapter's name and path and not by its content, so an adapter that was overwritten
would go on giving scores of the old one. Hence an adapter is named by its content, and none is loaded later on.

``python -P -m services.judge.lora.serving --model PATH --adapter NAME=PATH``
"""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from aiohttp import ClientError, ClientSession, ClientTimeout

from esrp.errors import InvalidInput
from services.judge.lora import launcher
from services.judge.lora.adapter import CARD, CONFIG, content_sha256, read_card, require_prompt

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM has kernels for
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before a vLLM that ended is started again; doubled each time
STEADY = 120.0  # seconds of life, a start of 30 to 100 among them, after which the next end is a first one again
PROBE = 0.5  # seconds between two looks at it
PROBE_LIMIT = 10.0  # seconds that a look may take
HUNG = 60.0  # seconds without an answer after which one that was ready is killed; busy cores make it slow
GRACE = 5.0  # seconds for a clean end, which takes it 2.5
TRIES = 2  # of the command: ends before it was ever ready
USAGE, CRASH = 4, 8  # exit codes, as everywhere in `esrp`

BOTH = ("--enable-prefix-caching", "--enable-lora", "--max-model-len", "auto", "--disable-uvicorn-access-log")
ON_CPU = ("--dtype", "float32", "--enforce-eager", "--block-size", "32", "--max-num-batched-tokens", "4096")
ON_GPU = ("--dtype", "bfloat16", "--max-num-batched-tokens", "16384", "--max-num-seqs", "256")
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
# One thread: two on shared cores spin at barriers. What the operator has set wins.
CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}

Say = Callable[[str], None]


class UnusableAdapter(Exception):
    """What is at the adapter's path cannot be served, or not under that name."""


class CannotServe(Exception):
    """vLLM does not start."""


# --- what is launched -------------------------------------------------------------------------------------------------


def adapter_name(name: str, path: Path) -> str:
    """``NAME@<12 hex>`` for the adapter's content; ``UnusableAdapter`` if there is none, or the name says another.

    One with a card that tells of other prompts than ours is not usable either.
    """
    try:
        content = content_sha256(path)
        if (path / CARD).exists():
            require_prompt(read_card(path))
    except InvalidInput as error:
        raise UnusableAdapter(error.detail) from error
    found = f"{name.partition('@')[0]}@{content[:12]}"
    if "@" in name and name != found:
        raise UnusableAdapter(f"{path} holds {found} and not {name}; take a new folder for each adapter")
    return found


@dataclass(frozen=True)
class Launch:
    """A base model and the adapters on it, by full name; ``python`` is the one that vLLM is installed for."""

    model: str
    adapters: Mapping[str, Path]
    python: str
    port: int
    cpu: bool = False
    more: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        model: str,
        adapters: Mapping[str, Path],
        *,
        python: str | None = None,
        port: int | None = None,
        cpu: bool = False,
        more: Sequence[str] = (),
        pinned: bool = False,
    ) -> "Launch":
        """With each adapter's full name, the ``ESRP_VLLM_PYTHON``, and a free port, as far as these are not given.

        Where names must be ``pinned``, one without its content's hash is ``UnusableAdapter``.
        """
        full = {adapter_name(name, path): path.absolute() for name, path in adapters.items()}
        if pinned and (short := full.keys() - adapters.keys()):
            wanted = ", ".join(f"`model: {name}`" for name in sorted(short))
            raise UnusableAdapter(f"an adapter that is served here is named by its content: write {wanted}")
        named = python or os.environ.get("ESRP_VLLM_PYTHON") or sys.executable
        return cls(model, full, named, port or _free_port(), cpu, tuple(more))

    @property
    def url(self) -> str:
        """Where it listens: on this machine only, for it asks nobody who they are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """Where its OpenAI-compatible API is."""
        return f"{self.url}/v1"

    def command(self) -> list[str]:
        """The command line; ``UnusableAdapter`` if an adapter is no longer what its name says."""
        for name, path in self.adapters.items():
            adapter_name(name, path)
        modules = [json.dumps({"name": name, "path": str(path)}) for name, path in self.adapters.items()]
        count = str(len(modules))
        return [
            *(self.python, "-P", str(Path(launcher.__file__)), "--tied", "serve", self.model),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *BOTH,
            *(ON_CPU if self.cpu else ON_GPU),
            *("--max-lora-rank", str(self._rank()), "--max-loras", count, "--max-cpu-loras", count),
            *("--lora-modules", *modules),
            *self.more,
        ]

    def environment(self) -> dict[str, str]:
        """Ours without what is only ours: settings, which hold passwords, and where this Python finds its packages."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("ESRP_", "PYTHON"))}
        local = {"HF_HUB_OFFLINE": "1"} if Path(self.model).exists() else {}
        return {**QUIET, **local, **(CPU if self.cpu else {}), **ours}

    def _rank(self) -> int:
        ranks = [_rank(path) for path in self.adapters.values()]
        return next((rank for rank in RANKS if rank >= max(ranks)), max(ranks))


def _rank(path: Path) -> int:
    try:
        return int(json.loads((path / CONFIG).read_text("utf-8"))["r"])
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableAdapter(f"{path / CONFIG} names no rank `r`") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- how it is kept running -------------------------------------------------------------------------------------------


class Engine:
    """One vLLM kept running. ``say`` gets its output, line by line, and what happens to it."""

    def __init__(self, launch: Launch, say: Say) -> None:
        self.launch = launch
        self.restarts = 0
        self._say = say
        self._ready = False
        self._since = time.monotonic()
        self._was_ready = False
        self._process: Process | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it answers now, with all its adapters."""
        return self._ready

    @property
    def pid(self) -> int | None:
        """The process id while it runs; the group's too."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def away(self) -> float:
        """Seconds since it was ready, or since we began with it."""
        return 0.0 if self.is_ready else time.monotonic() - self._since

    async def keep_running(self, tries: int | None = None) -> None:
        """Until cancelled; ``CannotServe`` once it has ended ``tries`` times without ever having been ready."""
        pause, ends = FIRST_PAUSE / 2, 0
        while True:
            born = time.monotonic()
            try:
                ended = await self._live()
            except (UnusableAdapter, OSError) as error:
                ended = f"cannot be started: {error}"
            ends += 1
            if tries is not None and not self._was_ready and ends >= tries:
                raise CannotServe(ended)
            pause = FIRST_PAUSE if time.monotonic() - born > STEADY else min(2 * pause, LONGEST_PAUSE)
            self._say(f"{ended}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            self.restarts += 1

    async def _live(self) -> str:
        """One life: from its start to how it ended."""
        command = await asyncio.to_thread(self.launch.command)
        self._process = process = await asyncio.create_subprocess_exec(
            *command,
            env=self.launch.environment(),
            stdin=PIPE,  # held open as long as we live: see ``launcher.end_with``
            stdout=PIPE,
            stderr=STDOUT,
            limit=1 << 20,
            start_new_session=True,
        )
        helpers = [asyncio.create_task(self._watch(process.pid)), asyncio.create_task(self._tell(process))]
        try:
            code = await process.wait()
            return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        finally:
            self._set_ready(False)
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await _end(process)

    async def _watch(self, pid: int) -> None:
        """Know whether it is ready, for as long as it lives; kill it if it does not answer any more."""
        heard: float | None = None
        async with ClientSession(timeout=ClientTimeout(total=PROBE_LIMIT), trust_env=False) as http:
            while True:
                if await self._answers(http):
                    heard = time.monotonic()
                    self._set_ready(True)
                elif heard is not None:
                    self._set_ready(False)
                    if time.monotonic() - heard > HUNG:
                        self._say(f"has not answered for {HUNG:g} s and is killed")
                        _signal_group(pid, signal.SIGKILL)
                await asyncio.sleep(PROBE)

    def _set_ready(self, ready: bool) -> None:
        if ready and not self._ready:
            self._was_ready = True
            self._say(f"ready with {', '.join(self.launch.adapters)} at {self.launch.base_url}")
        if self._ready and not ready:
            self._since = time.monotonic()
        self._ready = ready

    async def _answers(self, http: ClientSession) -> bool:
        """Healthy, and with all the adapters."""
        with suppress(ClientError, OSError, TimeoutError, ValueError, LookupError, TypeError):
            async with http.get(f"{self.launch.url}/health") as health:
                if health.status != 200:
                    return False
            if self._ready:
                return True
            async with http.get(f"{self.launch.base_url}/models") as models:
                return self.launch.adapters.keys() <= {model["id"] for model in (await models.json())["data"]}
        return False

    async def _tell(self, process: Process) -> None:
        """Its output, always drained, or it would block."""
        assert process.stdout is not None
        rest = b""
        while chunk := await process.stdout.read(1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-(1 << 16) :]
            for line in lines:
                self._say(line.decode("utf-8", "replace").rstrip())


async def _end(process: Process) -> None:
    """Let it end cleanly if it still lives, and then whatever it has left behind."""
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM, leader_only=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()
    _signal_group(process.pid, signal.SIGKILL)
    await process.wait()


def _signal_group(pid: int, number: signal.Signals, *, leader_only: bool = False) -> None:
    with suppress(ProcessLookupError, PermissionError):
        (os.kill if leader_only else os.killpg)(pid, number)


@asynccontextmanager
async def engine_running(launch: Launch, name: str) -> AsyncIterator[Engine]:
    """An engine that is kept running for the length of the block; its output goes to stderr under ``name``."""
    engine = Engine(launch, to_stderr(name))
    running = asyncio.create_task(engine.keep_running(), name=name)
    try:
        yield engine
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def to_stderr(name: str) -> Say:
    """Lines under a name, beside our own log."""

    def say(line: str) -> None:
        with suppress(OSError):  # nobody reads it any more
            print(f"{name} | {line}", file=sys.stderr, flush=True)

    return say


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """`esrp judge serve`: until Ctrl-C; the exit code."""
    options = _parser().parse_args(arguments)
    say = to_stderr("esrp")
    try:
        launch = Launch.of(
            options.model,
            dict(options.adapter),
            python=options.python,
            port=options.port,
            cpu=options.cpu,
            more=options.more,
        )
    except UnusableAdapter as error:
        say(str(error))
        return USAGE
    for name in launch.adapters:
        where = f'base_url: "{launch.base_url}", model: "{name}", tokenizer: "{launch.model}"'
        print(f"  - {{name: lora, kind: lora, {where}}}", flush=True)
    try:
        asyncio.run(_until_signalled(Engine(launch, to_stderr("vllm"))))
    except CannotServe as error:
        say(f"vLLM {error} before it was ready")
        return CRASH
    return 0


async def _until_signalled(engine: Engine) -> None:
    running = asyncio.create_task(engine.keep_running(TRIES))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it and exit."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="esrp judge serve", description="Serve LoRA judges with vLLM, on this machine only.")
    parser.add_argument("--model", required=True, help="the base model: a folder, or its name on the hub")
    parser.add_argument("--adapter", required=True, action="append", type=_adapter, metavar="NAME=PATH")
    parser.add_argument("--port", type=int, default=8100, help="(default: 8100)")
    parser.add_argument(
        "--python", help="the Python that vLLM is installed for (default: ESRP_VLLM_PYTHON, or this one)"
    )
    parser.add_argument("--cpu", action="store_true", help="serve on the CPU, in float32")
    parser.add_argument("more", nargs="*", help="further options of `vllm serve`, after --")
    return parser


def _adapter(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not path or not _NAME.fullmatch(name):
        raise ValueError(text)
    return name, Path(path)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(@[0-9a-f]{12})?")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
