"""What the analytics service does when it is rung, and what it looks for by itself."""

from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

import structlog
from prometheus_client import Counter

from esrp.api import FINAL
from services.analytics.cards import measure
from services.analytics.cards.store import mark, mark_deleted, marked
from services.analytics.figures import store
from services.analytics.gates import given
from services.analytics.rated import drop_reports, lock
from services.analytics.report import counting, kept
from services.analytics.report.agreements import without_agreement
from services.analytics.report.store import is_reported
from services.analytics.resources import Resources
from services.analytics.runs import OF_A_RUN, run_of
from services.analytics.takeover import is_rated, open_work, take_over
from services.jobs import AdvanceRun, CountReplies, MeasureAgreement, MeasureJudges, StoreRatings, SummariseRun
from services.kit.queue import Job
from services.kit.worker import Handler, coalesced
from services.work.claims import forget_deleted

log = structlog.get_logger()

RATINGS = Counter("esrp_analytics_ratings_total", "Ratings taken over from judges")
TAKEN_OVER_AT_ONCE = 4  # runs; each holds a connection of eight
REPORTS = Counter("esrp_analytics_reports_total", "Reports that were written")


def handlers(resources: Resources) -> Mapping[type[Job], Handler]:
    """What is done for each message."""
    return {
        StoreRatings: coalesced(partial(store_ratings, resources), at_once=TAKEN_OVER_AT_ONCE),
        CountReplies: coalesced(partial(kept.count, resources)),
        SummariseRun: partial(summarise_run, resources),
        MeasureAgreement: partial(kept.agree, resources),
        MeasureJudges: partial(measure.measure_judges, resources, anyway=False),
    }


async def look_around(resources: Resources) -> Sequence[Job]:
    """Find open runs with scores that are not here yet, or that wait for their report; and judges to be measured."""
    async with resources.engine.begin() as tx:
        await mark_deleted(tx)
        await forget_deleted(tx, *OF_A_RUN)
        await given.forget(tx)
        await store.forget(tx)
        waiting = await open_work(tx)
        unknown = await without_agreement(tx)
        unmeasured = await marked(tx)
    jobs = [SummariseRun(run.id) if run.unsummarised else StoreRatings(run.id) for run in waiting]
    return [*jobs, *map(MeasureAgreement, unknown), *map(MeasureJudges, unmeasured)]


async def store_ratings(resources: Resources, run_id: UUID) -> bool:
    """Take over the scores of the run's verdicts; a report without them is dropped. All there was: ``False``.

    Where these were the last, the report is written at once: it need not wait until the gateway has seen it.
    """
    async with resources.engine.begin() as tx:
        await lock(tx, run_id)
        if not (taken := await take_over(tx, run_id)):
            return False
        await drop_reports(tx, [run_id])
        is_last = await is_rated(tx, run_id)
        many_played = not is_last and await counting.is_due(tx, run_id)
    RATINGS.inc(taken.ratings)
    log.info("ratings.stored", run_id=str(run_id), ratings=taken.ratings)
    if is_last:
        await _summarise(resources, run_id)
    else:
        await resources.queue.ring(AdvanceRun(run_id), *[CountReplies(run_id)] * many_played)
    return False


async def summarise_run(resources: Resources, run_id: UUID) -> None:
    """Write the report of a run that has nothing left to be rated.

    A late message about a run that went on since is ignored: the gateway ends a run when it sees its report.
    """
    async with resources.engine.begin() as tx:
        run = await run_of(tx, run_id)
    if run is not None and (run.phase == "analysing" or run.status in FINAL):
        await _summarise(resources, run_id)


async def _summarise(resources: Resources, run_id: UUID) -> None:
    async with resources.turn(run_id):
        async with resources.engine.begin() as tx:
            run = await run_of(tx, run_id)
            is_written = run is None or await is_reported(tx, run_id, run.revision)
        if run is None or is_written:  # by whoever had the turn before us: rung twice, written once
            return await resources.queue.ring(AdvanceRun(run_id))
        written = await kept.summarise(resources, run, resources.reports)
    async with resources.engine.begin() as tx:
        await mark(tx, run.tenant_id)
    REPORTS.inc()
    log.info("report.written", run_id=str(run_id), scored=written.report.coverage.scored, sha256=written.report.sha256)
    await resources.queue.ring(AdvanceRun(run_id), MeasureAgreement(run_id))
