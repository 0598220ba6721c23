"""Attacks on real services: large uploads all at once, and figures asked for without pause. Each bound is a number."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import httpx2
import pytest

from esrp.metrics import METRIC_IDS
from services.kit.ids import encode
from tests.pipeline.conftest import KEY, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1 << 20
BODY = 64 * MB  # the largest that is taken
HEADERS = {"Authorization": f"Bearer {KEY}"}
ROW = f"{encode('run', UUID(int=7))},character-1,scenario-1,character_knowledge,somebody,4\n".encode()
WORSE = ROW.replace(b",4", b",9")  # it is read no further than a hundred of these
CSV = b"run,character,scenario,metric,rater,score\n"
FIRST_TENANT = UUID(int=1)


def peak(stack: Stack, service: str) -> float:
    """MiB that the service's own process has ever held."""
    status = Path(f"/proc/{stack.processes[service].pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@asynccontextmanager
async def watched(ask: Callable[[], Awaitable[Any]]) -> AsyncIterator[list[float]]:
    """The seconds that each of many calls took, one after another, while something else is going on."""
    took: list[float] = []

    async def look() -> None:
        while True:
            began = time.monotonic()
            await ask()
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    try:
        yield took
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def filled(size: int, head: bytes, row: bytes) -> AsyncIterator[bytes]:
    """A body of that size, which nobody here holds either."""
    yield head
    left, many = size - len(head), row * (MB // len(row))
    while left >= len(many):
        yield many
        left -= len(many)
    yield row * (left // len(row))


async def upload(stack: Stack, path: str, kind: str, body: AsyncIterator[bytes]) -> tuple[int, Any, str | None]:
    async with httpx2.AsyncClient(base_url=stack.url, headers=HEADERS, timeout=300) as client:
        answer = await client.post(path, content=body, headers={"Content-Type": kind})
        return answer.status_code, answer.json(), answer.headers.get("Retry-After")


async def test_eight_large_files_of_faults_at_once_take_bounded_memory_and_others_are_answered(stack: Stack) -> None:
    async with httpx2.AsyncClient(base_url=stack.url, headers=HEADERS, timeout=60) as client:

        async def others() -> None:
            assert (await client.get("/v1/runs?limit=1")).status_code == 200

        await others()
        async with watched(others) as took:
            files = [filled(BODY, CSV, row) for row in (ROW, ROW, *[WORSE] * 6)]
            found = await asyncio.gather(*(upload(stack, "/v1/ratings", "text/csv", file) for file in files))
    told = [answer for answer in found if answer[0] == 422]
    busy = [answer for answer in found if answer[0] == 503]
    assert len(told) + len(busy) == 8 and len(told) >= 2
    assert all(len(document["errors"]) == 100 for _, document, _ in told)
    assert all(document["retryable"] and again for _, document, again in busy)
    held = {name: peak(stack, name) for name in ("gateway", "analytics")}
    assert max(held.values()) < 500, held
    assert max(took) < 3 and len(took) > 20, (max(took), len(took))


@pytest.mark.parametrize(
    ("path", "kind", "head", "row"),
    [
        ("/v1/transcripts?name=x&suite=tiny", "application/x-ndjson", b"", b"x\n"),
        ("/v1/transcripts", "application/json", b"[", b"[],"),
        ("/v1/suites", "application/json", b"[", b"[],"),
    ],
)
async def test_large_texts_of_nothing_at_once_take_bounded_memory(
    stack: Stack, path: str, kind: str, head: bytes, row: bytes
) -> None:
    found = await asyncio.gather(*(upload(stack, path, kind, filled(BODY - 1, head, row)) for _ in range(4)))
    assert {status for status, _, _ in found} <= {422, 503}
    assert peak(stack, "gateway") < 700


# --- figures ----------------------------------------------------------------------------------------------------------


async def a_large_run(stack: Stack) -> str:
    """1,200 dialogues that nine raters rated, 97,200 ratings, put straight into the database."""
    db = await asyncpg.connect(stack.environment["ESRP_DATABASE_URL"].replace("+asyncpg", ""))
    run, suite = uuid4(), await db.fetchval("SELECT id FROM gateway.suites WHERE name = 'tiny' LIMIT 1")
    await db.execute(
        "INSERT INTO gateway.runs (id, tenant_id, suite_id, suite_label, candidate, candidate_name, judges, rounds,"
        " replicates, labels, plan, manifest, manifest_sha256, status)"
        " VALUES ($1, $2, $3, 'tiny@1', '{}', 'large', '{}', 2, 1, '{}', $4, '{}', 'hash', 'succeeded')",
        run,
        FIRST_TENANT,
        suite,
        json.dumps({"dialogues": 1200}),
    )
    await db.copy_records_to_table(
        "ratings",
        schema_name="analytics",
        columns=(
            *("tenant_id", "run_id", "dialogue_id", "character", "scenario", "replicate"),
            *("metric", "rater", "kind", "score"),
        ),
        records=[
            (FIRST_TENANT, run, UUID(int=n), f"c{n % 20}", f"s{n // 20}", 1, metric, f"r{rater}", "human", 1 + n % 5)
            for n in range(1200)
            for metric in METRIC_IDS
            for rater in range(9)
        ],
    )
    await db.close()
    return encode("run", run)


async def test_groups_come_by_pages_in_json_and_in_files(stack: Stack) -> None:
    path = f"/v1/runs/{await a_large_run(stack)}/metrics?group_by=rater&limit=4"
    async with httpx2.AsyncClient(base_url=stack.url, headers=HEADERS, timeout=60) as client:
        names: list[str] = []
        following: str | None = ""
        while following is not None:
            answer = await client.get(path + (f"&cursor={following}" if following else ""))
            page = answer.json()
            names += page["groups"]
            following = page["next_cursor"]
            assert ("Link" in answer.headers) == (following is not None)
        assert names == [f"r{rater}" for rater in range(9)] and page["count"] == 9
        table = await client.get(path, headers={"Accept": "text/csv"})
        rest = await client.get(table.headers["Link"].removeprefix("<").split(">")[0])
        assert [len(text.text.splitlines()) for text in (table, rest)] == [1 + 4 * 13, 1 + 4 * 13]
        assert rest.text.splitlines()[1].split(",")[5] == "r4"
        assert (await client.get(path + "&cursor=WyJ4Il0")).status_code == 422


async def test_figures_asked_for_without_pause_leave_the_pipeline_its_time(stack: Stack) -> None:
    run = await a_large_run(stack)
    statuses: list[int] = []

    async def hammer(client: httpx2.AsyncClient) -> None:
        while True:
            answer = await client.get(f"/v1/runs/{run}/metrics?group_by=character")
            statuses.append(answer.status_code)

    connector = aiohttp.UnixConnector(f"{stack.environment['RUN']}/analytics.sock")
    async with (
        aiohttp.ClientSession(connector=connector, base_url="http://analytics") as inside,
        httpx2.AsyncClient(base_url=stack.url, headers=HEADERS, timeout=120) as client,
    ):

        async def health() -> None:
            async with inside.get("/healthz") as answer:
                assert answer.status == 200

        assert (await client.get(f"/v1/runs/{run}/metrics?group_by=character")).status_code == 200
        clients = [asyncio.create_task(hammer(client)) for _ in range(8)]
        try:
            async with watched(health) as took:
                small = await stack.done(await stack.run())
                await asyncio.sleep(3)
        finally:
            for one in clients:
                one.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
    assert small.status == "succeeded"
    assert statuses.count(200) >= 2 and set(statuses) <= {200, 503}
    took.sort()
    assert took[len(took) // 2] < 0.1 and took[-1] < 1, (len(took), took[len(took) // 2], took[-3:])
