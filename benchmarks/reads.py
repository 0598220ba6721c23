"""What reading costs with 1,000 runs and 100,000 dialogues stored: ``python -m benchmarks.reads`` (Linux; minutes).

A run of 100 dialogues is played against scripted models, and stored a thousand times over: its dialogues, verdicts,
ratings, events and report. Then a process of its own asks for one path at a time, at a fixed rate whatever the answers
take (an open loop): a request's latency counts from when it was due. The processor time is that of the gateway and of
Postgres for a request, and the load generator's own share of one processor.

``--streams 500`` follows that many event streams of runs under way, and tells what they cost while nothing happens.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg

from benchmarks.footprint import cpu_of
from services.kit.ids import decode, encode
from tests.builders import a_run_request, a_suite
from tests.chaos.harness import KEY, Stack, models_environment, stack
from tests.fakes import Models, serve_models

CHARACTERS, SCENARIOS = 10, 10
PATIENCE = 20.0  # seconds for one answer
LIMITS = {"GET /v1/runs?limit=50": 20.0, "GET /v1/runs/{id}": 10.0}  # ms, p95


@dataclass(frozen=True, slots=True)
class Answered:
    """Latencies in ms, and processor milliseconds a request."""

    p50: float
    p95: float
    gateway: float
    postgres: float
    generator: float  # share of one processor


async def main() -> None:
    """Store, ask, print, judge."""
    options = arguments()
    if options.ask:
        return await ask(options.ask, options.rate, options.seconds)
    async with AsyncExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="reads", dir="/tmp"))
        models = await opened.enter_async_context(serve_models(Models()))
        role = {"base_url": models.base_url, "max_concurrency": 32}
        environment = models_environment(
            {**role, "model": "simulator"}, {**role, "model": "judge"}, first_byte=10, total=20
        )
        esrp = await opened.enter_async_context(stack(Path(folder), environment))
        run = await stored(esrp, models, options.runs)
        print(f"load: {' '.join(f'{load:.1f}' for load in os.getloadavg())}, {os.cpu_count()} cores", flush=True)
        broken = [path for path in paths(run) if not await held(esrp, path, options)]
        if options.streams:
            await streams(esrp, options.streams)
    sys.exit("over the limit: " + ", ".join(broken) if broken else 0)


def arguments() -> argparse.Namespace:
    """How much is stored, and how often it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--streams", type=int, default=0)
    parser.add_argument("--ask", metavar="URL", help="be the load generator (used by the benchmark itself)")
    return parser.parse_args()


def paths(run: str) -> list[str]:
    """What is asked for."""
    return ["/healthz", "/v1/runs?limit=50", f"/v1/runs/{run}", f"/v1/runs/{run}/report"]


async def held(esrp: Stack, path: str, options: argparse.Namespace) -> bool:
    """Ask, print a line, and say whether it is within its limit."""
    found = await asked(esrp, path, options)
    words = path.split("/")
    name = "GET " + "/".join("{id}" if word.startswith("run_") else word for word in words)
    limit = LIMITS.get(name)
    print(
        f"{name:26} p50 {found.p50:6.1f}  p95 {found.p95:6.1f} ms   processor a request: gateway {found.gateway:5.2f},"
        f" Postgres {found.postgres:5.2f} ms; load generator {found.generator:4.0%} of one",
        flush=True,
    )
    return limit is None or found.p95 <= limit


# --- what is stored ---------------------------------------------------------------------------------------------------

# Ids of a copy follow from the original's and the copy's number, so that its rows still belong together.
RUN = "md5($1::uuid::text || n)::uuid"
OWN, DIALOGUE = "md5(t.id::text || n)::uuid", "md5(t.dialogue_id::text || n)::uuid"
TABLES: dict[str, dict[str, str]] = {
    "gateway.runs": {"id": RUN, "created_at": "t.created_at + n * interval '1 ms'"},
    "generator.dialogues": {"run_id": RUN, "id": OWN},
    "judge.verdicts": {"run_id": RUN, "id": OWN, "dialogue_id": DIALOGUE},
    "judge.diversity_verdicts": {"run_id": RUN, "id": OWN},
    "judge.diversity_plans": {"run_id": RUN},
    "analytics.ratings": {"run_id": RUN, "dialogue_id": DIALOGUE},
    "analytics.reports": {"run_id": RUN},
}


async def copied(connection: asyncpg.Connection, table: str, run: UUID, times: int) -> None:
    """Store the table's rows of the run so often."""
    found = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    )
    names, changes = [column["attname"] for column in found], TABLES[table]
    values = ", ".join(changes.get(name, f't."{name}"') for name in names)
    quoted = ", ".join(f'"{name}"' for name in names)
    key = "id" if table == "gateway.runs" else "run_id"
    sql = f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table} t, generate_series(1, $2::int) n"
    await connection.execute(f"{sql} WHERE t.{key} = $1", run, times, timeout=900)


