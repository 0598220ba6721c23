"""A scripted service, and a client that does not really sleep."""

from collections.abc import Iterator

import pytest

from esrp.client import Client
from tests.client import fake_api
from tests.client.fake_api import FakeApi


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """A scripted service."""
    with fake_api.serve() as served:
        yield served


@pytest.fixture
def slept() -> list[float]:
    """The pauses that the client made, in seconds."""
    return []


@pytest.fixture
def client(api: FakeApi, slept: list[float]) -> Iterator[Client]:
    """A client of the scripted service."""
    with Client(api.url, "esrp_secret", sleep=slept.append) as made:
        yield made
