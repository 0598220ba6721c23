"""The public API of runs: asked for, listed, read, changed and removed."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from esrp import api
from esrp.errors import InvalidInput
from services.gateway.http.deps import Cursor, Key, Limit, Reader, Res, Writer, as_json
from services.gateway.http.idempotency import Made, once
from services.gateway.http.paging import after, time_and_id
from services.gateway.runs import change, pilot, progress, store
from services.gateway.runs.found import find
from services.gateway.runs.plan import order
from services.gateway.runs.rejudge import rejudge
from services.gateway.runs.rows import ShownRun
from services.gateway.runs.shown import document, shown, shown_document
from services.jobs import AdvanceRun, JudgeSlice, PlanRun, PlaySlice
from services.kit.db import reading
from services.kit.ids import decode
from services.kit.queue import Job
from services.kit.unit import Unit, unit

router = APIRouter(prefix="/v1", tags=["runs"])
again = APIRouter(prefix="/v1", tags=["runs"])


@router.post(
    "/runs",
    status_code=202,
    response_model=api.Run,
    responses={200: {"model": api.DryRun, "description": "with `dry_run`: the plan, nothing stored"}},
)
async def create_run(
    body: api.RunRequest,
    request: Request,
    resources: Res,
    who: Writer,
    dry_run: bool = False,
    probe: bool = False,
    reattach: bool = False,
    idempotency_key: Key = None,
) -> Response:
    """Benchmark a candidate. 202 with the plan and where to follow it.

    With ``dry_run`` the plan alone; ``probe`` measures its tokens by a pilot of ten dialogues, which costs their calls.
    With ``reattach`` a run of the same configuration and labels that has not failed is gone on with instead of begun
    anew (``Esrp-Reattached: true``).
    """
    if dry_run:
        async with reading(resources.engine) as tx:
            planned = order(await find(tx, resources.settings, who.tenant_id, body))
        return as_json(await pilot.measured(resources, who.tenant_id, planned) if probe else planned.dry_run)
    if probe:
        raise InvalidInput.at("probe", "a pilot belongs to a plan: add ?dry_run=true")

    async def work(whole: Unit) -> Made:
        placed = order(await find(whole.tx, resources.settings, who.tenant_id, body))
        same = await store.same_run(whole.tx, who.tenant_id, placed) if reattach else None
        run = same or await store.start(whole.tx, resources.keys, who.tenant_id, placed)
        whole.ring(PlanRun(run.id))
        made = await shown(whole.tx, who.tenant_id, run.id)
        return Made(made, {"Location": made.links.self, **({"Esrp-Reattached": "true"} if same else {})})

    return await once(resources, who.tenant_id, request, work, status=202)


@router.get("/runs", response_model=api.Page[api.Run])
async def list_runs(
    resources: Res,
    who: Reader,
    limit: Limit = 50,
    cursor_: Cursor = None,
    status: api.RunStatus | None = None,
    suite: str | None = None,
    candidate: str | None = None,
) -> Response:
    """The tenant's runs, oldest first."""
    begin = time_and_id(cursor_)
    async with reading(resources.engine) as tx:
        found = await store.list_runs(
            tx, who.tenant_id, limit=limit + 1, after=begin, status=status, suite=suite, candidate=candidate
        )
        far = await progress.far(tx, found[:limit])
    data = [document(run, far[run.id]) for run in found[:limit]]
    return as_json({"data": data, "next_cursor": after(found, limit, _place)})


@router.get("/runs/{id}", response_model=api.Run)
async def read_run(id: str, resources: Res, who: Reader) -> Response:
    """One run and how far it is."""
    async with reading(resources.engine) as tx:
        return as_json(await shown_document(tx, who.tenant_id, decode("run", id)))


@router.post("/runs/{id}/cancel", status_code=202, response_model=api.Run)
async def cancel_run(id: str, resources: Res, who: Writer) -> Response:
    """Start no new call; what was paid for is kept, and ``resume`` goes on from there. Again: nothing changes."""
    async with unit(resources.engine, resources.queue) as work:
        run = await store.find_run(work.tx, who.tenant_id, decode("run", id), lock=True)
        await change.cancel(work.tx, run)
        work.ring(AdvanceRun(run.id))
        return as_json(await shown_document(work.tx, who.tenant_id, run.id), 202)


@router.post("/runs/{id}/resume", status_code=202, response_model=api.Run)
async def resume_run(id: str, resources: Res, who: Writer, body: api.ResumeRequest | None = None) -> Response:
    """Go on with a run that was cancelled or has used up its budget: what is there is not paid for again."""
    async with unit(resources.engine, resources.queue) as work:
        run = await store.find_run(work.tx, who.tenant_id, decode("run", id), lock=True)
        await change.resume(work.tx, run, body or api.ResumeRequest())
        work.ring(*_all_of(run.id))
        return as_json(await shown_document(work.tx, who.tenant_id, run.id), 202)


@router.post("/runs/{id}/retry-failed", status_code=202, response_model=api.Run)
async def retry_failed(id: str, resources: Res, who: Writer) -> Response:
    """Try the failed dialogues and verdicts of a finished run again, from their last answers on."""
    async with unit(resources.engine, resources.queue) as work:
        run = await store.find_run(work.tx, who.tenant_id, decode("run", id), lock=True)
        await change.retry(work.tx, run)
        work.ring(*_all_of(run.id))
        return as_json(await shown_document(work.tx, who.tenant_id, run.id), 202)


@router.post("/runs/{id}/extend", status_code=202, response_model=api.Run)
async def extend_run(id: str, body: api.ExtendRequest, resources: Res, who: Writer) -> Response:
    """Play more dialogues of the same plan in the same run. The body says how many there shall be in all."""
    async with unit(resources.engine, resources.queue) as work:
        run = await store.find_run(work.tx, who.tenant_id, decode("run", id), lock=True)
        await change.extend(work.tx, resources.settings, run, body)
        work.ring(*_all_of(run.id))
        return as_json(await shown_document(work.tx, who.tenant_id, run.id), 202)


@router.delete("/runs/{id}", status_code=204)
async def delete_run(id: str, resources: Res, who: Writer) -> Response:
    """Remove the run with its texts and ratings for good: from sight at once, from every table within seconds."""
    async with unit(resources.engine, resources.queue) as work:
        await change.delete(work.tx, await store.find_run(work.tx, who.tenant_id, decode("run", id), lock=True))
    return Response(status_code=204)


@again.post("/runs/{id}/rejudge", status_code=202, response_model=api.Run)
async def rejudge_run(
    id: str, body: api.RejudgeRequest, request: Request, resources: Res, who: Writer, idempotency_key: Key = None
) -> Response:
    """Have other judges rate the dialogues of a run that has ended. A new run with its own report; no candidate call.

    What was not played to the end is not in it. The source can be deleted after it.
    """

    async def work(whole: Unit) -> Made:
        source = await store.find_run(whole.tx, who.tenant_id, decode("run", id), lock=True)
        run = await rejudge(whole.tx, resources.settings, source, body)
        whole.ring(PlanRun(run.id))
        made = await shown(whole.tx, who.tenant_id, run.id)
        return Made(made, {"Location": made.links.self})

    return await once(resources, who.tenant_id, request, work, status=202)


def _place(run: ShownRun) -> tuple[str, str]:
    return run.created_at.isoformat(), str(run.id)


def _all_of(run_id: UUID) -> list[Job]:
    """Whoever may have something to do for a run that goes on."""
    return [PlanRun(run_id), PlaySlice(run_id), JudgeSlice(run_id), AdvanceRun(run_id)]
