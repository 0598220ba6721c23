"""The judge's web half: health, metrics, and what the gateway may ask."""

from fastapi import FastAPI

from services.judge.api import routes
from services.judge.resources import Resources
from services.kit.db import answers
from services.kit.web import create_app as create_web_app


def create_app(resources: Resources) -> FastAPI:
    """The app."""

    async def ready() -> dict[str, bool]:
        return {"postgres": await answers(resources.engine), "redis": await resources.queue.ping()}

    app = create_web_app("ESRP judge", ready=ready, internal_token=resources.keys.internal_token)
    app.include_router(routes(resources))
    return app
