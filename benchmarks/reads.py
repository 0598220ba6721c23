"""What reading costs with 1,000 runs and 100,000 dialogues stored: ``python -m benchmarks.reads`` (Linux; minutes).

A run of 100 dialogues is played against scripted models, and stored a thousand times over; beside it lie 20 candidates
of 10,800 ratings and two runs of 97,200. Each figure is asked for first, when nobody has computed it: of ratings that a
report has packed, and of ratings row by row. Then a process of its own asks for everything in turn, at a fixed rate
whatever the answers take (an open loop): a request's latency counts from when it was due, and one that fails is as slow
as can be. Among that is a bare FastAPI + asyncpg read of the report's bytes. In the end each is asked for alone, for
what it costs: processor time of the gateway, of analytics and of Postgres for a request.

Exits with 1 if a limit is broken. ``--streams 500`` follows that many event streams of runs under way, and tells what
they cost while nothing happens.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import aiohttp

from benchmarks.analytics import bare_server
from benchmarks.footprint import cpu_of
from benchmarks.stored import Stored, stored
from services.kit.ids import encode
from tests.chaos.harness import KEY, Stack, free_port, models_environment, stack
from tests.fakes import Models, serve_models

PATIENCE = 20.0  # seconds for one answer
TIMES_BARE = 5.0  # that a stored report may take of the bare read
FIRSTS = 9  # times that a figure is asked for when nobody has computed it; the median counts
COSTS = ("gateway", "analytics", "postgres")


@dataclass(frozen=True, slots=True)
class Read:
    """What is asked for; limits in ms: of the p95 in the mix, and of a figure when it is asked for first."""

    name: str
    url: str
    body: str | None = None
    limit: float | None = None
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """Latencies in ms by name, and the load generator's share of one processor."""

    latencies: Mapping[str, Sequence[float]]
    generator: float

    def p95(self, name: str) -> float:
        """The latency that 95 of 100 requests are not above."""
        return percentile(self.latencies[name], 0.95)


async def main() -> None:
    """Store, ask, print, judge."""
    options = arguments()
    if options.ask:
        return await ask([Read(**read) for read in json.loads(sys.stdin.read())], options.rate, options.seconds)
    async with AsyncExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="reads", dir="/tmp"))
        models = await opened.enter_async_context(serve_models(Models()))
        role = {"base_url": models.base_url, "max_concurrency": 32}
        environment = models_environment(
            {**role, "model": "simulator"}, {**role, "model": "judge"}, first_byte=10, total=20
        )
        esrp = await opened.enter_async_context(stack(Path(folder), environment))
        found = await stored(esrp, models, options.runs)
        report = await get(Read("report", f"{esrp.url}/v1/runs/{found.run}/report"))
        bare = await opened.enter_async_context(bare_server(esrp.postgres.socket, report, free_port()))
        asked = reads(esrp.url, bare, found)
        broken = [*await firsts(esrp, asked), *await mixed(asked, options)]
        await costs(esrp, asked, options)
        if options.streams:
            await streams(esrp, options.streams)
    sys.exit("over the limit: " + ", ".join(broken) if broken else 0)


def arguments() -> argparse.Namespace:
    """How much is stored, and how often it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=50, help="requests a second, in total")
    parser.add_argument("--seconds", type=float, default=40, help="of the mix; each alone takes an eighth")
    parser.add_argument("--streams", type=int, default=0)
    parser.add_argument("--ask", action="store_true", help="be the load generator (used by the benchmark itself)")
    return parser.parse_args()


def reads(url: str, bare: str, of: Stored) -> list[Read]:
    """What is asked for, in the order of the mix."""
    pair, large = (json.dumps({"candidate": one, "baseline": other}) for one, other in (of.pair, of.large))
    return [
        Read("bare read of a report", f"{bare}/reports/it"),
        Read("GET /healthz", f"{url}/healthz"),
        Read("GET /v1/runs?limit=50", f"{url}/v1/runs?limit=50", limit=20),
        Read("GET /v1/runs/{id}", f"{url}/v1/runs/{of.run}", limit=10),
        Read("stored report", f"{url}/v1/runs/{of.run}/report"),
        Read("breakdown, 97,200", f"{url}/v1/runs/{of.large[0]}/metrics?group_by=scenario", limit=30, first=400),
        Read("comparison, 2 × 10,800", f"{url}/v1/comparisons", body=pair, limit=100, first=100),
        Read("comparison, 2 × 97,200", f"{url}/v1/comparisons", body=large, limit=100),
        Read("leaderboard, 20 × 10,800", f"{url}/v1/leaderboard?suite={of.board}", limit=50, first=500),
    ]


# --- measuring --------------------------------------------------------------------------------------------------------


async def firsts(esrp: Stack, asked: Sequence[Read]) -> list[str]:
    """What each figure takes that nobody has asked for; the names of those over their limit."""
    broken = []
    for read in asked:
        if read.first is None:
            continue
        packed = [await first(esrp, read, "analytics.figures") for _ in range(FIRSTS)]
        rows = [await first(esrp, read, "analytics.figures, analytics.packed") for _ in range(FIRSTS)]
        median = statistics.median(packed)
        told = f"first {median:4.0f} ms, limit {read.first:g}{verdict(median, read.first)}"
        print(f"{read.name:26} {told}; row by row {statistics.median(rows):.0f} ms; {load()}", flush=True)
        broken += [f"{read.name}, first"] if median > read.first else []
    return broken


async def first(esrp: Stack, read: Read, forgotten: str) -> float:
    """Milliseconds of an answer for which these tables hold nothing."""
    async with esrp.connected() as connection:
        await connection.execute(f"TRUNCATE {forgotten}")
    started = time.perf_counter()
    await get(read)
    return 1000 * (time.perf_counter() - started)


async def mixed(asked: Sequence[Read], options: argparse.Namespace) -> list[str]:
    """Everything in turn; the names of what is over its limit."""
    found = await answered(asked, options.rate, options.seconds)
    bare = found.p95(asked[0].name)
    print(f"\n{options.rate:g} requests a second in turn, load generator {found.generator:.0%} of one; {load()}")
    broken = []
    for read in asked:
        limit = TIMES_BARE * bare if read.name == "stored report" else read.limit
        times, p95 = found.latencies[read.name], found.p95(read.name)
        told = "" if limit is None else f", limit {limit:g}{verdict(p95, limit)}"
        print(f"{read.name:26} p50 {statistics.median(times):6.1f}  p95 {p95:6.1f} ms{told}", flush=True)
        broken += [read.name] if limit is not None and p95 > limit else []
    return broken


async def costs(esrp: Stack, asked: Sequence[Read], options: argparse.Namespace) -> None:
    """Processor milliseconds of a request of each, asked for alone."""
    print(
        f"\nalone, {options.rate:g} a second{'':9}" + "".join(f"{name:>12}" for name in COSTS) + "  ms of a processor"
    )
    for read in asked[1:]:
        before = processor(esrp)
        found = await answered([read], options.rate, options.seconds / 8)
        requests = len(found.latencies[read.name])
        spent = [1000 * (after - then) / requests for then, after in zip(before, processor(esrp), strict=True)]
        print(
            f"{read.name:26}" + "".join(f"{each:12.2f}" for each in spent) + f"  p95 {found.p95(read.name):6.1f} ms,"
            f" load generator {found.generator:.0%} of one; {load()}",
            flush=True,
        )


def processor(esrp: Stack) -> list[float]:
    """Seconds that each process and its children have used."""
    pids = [esrp.children[name].pid for name in COSTS]
    return [cpu_of(pid) for pid in pids if pid is not None]


def verdict(measured: float, limit: float) -> str:
    """A word after a limit."""
    return " BROKEN" if measured > limit else ""


def load() -> str:
    """Of the machine, over one minute."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so many are not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# --- asking -----------------------------------------------------------------------------------------------------------


