"""Judges' cards: measured anew where ratings have changed since, and what they say of the judges of a report."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import JudgeCard, Report, ReportJudge
from esrp.errors import NotFound
from esrp.limits import Limit, limit, worded
from services.analytics.cards.measure import measure_judges
from services.analytics.cards.store import marked
from services.analytics.report.kept import Read
from services.analytics.resources import Resources
from services.kit.settings import Settings
from services.work.cards import cards, is_measured, validated

router = APIRouter(prefix="/internal")


def _resources(request: Request) -> Resources:
    found: Resources = request.app.state.resources
    return found


@router.get("/judges/{name}/card")
async def read_card(
    name: str, tenant: UUID, request: Request, resources: Annotated[Resources, Depends(_resources)]
) -> JudgeCard:
    """The card of a configured judge, by the tenant's ratings as they are now."""
    judge = resources.settings.judge(name)
    if judge is None:
        raise NotFound("judge", f"jdg_{name}")
    async with request.app.state.measuring:  # many who ask at once are answered by one measurement
        async with resources.engine.begin() as tx:
            current = tenant not in await marked(tx) and await is_measured(tx, tenant, judge)
        if not current:
            await measure_judges(resources, tenant)
    async with resources.engine.begin() as tx:
        return (await cards(tx, resources.settings, tenant, [judge]))[name]


async def with_cards(tx: AsyncConnection, settings: Settings, read: Read) -> Report:
    """The report with what the cards say of its judges now, which is stored with none, and its limits in words."""
    run = read.run
    known = await validated(tx, settings, run.tenant_id, run)
    judges = [
        ReportJudge(id=f"jdg_{name}", validated=known[name], card=f"/v1/judges/jdg_{name}/card") for name in run.judges
    ]
    limits = worded(_by_cards(read.limits, known))
    return read.report.model_copy(update={"judges": judges, "limits": limits})


def _by_cards(limits: Iterable[Limit], known: Mapping[str, bool]) -> Iterator[Limit]:
    """Of the judges that rated, those that are not validated are named, if there are any."""
    for one in limits:
        match one.code, one.facts:
            case "judges_not_validated", {"judges": tuple(judges)}:
                if poor := [judge for judge in judges if not known.get(judge)]:
                    yield limit(one.code, judges=tuple(sorted(poor)))
            case _:
                yield one
