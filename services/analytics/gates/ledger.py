"""What a release has spent of its error against a baseline: every look that was taken, whatever policy asked for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import Attempt, Decision, EarlierAttempt
from esrp.stats.looks import Charge, Look
from services.analytics.runs import Run
from services.kit.db import count, many, row
from services.kit.ids import encode, uuid7

RELEASE, COMMIT = "release", "commit"  # the labels that name one, in this order
MOST_SHOWN = 50  # attempts of other runs


@dataclass(frozen=True, slots=True)
class Key:
    """A release against a baseline; of floors alone the baseline is ``None``."""

    tenant_id: UUID
    release: str
    baseline: UUID | None

    @property
    def values(self) -> Mapping[str, Any]:
        """For a statement."""
        return {"tenant": self.tenant_id, "release": self.release, "baseline": self.baseline}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A look as it is kept; ``run_dialogues`` of the ``dialogues`` until then are its own run's."""

    run_id: UUID
    dialogues: int
    run_dialogues: int
    ratings: str
    most: int
    spent: float
    again: bool
    verdict: Decision
    at: datetime

    @property
    def look(self) -> Look:
        """As its price is reckoned."""
        return Look(self.dialogues, self.ratings)

    @property
    def out(self) -> Attempt:
        """As clients see it."""
        return Attempt(n=self.dialogues, spent=round(self.spent, 4), verdict=self.verdict, again=self.again, at=self.at)


@dataclass(frozen=True, slots=True)
class Spending:
    """What was looked at before this verdict, and what the look that is to come starts from.

    ``most`` was fixed at the first look; ``others``: dialogues of the release's other runs, by run.
    """

    taken: Sequence[Taken]
    most: int | None
    others: Mapping[UUID, int]

    @property
    def spent(self) -> float:
        """Of the error, until now."""
        return max((taken.spent for taken in self.taken), default=0.0)

    @property
    def looks(self) -> Sequence[Look]:
        """As their price is reckoned."""
        return [taken.look for taken in self.taken]


def release_of(run: Run) -> str:
    """The label ``release``, else ``commit``; without them a run, with all its extensions, is a release of its own."""
    for label in (RELEASE, COMMIT):
        if run.labels.get(label):
            return f"{label}:{run.labels[label]}"
    return f"run:{encode('run', run.id)}"


def is_labelled(release: str) -> bool:
    """Whether somebody said what release it is."""
    return not release.startswith("run:")


async def lock(tx: AsyncConnection, key: Key) -> None:
    """Until the end of the transaction nobody else takes a look at the release."""
    words = f"looks:{key.tenant_id}:{key.release}:{key.baseline}"
    await row(tx, "SELECT pg_advisory_xact_lock(hashtextextended(:words, 0))", words=words)


async def spending(tx: AsyncConnection, key: Key, run_id: UUID) -> Spending:
    """The looks at the release until now."""
    taken = await many(
        tx,
        Taken,
        "SELECT run_id, dialogues, run_dialogues, ratings, most, spent, again, verdict, at FROM analytics.looks"
        " WHERE tenant_id = :tenant AND release = :release AND baseline_run_id IS NOT DISTINCT FROM :baseline"
        " ORDER BY id",
        **key.values,
    )
    others = {look.run_id: look.run_dialogues for look in taken if look.run_id != run_id}
    return Spending(taken, taken[0].most if taken else None, others)


async def take(
    tx: AsyncConnection, key: Key, run: Run, charge: Charge, look: Look, own: int, most: int, verdict: Decision
) -> None:
    """Note a look that was not taken before; ``own`` of its dialogues are the run's."""
    await count(
        tx,
        "INSERT INTO analytics.looks (id, tenant_id, release, baseline_run_id, candidate, run_id, dialogues,"
        " run_dialogues, ratings, most, spent, again, verdict) VALUES (:id, :tenant, :release, :baseline, :candidate,"
        " :run, :dialogues, :own, :ratings, :most, :spent, :again, :verdict)",
        **key.values,
        id=uuid7(),
        candidate=run.candidate_name,
        run=run.id,
        dialogues=look.dialogues,
        own=own,
        ratings=look.ratings,
        most=most,
        spent=charge.spent,
        again=charge.again,
        verdict=verdict,
    )


async def asked_before(tx: AsyncConnection, key: Key, candidate: str) -> list[EarlierAttempt]:
    """The newest verdict on each other release of the same model name against the same baseline, the oldest first.

    An address says nothing of what stands behind it, so these may be the same bot or others.
    """
    found = await many(
        tx,
        _Before,
        "SELECT run_id, verdict, at FROM (SELECT DISTINCT ON (release) release, run_id, verdict, at, id"
        " FROM analytics.looks WHERE tenant_id = :tenant AND release <> :release"
        " AND baseline_run_id IS NOT DISTINCT FROM :baseline AND candidate = :candidate ORDER BY release, id DESC) x"
        " ORDER BY id DESC LIMIT :most",
        **key.values,
        candidate=candidate,
        most=MOST_SHOWN,
    )
    return [EarlierAttempt(run=encode("run", one.run_id), verdict=one.verdict, at=one.at) for one in reversed(found)]


@dataclass(frozen=True, slots=True)
class _Before:
    run_id: UUID
    verdict: Decision
    at: datetime
