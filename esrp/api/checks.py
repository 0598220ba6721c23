"""One dialogue on trial: every call, and what is wrong."""

from typing import Any, Literal

from pydantic import Field

from esrp.api.candidates import EndpointCandidate
from esrp.api.common import Answer, Body, RunError
from esrp.dialogue import Slug, Turn


class CheckRequest(Body):
    """``POST /v1/check``: one dialogue, nothing stored. Character and scenario: the suite's first if not given."""

    suite: str
    candidate: EndpointCandidate
    simulator: str = "default"
    character: Slug | None = None
    scenario: Slug | None = None
    rounds: int = Field(2, ge=1, le=10)


class Exchange(Answer):
    """One call: to whom, what was sent, what came back or why nothing did."""

    role: Literal["candidate", "simulator"]
    request: dict[str, Any]
    reply: str | None
    finish_reason: str | None
    error: RunError | None
    seconds: float


class Check(Answer):
    ok: bool
    character: str
    scenario: str
    turns: list[Turn]
    exchanges: list[Exchange]
    problems: list[str]
