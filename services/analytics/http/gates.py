"""What the gateway asks over HTTP for a release gate: the verdict on a run."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter

from esrp.api import GateVerdict, LookPrice
from esrp.errors import NotFound
from esrp.verdict import worded
from services.analytics.gates import verdict
from services.analytics.gates.judged import Ask
from services.analytics.http.api import Res
from services.kit.ids import encode

router = APIRouter()


@router.post("/internal/runs/{run_id}/gate")
async def evaluate(run_id: UUID, ask: Ask, resources: Res, tenant: UUID, own: bool = False) -> GateVerdict:
    """Hold the run against the policy and keep the verdict; ``own``: the run's end waits for it."""
    found = await verdict.evaluate(resources, run_id, tenant, ask, datetime.now(UTC), own=own)
    if found is None:
        raise NotFound("run", encode("run", run_id))
    return worded(found)


@router.post("/internal/runs/{run_id}/gate/price")
async def price(run_id: UUID, ask: Ask, resources: Res, tenant: UUID, dialogues: int | None = None) -> LookPrice:
    """What the verdict would cost of the release's error, now or with so many dialogues of the run."""
    found = await verdict.price(resources, run_id, tenant, ask, dialogues)
    if found is None:
        raise NotFound("run", encode("run", run_id))
    return found