async def answered(asked: Sequence[Read], rate: float, seconds: float) -> Answered:
    """Have the load generator ask, once each has been asked for."""
    for read in asked:
        await get(read)
    command = ["-m", "benchmarks.reads", "--ask", "--rate", str(rate), "--seconds", str(seconds)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe)
    said = json.loads((await process.communicate(json.dumps([asdict(read) for read in asked]).encode()))[0])
    return Answered(said["latencies"], said["cpu"] / said["seconds"])


async def get(read: Read) -> bytes:
    """One answer."""
    async with session() as http, request(http, read) as answer:
        answer.raise_for_status()
        return await answer.read()


def session() -> aiohttp.ClientSession:
    """A client with a key."""
    patience = aiohttp.ClientTimeout(total=PATIENCE)
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, timeout=patience)


def request(http: aiohttp.ClientSession, read: Read) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
    """What is asked for with a body is posted."""
    if read.body is None:
        return http.get(read.url)
    return http.post(read.url, data=read.body, headers={"Content-Type": "application/json"})


async def ask(asked: Sequence[Read], rate: float, seconds: float) -> None:
    """The load generator: each request is sent when it is due, and its latency counted from then."""
    latencies: dict[str, list[float]] = {read.name: [] for read in asked}
    started, used = time.perf_counter(), time.process_time()
    async with session() as http:

        async def one(read: Read, due: float) -> None:
            taken = PATIENCE
            with suppress(aiohttp.ClientError, TimeoutError):
                async with request(http, read) as answer:
                    await answer.read()
                    answer.raise_for_status()
                    taken = time.perf_counter() - due
            latencies[read.name].append(1000 * taken)

        async with asyncio.TaskGroup() as tasks:
            for read, due in schedule(asked, rate, seconds, started):
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(one(read, due))
    taken = time.perf_counter() - started
    print(json.dumps({"latencies": latencies, "seconds": taken, "cpu": time.process_time() - used}))


def schedule(asked: Sequence[Read], rate: float, seconds: float, started: float) -> Iterator[tuple[Read, float]]:
    """What is due when."""
    for number in range(int(rate * seconds)):
        yield asked[number % len(asked)], started + number / rate


# --- following --------------------------------------------------------------------------------------------------------


async def streams(esrp: Stack, number: int) -> None:
    """Follow as many runs that stand still, half of the streams one and the same, and print what that costs."""
    postgres, gateway = (esrp.children[name].pid for name in ("postgres", "gateway"))
    assert postgres is not None and gateway is not None
    esrp.children["generator"].signal(signal.SIGSTOP)  # so that they stand still
    async with esrp.connected() as connection:
        newest = "SELECT id FROM gateway.runs WHERE transcript_id IS NULL ORDER BY created_at DESC LIMIT $1"
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
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, connector=connector) as http:
        async with AsyncExitStack() as opened:
            for id in [*ids, *[ids[0]] * (number - len(ids))]:
                await opened.enter_async_context(http.get(f"{esrp.url}/v1/runs/{id}/events"))
            await asyncio.sleep(6)
            before, began = (cpu_of(gateway), cpu_of(postgres)), time.perf_counter()
            await asyncio.sleep(10)
            after, took = (cpu_of(gateway), cpu_of(postgres)), time.perf_counter() - began
    shares = [(now - then) / took for now, then in zip(after, before, strict=True)]
    print(f"{number} idle streams over {len(ids)} runs: gateway {shares[0]:.2f}, Postgres {shares[1]:.2f} processors")


if __name__ == "__main__":
    asyncio.run(main())
