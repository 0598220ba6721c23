"""What the judge does when it is rung, and what it looks for by itself."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from services.jobs import AdvanceRun, DiversitySlice, JudgeSlice
from services.judge import diversity_store, store
from services.judge.resources import Resources
from services.judge.verdicts import Batches, Verdicts
from services.kit.queue import Job
from services.kit.worker import Handler
from services.work.claims import forget_deleted
from services.work.loop import Work
from services.work.published import PlayedRun, played_run


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
    await _slice(resources, JudgeSlice(run_id), Verdicts)


async def diversity_slice(resources: Resources, run_id: UUID) -> None:
    """Rate the batches of what was played, likewise."""
    await _slice(resources, DiversitySlice(run_id), Batches)


async def _slice(resources: Resources, job: Job, of: Callable[[PlayedRun, Resources], Work[Any, Any]]) -> None:
    async def begin() -> Work[Any, Any] | None:
        async with resources.engine.begin() as tx:
            run = await played_run(tx, job.subject)
        return of(run, resources) if run is not None and run.goes_on and run.judges else None

    if await resources.slices.work(job, begin):
        await resources.queue.ring(AdvanceRun(job.subject))
