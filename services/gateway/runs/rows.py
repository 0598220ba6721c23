"""A run as the gateway keeps it, and how far it is: values, no queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias
from uuid import UUID

from esrp.api import OPEN, Decision, Phase, RunError, RunStatus

Used: TypeAlias = Mapping[str, Mapping[str, int]]
"""Calls and tokens by role."""


@dataclass(frozen=True, slots=True)
class Far:
    """How far a run is, as clients see it: dialogues played, rated by every judge and failed, and what was used."""

    generated: int
    judged: int
    failed: int
    usage: Used


class Moving(Protocol):
    """What of a run says how far it is."""

    @property
    def id(self) -> UUID:
        """Which."""

    @property
    def status(self) -> RunStatus:
        """Where it stands."""

    @property
    def phase(self) -> Phase | None:
        """And what it is at there."""

    @property
    def dialogues(self) -> int:
        """How many its plan has."""

    @property
    def outcome(self) -> Mapping[str, Any] | None:
        """How far it came, once it is final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun:
    """What is shown of a run, but for its pacing. ``outcome`` is how far it came, once it is final."""

    id: UUID
    tenant_id: UUID
    name: str | None
    status: RunStatus
    phase: Phase | None
    revision: int
    suite_label: str
    suite_sha256: str
    candidate: Mapping[str, Any]
    transcript_id: UUID | None
    frozen_id: UUID | None
    simulator: str | None
    judges: Sequence[str]
    rounds: int
    replicates: int
    sample: Mapping[str, int] | None
    budget: Mapping[str, float | None] | None
    prices: Mapping[str, Any] | None
    labels: Mapping[str, str]
    plan: Mapping[str, Any]
    manifest_sha256: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    gate: Mapping[str, Any] | None
    verdict: Decision | None
    error: Mapping[str, Any] | None
    warnings: Sequence[str]
    source_id: UUID | None
    outcome: Mapping[str, Any] | None

    @property
    def is_open(self) -> bool:
        """Whether it may still move on by itself."""
        return self.status in OPEN

    @property
    def dialogues(self) -> int:
        """How many its plan has."""
        return int(self.plan["dialogues"])


@dataclass(frozen=True, slots=True, kw_only=True)
class PacedRun(ShownRun):
    """A run with how its endpoints were paced while it lasted, by role, oldest first.

    ``paced``: of each change the ``role``, ``at`` when, the calls in flight that were allowed then, and the ``cause``.
    """

    paced: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun(ShownRun):
    """A run with all that the gateway decides by."""

    suite_id: UUID
    candidate_name: str
    secret_id: UUID | None
    manifest: Mapping[str, Any]
    copy_id: UUID | None

    @property
    def rates_diversity(self) -> bool:
        """Whether judges are asked about batches of its replies."""
        return bool(self.judges and self.manifest.get("diversity"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedRun(StoredRun):
    """An open run that is ours to move.

    Up to the transaction ``followed`` its dialogues' ends and failures were told; whatever is not seen from now on is
    of the transaction ``upto`` or a later one.
    """

    followed: str
    upto: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be stored."""

    id: UUID
    tenant_id: UUID
    name: str | None
    suite_id: UUID
    suite_label: str
    candidate: Mapping[str, Any]
    candidate_name: str
    secret_id: UUID | None
    transcript_id: UUID | None
    frozen_id: UUID | None
    simulator: str | None
    judges: Sequence[str]
    rounds: int
    replicates: int
    sample: Mapping[str, Any] | None
    budget: Mapping[str, Any] | None
    prices: Mapping[str, Any] | None
    labels: Mapping[str, str]
    plan: Mapping[str, Any]
    manifest: Mapping[str, Any]
    manifest_sha256: str
    warnings: Sequence[str]
    request_sha256: str | None = None
    gate: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands."""

    status: RunStatus
    phase: Phase | None
    error: RunError | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens there by itself."""
        return self.status not in OPEN
