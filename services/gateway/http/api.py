"""The public API, v1: every path, and nothing that a path only passes on."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import TypeAdapter, ValidationError

from esrp import api
from esrp.dialogue import Character, Scenario
from esrp.errors import Forbidden, InvalidInput, NotFound, TooManyRequests, WrongState
from esrp.suite import Suite
from services.gateway.access import keys
from services.gateway.access.keys import FIRST_TENANT, Principal
from services.gateway.http import parsing
from services.gateway.http.idempotency import once
from services.gateway.http.paging import cursor, place
from services.gateway.resources import Resources
from services.gateway.runs import change, pilot, report_cache, start, store
from services.gateway.runs.events import stream
from services.gateway.runs.plan import Place
from services.gateway.runs.shown import dialogue_out, run_out
from services.gateway.suites import suites, transcripts
from services.jobs import AdvanceRun, JudgeSlice, PlanRun, PlaySlice
from services.kit.db import reading, row, rows
from services.kit.ids import decode, encode, uuid7
from services.kit.queue import Job
from services.work import cards

Item = TypeVar("Item")
SECONDS = 150  # that a report may take, for others may be made before it
router = APIRouter(prefix="/v1")
YAML = {key: {"schema": {"$ref": "#/components/schemas/Suite"}} for key in ("application/yaml", "application/json")}


# --- what a call brings with it ---------------------------------------------------------------------------------------


async def resources_of(request: Request) -> Resources:
    """The gateway's resources. It is no plain function: that would be run in a thread."""
    found: Resources = request.app.state.resources
    return found


Res = Annotated[Resources, Depends(resources_of)]


def asks(*scopes: api.Scope) -> Callable[..., Any]:
    """A dependency: the principal, if its key has one of the scopes and is within its rate."""

    async def principal(
        resources: Res, request: Request, authorization: Annotated[str | None, Header()] = None
    ) -> Principal:
        if "%00" in request.url.query:
            raise InvalidInput("A parameter cannot hold the character U+0000.")
        # Of a request with a body it is known: that is not read for anybody.
        known: Principal | None = getattr(request.state, "principal", None)
        found = known or await keys.authenticate(resources.engine, authorization)
        quota = await resources.rates.take(found.key_id)
        request.state.headers = quota.headers
        if not quota.allowed:
            detail = f"Over {quota.limit} requests a minute; go on in {quota.reset} s."
            raise TooManyRequests(detail, retry_after=quota.reset)
        found.require(*scopes)
        return found

    return principal


