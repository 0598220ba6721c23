"""Ratings as they leave: pages that hold nothing, and the schema of what is stored."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from esrp.api import Report
from services.analytics import exports
from tests.analytics.conftest import TENANT, World, csv
from tests.analytics.test_figures import SAMPLE, batches, finished, judged, people, send


async def test_slow_readers_of_exports_hold_no_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    run = await finished(world)
    await world.send(csv(world.rows(run, 4)))
    readers: list[AsyncIterator[bytes]] = [exports.ratings(world.resources.engine, run, "csv") for _ in range(20)]
    begun = [await anext(reader) for reader in readers]  # more than the pool has connections
    async with asyncio.timeout(20):
        assert (await world.report(run))["overall"]["mean"] == 4
    rest = [b"".join([chunk async for chunk in reader]) for reader in readers]
    assert {len((first + last).splitlines()) for first, last in zip(begun, rest, strict=True)} == {55}


async def test_ratings_of_batches_leave_as_they_came(world: World) -> None:
    run = await finished(world, 1, 15)
    await send(world, batches(run, 2, 3, 5))
    answer = await world.client.get(f"/internal/ratings/diversity?tenant={TENANT}&run={run}&format=jsonl")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert rows == [{**row, "rater_kind": "human"} for row in batches(run, 2, 3, 5)]


async def test_a_stored_report_is_what_the_wire_schema_says(world: World) -> None:
    run = await judged(world)
    await world.send(csv(people(world, run, 64)), **SAMPLE)
    first, second = await world.report(run), await world.report(run)
    assert first == second
    assert Report.model_validate(second).model_dump(mode="json") == second
