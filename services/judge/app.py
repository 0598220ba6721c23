"""The judge's web half: health, metrics, and scores on request."""

from fastapi import FastAPI
from starlette.types import Scope

from esrp.errors import Forbidden
from services.judge.api import scores
from services.judge.battery import probing
from services.judge.resources import Resources
from services.kit.db import answers
from services.kit.web import create_app as create_web_app
from services.kit.web import has_token


def create_app(resources: Resources) -> FastAPI:
    """The app."""

    async def ready() -> dict[str, bool]:
        return {"postgres": await answers(resources.engine), "redis": await resources.queue.ping()}

    async def admit(scope: Scope) -> None:
        """Judging costs: unless the settings open it, only the other services may ask."""
        known = resources.settings.open_scores or has_token(scope, resources.keys.internal_token)
        if scope["path"].startswith("/v1/") and not known:
            raise Forbidden("Scores are for the other services; the setting open_scores opens them to everybody.")

    app = create_web_app(
        "ESRP judge",
        ready=ready,
        models=resources.served,
        admit=admit,
        internal_token=resources.keys.internal_token,
        body_limit=resources.settings.body_limit,
        upload_limit=resources.settings.upload_limit,
        uploads=("/v1/scores",),
    )
    app.state.resources = resources
    app.include_router(scores)
    app.include_router(probing)
    return app
