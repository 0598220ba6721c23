"""The gateway's web half: the public API, on top of what every service has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.types import Scope

from esrp import __version__
from esrp.api import GateRequest, Problem, TranscriptRequest
from esrp.suite import Suite
from services.gateway.access.keys import authenticate
from services.gateway.http import (
    access,
    checks,
    dialogues,
    events,
    figures,
    gates,
    judges,
    ratings,
    reports,
    runs,
    scenario_sets,
    shortlists,
    suites,
    transcripts,
)
from services.gateway.resources import Resources
from services.gateway.seed import seed
from services.kit.db import answers
from services.kit.web import create_app as create_web_app
from services.kit.web import header

UPLOADS = ("/v1/suites", "/v1/transcripts", "/v1/ratings")
BODIES = ("POST", "PUT", "PATCH")
# In the order of the OpenAPI document: what came later stands later, also of the same resource.
ROUTERS = (
    access.router,
    suites.router,
    transcripts.router,
    runs.router,
    events.router,
    dialogues.router,
    reports.router,
    checks.router,
    judges.router,
    scenario_sets.router,
    suites.provenance,
    ratings.router,
    figures.router,
    judges.measured,
    dialogues.batches,
    runs.again,
    shortlists.router,
    gates.router,
)
PROBLEMS = {
    status: {"model": Problem, "content": {"application/problem+json": {}}}
    for status in (401, 403, 404, 409, 413, 422, 429, 503)
}


def create_app(resources: Resources) -> FastAPI:
    """The app. Its first tenant and bundled suites are put into the database in the background."""
    app = create_web_app(
        "ESRP",
        ready=partial(_ready, resources),
        admit=partial(_admit, resources),
        body_limit=resources.settings.body_limit,
        upload_limit=resources.settings.upload_limit,
        uploads=UPLOADS,
        lifespan=partial(_seeding, resources),
        version=__version__,
        description="Emotionally Supportive Role-Playing: POST a bot's endpoint, get a report with intervals.",
        responses=PROBLEMS,
    )
    app.state.resources = resources
    for router in ROUTERS:
        app.include_router(router)
    _describe_uploads(app)
    return app


@asynccontextmanager
async def _seeding(resources: Resources, _: FastAPI) -> AsyncIterator[None]:
    seeding = asyncio.create_task(seed(resources))
    yield
    seeding.cancel()
    with suppress(asyncio.CancelledError):
        await seeding


async def _ready(resources: Resources) -> dict[str, bool]:
    return {
        "postgres": await answers(resources.engine),
        "redis": await resources.queue.ping(),
        "seeded": resources.seeded.done,
        **await resources.peers.ready(),
    }


async def _admit(resources: Resources, scope: Scope) -> None:
    """Who sends a body shows a key first."""
    if scope["method"] in BODIES and scope["path"].startswith("/v1/"):
        scope.setdefault("state", {})["principal"] = await authenticate(
            resources.engine, header(scope, "authorization")
        )


def _describe_uploads(app: FastAPI) -> None:
    """Put the schemas of bodies that we parse ourselves into the OpenAPI document."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for model in (Suite, TranscriptRequest, GateRequest):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            document["components"]["schemas"] |= {**schema.pop("$defs"), model.__name__: schema}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend the document
