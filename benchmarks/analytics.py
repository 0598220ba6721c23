"""How fast ratings come in and figures go out, over the public API of a real stack: ``python -m benchmarks.analytics``.

A study of the paper's size: six candidates (recorded conversations), 20 × 60 dialogues, nine metrics, two raters, and
twelve batches a character rated for diversity: 132,480 ratings. Measured are the import of all of them, a full report
after a new rating (without agreement, which is computed in the background), and a stored report read by 16 clients at
once, beside a bare FastAPI + asyncpg read of the same bytes by primary key from the same Postgres.

Exits with 1 if a limit is broken. The load of the machine is printed: on a busy one, read the ratio.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import uvicorn
import yaml
from fastapi import FastAPI, Request, Response

from esrp.client import AsyncClient
from esrp.metrics import METRIC_IDS

CANDIDATES, CHARACTERS, SCENARIOS, RATERS, BATCHES = 6, 20, 60, 2, 12
CLIENTS, READS = 16, 2000
IMPORT_LIMIT, REPORT_LIMIT, RATIO_LIMIT = 6.0, 0.4, 5.0  # seconds, seconds, times


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack by its URL and key, and the folder of its Postgres's socket."""

    url: str
    key: str
    socket: Path


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the reads of all clients, in milliseconds; ``rate`` a second."""

    median: float
    p99: float
    rate: float


async def main() -> None:
    """Measure, print, judge."""
    options = arguments()
    if options.bare:
        return await serve_bare(options.bare, options.port)
    print(f"load before: {' '.join(f'{load:.2f}' for load in os.getloadavg())}, {os.cpu_count()} cores")
    with stack() as running:
        async with AsyncClient(running.url, running.key) as client:
            runs = await study(client)
            imported = await import_all(client, runs)
            reports = [await full_report(client, run, number) for number, run in enumerate(runs, 1)]
            await agreed(client, runs)
            ours, bare = await reads(running, runs[0])
    print(f"load after: {' '.join(f'{load:.2f}' for load in os.getloadavg())}")
    sys.exit(verdict(imported, statistics.median(reports), ours, bare))


def arguments() -> argparse.Namespace:
    """What this process is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bare", metavar="SOCKET", help="serve the bare read (used by the benchmark itself)")
    parser.add_argument("--port", type=int, default=18790)
    return parser.parse_args()


def verdict(imported: float, report: float, ours: Latency, bare: Latency) -> int:
    """The table, and whether every limit holds."""
    rows = [
        ("import of 132,480 ratings", f"{imported:.2f} s", f"{IMPORT_LIMIT:g} s", imported <= IMPORT_LIMIT),
        (
            "full report after a new rating",
            f"{report * 1000:.0f} ms",
            f"{REPORT_LIMIT * 1000:g} ms",
            report <= REPORT_LIMIT,
        ),
        (
            "stored report, p99",
            f"{ours.p99 / bare.p99:.1f} ×",
            f"{RATIO_LIMIT:g} ×",
            ours.p99 <= RATIO_LIMIT * bare.p99,
        ),
    ]
    print(f"\n{'':34}{'measured':>10}{'limit':>10}")
    for name, measured, limit, holds in rows:
        print(f"{name:34}{measured:>10}{limit:>10}  {'' if holds else 'BROKEN'}")
    print(f"\n{CLIENTS} clients, {READS} reads{'':12}{'median ms':>10}{'p99 ms':>10}{'a second':>10}")
    for name, found in (("a stored report, public API", ours), ("bare FastAPI + asyncpg", bare)):
        print(f"{name:34}{found.median:10.1f}{found.p99:10.1f}{found.rate:10.0f}")
    return 0 if all(holds for *_, holds in rows) else 1


# --- the study --------------------------------------------------------------------------------------------------------


async def study(client: AsyncClient) -> list[str]:
    """A finished run of each candidate over a suite of the paper's size."""
    await client.upload_suite(suite())
    runs = []
    for number in range(CANDIDATES):
        transcript = await client.import_transcript(f"bot-{number}", "study", dialogues(number))
        run = await client.create_run(
            {"suite": "study", "candidate": {"kind": "transcript", "transcript": transcript.id}, "judges": []}
        )
        runs.append(run.id)
    for run_id in runs:
        await client.wait(run_id)
    return runs


