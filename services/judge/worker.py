"""What the judge does when it is rung, and what it looks for by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.dialogue import Dialogue, Turn
from esrp.metrics import METRICS
from esrp.suite import Suite
from services.jobs import AdvanceRun, DiversitySlice, JudgeSlice, StoreRatings
from services.judge import diversity_store, store
from services.judge.diversity import BatchVerdict, rate_batch
from services.judge.diversity_store import ClaimedBatch, GivenBatch
from services.judge.panel import PanelRater
from services.judge.rating import Fault, Unserved, Verdict
from services.judge.resources import Bench, Resources
from services.judge.sitting import Docket, Sitting, leave
from services.judge.store import Claimed, Given
from services.kit.db import forget_deleted
from services.kit.queue import Chime, Job
from services.kit.worker import Handler
from services.work.budget import Errand
from services.work.lease import Slice

log = structlog.get_logger()

VERDICTS = Counter("esrp_judge_verdicts_total", "Verdicts given", ["state"])
MISSING = Counter("esrp_judge_missing_scores_total", "Metrics without a valid score in verdicts that were given")
BATCHES = Counter("esrp_judge_batches_total", "Verdicts given on the diversity of a batch", ["state"])


def handlers(resources: Resources) -> Mapping[type[Job], Handler]:
    """What is done for each message."""
    return {JudgeSlice: partial(judge_slice, resources), DiversitySlice: partial(diversity_slice, resources)}


async def look_around(resources: Resources) -> Sequence[Job]:
    """Find runs with dialogues or batches that nobody rates."""
    async with resources.engine.begin() as tx:
        await forget_deleted(tx, *store.OF_A_RUN)
        await diversity_store.free_abandoned(tx)
        await store.free_abandoned(tx)
        unrated: list[Job] = [JudgeSlice(run_id) for run_id in await store.unrated_runs(tx)]
        return unrated + [DiversitySlice(run_id) for run_id in await diversity_store.unrated_runs(tx)]


async def judge_slice(resources: Resources, run_id: UUID) -> None:
    """Rate what is finished of the run for some 20 seconds, as many at once as each judge allows."""
    await _sit(resources, JudgeSlice(run_id), Dialogues)


async def diversity_slice(resources: Resources, run_id: UUID) -> None:
    """Rate the batches of what was played, likewise."""
    await _sit(resources, DiversitySlice(run_id), Batches)


async def _sit(resources: Resources, job: Job, docket: Callable[[Resources, RowMapping], Docket[Any, Any]]) -> None:
    """One slice a run and process is enough: rung again, it looks again."""
    if (bench := resources.benches.get(job)) is not None:
        bench.rung = True
        return bench.stir.set()
    bench = resources.benches[job] = Bench()
    try:
        async with resources.engine.begin() as tx:
            run = await store.run(tx, job.run_id)
        if run is None or run["status"] not in ("queued", "running") or not run["judges"]:
            return
        async with (
            Slice(resources.engine, "judge", job.run_id, run["tenant_id"]).held() as lease,
            Chime(resources.queue, StoreRatings(job.run_id)) as chime,
        ):
            await Sitting(resources, run, docket(resources, run), bench, lease, chime).sit()
    finally:
        leave(resources, job, bench)
    await resources.queue.ring(AdvanceRun(job.run_id))


@dataclass(frozen=True)
class Dialogues:
    """The run's dialogues: every judge rates each."""

    resources: Resources
    run: RowMapping

    @property
    def job(self) -> Job:
        """See ``Docket``."""
        return JudgeSlice(self.run["id"])

    @property
    def judges(self) -> Sequence[str]:
        """All of them."""
        names: Sequence[str] = self.run["judges"]
        return names

    @cached_property
    def suite(self) -> Suite:
        """The run's."""
        return Suite.model_validate(self.run["suite"])

    async def expect(self, tx: AsyncConnection) -> None:
        """A verdict for each dialogue that ended and judge; what is to be tried again waits again.

        Dialogues that ended may also have filled batches.
        """
        await store.expect(tx, self.run)
        await store.retry_failed(tx, self.run)
        if await diversity_store.is_due(tx, self.run):
            await self.resources.queue.ring(DiversitySlice(self.run["id"]))

    async def claim(self, tx: AsyncConnection, judge: str, slice_id: UUID, *, wanted: int, cap: int) -> list[Claimed]:
        """See ``Docket``."""
        return await store.claim(tx, self.run["id"], judge, slice_id, wanted=wanted, cap=cap)

    async def rate(self, claimed: Claimed, errand: Errand) -> Given:
        """See ``Docket``."""
        try:
            rater = self.resources.rater(claimed.judge)
            return Given(claimed.id, await rater.rate(self._dialogue(claimed), self.suite.language, errand))
        except Exception:
            # Rated again it would fail again, for ever: it is a failed verdict, and the log has the reason.
            log.exception("verdict.crashed", dialogue_id=str(claimed.dialogue_id), judge=claimed.judge)
            return Given(claimed.id, Verdict(error=_crash(claimed.judge)))

    async def save(self, tx: AsyncConnection, slice_id: UUID, given: Sequence[Given]) -> list[bool]:
        """See ``Docket``."""
        return await store.save(tx, slice_id, given)

    def count(self, claimed: Claimed, given: Given) -> None:
        """See ``Docket``."""
        verdict = given.verdict
        if verdict.stopped:
            return
        VERDICTS.labels("failed" if verdict.error else "done").inc()
        missing = len(METRICS) - len(verdict.scores)
        MISSING.inc(0 if verdict.error else missing)
        if verdict.error or missing:
            reason = verdict.error and verdict.error.code
            log.info("verdict.incomplete", dialogue_id=str(claimed.dialogue_id), missing=missing, reason=reason)

    async def is_left(self, tx: AsyncConnection) -> bool:
        """See ``Docket``."""
        return await store.is_left(tx, self.run["id"])

    def _dialogue(self, claimed: Claimed) -> Dialogue:
        return Dialogue.model_construct(  # ours already: read from our own tables
            character=self.suite.character(claimed.character),
            scenario=None if claimed.scenario is None else self.suite.scenario(claimed.scenario),
            turns=tuple(Turn.model_construct(None, **turn) for turn in claimed.turns),
            replicate=claimed.replicate,
        )


