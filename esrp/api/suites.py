"""Suites: what is played, and where it comes from."""

from datetime import datetime
from typing import Any

from pydantic import Field

from esrp.api.common import Answer


class SuiteOut(Answer):
    id: str
    name: str
    version: int
    sha256: str
    language: str
    experimental: bool
    counts: dict[str, int]
    created_at: datetime
    warnings: list[str] = Field([], description="what its author should know; lists leave it empty")


class Provenance(Answer):
    """``GET /v1/suites/{name}/provenance``: where the suite's scenarios come from; ``null`` if nobody said."""

    suite: str
    sha256: str
    provenance: dict[str, Any] | None
