"""The analytics service's web half: health, metrics, and what the gateway asks."""

import asyncio

from fastapi import FastAPI

from services.analytics.cards import cards
from services.analytics.http import figures, gates
from services.analytics.http.api import IMPORT, router
from services.analytics.resources import Resources
from services.kit.db import answers
from services.kit.web import create_app as create_web_app


def create_app(resources: Resources) -> FastAPI:
    """The app."""

    async def ready() -> dict[str, bool]:
        return {"postgres": await answers(resources.engine), "redis": await resources.queue.ping()}

    app = create_web_app(
        "ESRP analytics",
        ready=ready,
        internal_token=resources.keys.internal_token,
        body_limit=resources.settings.body_limit,
        upload_limit=resources.settings.upload_limit,
        uploads=(IMPORT,),
    )
    app.state.resources = resources
    app.state.measuring = asyncio.Lock()
    app.include_router(router)
    app.include_router(figures.router)
    app.include_router(cards.router)
    app.include_router(gates.router)
    return app
