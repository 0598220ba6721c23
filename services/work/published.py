"""What the services publish to each other, typed: one frozen class for each ``_v1`` view that is read whole.

The gateway publishes runs, suites and transcripts; the generator dialogues; the judge verdicts. Texts of people and
models are decoded here and nowhere else. A query that needs a few columns has a small class of its own beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import OPEN, Phase, RunStatus
from esrp.suite import Suite
from services.kit.db import one


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRun:
    """What was asked for, as the gateway keeps, shows and publishes it."""

    id: UUID
    tenant_id: UUID
    name: str | None
    suite_label: str
    candidate: Mapping[str, Any]
    transcript_id: UUID | None
    frozen_id: UUID | None
    simulator: str | None
    judges: Sequence[str]
    rounds: int
    replicates: int
    sample: Mapping[str, int] | None
    budget: Mapping[str, float | None] | None
    prices: Mapping[str, Mapping[str, float]] | None
    labels: Mapping[str, str]
    plan: Mapping[str, Any]
    manifest_sha256: str

    @property
    def dialogues(self) -> int:
        """How many its plan has."""
        return int(self.plan["dialogues"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(AskedRun):
    """A row of ``gateway.runs_v1``: what was asked for, and how far the gateway says it is."""

    status: RunStatus
    phase: Phase | None
    revision: int
    suite_id: UUID
    candidate_name: str
    secret_id: UUID | None
    manifest: Mapping[str, Any]
    retry_at: datetime | None
    created_at: datetime

    @property
    def goes_on(self) -> bool:
        """Whether calls may begin for it."""
        return self.status in GOING_ON


@dataclass(frozen=True, kw_only=True)
class PlayedRun(Run):
    """A run with its suite's document."""

    suite_document: Mapping[str, Any]

    @cached_property
    def suite(self) -> Suite:
        """The suite; ours already, so this does not fail."""
        return Suite.model_validate(self.suite_document)


def columns(of: type[Any], alias: str = "") -> str:
    """The view's columns that a class has, for a SELECT."""
    return ", ".join(f"{alias}{field.name}" for field in fields(of))


async def played_run(tx: AsyncConnection, run_id: UUID) -> PlayedRun | None:
    """The run as the gateway publishes it, with its suite; ``None`` if it is not there any more."""
    return await one(tx, PlayedRun, _PLAYED, run=run_id)


# Statuses in which calls may begin; ``cancelling`` is open too, and waits for those in flight.
GOING_ON = tuple(status for status in OPEN if status != "cancelling")
_PLAYED = (
    f"SELECT {columns(Run, 'r.')}, s.document AS suite_document"
    " FROM gateway.runs_v1 r JOIN gateway.suites_v1 s ON s.id = r.suite_id WHERE r.id = :run"
)
