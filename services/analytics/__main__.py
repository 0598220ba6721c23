"""Run the analytics service: `serve`, `work`, or both."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.analytics.app import create_app
from services.analytics.report import computing
from services.analytics.resources import Resources, open_resources
from services.analytics.worker import handlers, look_around
from services.kit.process import main
from services.kit.settings import Settings


@asynccontextmanager
async def warm_resources(settings: Settings) -> AsyncIterator[Resources]:
    """The resources, and a process for reports begun: it takes a second to load all that they need."""
    async with open_resources(settings) as resources:
        resources.reports.warm(computing.prepare, "zh")
        yield resources


if __name__ == "__main__":
    main("analytics", open_resources=warm_resources, create_app=create_app, handlers=handlers, look_around=look_around)
