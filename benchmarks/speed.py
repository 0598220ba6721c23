"""Our whole pipeline beside other tools on the same dialogues: ``python -m benchmarks.speed --peers``.

1,200 dialogues of the suite `esrp-zh`, each four calls of 200 ms to the mock model server: turn 1, follow-up question,
turn 2, and a verdict with nine scores. At 64 and at 256 in flight, counted over candidate, simulator and judge together
and checked by the highest number that the server saw. The ideal is all calls one after another in so many lines.

Ours is a fresh stack, from the request for a run to its report, over the public API; its judges are not asked about
diversity, as those of the others are not, so that all make the same calls; the in-flight total is split
2 : 1 : 1 over candidate, simulator and judge, as their calls are. A peer is a process of its own, from its start to its
end, in an environment that ``--peers`` makes in a cache folder. A peer that cannot be installed, or that made other
calls than these, has no figures.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import workload
from benchmarks.footprint import Footprint, watched
from benchmarks.other_tools import install
from benchmarks.other_tools.install import NotInstalled
from benchmarks.servers import FULL, LATENCY, ROOT, Mock, add_options, mock, model, stack
from esrp.api import Report, Run
from esrp.client import AsyncClient

CALLS, METRICS = 4, 9  # of a dialogue
LIMITS = {64: 1.20, 256: 2.5}  # by calls in flight: seconds over the ideal
FASTER_AT = 256  # in flight: ours is to be faster than the bare loop over AsyncOpenAI
OPENAI_LOOP = "bare AsyncOpenAI loop"
PATIENCE = 600.0  # seconds for one peer; the slowest known takes 70
LEGEND = """
Ours: from the request for a run to its report, with database and judge, on a stack that is up; memory is that of all
its processes, shared pages counted once. Others: the whole process, imports included, memory of its largest process;
loop only: without the imports."""
HERE = (Path(__file__).parent / "other_tools").relative_to(ROOT)  # where peers run; Inspect takes no absolute path


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be measured; ``file`` holds it for the peers."""

    dialogues: int
    in_flight: int
    mock: Mock
    file: Path

    @property
    def ideal(self) -> float:
        """Seconds that the calls alone take."""
        return self.dialogues * CALLS * LATENCY / 1000 / self.in_flight


