"""The generator's web half: health, metrics, and two calls for the gateway."""

from fastapi import FastAPI

from esrp.api import Check
from services.generator.resources import Resources
from services.generator.speakers import candidate, door
from services.generator.trial import CheckJob, Probe, ProbeJob, check, probe
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

    @app.post("/internal/probe")
    async def probe_candidate(job: ProbeJob) -> list[Probe]:
        """Play a pilot, store nothing."""
        bot = job.candidate
        seats = resources.seats.at(job.tenant_id, *door(bot))
        return await probe(job, candidate(bot, resources.chat, seats), resources.simulator)

    return app
