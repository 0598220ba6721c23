"""What tests stand on: a migrated database of their own, a Valkey, and a key file."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import redis.asyncio

from services.kit.migrate import upgrade
from services.kit.secrets import KeyFile
from tests import servers


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    """The folder of the cluster's socket; its database `template_esrp` is migrated."""
    with servers.postgres() as home:
        asyncio.run(_execute(home, "CREATE DATABASE template_esrp"))
        upgrade(url(home, "template_esrp"))
        yield home


@pytest.fixture
async def database(postgres: Path) -> AsyncIterator[str]:
    """The superuser's URL of a migrated, empty database for this test alone."""
    async with fresh_database(postgres) as found:
        yield found


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a Valkey for this test process."""
    with servers.valkey() as found:
        yield found


@pytest.fixture
async def redis_url(valkey: str) -> str:
    """The URL of an empty Valkey."""
    client = redis.asyncio.Redis.from_url(valkey)
    await client.flushall()
    await client.aclose()
    return valkey


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of one key for candidates' secrets."""
    path = tmp_path_factory.mktemp("keys") / "secret.key"
    KeyFile.create(path)
    return path


@asynccontextmanager
async def fresh_database(postgres: Path) -> AsyncIterator[str]:
    """A copy of the migrated template, dropped in the end."""
    name = f"t{uuid4().hex[:12]}"
    await _execute(postgres, f"CREATE DATABASE {name} TEMPLATE template_esrp STRATEGY file_copy")
    yield url(postgres, name)
    await _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def url(home: Path, name: str) -> str:
    """The superuser's URL of a database of the cluster at ``home``."""
    return f"postgresql+asyncpg://postgres@/{name}?host={home}"


async def _execute(home: Path, sql: str) -> None:
    connection = await asyncpg.connect(host=str(home), user="postgres", database="postgres")
    await connection.execute(sql)
    await connection.close()