@dataclass(frozen=True)
class Batches:
    """The run's replies by tens: every chat judge rates how varied each ten are."""

    resources: Resources
    run: RowMapping

    @property
    def job(self) -> Job:
        """See ``Docket``."""
        return DiversitySlice(self.run["id"])

    @property
    def judges(self) -> Sequence[str]:
        """Those that rate diversity."""
        return diversity_store.judges_of(self.run)

    @cached_property
    def suite(self) -> Suite:
        """The run's."""
        return Suite.model_validate(self.run["suite"])

    async def expect(self, tx: AsyncConnection) -> None:
        """See ``Docket``."""
        await diversity_store.expect(tx, self.run["id"])

    async def claim(
        self, tx: AsyncConnection, judge: str, slice_id: UUID, *, wanted: int, cap: int
    ) -> list[ClaimedBatch]:
        """See ``Docket``."""
        return await diversity_store.claim(tx, self.run["id"], judge, slice_id, wanted=wanted, cap=cap)

    async def rate(self, claimed: ClaimedBatch, errand: Errand) -> GivenBatch:
        """See ``Docket``."""
        try:
            return GivenBatch(claimed.id, await self._rated(claimed, errand))
        except Exception:
            log.exception("batch.crashed", run_id=str(self.run["id"]), id=str(claimed.id), judge=claimed.judge)
            return GivenBatch(claimed.id, BatchVerdict(error=_crash(claimed.judge)))

    async def save(self, tx: AsyncConnection, slice_id: UUID, given: Sequence[GivenBatch]) -> list[bool]:
        """See ``Docket``."""
        return await diversity_store.save(tx, slice_id, given)

    def count(self, claimed: ClaimedBatch, given: GivenBatch) -> None:
        """See ``Docket``."""
        verdict = given.verdict
        if verdict.stopped:
            return
        BATCHES.labels("failed" if verdict.error else "done").inc()
        if verdict.score is None:
            reason = verdict.error and verdict.error.code
            log.info("batch.unscored", run_id=str(self.run["id"]), id=str(claimed.id), reason=reason)

    async def is_left(self, tx: AsyncConnection) -> bool:
        """See ``Docket``."""
        return await diversity_store.is_left(tx, self.run["id"])

    async def _rated(self, claimed: ClaimedBatch, errand: Errand) -> BatchVerdict:
        rater = self.resources.rater(claimed.judge)
        if isinstance(rater, Unserved):
            return BatchVerdict(error=Fault(rater.code, rater.message))
        if not isinstance(rater, PanelRater):
            message = f"The judge {claimed.judge} is no longer of kind chat, and another rates no diversity."
            return BatchVerdict(error=Fault("judge_kind_changed", message))
        character = self.suite.character(claimed.character)
        return await rate_batch(rater, character, claimed.replies, self.suite.language, errand)


def _crash(judge: str) -> Fault:
    return Fault("judge_crashed", f"The judge {judge} broke on our side; see the log.")
