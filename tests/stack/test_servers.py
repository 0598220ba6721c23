import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from services.stack.home import Home, kept
from services.stack.postgres import Identity, Postgres
from services.stack.supervisor import Child
from services.stack.tether import tether
from services.stack.valkey import Valkey
from tests.stack.processes import until

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@asynccontextmanager
async def postgres(home: Home, who: Identity | None = None) -> AsyncIterator[tuple[Postgres, Child]]:
    server = Postgres(home, tether(), print, who)
    await server.initialise()
    child = Child(server.program(), home.log("postgres"), tether(), print)
    child.start()
    try:
        await child.wait_ready()
        yield server, child
    finally:
        await child.stop(10)
        server.close()


async def ask(server: Postgres, sql: str) -> object:
    connection = await asyncpg.connect(host=str(server.socket), user="postgres", database="postgres")
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A data folder deep in folders that only their owner may enter, with a long and unusual name."""
    folder = tmp_path
    for name in ("private", "with space", "数据" * 12):
        folder /= name
        folder.mkdir(mode=0o700)
    tmp_path.chmod(0o700)
    return folder / "data"


async def test_postgres_keeps_rows_over_kill_9_in_a_private_folder_with_a_long_path(private: Path) -> None:
    with kept(private) as home:
        async with postgres(home) as (server, child):
            await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            await until(lambda: child.restarts == 1 and child.is_ready)
            assert await ask(server, "SELECT answer FROM kept") == 42
            assert await ask(server, "SHOW fsync") == "on"
        async with postgres(home) as (server, _):
            assert await ask(server, "SELECT answer FROM kept") == 42


async def test_postgres_listens_on_no_port(tmp_path: Path) -> None:
    with kept(tmp_path) as home:
        async with postgres(home) as (server, _):
            assert await ask(server, "SHOW listen_addresses") == ""


@root
async def test_postgres_runs_as_a_user_without_rights_where_namespaces_are_refused(private: Path) -> None:
    with kept(private) as home:
        async with postgres(home, Identity(owner=65534)) as (server, child):
            await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
            assert os.stat(f"/proc/{child.pid}").st_uid == 65534
        async with postgres(home) as (server, _):
            assert await ask(server, "SELECT answer FROM kept") == 42


async def test_a_pid_file_that_names_a_foreign_process_is_removed_and_the_process_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with kept(tmp_path) as home:
        async with postgres(home) as (server, _):
            pass
        (tmp_path / "postgres" / "postmaster.pid").write_text(
            f"{other.pid}\n{tmp_path}\n1\n5432\n\n\n  1 2\nready   \n"
        )
        async with postgres(home) as (server, _):
            assert await ask(server, "SELECT 1") == 1
    assert other.poll() is None
    other.kill()
    other.wait()


async def test_a_server_left_by_a_killed_parent_is_stopped_first(tmp_path: Path) -> None:
    with kept(tmp_path) as home:
        server = Postgres(home, tether(), print)
        await server.initialise()
        orphan = subprocess.Popen(
            server.program().command, cwd=tmp_path / "postgres", stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        await until(lambda: "ready" in read(tmp_path / "postgres" / "postmaster.pid"))
        waiting = asyncio.create_task(asyncio.to_thread(orphan.wait))

        async with postgres(home) as (server, _):
            assert await ask(server, "SELECT 1") == 1
            assert await waiting == 0


async def test_valkey_comes_back_with_its_keys_in_a_private_folder_with_a_long_path(private: Path) -> None:
    with kept(private) as home:
        server = Valkey(home)
        child = Child(server.program(), home.log("valkey"), tether(), print)
        child.start()
        await child.wait_ready()
        client = redis.asyncio.Redis.from_url(server.url)
        await client.set("kept", "42")
        await client.aclose()
        await child.stop(5)

        child = Child(server.program(), home.log("valkey"), tether(), print)
        child.start()
        await child.wait_ready()
        client = redis.asyncio.Redis.from_url(server.url)
        assert await client.get("kept") == b"42"
        await client.aclose()
        await child.stop(5)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
