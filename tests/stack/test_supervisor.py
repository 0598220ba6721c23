import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from services.stack.errors import CannotStart
from services.stack.supervisor import LARGEST_LOG, Child, Program
from services.stack.tether import WatchedPipe, tether
from tests.stack.processes import until, until_gone

STEADY = "import time; print('working', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"

TALKATIVE = """
import time
print("hello", flush=True)
time.sleep(0.5)
print("WARNING disk\\nfine", flush=True)
time.sleep(60)
"""

FLOOD = """
import sys, time
line = b"WARNING " + b"x" * 1015 + b"\\n"
print("hello", flush=True)
time.sleep(0.5)
for _ in range(120 * 1024):
    sys.stdout.buffer.write(line)
print("done", flush=True)
time.sleep(60)
"""

PARENT = """
import asyncio, signal, sys
from pathlib import Path
from services.stack import tether
from services.stack.supervisor import Child, Program

async def main(kind, log):
    async def ready(pid):
        return True
    program = Program("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], ready, orphaned=signal.SIGTERM)
    child = Child(program, Path(log), getattr(tether, kind)(), print)
    child.start()
    await child.wait_ready()
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


class Nursery:
    """Makes children that are stopped in the end, and remembers what was said."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "child.log"
        self.said: list[str] = []
        self.children: list[Child] = []

    def start(self, code: str, ready: Callable[[int], Awaitable[bool]] | None = None) -> Child:
        program = Program("child", [sys.executable, "-c", code], ready or self._wrote, loud=re.compile("WARNING"))
        child = Child(program, self.log, tether(), self.said.append)
        self.children.append(child)
        child.start()
        return child

    async def _wrote(self, pid: int) -> bool:
        return self.log.exists() and self.log.stat().st_size > 0


@pytest.fixture
async def nursery(tmp_path: Path) -> AsyncIterator[Nursery]:
    nursery = Nursery(tmp_path)
    yield nursery
    for child in nursery.children:
        await child.stop(0.1)


async def test_a_child_that_is_killed_is_started_again(nursery: Nursery) -> None:
    child = nursery.start(STEADY)
    await child.wait_ready()
    first = child.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.is_ready)

    assert child.pid not in (None, first)
    assert f"child was ended by SIGKILL; starting it again. Its log is {nursery.log}" in nursery.said
    assert "child is back" in nursery.said


async def test_a_child_that_never_gets_ready_is_given_up_with_the_end_of_its_log(nursery: Nursery) -> None:
    async def never(_: int) -> bool:
        return False

    child = nursery.start("raise SystemExit('no such model')", never)

    with pytest.raises(CannotStart, match=r"(?s)child ended with exit code 1 before it was ready.*no such model"):
        await child.wait_ready()


async def test_a_child_that_does_not_listen_is_killed_when_its_grace_is_over(nursery: Nursery) -> None:
    child = nursery.start(DEAF)
    await child.wait_ready()
    pid = child.pid
    assert pid is not None

    await child.stop(0.2)

    assert child.restarts == 0
    await until_gone({pid})


async def test_output_goes_to_the_log_and_only_warnings_to_the_terminal(nursery: Nursery) -> None:
    child = nursery.start(TALKATIVE)
    await child.wait_ready()

    await until(lambda: "fine" in nursery.log.read_text())

    assert nursery.log.read_text() == "hello\nWARNING disk\nfine\n"
    assert nursery.said == ["child: WARNING disk"]


async def test_a_child_that_writes_120_mib_has_two_files_of_16(nursery: Nursery) -> None:
    child = nursery.start(FLOOD)
    await child.wait_ready()

    await until(lambda: nursery.log.read_bytes()[-5:] == b"done\n")

    before = nursery.log.with_suffix(".log.1")
    assert sorted(path.name for path in nursery.log.parent.iterdir()) == ["child.log", "child.log.1"]
    assert max(nursery.log.stat().st_size, before.stat().st_size) <= LARGEST_LOG == 16 << 20
    assert before.stat().st_size > LARGEST_LOG - (1 << 17)  # what was before is kept
    assert child.restarts == 0
    assert 0 < len(nursery.said) <= 80  # and the terminal is told of a few of its 122,880 warnings


@pytest.mark.parametrize("kind", ["tether", "WatchedPipe"])
async def test_a_child_does_not_outlive_a_parent_that_is_killed(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, kind, str(tmp_path / "log")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(await asyncio.to_thread(parent.stdout.readline))

    parent.kill()
    parent.communicate()

    await until_gone({child})


async def test_the_watched_pipe_leaves_alone_what_was_untied(nursery: Nursery) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pipe = WatchedPipe()
    await pipe.tie(other.pid, signal.SIGKILL)
    await pipe.untie(other.pid)

    await pipe.close()

    assert other.poll() is None
    other.kill()
    other.wait()