def suite() -> dict[str, object]:
    """Characters × scenarios, labelled as the paper's."""
    return {
        "name": "study",
        "language": "zh",
        "characters": [
            {"id": f"c{n}", "name": f"角色{n}", "work": f"作品{n}", "profile": "一个人。"} for n in range(CHARACTERS)
        ],
        "scenarios": [
            {
                "id": f"s{n}",
                "persona": f"persona {n % 4}",
                "emotion": f"emotion {n % 9}",
                "location": f"place {n % 5}",
                "event": "考试没有考好。",
                "question": f"第{n}次，我应该怎么办？",
            }
            for n in range(SCENARIOS)
        ],
    }


def dialogues(candidate: int) -> list[dict[str, object]]:
    """Two rounds each, replies of some ninety characters."""
    words = "今天 我们 一起 去 看 海 好不好 你 不要 难过 会 好 起来 的 相信 我 明天 天气 很 温柔 朋友 星星 回家".split()  # noqa: SIM905
    chance = random.Random(candidate)

    def reply() -> str:
        return "".join(chance.choice(words) for _ in range(50))

    return [
        {
            "character": f"c{c}",
            "scenario": f"s{s}",
            "turns": [
                {"user": f"第{s}次，我应该怎么办？", "assistant": reply()},
                {"user": "然后呢？", "assistant": reply()},
            ],
        }
        for c in range(CHARACTERS)
        for s in range(SCENARIOS)
    ]


def ratings(runs: list[str]) -> tuple[bytes, bytes]:
    """Two files: of dialogues and of batches."""
    chance = random.Random(7)
    lines, batches = ["run,character,scenario,metric,rater,score"], ["run,character,batch,rater,score"]
    for run in runs:
        for c in range(CHARACTERS):
            for rater in range(RATERS):
                name = f"r{c}-{rater}"
                lines += [
                    f"{run},c{c},s{s},{metric},{name},{chance.randint(2, 5)}"
                    for s in range(SCENARIOS)
                    for metric in METRIC_IDS
                ]
                batches += [f"{run},c{c},{batch},{name},{chance.randint(2, 5)}" for batch in range(1, BATCHES + 1)]
    return "\n".join(lines).encode(), "\n".join(batches).encode()


# --- what is measured -------------------------------------------------------------------------------------------------


async def import_all(client: AsyncClient, runs: list[str]) -> float:
    """Seconds for both files."""
    cells, batches = ratings(runs)
    started = time.perf_counter()
    stored = (await client.import_ratings(cells, "text/csv")).stored
    stored += (await client.import_diversity(batches, "text/csv")).stored
    seconds = time.perf_counter() - started
    print(f"imported {stored:,} ratings, {(len(cells) + len(batches)) / 2**20:.1f} MiB, in {seconds:.2f} s")
    return seconds


async def full_report(client: AsyncClient, run: str, number: int) -> float:
    """Seconds for the report of ratings that have just changed, once its text was counted; the best of three."""
    await client.report(run)
    times = []
    for change in range(3):
        row = f"run,character,scenario,metric,rater,score\n{run},c0,s0,fluency,late-{number}-{change},3\n"
        await client.import_ratings(row.encode(), "text/csv")
        await asyncio.sleep(2)  # agreement is being computed: that is not part of a report
        started = time.perf_counter()
        report = await client.report(run)
        times.append(time.perf_counter() - started)
        assert report.overall.ratings == CHARACTERS * SCENARIOS * RATERS * len(METRIC_IDS) + change + 1
    print(f"full report of {report.overall.ratings:,} ratings: {min(times) * 1000:.0f} ms (best of {len(times)})")
    return min(times)


async def agreed(client: AsyncClient, runs: list[str]) -> None:
    """Wait until the background has done its work, as it has between a study and its readers."""
    async with asyncio.timeout(120):
        for run in runs:
            while (await client.report(run)).agreement is None:
                await asyncio.sleep(0.5)


