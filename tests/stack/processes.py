"""Looking at processes: who belongs to a folder, who has ended."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE = 30.0  # for a busy machine; nothing that goes well takes as long


async def until(condition: Callable[[], bool]) -> None:
    """Until it holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)


async def until_gone(pids: set[int]) -> None:
    """Until none of them runs."""
    await until(lambda: not any(map(running, pids)))


def running(pid: int) -> bool:
    """Whether it runs; one that has ended and that nobody has looked at does not."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def belonging_to(folder: Path) -> dict[int, str]:
    """The processes whose arguments or environment name the folder, or that work inside it, with their arguments."""
    name, found = os.fsencode(folder), {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (process / "cmdline").read_bytes()
            inside = os.fsencode((process / "cwd").readlink()).startswith(name)
            if inside or name in arguments or name in (process / "environ").read_bytes():
                found[int(process.name)] = arguments.replace(b"\0", b" ").decode(errors="replace")
    found.pop(os.getpid(), None)
    return {pid: arguments for pid, arguments in found.items() if running(pid)}
