"""The judge's web half, and how its parts are put together."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.judge.app import create_app
from services.judge.panel import PanelRater
from services.judge.rating import Unserved
from services.judge.resources import Resources, open_resources
from services.kit.settings import Settings

CHAT = {"name": "default", "base_url": "http://127.0.0.1:9/v1", "model": "judge-1", "api_key": "sk-secret"}
LORA = {"name": "lora", "kind": "lora", "base_url": "http://127.0.0.1:9/v1", "model": "esrp-lora@3"}


@pytest.fixture
def settings(database: str, redis_url: str, key_file: Path) -> Settings:
    judges: list[Any] = [CHAT, LORA]
    return Settings(database_url=database, redis_url=redis_url, secret_key_file=key_file, judges=judges)


def web(resources: Resources) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app(resources)), base_url="http://judge")


async def test_it_is_ready_when_postgres_and_redis_answer(settings: Settings) -> None:
    async with open_resources(settings) as resources, web(resources) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"postgres": True, "redis": True})


async def test_each_judge_gets_its_rater_and_one_that_cannot_rate_says_why(settings: Settings) -> None:
    async with open_resources(settings) as resources:
        assert isinstance(resources.rater("default"), PanelRater)
        lora, gone = resources.rater("lora"), resources.rater("gone")
    assert isinstance(lora, Unserved) and lora.code == "judge_not_usable" and "tokenizer: PATH" in lora.message
    assert isinstance(gone, Unserved) and gone.code == "judge_not_configured"