async def reads(running: Stack, run: str) -> tuple[Latency, Latency]:
    """A stored report by 16 clients at once; and the same bytes, read bare. In turns, the better of three each."""
    headers = {"Authorization": f"Bearer {running.key}"}
    found: dict[str, list[Latency]] = {"ours": [], "bare": []}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=CLIENTS)) as session:
        async with session.get(f"{running.url}/v1/runs/{run}/report") as answer:
            document = await answer.read()
        print(f"the report has {len(document) / 1024:.0f} KiB")
        async with bare_server(running.socket, document, arguments().port) as bare:
            for _ in range(3):
                found["bare"].append(await load(session, f"{bare}/reports/{run}"))
                found["ours"].append(await load(session, f"{running.url}/v1/runs/{run}/report"))
    return min(found["ours"], key=lambda one: one.p99), min(found["bare"], key=lambda one: one.p99)


async def load(session: aiohttp.ClientSession, url: str) -> Latency:
    """Every client reads again as soon as it has an answer."""
    times: list[float] = []

    async def read() -> None:
        started = time.perf_counter()
        async with session.get(url) as answer:
            await answer.read()
            answer.raise_for_status()
        times.append(time.perf_counter() - started)

    await _by_all(read, 10 * CLIENTS)
    times.clear()
    started = time.perf_counter()
    await _by_all(read, READS)
    seconds = time.perf_counter() - started
    ordered = sorted(times)
    return Latency(
        median=1000 * statistics.median(ordered),
        p99=1000 * ordered[int(0.99 * len(ordered))],
        rate=len(ordered) / seconds,
    )


async def _by_all(read: Callable[[], Awaitable[None]], times: int) -> None:
    async def one() -> None:
        for _ in range(times // CLIENTS):
            await read()

    await asyncio.gather(*(one() for _ in range(CLIENTS)))


# --- servers ----------------------------------------------------------------------------------------------------------


@contextmanager
def stack() -> Iterator[Stack]:
    """`esrp up` on a fresh folder, with no limit of requests that would be met."""
    with tempfile.TemporaryDirectory(prefix="esrp", dir="/tmp") as home:
        config = Path(home, "esrp.yaml")
        config.write_text(yaml.safe_dump({"rate_limit_per_minute": 10_000_000}))
        data = Path(home, "data")
        command = [sys.executable, "-P", "-m", "services.stack", "up", "--data", str(data), "--port", "0"]
        up = subprocess.Popen([*command, "--config", str(config)], stdout=subprocess.PIPE, text=True)
        try:
            assert up.stdout is not None
            lines = iter(up.stdout.readline, "")
            url = next(line for line in lines if line.startswith("esrp is up at ")).split()[-1]
            key = next(line for line in lines if line.startswith("API key: ")).split()[-1]
            yield Stack(url, key, next(data.rglob(".s.PGSQL.5432")).parent)
        finally:
            up.terminate()
            up.wait()


@asynccontextmanager
async def bare_server(socket: Path, document: bytes, port: int) -> AsyncIterator[str]:
    """A process that does nothing else; its table holds the document under every id that is asked for."""
    database = await asyncpg.connect(host=str(socket), user="postgres", database="esrp")
    await database.execute("CREATE TABLE public.bare (id text PRIMARY KEY, document text NOT NULL)")
    await database.execute("INSERT INTO public.bare VALUES ('it', $1)", document.decode())
    await database.close()
    server = _start_bare(socket, port)
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{url}/reports/it") as answer:
                        answer.raise_for_status()
                        break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait()


def _start_bare(socket: Path, port: int) -> subprocess.Popen[bytes]:
    words = ["-m", "benchmarks.analytics", "--bare", str(socket), "--port", str(port)]
    return subprocess.Popen([sys.executable, *words])


async def serve_bare(socket: str, port: int) -> None:
    """One statement by primary key, one answer."""
    pool = await asyncpg.create_pool(host=socket, user="postgres", database="esrp", min_size=8, max_size=8)
    app = FastAPI()

    @app.get("/reports/{id}")
    async def read(id: str, request: Request) -> Response:
        document = await pool.fetchval("SELECT document FROM public.bare WHERE id = $1", "it")
        return Response(document, media_type="application/json")

    await uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False)).serve()


if __name__ == "__main__":
    asyncio.run(main())
