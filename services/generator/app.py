"""The generator's web half: health, metrics, and one call for the gateway."""

from fastapi import FastAPI

from esrp.api import Check
from services.generator.checking import CheckJob, check
from services.generator.resources import Resources
from services.generator.speakers import candidate
from services.kit.db import answers
from services.kit.web import create_app as create_web_app


def create_app(resources: Resources) -> FastAPI:
    """The app."""

    async def ready() -> dict[str, bool]:
        return {"postgres": await answers(resources.engine), "redis": await resources.queue.ping()}

    app = create_web_app("ESRP generator", ready=ready, internal_token=resources.keys.internal_token)

    @app.post("/internal/check")
    async def check_candidate(job: CheckJob) -> Check:
        """Play one dialogue, store nothing."""
        return await check(job, candidate(job.candidate, resources.chat), resources.simulator)

    return app
