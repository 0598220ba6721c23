"""The data folder: who uses it, where its sockets are, and the two secrets in it."""

import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from services.kit.secrets import KeyFile
from services.stack.errors import CannotStart

LONGEST_SOCKET = 103  # bytes: macOS; Linux takes 107
LONGEST_NAME = "/analytics.sock"
EPHEMERAL = "esrp-ephemeral-"


@dataclass(frozen=True, slots=True)
class Home:
    """A data folder that is ours for now. ``run`` is for sockets; where nothing is to be kept, ``keep`` is false."""

    path: Path
    run: Path
    keep: bool

    def folder(self, name: str) -> Path:
        """A folder in it, made if it is not there."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def log(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.folder("logs") / f"{name}.log"

    def secret_key_file(self) -> Path:
        """The key under which candidates' keys lie in the database."""
        path = self.path / "secret.key"
        KeyFile.create(path)
        return path

    def bootstrap_key(self) -> str:
        """The first admin key: made once, kept for the next start."""
        path = self.path / "bootstrap.key"
        if path.exists():
            return path.read_text("ascii").strip()
        path.touch(mode=0o600)
        key = "esrp_" + secrets.token_urlsafe(32)
        path.write_text(f"{key}\n", "ascii")
        return key


def default_folder() -> Path:
    """Where data is kept if nobody says otherwise."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "esrp"


@contextmanager
def kept(path: Path) -> Iterator[Home]:
    """The folder at ``path``, made if it is not there; ``CannotStart`` if somebody else uses it."""
    path = path.expanduser().absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _lock(path), _run_folder(path) as run:
            yield Home(path, run, keep=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise CannotStart(f"{path} cannot be the data folder: {error.strerror} ({error.filename})") from error


@contextmanager
def ephemeral() -> Iterator[Home]:
    """A folder that is removed in the end."""
    _sweep()
    path = Path(tempfile.mkdtemp(prefix=EPHEMERAL))
    try:
        with _lock(path), _run_folder(path) as run:
            yield Home(path, run, keep=False)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _sweep() -> None:
    """Remove what an ephemeral stack left that was killed: folders of ours whose lock nobody holds."""
    for path in Path(tempfile.gettempdir()).glob(f"{EPHEMERAL}*"):
        with suppress(OSError, CannotStart):
            if path.lstat().st_uid == os.geteuid() and (path / "lock").exists():
                with _lock(path):
                    shutil.rmtree(path, ignore_errors=True)


def private_folder(path: Path, mode: int = 0o700) -> Path:
    """A folder of ours in a place that others can write to: not a link, and nobody else's."""
    path.mkdir(mode=mode, exist_ok=True)
    found = path.lstat()
    if path.is_symlink() or not path.is_dir() or found.st_uid != os.geteuid():
        raise CannotStart(f"{path} is needed for sockets and belongs to somebody else; remove it or set TMPDIR.")
    path.chmod(mode)
    return path


def short_folder(path: Path, purpose: str) -> Path:
    """A name for a folder in the system's temporary one: always the same for the same data folder."""
    name = f"esrp-{os.geteuid()}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}-{purpose}"
    temporary = Path(tempfile.gettempdir())
    return (temporary if _fits(temporary / name) else Path("/tmp")) / name  # noqa: S108 private_folder looks at it


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held until we end, however we end; our children do not inherit it."""
    with (path / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            who = f" (process {holder})" if holder else ""
            raise CannotStart(
                f"{path} is in use by another esrp{who}. Stop that one, or choose another folder with --data."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def _run_folder(path: Path) -> Iterator[Path]:
    if _fits(path / "run"):
        yield private_folder(path / "run")
        return
    run = private_folder(short_folder(path, "run"))
    try:
        yield run
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _fits(run: Path) -> bool:
    return len(os.fsencode(run)) + len(LONGEST_NAME) <= LONGEST_SOCKET
