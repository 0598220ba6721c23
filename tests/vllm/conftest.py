"""One judge service with one vLLM for all of these tests: a tiny model with an adapter on it that was taught here.

They are collected only by vLLM's own Python: see ``__main__``.
"""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from services.judge.lora.data import Corpus, Rates, read_corpus, read_suite
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
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what it is taught with."""
    from tests.vllm.taught import write

    folder = tmp_path_factory.mktemp("data")
    write(folder)
    return folder


@pytest.fixture(scope="session")
def corpus(data: Path) -> Corpus:
    """The dialogues."""
    return read_corpus([data / "dialogues.jsonl"], read_suite(str(data / "suite.yaml")))


@pytest.fixture(scope="session")
def rates(corpus: Corpus, data: Path) -> Rates:
    """The ratings."""
    return corpus.human([data / "ratings.csv"])


@pytest.fixture(scope="session")
def made(base: Path, corpus: Corpus, rates: Rates, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the adapter that was trained on them."""
    from services.judge.lora.training import train
    from tests.vllm.taught import SETTINGS

    return train(corpus, rates, str(base), tmp_path_factory.mktemp("out"), SETTINGS)


@pytest.fixture(scope="session")
def service(
    base: Path,
    made: Path,
    postgres: Path,
    valkey: str,
    key_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[JudgeService]:
    """The judge service, and its vLLM ready."""
    with asyncio.Runner() as runner:
        database = fresh_database(postgres)
        url = runner.run(database.__aenter__())
        with start(tmp_path_factory.mktemp("service"), base, made, url, valkey, key_file) as started:
            yield started
        runner.run(database.__aexit__(None, None, None))
