"""The public API of transcripts: recorded dialogues in the place of an endpoint."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from esrp import api
from services.gateway.http.deps import Key, Reader, Res, Writer
from services.gateway.http.idempotency import Made, once
from services.gateway.suites import parsing, suites, transcripts
from services.kit.db import reading
from services.kit.ids import decode
from services.kit.unit import Unit, unit

router = APIRouter(prefix="/v1", tags=["transcripts"])


@router.post(
    "/transcripts",
    status_code=201,
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

        async def work(whole: Unit) -> Made:
            if brought.brought is not None:
                await suites.add(whole.tx, who.tenant_id, brought.brought)
            found = await suites.named(whole.tx, who.tenant_id, brought.suite)
            return Made(await transcripts.add(whole.tx, who.tenant_id, brought.name, found, brought.recorded))

        return await once(resources, who.tenant_id, request, work, body_sha256=upload.sha256)


@router.get("/transcripts/{id}")
async def read_transcript(id: str, resources: Res, who: Reader) -> api.TranscriptOut:
    """One transcript."""
    async with reading(resources.engine) as tx:
        return await transcripts.read(tx, who.tenant_id, decode("trn", id))


@router.delete("/transcripts/{id}", status_code=204)
async def delete_transcript(id: str, resources: Res, who: Writer) -> Response:
    """Remove the transcript with its texts for good. The runs over it go first."""
    async with unit(resources.engine, resources.queue) as work:
        await transcripts.delete(work.tx, who.tenant_id, decode("trn", id))
    return Response(status_code=204)
