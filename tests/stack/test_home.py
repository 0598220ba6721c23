import os
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.stack.errors import CannotStart
from services.stack.home import EPHEMERAL, LONGEST_NAME, LONGEST_SOCKET, ephemeral, kept

# Takes an ephemeral folder, names it, and is killed in it.
VICTIM = """
import os, signal
from services.stack.home import ephemeral
with ephemeral() as home:
    print(home.path, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_in_use_is_refused_by_name(tmp_path: Path) -> None:
    with kept(tmp_path / "data"), pytest.raises(CannotStart) as refused:
        with kept(tmp_path / "data"):
            pass

    assert f"{tmp_path / 'data'} is in use by another esrp (process {os.getpid()})" in str(refused.value)


def test_a_folder_that_was_let_go_can_be_used_again(tmp_path: Path) -> None:
    with kept(tmp_path):
        pass
    with kept(tmp_path) as home:
        assert home.path == tmp_path


def test_secrets_are_for_the_owner_only_and_stay_the_same(tmp_path: Path) -> None:
    with kept(tmp_path) as home:
        key, secret = home.bootstrap_key(), home.secret_key_file().read_bytes()
    with kept(tmp_path) as again:
        assert (again.bootstrap_key(), again.secret_key_file().read_bytes()) == (key, secret)

    assert {mode(tmp_path / "bootstrap.key"), mode(tmp_path / "secret.key")} == {0o600}


def test_sockets_are_in_the_data_folder_where_the_path_is_short_enough() -> None:
    with TemporaryDirectory(dir="/tmp") as folder, kept(Path(folder)) as home:
        assert home.run == Path(folder) / "run"
        assert mode(home.run) == 0o700


def test_a_path_too_long_for_a_socket_gets_a_short_folder_for_them(tmp_path: Path) -> None:
    with kept(tmp_path / ("long" * 25)) as home:
        assert len(os.fsencode(home.run)) + len(LONGEST_NAME) <= LONGEST_SOCKET
        assert mode(home.run) == 0o700
        run = home.run

    assert not run.exists()


def test_a_file_cannot_be_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CannotStart, match="cannot be the data folder"), kept(tmp_path / "file"):
        pass


def test_an_ephemeral_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ephemeral() as home:
        home.bootstrap_key()

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_ephemeral_stack_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ephemeral() as alive:
        killed = subprocess.run(
            [sys.executable, "-c", VICTIM],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert Path(killed.stdout.strip()).is_dir()

        with ephemeral() as home:
            assert set(tmp_path.glob(f"{EPHEMERAL}*")) == {alive.path, home.path}
