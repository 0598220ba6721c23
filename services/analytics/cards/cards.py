"""Judges' cards: measured anew where ratings have changed since, and what they say of the judges of a report."""

from collections.abc import Iterator, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import JudgeCard, Report, ReportJudge
from esrp.errors import NotFound
from services.analytics.cards.measure import marked, measure_judges
from services.analytics.report.build import UNMEASURED, few
from services.analytics.resources import Resources
from services.analytics.store import judges as judges_of
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


async def with_cards(tx: AsyncConnection, settings: Settings, run: RowMapping, report: Report) -> Report:
    """The report with what the cards say of its judges now: no part of what is stored or hashed."""
    known = await validated(tx, settings, run)
    judges = [
        ReportJudge(id=f"jdg_{name}", validated=known[name], card=f"/v1/judges/jdg_{name}/card")
        for name in run["judges"]
    ]
    if not any(limit.startswith(UNMEASURED) for limit in report.limits):
        return report.model_copy(update={"judges": judges})
    poor = [name for name in await judges_of(tx, run["id"]) if not known.get(name)]
    return report.model_copy(update={"judges": judges, "limits": list(_limits(report.limits, poor))})


def _limits(limits: Sequence[str], poor: Sequence[str]) -> Iterator[str]:
    """With the judges that are not validated named, if there are any."""
    for limit in limits:
        if not limit.startswith(UNMEASURED):
            yield limit
        elif poor:
            yield f"Not validated as a judge: {few(poor)} (its card says what is lacking); scores may be biased."
