"""A scripted service, and the command line pointed at it."""

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from esrp.cli.app import app
from tests.client import fake_api
from tests.client.fake_api import FakeApi

Esrp = Callable[..., Result]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    """A scripted service."""
    with fake_api.serve() as served:
        yield served


@pytest.fixture
def esrp(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Esrp:
    """Runs a command line against the scripted service."""
    for name in ("ESRP_CANDIDATE_KEY", "ESRP_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ESRP_URL", api.url)
    monkeypatch.setenv("ESRP_API_KEY", "esrp_secret")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])
