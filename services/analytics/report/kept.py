"""Reports and the agreement of raters: made from the database when ratings change, kept, and read."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import FINAL, AgreementOut, Choice, Report
from esrp.limits import Limit, loaded
from services.analytics import rated
from services.analytics.ratings import diversity_ratings
from services.analytics.report import agreements, computing, played, spreads, store
from services.analytics.report.computing import Given, Written
from services.analytics.report.counting import count_replies
from services.analytics.report.packed import Packed, documented, packed
from services.analytics.report.store import KeptReport
from services.analytics.resources import Resources
from services.analytics.runs import Run, run_of
from services.analytics.takeover import take_over
from services.kit.aside import Aside, Do, unless_too_much
from services.kit.db import reading

TRIES = 3  # that a report is made anew because its ratings changed while it was made


@dataclass(frozen=True, slots=True)
class Read:
    """A run as far as its judges' cards need it, and its report, whose ``limits`` are not in words yet."""

    run: Run | KeptReport
    report: Report
    limits: tuple[Limit, ...]


async def read(resources: Resources, run_id: UUID, tenant_id: UUID, raters: Choice) -> Read | None:
    """The report as things stand; that of a final run is kept, and made again when its ratings change."""
    async with reading(resources.engine) as tx:
        if raters == "auto" and (kept := await store.report(tx, run_id, tenant_id)) is not None:
            return _loaded(kept)
        run = await run_of(tx, run_id, tenant_id)
    if run is None:
        return None
    if raters == "auto" and run.status in FINAL:
        async with resources.turn(run_id):  # whoever waits finds what the first has made
            async with reading(resources.engine) as tx:
                kept = await store.report(tx, run_id, tenant_id)
            if kept is not None:
                return _loaded(kept)
            return await summarise(resources, run, resources.figures, patient=False)
    async with resources.figures.slot() as do:
        await count_replies(resources.engine, do, run)
        async with resources.engine.begin() as tx:
            given = await _given(tx, run, raters)
        written = await _written(resources, do, given)
    async with reading(resources.engine) as tx:
        return await _with_agreement(tx, run, written)


async def summarise(resources: Resources, run: Run, aside: Aside, *, patient: bool = True) -> Read:
    """Take over what the judges said, make the report of the run and keep it.

    Nothing is locked while it is made. If the ratings change meanwhile it is made again, and not kept in the end.
    """
    async with aside.slot(patient=patient) as do:
        await count_replies(resources.engine, do, run)
        for left in reversed(range(TRIES)):
            async with resources.engine.begin() as tx:
                await rated.lock(tx, run.id)
                if await take_over(tx, run.id):
                    await rated.drop_reports(tx, [run.id])
                given = await _given(tx, run, "auto", complete=True)
            written = await _written(resources, do, given)
            async with resources.engine.begin() as tx:
                await rated.lock(tx, run.id)
                current = await rated.changes(tx, run.id) == given.changes
                if current:
                    await store.save_report(tx, run, written)
                if current or not left:
                    break
    async with reading(resources.engine) as tx:
        return await _with_agreement(tx, run, written)


async def count(resources: Resources, run_id: UUID) -> bool:
    """Count what was replied in the run while it is played: its report has less to do. All there was: ``False``."""
    async with resources.reports.slot(patient=True) as do:
        async with reading(resources.engine) as tx:
            run = await run_of(tx, run_id)
        if run is not None:
            await count_replies(resources.engine, do, run)
    return False


async def agree(resources: Resources, run_id: UUID) -> None:
    """Compute the agreement of a run's raters if it is not known, and keep it. It holds no connection while it counts.

    Ratings that change meanwhile make it outdated, which its hash shows; the next ring or look does it again. What is
    too much to compute stays unknown until they change. How the run differs from another of its suite is measured too.
    """
    async with resources.figures.slot(patient=True) as do:
        async with resources.engine.begin() as tx:
            run = await run_of(tx, run_id)
            if run is None or await agreements.agreed(tx, run_id):
                return
            changes = await rated.changes(tx, run_id)
            ratings = await packed(tx, run_id)
            beside = await spreads.other_run(tx, run) if run.status in ("running", "succeeded") else None
            other = await packed(tx, beside) if beside else None
        ours = await unless_too_much(documented(resources.engine, do, ratings))
        found = await unless_too_much(do(computing.agreements, ours)) if ours else None
        apart = await unless_too_much(_spread(resources, do, ours, other)) if ours and other else None
    async with resources.engine.begin() as tx:
        if apart is not None:
            await spreads.save(tx, run, apart)
        for of, document in (found or {}).items():
            await agreements.save_agreement(tx, run, of, document)
        await agreements.mark_agreed(tx, run_id, changes)


async def _spread(resources: Resources, do: Do, ours: Packed, theirs: Packed) -> dict[str, Any] | None:
    """Of the newer run beside the older, whichever ended last: what is below it differs from what is above."""
    sides = ours, await documented(resources.engine, do, theirs)
    older, newer = sorted(sides, key=lambda side: side.run_id)  # ids are in the order of time
    return await do(computing.spread, newer, older)


# --- making -----------------------------------------------------------------------------------------------------------


async def _given(tx: AsyncConnection, run: Run, raters: Choice, *, complete: bool = False) -> Given:
    run_id = run.id
    changes = await rated.changes(tx, run_id)  # first: what changes after it makes the report outdated
    complete = complete or run.status in FINAL or run.phase == "analysing"
    return Given(
        run=run,
        dialogues=await played.dialogues(tx, run_id),
        scenarios=await played.scenarios(tx, run.suite_id),
        ratings=await packed(tx, run_id),
        batches=await diversity_ratings(tx, run_id),
        raters=raters,
        complete=complete,
        changes=changes,
    )


async def _written(resources: Resources, do: Do, given: Given) -> Written:
    """The report, and the ratings packed for whoever asks next."""
    ratings = await documented(resources.engine, do, given.ratings)
    return await do(computing.report, replace(given, ratings=ratings))


# --- what is kept -----------------------------------------------------------------------------------------------------


def _loaded(kept: KeptReport) -> Read:
    """A stored report, with the run's status of now and the agreement of its ratings, if that is known."""
    agreed = kept.agreement
    now = {
        "status": kept.status,
        "agreement": None if agreed is None else AgreementOut.model_validate_json(agreed),
    }
    report = Report.model_validate_json(kept.document).model_copy(update=now)
    return Read(kept, report, loaded(kept.limits))


async def _with_agreement(tx: AsyncConnection, run: Run, written: Written) -> Read:
    report, limits = Report.model_validate_json(written.document), loaded(written.limits)
    if written.agreed is None:
        return Read(run, report, limits)
    found = await agreements.agreement(tx, run.id, written.agreed)
    agreement = None if found is None else AgreementOut.model_validate(found)
    return Read(run, report.model_copy(update={"agreement": agreement}), limits)
