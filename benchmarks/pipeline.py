"""How long a whole run takes, beside a bare loop that makes the same calls: ``python -m benchmarks.pipeline``.

The published replies of one ChatAnime source are served by the mock model server, at 200 ms a call; a run over the
suite `chatanime` (20 × 60 dialogues, two rounds, one judge) goes through the public API of a real, fresh stack, with
64 calls in flight per endpoint. The bare loop (aiohttp, no database, no queue, no report) makes the same four calls
a dialogue with 64 in flight over all of them, so its ideal is 15 s; per endpoint, the candidate's calls need 7.5 s.

Then everything that was stored is held against the published file.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from esrp.chatanime import parse
from esrp.client import AsyncClient

SHARED = Path(__file__).parents[2] / "shared"
PUBLISHED = SHARED / "data" / "chatanime"
LATENCY = 200  # ms
IN_FLIGHT = 64


async def main() -> None:
    """Measure, check, print."""
    options = arguments()
    source = PUBLISHED / f"{options.source}.json"
    if not source.exists():
        sys.exit(f"{source} is not here: this benchmark replays the published data")
    with mock(source) as mock_url:
        bare = await bare_loop(mock_url, source)
        async with aiohttp.ClientSession() as session:
            await session.post(f"{mock_url}/reset")
        with stack(mock_url) as (url, key):
            client = AsyncClient(url, key)
            imports = await import_all(client) if options.imports else None
            run = await whole_run(client, mock_url, source)
            await check(client, run["id"], source)
        print_table(bare, run["seconds"], imports)


def arguments() -> argparse.Namespace:
    """What to replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="deepseek-v3", help="the published source to replay")
    parser.add_argument("--imports", action="store_true", help="also import every published source, timed")
    return parser.parse_args()


@contextmanager
def mock(source: Path) -> Iterator[str]:
    """The mock model server, replaying; yields its base URL without `/v1`."""
    port = "18765"
    command = [sys.executable, str(SHARED / "tools" / "mock_openai.py"), "--latency", str(LATENCY), "--port", port]
    server = subprocess.Popen([*command, "--replay", str(source)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def stack(mock_url: str) -> Iterator[tuple[str, str]]:
    """`esrp up --ephemeral` with the mock as simulator and judge; yields URL and key."""
    model = {"base_url": f"{mock_url}/v1", "max_concurrency": IN_FLIGHT}
    settings = {
        "simulator": {**model, "model": "mock-simulator"},
        "judges": [{**model, "name": "default", "kind": "chat", "model": "mock-judge"}],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        yaml.safe_dump(settings, config)
        config.flush()
        command = [sys.executable, "-P", "-m", "services.stack", "up", "--ephemeral", "--port", "0"]
        started = time.monotonic()
        up = subprocess.Popen([*command, "--config", config.name], stdout=subprocess.PIPE, text=True)
        try:
            assert up.stdout is not None
            lines = iter(up.stdout.readline, "")
            url = next(line for line in lines if line.startswith("esrp is up at ")).split()[-1]
            key = next(line for line in lines if line.startswith("API key: ")).split()[-1]
            print(f"stack up in {time.monotonic() - started:.1f} s")
            yield url, key
        finally:
            up.terminate()
            up.wait()


async def bare_loop(mock_url: str, source: Path) -> float:
    """Seconds of a loop over the same calls, 64 in flight over all of them."""
    dialogues = parse(json.loads(source.read_text("utf-8"))).dialogues
    seats = asyncio.Semaphore(IN_FLIGHT)

    async def one(session: aiohttp.ClientSession, first: str) -> None:
        async with seats:
            for model in ("bare", "bare", "bare", "mock-judge"):
                body = {"model": model, "messages": [{"role": "user", "content": first}]}
                async with session.post(f"{mock_url}/v1/chat/completions", json=body) as answer:
                    await answer.read()

    started = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(one(session, dialogue.turns[0].user) for dialogue in dialogues))
    return time.monotonic() - started


async def import_all(client: AsyncClient) -> float:
    """Seconds for all published sources as transcripts."""
    started = time.monotonic()
    for path in sorted(PUBLISHED.glob("*.json")):
        await client.import_published(path.stem, path)
    return time.monotonic() - started


async def whole_run(client: AsyncClient, mock_url: str, source: Path) -> dict[str, Any]:
    """Import for the suite, run, wait for the report."""
    await client.import_published(source.stem, source)
    candidate = {"base_url": f"{mock_url}/v1", "model": "replayed", "max_concurrency": IN_FLIGHT}
    started = time.monotonic()
    run = await client.create_run({"suite": "chatanime", "candidate": candidate, "diversity": False})
    final = await client.wait(run.id)
    seconds = time.monotonic() - started
    report = await client.report(run.id)
    async with aiohttp.ClientSession() as session, session.get(f"{mock_url}/stats") as answer:
        stats = await answer.json()
    print(f"run {final.status}: {final.progress.generated} played, {final.progress.judged} judged, {seconds:.1f} s")
    print(f"report: {report.overall.ratings} ratings, {report.coverage.scored} of {report.coverage.dialogues} scored")
    print(f"mock: {stats['requests']} calls, {stats['answered_again']} again, peak {stats['in_flight_peak']} in flight")
    return {"id": run.id, "seconds": seconds}


async def check(client: AsyncClient, run: str, source: Path) -> None:
    """Every stored reply is the published one."""
    published = {(d.character, d.scenario): d.turns for d in parse(json.loads(source.read_text("utf-8"))).dialogues}
    stored = [dialogue async for dialogue in client.dialogues(run)]
    equal = sum(dialogue.turns == published[dialogue.character, dialogue.scenario] for dialogue in stored)
    print(f"stored dialogues equal to the published ones: {equal} of {len(published)}")
    if equal != len(published):
        sys.exit("some are not equal")


def print_table(bare: float, ours: float, imports: float | None) -> None:
    """The figures beside one another."""
    calls = 1200 * 4 * LATENCY / 1000 / IN_FLIGHT
    print(f"\n{'':44}{'seconds':>8}{'× 15 s':>8}")
    for name, seconds in (
        (f"ideal: all calls, {IN_FLIGHT} in flight together", calls),
        ("bare aiohttp loop, no database, no report", bare),
        (f"whole run, {IN_FLIGHT} in flight per endpoint", ours),
    ):
        print(f"{name:44}{seconds:8.1f}{seconds / calls:8.2f}")
    if imports is not None:
        print(f"{'import of all published sources':44}{imports:8.1f}")


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") is None:
        os.environ["OMP_NUM_THREADS"] = "1"
    asyncio.run(main())