@dataclass(frozen=True, slots=True)
class Measured:
    """What it took. ``inner``: seconds without the start of the process, where the peer says it."""

    name: str
    seconds: float
    inner: float | None
    footprint: Footprint
    stats: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Missing:
    """No figures, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Peer:
    """Another tool, ready to be started: ``command`` says how for so many calls in flight."""

    name: str
    command: Callable[[int, Path], Sequence[str]]
    environment: Callable[[Path], Mapping[str, str]] = lambda _: {}


Row = Measured | Missing


def main() -> int:
    """Measure and print; 1 if a limit was missed."""
    options = arguments()
    peers = [prepared(name, options.cache) for name in options.peers]
    met = True
    with mock(options.mock) as server, tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work.json"
        workload.write(work, options.dialogues)
        for in_flight in options.in_flight:
            task = Task(options.dialogues, in_flight, server, work)
            rows = [ours(task), *(other(task, peer) for peer in peers)]
            print_table(task, rows)
            met &= print_verdict(task, rows)
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument(
        "--in-flight", type=int, nargs="+", default=sorted(LIMITS), help="calls at a time, all together"
    )
    parser.add_argument("--peers", nargs="*", choices=sorted(PREPARE), help="beside these; without names: all")
    parser.add_argument("--cache", type=Path, default=install.default_cache(), help="for the environments of the peers")
    options = parser.parse_args()
    if min(options.in_flight) < 4:
        parser.error("--in-flight is at least 4, to be split over candidate, simulator and judge")
    options.peers = [] if options.peers is None else options.peers or list(PREPARE)
    options.cache = options.cache.absolute()
    return options


# --- ours -------------------------------------------------------------------------------------------------------------


def ours(task: Task) -> Row:
    """A run on a fresh stack."""
    half, quarter = task.in_flight // 2, task.in_flight // 4
    settings = {
        "simulator": model(task.mock, "mock-simulator", max_concurrency=quarter),
        "judges": [model(task.mock, "mock-judge", name="default", kind="chat", max_concurrency=quarter)],
    }
    name = f"ours {version('esrp')}"
    candidate = model(task.mock, "mock", max_concurrency=half)
    with stack(settings) as up:
        task.mock.reset()
        with watched(up.pid) as watch:
            started = time.monotonic()
            run, report = asyncio.run(whole_run(up.url, up.key, candidate, task.dialogues))
            seconds = time.monotonic() - started
    if fault := wrong_run(run, report, task.dialogues):
        return Missing(name, fault)
    return checked(task, Measured(name, seconds, None, watch.footprint, task.mock.stats()))


async def whole_run(url: str, key: str, candidate: Mapping[str, Any], dialogues: int) -> tuple[Run, Report]:
    """From the request to the report."""
    sample = {"dialogues": dialogues, "seed": workload.SEED}
    async with AsyncClient(url, key) as client:
        run = await client.create_run(
            {"suite": workload.SUITE, "candidate": candidate, "sample": sample, "diversity": False}
        )
        return await client.wait(run.id), await client.report(run.id)


def wrong_run(run: Run, report: Report, dialogues: int) -> str | None:
    """What is wrong with it, if anything is."""
    if run.status != "succeeded":
        return f"the run {run.status}: {run.error}"
    if (ratings := report.overall.ratings) != METRICS * dialogues:
        return f"{ratings} ratings in the report instead of {METRICS * dialogues}"
    return None


# --- others -----------------------------------------------------------------------------------------------------------


def prepared(name: str, cache: Path) -> Peer | Missing:
    """The peer in its environment, made if it is not there."""
    print(f"preparing {name}", file=sys.stderr)
    try:
        return PREPARE[name](cache)
    except NotInstalled as error:
        return Missing(name, f"not installed: {error}")


def aiohttp_loop(cache: Path) -> Peer:
    """A bare loop over aiohttp."""
    python = install.python_environment(cache / "bare", ["aiohttp", "openai"])
    name = f"bare aiohttp loop {install.python_version(python, 'aiohttp')}"
    return Peer(name, lambda n, _: [str(python), "-m", "benchmarks.other_tools.bare", "aiohttp", str(n)])


def openai_loop(cache: Path) -> Peer:
    """A bare loop over ``AsyncOpenAI``."""
    python = install.python_environment(cache / "bare", ["aiohttp", "openai"])
    name = f"{OPENAI_LOOP} {install.python_version(python, 'openai')}"
    return Peer(name, lambda n, _: [str(python), "-m", "benchmarks.other_tools.bare", "openai", str(n)])


def inspect_ai(cache: Path) -> Peer:
    """Inspect AI with its log, its display off."""
    python = install.python_environment(cache / "inspect", ["inspect-ai", "openai"])
    roles = [
        "--model-role",
        "simulator=openai-api/mock/mock-simulator",
        "--model-role",
        "judge=openai-api/mock/mock-judge",
    ]
    command = [str(python.parent / "inspect"), "eval", str(HERE / "inspect_task.py"), "--model", "openai-api/mock/mock"]
    return Peer(
        f"Inspect AI {install.python_version(python, 'inspect-ai')}",
        lambda n, logs: [
            *(*command, *roles, "--max-connections", str(n), "--max-samples", str(n)),
            *("--display", "none", "--log-dir", str(logs)),
        ],
        lambda folder: {"XDG_DATA_HOME": str(folder), "XDG_CACHE_HOME": str(folder)},
    )


def promptfoo(cache: Path) -> Peer:
    """promptfoo with its database, its table and progress bar off."""
    program = install.node_package(cache / "promptfoo", "promptfoo")
    command = [str(program), "eval", "-c", str(HERE / "promptfoo" / "promptfooconfig.cjs"), "--no-cache"]
    quiet = ["--no-table", "--no-progress-bar", "--no-share"]
    return Peer(
        f"promptfoo {install.node_version(program, 'promptfoo')}",
        lambda n, _: [*command, *quiet, "--max-concurrency", str(n)],
        lambda folder: {
            "PROMPTFOO_CONFIG_DIR": str(folder),
            "PROMPTFOO_DISABLE_TELEMETRY": "1",
            "PROMPTFOO_DISABLE_UPDATE": "1",
            "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
        },
    )


PREPARE: Mapping[str, Callable[[Path], Peer]] = {
    "aiohttp": aiohttp_loop,
    "openai": openai_loop,
    "promptfoo": promptfoo,
    "inspect": inspect_ai,
}


def other(task: Task, peer: Peer | Missing) -> Row:
    """The peer on the same dialogues."""
    if isinstance(peer, Missing):
        return peer
    print(f"{peer.name} at {task.in_flight}", file=sys.stderr)
    task.mock.reset()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            **{"WORK": str(task.file), "BASE_URL": task.mock.url, "PYTHONPATH": str(ROOT)},
            **{"MOCK_API_KEY": "none", "MOCK_BASE_URL": task.mock.url},  # where Inspect looks
            **peer.environment(Path(folder)),
        }
        ended = whole_process(peer.command(task.in_flight, Path(folder)), environment)
    if ended.code != 0:
        return Missing(peer.name, f"ended with {ended.code}: {' '.join(ended.output.split())[-300:]}")
    return checked(task, Measured(peer.name, ended.seconds, inner(ended.output), ended.footprint, task.mock.stats()))


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has run."""

    code: int
    seconds: float
    footprint: Footprint
    output: str


