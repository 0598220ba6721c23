"""One judge service with one vLLM for all of these tests: a tiny model with a random adapter on it.

They are collected only by vLLM's own Python: see ``__main__``.
"""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import fresh_database
from tests.vllm.service import JudgeService, start

collect_ignore_glob = [] if find_spec("torch") and find_spec("vllm") else ["test_*.py"]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the base model."""
    from tests.vllm.tiny import tiny_model  # only there is torch

    path = tmp_path_factory.mktemp("base")
    tiny_model(path)
    return path


@pytest.fixture(scope="session")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an adapter with random weights."""
    from tests.vllm.tiny import random_adapter

    path = tmp_path_factory.mktemp("adapter")
    random_adapter(base, path)
    return path


@pytest.fixture(scope="session")
def service(
    base: Path,
    adapter: Path,
    postgres: Path,
    valkey: str,
    key_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[JudgeService]:
    """The judge service, and its vLLM ready."""
    with asyncio.Runner() as runner:
        database = fresh_database(postgres)
        url = runner.run(database.__aenter__())
        with start(tmp_path_factory.mktemp("service"), base, adapter, url, valkey, key_file) as started:
            yield started
        runner.run(database.__aexit__(None, None, None))
