"""A gateway on a real Postgres and Valkey, called over ASGI."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from services.gateway.app import create_app
from services.gateway.resources import Resources, open_resources
from services.gateway.seed import seed
from services.kit.aside import Aside, Pool
from services.kit.settings import JudgeSettings, ModelSettings, ServiceUrls, Settings
from tests.builders import a_suite

BOOTSTRAP = "esrp_" + "k" * 43


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """A process that reads texts, begun once for all tests."""
    opened = Pool()
    yield opened
    opened.close()


@pytest.fixture
async def resources(database: str, redis_url: str, key_file: Path, pool: Pool) -> AsyncIterator[Resources]:
    """The gateway's resources; nobody else is up."""
    settings = Settings(
        database_url=database,
        redis_url=redis_url,
        secret_key_file=key_file,
        bootstrap_key=BOOTSTRAP,
        services=ServiceUrls(generator="unix:/nowhere/g", judge="unix:/nowhere/j", analytics="unix:/nowhere/a"),
        simulator=ModelSettings(base_url="http://127.0.0.1:1/v1", model="simulator"),
        judges=[JudgeSettings(name="default", base_url="http://127.0.0.1:1/v1", model="judge")],
        rate_limit_per_minute=10_000,
    )
    async with open_resources(settings) as opened:
        await seed(opened)
        yield replace(opened, texts=Aside("texts", pool=pool))


@pytest.fixture
async def client(resources: Resources) -> AsyncIterator[httpx2.AsyncClient]:
    """An admin of the first tenant; the suite `tiny` is there."""
    async with caller(resources, BOOTSTRAP) as opened:
        uploaded = await opened.post("/v1/suites", json=a_suite().model_dump(mode="json"))
        assert uploaded.status_code == 201, uploaded.text
        yield opened


def caller(resources: Resources, key: str | None) -> httpx2.AsyncClient:
    """A client with that key."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx2.ASGITransport(app=create_app(resources), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)
