"""The public API of dialogues and batches: what was said, and what judges and people said of it."""

from fastapi import APIRouter

from esrp import api
from esrp.errors import NotFound
from services.gateway.http.deps import Cursor, Limit, Reader, Res
from services.gateway.http.paging import page, place
from services.gateway.runs import dialogues
from services.gateway.runs.store import require_run
from services.kit.db import reading
from services.kit.ids import decode

router = APIRouter(prefix="/v1", tags=["runs"])
batches = APIRouter(prefix="/v1", tags=["runs"])


@router.get("/runs/{id}/dialogues")
async def list_dialogues(
    id: str,
    resources: Res,
    who: Reader,
    limit: Limit = 50,
    cursor_: Cursor = None,
    character: str | None = None,
    scenario: str | None = None,
    state: api.DialogueState | None = None,
) -> api.Page[api.DialogueOut]:
    """Transcripts with every rating, rater and explanation, in the order of play."""
    after, run_id = place(cursor_, int) or [-1], decode("run", id)
    wanted = {"character": character, "scenario": scenario, "state": state}
    async with reading(resources.engine) as tx:
        await require_run(tx, who.tenant_id, run_id)
        found = await dialogues.listed(tx, who.tenant_id, run_id, after=after[0], limit=limit + 1, **wanted)
    return page(found, limit, lambda dialogue: dialogue.out, lambda dialogue: dialogue.position)


@router.get("/dialogues/{id}")
async def read_dialogue(id: str, resources: Res, who: Reader) -> api.DialogueOut:
    """One dialogue."""
    async with reading(resources.engine) as tx:
        found = await dialogues.find(tx, who.tenant_id, decode("dlg", id))
    if found is None:
        raise NotFound("dialogue", id)
    return found.out


@batches.get("/runs/{id}/batches")
async def list_batches(
    id: str, resources: Res, who: Reader, limit: Limit = 50, cursor_: Cursor = None
) -> api.Page[api.BatchOut]:
    """The replies that the judges rate together, ten of a character, with each one's verdict on how varied they are."""
    after, run_id = place(cursor_, str, int), decode("run", id)
    async with reading(resources.engine) as tx:
        await require_run(tx, who.tenant_id, run_id)
        found = await dialogues.batches(tx, run_id, after=after, limit=limit + 1)
    return page(found, limit, lambda batch: batch.out, lambda batch: (batch.character, batch.batch))
