"""What is there from the start: the first tenant, the operator's key, and the bundled suites."""

import asyncio
from collections.abc import Sequence

import structlog

from esrp.suite import BUNDLED, Suite, bundled
from services.gateway.access.keys import FIRST_TENANT, ensure_key
from services.gateway.gates import policies
from services.gateway.resources import Resources
from services.gateway.suites import suites
from services.kit.db import FAILURES, count

log = structlog.get_logger()


async def seed(resources: Resources) -> None:
    """Put it there as soon as the database is migrated; safe to do from several replicas, and again."""
    shipped = [await asyncio.to_thread(bundled, name) for name in BUNDLED]
    while True:
        try:
            await _seed(resources, shipped)
            resources.seeded.done = True
            return
        except FAILURES as error:
            log.info("seed.waiting", error=repr(error)[:120])
            await asyncio.sleep(0.1)


async def _seed(resources: Resources, shipped: Sequence[Suite]) -> None:
    async with resources.engine.begin() as tx:
        await count(
            tx,
            "INSERT INTO gateway.tenants (id, tenant_id, name) VALUES (:id, :id, 'first') ON CONFLICT DO NOTHING",
            id=FIRST_TENANT,
        )
        if key := resources.settings.bootstrap_key:
            await ensure_key(tx, key.get_secret_value())
        await suites.add_bundled(tx, shipped)
        await policies.add_bundled(tx)
