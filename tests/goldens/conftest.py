"""The stack of the seeded runs: that of the pipeline's tests, with a panel of two."""

import orjson
import pytest

from tests.goldens.cast import JUDGES
from tests.pipeline.conftest import Configured, services

__all__ = ["configured", "services"]


@pytest.fixture(scope="module")
def configured() -> Configured:
    """Two judges."""

    def settings(base_url: str) -> dict[str, str]:
        judges = [{"name": name, "base_url": base_url, "model": model} for name, model in JUDGES.items()]
        return {"ESRP_JUDGES": orjson.dumps(judges).decode()}

    return settings
