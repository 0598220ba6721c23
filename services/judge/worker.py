"""What the judge does when it is rung, and what it looks for by itself."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import RowMapping

from esrp.dialogue import Dialogue, Turn
from esrp.metrics import METRICS
from esrp.suite import Suite
from services.jobs import AdvanceRun, JudgeSlice, StoreRatings
from services.judge import store
from services.judge.rating import Fault, Verdict
from services.judge.resources import Bench, Resources
from services.judge.store import Claimed, Given
from services.kit.batch import GroupCommit
from services.kit.budget import Errand, Purse
from services.kit.db import FAILURES, forget_deleted, is_away
from services.kit.lease import Slice
from services.kit.queue import Chime, Job
from services.kit.worker import Handler

log = structlog.get_logger()

VERDICTS = Counter("esrp_judge_verdicts_total", "Verdicts given", ["state"])
MISSING = Counter("esrp_judge_missing_scores_total", "Metrics without a valid score in verdicts that were given")

SEATS = 256  # verdicts one slice works at once over all judges; a higher cap is filled by several workers
GATHER = 0.01  # seconds: calls that end together are replaced by one claim
LOOK = 0.5  # seconds between looks at places that others may have freed


def handlers(resources: Resources) -> Mapping[type[Job], Handler]:
    """What is done for each message."""
    return {JudgeSlice: partial(judge_slice, resources)}


async def look_around(resources: Resources) -> Sequence[Job]:
    """Find runs with dialogues that nobody rates."""
    async with resources.engine.begin() as tx:
        await forget_deleted(tx, "judge.verdicts")
        await store.free_abandoned(tx)
        return [JudgeSlice(run_id) for run_id in await store.unrated_runs(tx)]


async def judge_slice(resources: Resources, run_id: UUID) -> None:
    """Rate what is finished of the run for some 20 seconds, as many at once as each judge allows.

    One slice a run and process is enough: rung again, it looks again.
    """
    if (bench := resources.benches.get(run_id)) is not None:
        bench.rung = True
        return bench.stir.set()
    bench = resources.benches[run_id] = Bench()
    try:
        async with resources.engine.begin() as tx:
            run = await store.run(tx, run_id)
        if run is None or run["status"] not in ("queued", "running") or not run["judges"]:
            return
        async with (
            Slice(resources.engine, "judge", run_id, run["tenant_id"]).held() as lease,
            Chime(resources.queue, StoreRatings(run_id)) as chime,
        ):
            await Session(resources, run, bench, lease, chime).sit()
    finally:
        _leave(resources, run_id, bench)
    await resources.queue.ring(AdvanceRun(run_id))


class Session:
    """One slice of one run at work."""

    def __init__(self, resources: Resources, run: RowMapping, bench: Bench, lease: Slice, chime: Chime) -> None:
        self._resources, self._run, self._bench, self._lease, self._chime = resources, run, bench, lease, chime
        self._suite = Suite.model_validate(run["suite"])
        self._saver: GroupCommit[Given, bool] = GroupCommit(self._write)
        self._purse = Purse(lease, run) if run["budget"] else None
        self._busy = 0

    async def sit(self) -> None:
        """Claim, rate and save until nothing waits or the slice is stopped; then let the calls in flight end."""
        async with asyncio.TaskGroup() as calls:
            while not self._lease.stopped.is_set() and await self._take(calls):
                await self._news()
            _leave(self._resources, self._run["id"], self._bench)
            if self._lease.expired:
                await self._resources.queue.ring(JudgeSlice(self._run["id"]))

    async def _take(self, calls: asyncio.TaskGroup) -> bool:
        """Begin what is ours to begin; false once there is nothing left to wait for."""
        self._bench.stir.clear()
        try:
            if self._bench.rung:
                self._bench.rung = False
                async with self._resources.engine.begin() as tx:
                    await store.expect(tx, self._run)
                    await store.retry_failed(tx, self._run)
            for judge in self._run["judges"]:
                for claimed in await self._claimed(judge):
                    self._busy += 1
                    calls.create_task(self._one(claimed))
            return self._busy > 0 or self._bench.rung or await self._is_left()
        except FAILURES as error:
            log.warning("verdicts.unclaimed", run_id=str(self._run["id"]), error=repr(error)[:200])
            self._bench.rung = True
            return True

    async def _claimed(self, judge: str) -> list[Claimed]:
        wanted, cap = SEATS - self._busy, self._resources.rater(judge).max_concurrency
        async with self._resources.engine.begin() as tx:
            return await store.claim(tx, self._run["id"], judge, self._lease.id, wanted=wanted, cap=cap)

    async def _is_left(self) -> bool:
        async with self._resources.engine.begin() as tx:
            return await store.is_left(tx, self._run["id"])

    async def _news(self) -> None:
        """A call ended, the bell rang, or it is time to look at places that others have freed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK):
                await self._bench.stir.wait()
                await asyncio.sleep(GATHER)

    async def _one(self, claimed: Claimed) -> None:
        errand = Errand(self._lease.stopped, self._purse)
        try:
            verdict = await self._rated(claimed, errand)
            saved = await self._saver.save(Given(claimed.id, verdict))
            errand.settle()
            if saved:
                self._count(claimed, verdict)
                self._chime.news()
            else:
                log.warning("verdict.lost", dialogue_id=str(claimed.dialogue_id), judge=claimed.judge)
        finally:
            self._busy -= 1
            self._bench.stir.set()

    async def _rated(self, claimed: Claimed, errand: Errand) -> Verdict:
        try:
            rater = self._resources.rater(claimed.judge)
            return await rater.rate(self._dialogue(claimed), self._suite.language, errand)
        except Exception:
            # Rated again it would fail again, for ever: it is a failed verdict, and the log has the reason.
            log.exception("verdict.crashed", dialogue_id=str(claimed.dialogue_id), judge=claimed.judge)
            return Verdict(error=Fault("judge_crashed", f"The judge {claimed.judge} broke on our side; see the log."))

    def _dialogue(self, claimed: Claimed) -> Dialogue:
        return Dialogue.model_construct(  # ours already: read from our own tables
            character=self._suite.character(claimed.character),
            scenario=None if claimed.scenario is None else self._suite.scenario(claimed.scenario),
            turns=tuple(Turn.model_construct(None, **turn) for turn in claimed.turns),
            replicate=claimed.replicate,
        )

    def _count(self, claimed: Claimed, verdict: Verdict) -> None:
        if verdict.stopped:
            return
        VERDICTS.labels("failed" if verdict.error else "done").inc()
        missing = len(METRICS) - len(verdict.scores)
        MISSING.inc(0 if verdict.error else missing)
        if verdict.error or missing:
            reason = verdict.error and verdict.error.code
            log.info("verdict.incomplete", dialogue_id=str(claimed.dialogue_id), missing=missing, reason=reason)

    async def _write(self, given: Sequence[Given]) -> list[bool]:
        """Save through a restart of Postgres: what was paid for is worth waiting for."""
        while True:
            try:
                async with self._resources.engine.begin() as tx:
                    return await store.save(tx, self._lease.id, given)
            except FAILURES as error:
                if not is_away(error):
                    raise
                log.warning("verdicts.unsaved", count=len(given), error=repr(error)[:200])
                await asyncio.sleep(0.5)


def _leave(resources: Resources, run_id: UUID, bench: Bench) -> None:
    """From here on a bell for the run starts a new slice; after the time is up another one may sit already."""
    if resources.benches.get(run_id) is bench:
        del resources.benches[run_id]
