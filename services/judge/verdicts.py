"""What judges are given of a run: its dialogues, and the batches of its replies. Each judge has a lane of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.dialogue import Dialogue, Turn
from esrp.metrics import METRICS
from services.jobs import DiversitySlice, StoreRatings
from services.judge import diversity_store, store
from services.judge.diversity import BatchVerdict, rate_batch
from services.judge.diversity_store import ClaimedBatch, GivenBatch
from services.judge.panel import PanelRater
from services.judge.rating import Fault, Unserved, Verdict
from services.judge.resources import Resources
from services.judge.store import Claimed, Given
from services.kit.queue import Job
from services.work.budget import Errand
from services.work.loop import Held, Lane, RunWork

log = structlog.get_logger()

VERDICTS = Counter("esrp_judge_verdicts_total", "Verdicts given", ["state"])
MISSING = Counter("esrp_judge_missing_scores_total", "Metrics without a valid score in verdicts that were given")
BATCHES = Counter("esrp_judge_batches_total", "Verdicts given on the diversity of a batch", ["state"])


@dataclass(frozen=True)
class _Rated(RunWork):
    """What rating dialogues and batches have in common: a lane for each judge."""

    resources: Resources

    @property
    def bells(self) -> Mapping[Job, float]:
        """Scores are taken over while more are given."""
        return {StoreRatings(self.run.id): 0.5}

    def lanes_of(self, judges: Sequence[str]) -> Sequence[Lane]:
        """A lane for each."""
        return [Lane(judge, self.resources.rater(judge).max_concurrency) for judge in judges]


class Verdicts(_Rated):
    """The run's dialogues: every judge rates each."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """All judges of the run."""
        return self.lanes_of(self.run.judges)

    async def expect(self, tx: AsyncConnection) -> None:
        """A verdict for each dialogue that ended and judge; what is to be tried again waits again.

        Dialogues that ended may also have filled batches.
        """
        await store.expect(tx, self.run)
        await store.retry_failed(tx, self.run)
        if await diversity_store.is_due(tx, self.run):
            await self.resources.queue.ring(DiversitySlice(self.run.id))

    async def claim(self, tx: AsyncConnection, lane: str, slice_id: UUID, wanted: int) -> list[Claimed]:
        """See ``Work``."""
        return await store.claim(tx, self.run.id, lane, slice_id, wanted)

    async def save(self, tx: AsyncConnection, slice_id: UUID, saves: Sequence[Given]) -> list[bool]:
        """See ``Work``."""
        return await store.save(tx, slice_id, saves)

    async def is_left(self, tx: AsyncConnection) -> bool:
        """See ``Work``."""
        return await store.is_left(tx, self.run.id)

    async def do(self, claimed: Claimed, held: Held[Given]) -> None:
        """Have the judge rate it."""
        verdict = await self._rated(claimed, held.errand)
        await held.save(Given(claimed.id, verdict))
        if verdict.stopped:
            return
        VERDICTS.labels("failed" if verdict.error else "done").inc()
        missing = len(METRICS) - len(verdict.scores)
        MISSING.inc(0 if verdict.error else missing)
        if verdict.error or missing:
            reason = verdict.error and verdict.error.code
            log.info("verdict.incomplete", dialogue_id=str(claimed.dialogue_id), missing=missing, reason=reason)

    async def _rated(self, claimed: Claimed, errand: Errand) -> Verdict:
        try:
            rater = self.resources.rater(claimed.judge)
            return await rater.rate(self._dialogue(claimed), self.run.suite.language, errand)
        except Exception:
            # Rated again it would fail again, for ever: it is a failed verdict, and the log has the reason.
            log.exception("verdict.crashed", dialogue_id=str(claimed.dialogue_id), judge=claimed.judge)
            return Verdict(error=_crash(claimed.judge))

    def _dialogue(self, claimed: Claimed) -> Dialogue:
        suite = self.run.suite
        return Dialogue.model_construct(  # ours already: read from our own tables
            character=suite.character(claimed.character),
            scenario=None if claimed.scenario is None else suite.scenario(claimed.scenario),
            turns=tuple(Turn.model_construct(None, **turn) for turn in claimed.turns),
            replicate=claimed.replicate,
        )


class Batches(_Rated):
    """The run's replies by tens: every chat judge rates how varied each ten are."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """Those that rate diversity."""
        return self.lanes_of(diversity_store.judges_of(self.run))

    async def expect(self, tx: AsyncConnection) -> None:
        """See ``Work``."""
        await diversity_store.expect(tx, self.run.id)

    async def claim(self, tx: AsyncConnection, lane: str, slice_id: UUID, wanted: int) -> list[ClaimedBatch]:
        """See ``Work``."""
        return await diversity_store.claim(tx, self.run.id, lane, slice_id, wanted)

    async def save(self, tx: AsyncConnection, slice_id: UUID, saves: Sequence[GivenBatch]) -> list[bool]:
        """See ``Work``."""
        return await diversity_store.save(tx, slice_id, saves)

    async def is_left(self, tx: AsyncConnection) -> bool:
        """See ``Work``."""
        return await diversity_store.is_left(tx, self.run.id)

    async def do(self, claimed: ClaimedBatch, held: Held[GivenBatch]) -> None:
        """Have the judge rate it."""
        verdict = await self._rated(claimed, held)
        await held.save(GivenBatch(claimed.id, verdict))
        if verdict.stopped:
            return
        BATCHES.labels("failed" if verdict.error else "done").inc()
        if verdict.score is None:
            reason = verdict.error and verdict.error.code
            log.info("batch.unscored", run_id=str(self.run.id), id=str(claimed.id), reason=reason)

    async def _rated(self, claimed: ClaimedBatch, held: Held[Any]) -> BatchVerdict:
        rater = self.resources.rater(claimed.judge)
        if isinstance(rater, Unserved):
            return BatchVerdict(error=Fault(rater.code, rater.message))
        if not isinstance(rater, PanelRater):
            message = f"The judge {claimed.judge} is no longer of kind chat, and another rates no diversity."
            return BatchVerdict(error=Fault("judge_kind_changed", message))
        suite = self.run.suite
        try:
            character = suite.character(claimed.character)
            return await rate_batch(rater, character, claimed.replies, suite.language, held.errand)
        except Exception:
            log.exception("batch.crashed", run_id=str(self.run.id), id=str(claimed.id), judge=claimed.judge)
            return BatchVerdict(error=_crash(claimed.judge))


def _crash(judge: str) -> Fault:
    return Fault("judge_crashed", f"The judge {judge} broke on our side; see the log.")