async def stored(esrp: Stack, models: Models, runs: int) -> str:
    """Play one run and store it so often; returns the id of one that was copied, in the middle."""
    await esrp.client.upload_suite(a_suite(CHARACTERS, SCENARIOS).model_dump(mode="json"))
    started = time.monotonic()
    run = await esrp.client.wait((await esrp.client.create_run(a_run_request(models.base_url))).id)
    assert run.status == "succeeded", run
    async with esrp.connected() as connection:
        for table in TABLES:
            await copied(connection, table, decode("run", run.id), runs - 1)
        await connection.execute("VACUUM (ANALYZE)", timeout=900)
        [middle] = await connection.fetch("SELECT md5($1::uuid::text || $2)::uuid AS id", decode("run", run.id), "500")
    print(f"{runs} runs stored in {time.monotonic() - started:.0f} s", flush=True)
    return encode("run", UUID(str(middle["id"]))) if runs > 500 else run.id


# --- asking -----------------------------------------------------------------------------------------------------------


async def asked(esrp: Stack, path: str, options: argparse.Namespace) -> Answered:
    """Have the load generator ask, and measure around it."""
    postgres, gateway = (esrp.children[name].pid for name in ("postgres", "gateway"))
    assert postgres is not None and gateway is not None
    for _ in range(20):  # what is prepared or kept at the first request
        await _get(esrp.url + path)
    before = cpu_of(gateway), cpu_of(postgres)
    command = ["-m", "benchmarks.reads", "--ask", esrp.url + path]
    more = ["--rate", str(options.rate), "--seconds", str(options.seconds)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, *more, stdout=asyncio.subprocess.PIPE)
    said = json.loads((await process.communicate())[0])
    after = cpu_of(gateway), cpu_of(postgres)
    requests = len(said["latencies"])
    return Answered(
        p50=statistics.median(said["latencies"]),
        p95=percentile(said["latencies"], 0.95),
        gateway=(after[0] - before[0]) / requests * 1000,
        postgres=(after[1] - before[1]) / requests * 1000,
        generator=said["cpu"] / said["seconds"],
    )


async def _get(url: str) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        async with session.get(url) as answer:
            answer.raise_for_status()
            await answer.read()


async def ask(url: str, rate: float, seconds: float) -> None:
    """The load generator: each request is sent when it is due, and its latency counted from then."""
    latencies: list[float] = []
    started, used = time.perf_counter(), time.process_time()
    patience = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, timeout=patience) as session:

        async def one(due: float) -> None:
            with suppress(aiohttp.ClientError, TimeoutError):  # as slow as it was given up
                async with session.get(url) as answer:
                    await answer.read()
                    answer.raise_for_status()
            latencies.append((time.perf_counter() - due) * 1000)

        async with asyncio.TaskGroup() as tasks:
            for number in range(int(rate * seconds)):
                due = started + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(one(due))
    taken = time.perf_counter() - started
    print(json.dumps({"latencies": latencies, "seconds": taken, "cpu": time.process_time() - used}))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so many are not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# --- following --------------------------------------------------------------------------------------------------------


async def streams(esrp: Stack, number: int) -> None:
    """Follow as many runs that stand still, half of the streams one and the same, and print what that costs."""
    postgres, gateway = (esrp.children[name].pid for name in ("postgres", "gateway"))
    assert postgres is not None and gateway is not None
    esrp.children["generator"].signal(signal.SIGSTOP)  # so that they stand still
    async with esrp.connected() as connection:
        newest = "SELECT id FROM gateway.runs ORDER BY created_at DESC LIMIT $1"
        found = await connection.fetch(
            "UPDATE gateway.runs SET status = 'running', phase = 'generating', finished_at = NULL, outcome = NULL"
            f" WHERE id IN ({newest}) RETURNING id",
            number // 2,
        )
        await connection.execute(
            "UPDATE generator.dialogues SET state = 'waiting' WHERE run_id = ANY($1::uuid[]) AND position = 0",
            [run["id"] for run in found],
        )
    ids = [encode("run", UUID(str(run["id"]))) for run in found]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, connector=connector) as session:
        async with AsyncExitStack() as opened:
            for id in [*ids, *[ids[0]] * (number - len(ids))]:
                await opened.enter_async_context(session.get(f"{esrp.url}/v1/runs/{id}/events"))
            await asyncio.sleep(6)
            before, began = (cpu_of(gateway), cpu_of(postgres)), time.perf_counter()
            await asyncio.sleep(10)
            after, took = (cpu_of(gateway), cpu_of(postgres)), time.perf_counter() - began
    shares = [(now - then) / took for now, then in zip(after, before, strict=True)]
    print(f"{number} idle streams over {len(ids)} runs: gateway {shares[0]:.2f}, Postgres {shares[1]:.2f} processors")


if __name__ == "__main__":
    asyncio.run(main())