Reader = Annotated[Principal, Depends(asks("runs:read", "runs:write", "ratings:write"))]
Writer = Annotated[Principal, Depends(asks("runs:write"))]
Rater = Annotated[Principal, Depends(asks("ratings:write"))]
Admin = Annotated[Principal, Depends(asks("admin"))]
Limit = Annotated[int, Query(ge=1, le=100)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", description="the same key and body give the same answer")]


# --- tenants and keys -------------------------------------------------------------------------------------------------


@router.post("/tenants", status_code=201, tags=["tenants"], response_model=api.TenantOut)
async def create_tenant(
    body: api.TenantRequest, request: Request, resources: Res, who: Admin, idempotency_key: Key = None
) -> Response:
    """A new tenant. For an admin of the first tenant."""
    _operator(who)

    async def work(tx: Any) -> api.TenantOut:
        id = uuid7()
        added = await row(
            tx,
            "INSERT INTO gateway.tenants (id, tenant_id, name) VALUES (:id, :id, :name) RETURNING created_at",
            id=id,
            name=body.name,
        )
        assert added is not None
        return api.TenantOut(id=encode("ten", id), name=body.name, created_at=added["created_at"])

    return await once(resources.engine, who.tenant_id, request, work)


@router.get("/tenants", tags=["tenants"])
async def list_tenants(
    resources: Res, who: Admin, limit: Limit = 50, cursor_: Annotated[str | None, Query(alias="cursor")] = None
) -> api.Page[api.TenantOut]:
    """All tenants. For an admin of the first tenant."""
    _operator(who)
    async with resources.engine.begin() as tx:
        found = await rows(tx, "SELECT id, name, created_at FROM gateway.tenants ORDER BY created_at, id")
    tenants = [api.TenantOut(**{**tenant, "id": encode("ten", tenant["id"])}) for tenant in found]
    return _page(tenants, limit, cursor_)


@router.post("/keys", status_code=201, tags=["keys"], response_model=api.NewKey)
async def create_key(
    body: api.KeyRequest, request: Request, resources: Res, who: Admin, idempotency_key: Key = None
) -> Response:
    """A new API key: this answer is the only one that shows it, and so it is not repeated for an idempotency key."""
    tenant = who.tenant_id
    if body.tenant is not None:
        _operator(who)
        tenant = decode("ten", body.tenant)
    async with resources.engine.begin() as tx:
        if await row(tx, "SELECT 1 FROM gateway.tenants WHERE id = :id", id=tenant) is None:
            raise NotFound("tenant", encode("ten", tenant))
        key = await keys.create_key(tx, tenant, body.name, body.scopes)
    return Response(key.model_dump_json(), 201, media_type="application/json")


@router.get("/keys", tags=["keys"])
async def list_keys(
    resources: Res, who: Admin, limit: Limit = 50, cursor_: Annotated[str | None, Query(alias="cursor")] = None
) -> api.Page[api.KeyOut]:
    """The tenant's keys, without the keys themselves."""
    async with resources.engine.begin() as tx:
        found = await keys.list_keys(tx, who.tenant_id)
    return _page(found, limit, cursor_)


@router.delete("/keys/{id}", status_code=204, tags=["keys"])
async def revoke_key(id: str, resources: Res, who: Admin) -> Response:
    """Revoke a key at once."""
    async with resources.engine.begin() as tx:
        await keys.revoke_key(tx, who.tenant_id, decode("key", id))
    return Response(status_code=204)


# --- suites -----------------------------------------------------------------------------------------------------------


@router.post(
    "/suites",
    status_code=201,
    tags=["suites"],
    response_model=api.SuiteOut,
    openapi_extra={"requestBody": {"required": True, "content": YAML}},
)
async def create_suite(request: Request, resources: Res, who: Writer, idempotency_key: Key = None) -> Response:
    """Upload a suite (JSON or YAML). Immutable; the same content is the same version, a new one a new version."""
    async with resources.uploads.received(request) as upload:
        async with resources.texts.slot() as do:
            suite, told = await do(parsing.suite, await upload.whole(), request.headers.get("content-type", ""))

        async def work(tx: Any) -> api.SuiteOut:
            added = await suites.add(tx, who.tenant_id, suite)
            resources.known.tell(added["id"], told)
            return suites.suite_out(added, told)

        return await once(resources.engine, who.tenant_id, request, work, body_sha256=upload.sha256)


@router.get("/suites", tags=["suites"])
async def list_suites(
    resources: Res, who: Reader, limit: Limit = 50, cursor_: Annotated[str | None, Query(alias="cursor")] = None
) -> api.Page[api.SuiteOut]:
    """Every version of every suite: the tenant's own and the bundled."""
    async with resources.engine.begin() as tx:
        found = await suites.visible(tx, who.tenant_id, resources.known)
    return _page(found, limit, cursor_)


@router.get("/suites/{name}", tags=["suites"])
async def read_suite(name: str, resources: Res, who: Reader) -> api.SuiteOut:
    """One suite, as ``name`` (its newest version) or ``name@version``."""
    async with resources.engine.begin() as tx:
        found = await suites.summary(tx, who.tenant_id, name, resources.known)
    told = resources.known.told(found["id"])
    if told is None:
        async with resources.texts.slot() as do:
            async with resources.engine.begin() as tx:
                document = await suites.document(tx, found["id"])
            told = await do(parsing.warnings_of, document)
        resources.known.tell(found["id"], told)
    return suites.suite_out(found, told)


@router.get("/suites/{name}/characters", tags=["suites"])
async def read_characters(
    name: str,
    resources: Res,
    who: Reader,
    limit: Limit = 50,
    cursor_: Annotated[str | None, Query(alias="cursor")] = None,
) -> api.Page[Character]:
    """The suite's characters, with their profiles."""
    async with resources.engine.begin() as tx:
        suite = Suite.model_validate((await suites.find(tx, who.tenant_id, name))["document"])
    return _page(list(suite.characters), limit, cursor_)


@router.get("/suites/{name}/scenarios", tags=["suites"])
async def read_scenarios(
    name: str,
    resources: Res,
    who: Reader,
    limit: Limit = 50,
    cursor_: Annotated[str | None, Query(alias="cursor")] = None,
) -> api.Page[Scenario]:
    """The suite's scenarios."""
    async with resources.engine.begin() as tx:
        suite = Suite.model_validate((await suites.find(tx, who.tenant_id, name))["document"])
    return _page(list(suite.scenarios), limit, cursor_)


# --- transcripts ------------------------------------------------------------------------------------------------------


@router.post(
    "/transcripts",
    status_code=201,
    tags=["transcripts"],
    response_model=api.TranscriptOut,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/TranscriptRequest"}},
                "application/x-ndjson": {},
            },
        }
    },
)
async def create_transcript(
    request: Request,
    resources: Res,
    who: Writer,
    name: Annotated[str | None, Query(max_length=200)] = None,
    suite: Annotated[str | None, Query(max_length=200)] = None,
    idempotency_key: Key = None,
) -> Response:
    """Import recorded dialogues.

    Three bodies: the JSON of this API; own logs, one JSON dialogue a line (``application/x-ndjson``, with ``?name=``
    and ``?suite=``); a published ChatAnime file as it is (with ``?name=``), which makes the suite ``chatanime``.
    """
    async with resources.uploads.received(request) as upload:
        kind = request.headers.get("content-type", "")
        async with resources.texts.slot() as do:
            brought = await do(parsing.transcript, await upload.whole(), kind, name, suite)

        async def work(tx: Any) -> api.TranscriptOut:
            if brought.brought is not None:
                await suites.add(tx, who.tenant_id, brought.brought)
            found = await start.named(suites.find(tx, who.tenant_id, brought.suite), "/suite")
            return await transcripts.add(tx, who.tenant_id, brought.name, found, brought.recorded)

        return await once(resources.engine, who.tenant_id, request, work, body_sha256=upload.sha256)