def whole_process(command: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """Run it to its end; processor time and peak memory are what the kernel has counted for it and its children."""
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        alarm = threading.Timer(PATIENCE, process.kill)
        alarm.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # Ctrl-C
            process.kill()
            raise
        finally:
            alarm.cancel()
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # of ru_maxrss, for MB
    footprint = Footprint(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)
    return Ended(process.returncode, seconds, footprint, text)


def inner(output: str) -> float | None:
    """Seconds of the loop alone, where the last line says it."""
    try:
        return float(json.loads(output.strip().splitlines()[-1])["seconds"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


# --- figures ----------------------------------------------------------------------------------------------------------


def checked(task: Task, row: Measured) -> Row:
    """The row, if exactly the calls were made, and no more at a time than allowed."""
    calls, judged = row.stats["requests"], row.stats["kinds"]["judge"]
    if (calls, judged) != (CALLS * task.dialogues, task.dialogues):
        return Missing(
            row.name, f"{calls} calls, {judged} verdicts instead of {CALLS * task.dialogues}, {task.dialogues}"
        )
    if (peak := row.stats["in_flight_peak"]) > task.in_flight:
        return Missing(row.name, f"{peak} in flight at the peak instead of {task.in_flight}, in {row.seconds:.1f} s")
    return row


def print_table(task: Task, rows: Sequence[Row]) -> None:
    """The figures beside one another."""
    print(f"\n{task.dialogues} dialogues × {CALLS} calls of {LATENCY} ms, {task.in_flight} in flight at most", end="")
    print(f" over candidate, simulator and judge: ideal {task.ideal:.2f} s\n")
    head = ("seconds", "× ideal", "loop only", "CPU ms/dial.", "peak MB", "peak in flight", "kB/call")
    print(f"{'':30}" + "".join(f"{each:>{len(each) + 3}}" for each in head))
    for row in rows:
        if isinstance(row, Missing):
            print(f"{row.name:30}   {row.why}")
            continue
        cpu, memory = row.footprint.cpu, row.footprint.memory
        cells = (
            f"{row.seconds:.2f}",
            f"{row.seconds / task.ideal:.2f}",
            "–" if row.inner is None else f"{row.inner:.2f}",
            "–" if cpu is None else f"{cpu / task.dialogues * 1000:.1f}",
            "–" if memory is None else f"{memory:.0f}",
            f"{row.stats['in_flight_peak']}",
            f"{row.stats['bytes_in'] / row.stats['requests'] / 1000:.1f}",
        )
        print(f"{row.name:30}" + "".join(f"{cell:>{len(title) + 3}}" for cell, title in zip(cells, head, strict=True)))
    print(LEGEND)


def print_verdict(task: Task, rows: Sequence[Row]) -> bool:
    """Whether the limits were met; a smaller run than the whole suite is not held against them."""
    if task.dialogues != FULL or task.in_flight not in LIMITS:
        return True
    print()
    own, limit = rows[0], LIMITS[task.in_flight]
    if isinstance(own, Missing):
        return said("ours was measured", False)
    met = said(f"ours within {limit:.2f} × ideal at {task.in_flight}", own.seconds <= limit * task.ideal)
    if task.in_flight != FASTER_AT:
        return met
    loop = next((row for row in rows if isinstance(row, Measured) and OPENAI_LOOP in row.name), None)
    if loop is None:
        print(f"not compared with the {OPENAI_LOOP}: --peers openai")
        return met
    faster = own.seconds < (loop.seconds if loop.inner is None else loop.inner)
    return said(f"ours faster than the {OPENAI_LOOP} at {task.in_flight}, without the loop's start", faster) and met


def said(what: str, met: bool) -> bool:
    """Say it and give it back."""
    print(f"{what}: {'yes' if met else 'NO'}")
    return met


if __name__ == "__main__":
    sys.exit(main())
