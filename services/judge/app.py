"""The judge's web half: health and metrics."""

from fastapi import FastAPI

from services.judge.resources import Resources
from services.kit.db import answers
from services.kit.web import create_app as create_web_app


def create_app(resources: Resources) -> FastAPI:
    """The app."""

    async def ready() -> dict[str, bool]:
        return {"postgres": await answers(resources.engine), "redis": await resources.queue.ping()}

    return create_web_app("ESRP judge", ready=ready, internal_token=resources.keys.internal_token)