@router.get("/transcripts/{id}", tags=["transcripts"])
async def read_transcript(id: str, resources: Res, who: Reader) -> api.TranscriptOut:
    """One transcript."""
    async with resources.engine.begin() as tx:
        return await transcripts.read(tx, who.tenant_id, decode("trn", id))


@router.delete("/transcripts/{id}", status_code=204, tags=["transcripts"])
async def delete_transcript(id: str, resources: Res, who: Writer) -> Response:
    """Remove the transcript with its texts for good. The runs over it go first."""
    async with resources.engine.begin() as tx:
        await transcripts.delete(tx, who.tenant_id, decode("trn", id))
    return Response(status_code=204)


# --- runs -------------------------------------------------------------------------------------------------------------


@router.post(
    "/runs",
    status_code=202,
    tags=["runs"],
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
        async with resources.engine.begin() as tx:
            checked = await start.check(tx, resources, who.tenant_id, body)
        dry = await pilot.measured(resources, who.tenant_id, checked) if probe else checked.dry_run
        return Response(dry.model_dump_json(), 200, media_type="application/json")
    if probe:
        raise InvalidInput.at("probe", "a pilot belongs to a plan: add ?dry_run=true")
    started: list[UUID] = []
    again = False

    async def work(tx: Any) -> api.Run:
        nonlocal again
        checked = await start.check(tx, resources, who.tenant_id, body)
        if reattach and (run := await start.same_run(tx, who.tenant_id, checked)) is not None:
            again = True
            if run["status"] == "cancelled":
                await store.reopen(tx, run, "running")
            started.append(run["id"])
            return await _run(tx, who, run["id"])
        run = await start.store_run(tx, resources, who.tenant_id, checked)
        started.append(run["id"])
        return await _run(tx, who, run["id"])

    answer = await once(
        resources.engine,
        who.tenant_id,
        request,
        work,
        status=202,
        headers=lambda run: {"Location": run.links.self, **({"Esrp-Reattached": "true"} if again else {})},
    )
    await resources.queue.ring(*map(PlanRun, started))
    return answer


@router.get("/runs", tags=["runs"])
async def list_runs(
    resources: Res,
    who: Reader,
    limit: Limit = 50,
    cursor_: Annotated[str | None, Query(alias="cursor")] = None,
    status: api.RunStatus | None = None,
    suite: str | None = None,
    candidate: str | None = None,
) -> api.Page[api.Run]:
    """The tenant's runs, oldest first."""
    after = place(cursor_, str, str)
    async with resources.engine.begin() as tx:
        found = await store.list_runs(
            tx,
            who.tenant_id,
            limit=limit + 1,
            after=_time_and_id(after) if after else None,
            status=status,
            suite=suite,
            candidate=candidate,
        )
        ids = [run["id"] for run in found[:limit]]
        counts, used = await store.counts(tx, ids), await store.usage(tx, ids)
    data = [run_out(run, counts[run["id"]], used[run["id"]]) for run in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    return api.Page(data=data, next_cursor=last and cursor(last["created_at"].isoformat(), str(last["id"])))


@router.get("/runs/{id}", tags=["runs"])
async def read_run(id: str, resources: Res, who: Reader) -> api.Run:
    """One run and how far it is."""
    async with resources.engine.begin() as tx:
        return await _run(tx, who, decode("run", id))


@router.post("/runs/{id}/cancel", status_code=202, tags=["runs"])
async def cancel_run(id: str, resources: Res, who: Writer) -> api.Run:
    """Start no new call; what was paid for is kept, and ``resume`` goes on from there. Again: nothing changes."""
    run_id = decode("run", id)
    async with resources.engine.begin() as tx:
        run = await store.find_run(tx, who.tenant_id, run_id, lock=True)
        if run["status"] in ("queued", "running"):
            await store.move(tx, run, Place("cancelling", run["phase"]))
        elif run["status"] not in ("cancelling", "cancelled"):
            raise WrongState(id, run["status"], "queued or running")
        answer = await _run(tx, who, run_id)
    await resources.queue.ring(AdvanceRun(run_id))
    return answer


@router.post("/runs/{id}/resume", status_code=202, tags=["runs"])
async def resume_run(id: str, resources: Res, who: Writer, body: api.ResumeRequest | None = None) -> api.Run:
    """Go on with a run that was cancelled or has used up its budget: what is there is not paid for again."""
    run_id = decode("run", id)
    async with resources.engine.begin() as tx:
        run = await store.find_run(tx, who.tenant_id, run_id, lock=True)
        if run["status"] not in ("cancelled", "budget_exhausted"):
            raise WrongState(id, run["status"], "cancelled or budget_exhausted")
        await change.resume(tx, run, body or api.ResumeRequest())
        answer = await _run(tx, who, run_id)
    await resources.queue.ring(*_bells(run_id))
    return answer


@router.post("/runs/{id}/retry-failed", status_code=202, tags=["runs"])
async def retry_failed(id: str, resources: Res, who: Writer) -> api.Run:
    """Try the failed dialogues and verdicts of a finished run again, from their last answers on."""
    run_id = decode("run", id)
    async with resources.engine.begin() as tx:
        run = await store.find_run(tx, who.tenant_id, run_id, lock=True)
        if run["status"] not in ("succeeded", "failed"):
            raise WrongState(id, run["status"], "succeeded or failed")
        await change.retry(tx, id, run)
        answer = await _run(tx, who, run_id)
    await resources.queue.ring(*_bells(run_id))
    return answer


@router.post("/runs/{id}/extend", status_code=202, tags=["runs"])
async def extend_run(id: str, body: api.ExtendRequest, resources: Res, who: Writer) -> api.Run:
    """Play more dialogues of the same plan in the same run. The body says how many there shall be in all."""
    run_id = decode("run", id)
    async with resources.engine.begin() as tx:
        run = await store.find_run(tx, who.tenant_id, run_id, lock=True)
        if run["status"] in ("queued", "cancelling"):
            raise WrongState(id, run["status"], "running or final")
        await change.extend(tx, resources, run, body)
        answer = await _run(tx, who, run_id)
    await resources.queue.ring(*_bells(run_id))
    return answer


@router.delete("/runs/{id}", status_code=204, tags=["runs"])
async def delete_run(id: str, resources: Res, who: Writer) -> Response:
    """Remove the run with its texts and ratings for good: from sight at once, from every table within seconds."""
    async with resources.engine.begin() as tx:
        run = await store.find_run(tx, who.tenant_id, decode("run", id), lock=True)
        if run["status"] in api.OPEN:
            raise WrongState(id, run["status"], "final; cancel it first")
        await store.delete_run(tx, run)
    return Response(status_code=204)


async def _seen_run(id: str, resources: Res, who: Reader) -> UUID:
    async with resources.engine.begin() as tx:
        return (await store.find_run(tx, who.tenant_id, decode("run", id)))["id"]  # type: ignore[no-any-return]  # rows are untyped


@router.get("/runs/{id}/events", tags=["runs"], response_class=EventSourceResponse)
async def run_events(
    run_id: Annotated[UUID, Depends(_seen_run)],
    resources: Res,
    who: Reader,
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events until the run is final; ``Last-Event-ID`` resumes."""
    last = int(last_event_id) if last_event_id and last_event_id.isdigit() else 0
    async for event in stream(resources, who.tenant_id, run_id, min(last, 2**62)):
        yield event


@router.get("/runs/{id}/dialogues", tags=["runs"])
async def list_dialogues(
    id: str,
    resources: Res,
    who: Reader,
    limit: Limit = 50,
    cursor_: Annotated[str | None, Query(alias="cursor")] = None,
    character: str | None = None,
    scenario: str | None = None,
    state: api.DialogueState | None = None,
) -> api.Page[api.DialogueOut]:
    """Transcripts with every rating, rater and explanation, in the order of play."""
    after = place(cursor_, int)
    async with resources.engine.begin() as tx:
        run = await store.find_run(tx, who.tenant_id, decode("run", id))
        found = await store.dialogues(
            tx,
            who.tenant_id,
            run_id=run["id"],
            after=after[0] if after else -1,
            limit=limit + 1,
            character=character,
            scenario=scenario,
            state=state,
        )
    last = found[limit - 1] if len(found) > limit else None
    return api.Page(data=[dialogue_out(d) for d in found[:limit]], next_cursor=last and cursor(last["position"]))


@router.get("/dialogues/{id}", tags=["runs"])
async def read_dialogue(id: str, resources: Res, who: Reader) -> api.DialogueOut:
    """One dialogue."""
    async with resources.engine.begin() as tx:
        found = await store.dialogues(tx, who.tenant_id, dialogue_id=decode("dlg", id))
    if not found:
        raise NotFound("dialogue", id)
    return dialogue_out(found[0])


@router.get(
    "/runs/{id}/report",
    tags=["runs"],
    response_model=api.Report,
    responses={200: {"content": {"text/markdown": {}}}},
)
async def read_report(
    id: str,
    resources: Res,
    who: Reader,
    raters: api.Choice = "auto",
    format: Literal["json", "md"] = "json",
) -> Response:
    """The ESRP report: JSON or Markdown."""
    run_id = decode("run", id)
    stamp = await report_cache.stamp(resources.engine, who.tenant_id, run_id) if raters == "auto" else None
    answer = resources.shelf.find((run_id, format), stamp)
    if answer is None:
        async with reading(resources.engine) as tx:
            await store.require_run(tx, who.tenant_id, run_id)
        query = {"tenant": str(who.tenant_id), "raters": raters, "format": format}
        answer = await resources.peers.call(
            "analytics", "GET", f"/internal/runs/{run_id}/report", query=query, seconds=SECONDS
        )
        resources.shelf.put((run_id, format), stamp, answer)
    return Response(answer.body, media_type=answer.content_type)


@router.post("/check", tags=["runs"])
async def check_candidate(body: api.CheckRequest, resources: Res, who: Writer) -> api.Check:
    """One dialogue against a candidate, nothing stored: what was sent, what came back, what would fail."""
    async with resources.engine.begin() as tx:
        found = await start.named(suites.find(tx, who.tenant_id, body.suite), "/suite")
    job = start.check_job(body, Suite.model_validate(found["document"]), resources.settings)
    answer = await resources.peers.call("generator", "POST", "/internal/check", body=orjson.dumps(job), seconds=300)
    return api.Check.model_validate_json(answer.body)


# --- judges -----------------------------------------------------------------------------------------------------------


@router.get("/judges", tags=["judges"])
async def list_judges(resources: Res, who: Reader) -> api.Page[api.JudgeOut]:
    """The judges that can be asked for, and whether their cards are above the thresholds."""
    async with resources.engine.begin() as tx:
        found = await cards.cards(tx, resources.settings, who.tenant_id, resources.settings.judges)
    judges = [
        api.JudgeOut(
            id=card.id,
            name=card.name,
            kind=card.kind,
            model=card.model,
            validated=card.validated,
            card=f"/v1/judges/{card.id}/card",
        )
        for card in (found[judge.name] for judge in resources.settings.judges)
    ]
    return api.Page(data=judges, next_cursor=None)


# --- helpers ----------------------------------------------------------------------------------------------------------


async def _run(tx: Any, who: Principal, id: UUID) -> api.Run:
    run = await store.find_run(tx, who.tenant_id, id)
    counts, used = await store.counts(tx, [id]), await store.usage(tx, [id])
    return run_out(run, counts[id], used[id], await store.pacing(tx, run))


def _bells(run_id: UUID) -> list[Job]:
    return [PlanRun(run_id), PlaySlice(run_id), JudgeSlice(run_id), AdvanceRun(run_id)]


def _operator(who: Principal) -> None:
    if who.tenant_id != FIRST_TENANT:
        raise Forbidden("Tenants are made by an admin of the first tenant.")


def _page(items: list[Item], limit: int, cursor_: str | None) -> api.Page[Item]:
    """A page of a short list, by position."""
    start = (place(cursor_, int) or [0])[0]
    more = start + limit < len(items)
    return api.Page(data=items[start : start + limit], next_cursor=cursor(start + limit) if more else None)


def _time_and_id(after: list[Any]) -> tuple[Any, UUID]:
    try:
        return TypeAdapter(datetime).validate_python(after[0]), UUID(after[1])
    except (ValidationError, ValueError) as error:
        raise InvalidInput.at("cursor", "this is not a cursor of this listing") from error
