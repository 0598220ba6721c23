"""Processor time and memory of a process and all its descendants, as Linux counts them under /proc."""

import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PAUSE = 0.5  # seconds between two looks at the memory: each reads some 40 small files, 2 % of one core


@dataclass(frozen=True, slots=True)
class Footprint:
    """``cpu`` in seconds, ``memory`` the peak in MB; ``None`` where the system does not tell."""

    cpu: float | None = None
    memory: float | None = None


class Watch:
    """Filled while ``watched`` is open; ``footprint`` stands once it is closed."""

    footprint = Footprint()


@contextmanager
def watched(pid: int, of: str = "") -> Iterator[Watch]:
    """Watch ``pid`` and all that descends from it; memory is the sum of proportional set sizes, so that pages which
    processes share count once; only of processes whose command line holds ``of``."""
    watch = Watch()
    if not sys.platform.startswith("linux"):
        yield watch
        return
    peaks, stop = [_memory(pid, of)], threading.Event()

    def look() -> None:
        while not stop.wait(PAUSE):
            peaks.append(_memory(pid, of))

    looking, before = threading.Thread(target=look, daemon=True), cpu_of(pid)
    looking.start()
    try:
        yield watch
    finally:
        cpu = cpu_of(pid) - before
        stop.set()
        looking.join()
        watch.footprint = Footprint(cpu, max(*peaks, _memory(pid, of)))


def cpu_of(root: int) -> float:
    """Seconds of all that live now and of their children that have ended."""
    stats = _stats()
    ticks = sum(sum(map(int, stats[pid][11:15])) for pid in _tree(root, stats))  # utime, stime, cutime, cstime
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory(root: int, of: str) -> float:
    return sum(_proportional(pid) for pid in _tree(root, _stats()) if of in _command(pid))


def _command(pid: int) -> str:
    with suppress(OSError):  # it has just ended
        return (PROC / str(pid) / "cmdline").read_text("utf-8", "replace").replace("\0", " ")
    return ""


def _proportional(pid: int) -> float:
    with suppress(OSError):  # it has just ended
        for line in (PROC / str(pid) / "smaps_rollup").read_text("ascii", "replace").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1000 * 1.024
    return 0.0


def _tree(root: int, stats: dict[int, list[str]]) -> list[int]:
    children = defaultdict(list)
    for pid, stat in stats.items():
        children[int(stat[1])].append(pid)
    found = [root] if root in stats else []
    for pid in found:  # grows while it is walked
        found += children[pid]
    return found


def _stats() -> dict[int, list[str]]:
    """By process: the fields of its ``stat`` after the name, which may hold blanks: state, parent, …"""
    stats = {}
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):
            stats[int(folder.name)] = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return stats
