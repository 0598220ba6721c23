"""Do runs share workers fairly: ``python -m benchmarks.many``.

First 40 runs of 120 dialogues at once, at the seats that the stack has (64 for each of candidate, simulator and judge;
all candidates are one endpoint), each call 200 ms: seconds beside the ideal, which is the most that one of the three
models has to answer at its seats. Then a run of 120 dialogues alone, and again beside one of 10,800.
"""

import argparse
import asyncio
import sys
import time
from typing import Any

from benchmarks import workload
from benchmarks.servers import LATENCY, Mock, Stack, add_options, mock, model, stack
from benchmarks.speed import said
from esrp.client import AsyncClient

RUNS, DIALOGUES, HUGE = 40, 120, 9  # the huge run: nine replicates of the suite's 1,200
AT_ONCE = 64  # seats of each of the three
SHARED, BESIDE = 1.4, 3.0  # limits: of the ideal, and of the time alone


def main() -> int:
    """Measure and print; 1 if a limit was missed."""
    options = arguments()
    with mock(options.mock) as server:
        settings = {
            "simulator": model(server, "mock-simulator", max_concurrency=AT_ONCE),
            "judges": [model(server, "mock-judge", name="default", kind="chat", max_concurrency=AT_ONCE)],
        }
        with stack(settings) as up:
            return 0 if asyncio.run(measured(up, server, options.runs)) else 1


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--runs", type=int, default=RUNS, help="runs at once")
    return parser.parse_args()


async def measured(up: Stack, server: Mock, runs: int) -> bool:
    """Both measurements."""
    async with AsyncClient(up.url, up.key) as client:
        alone = await one(client, server)
        print(f"a run of {DIALOGUES} alone: {alone:.2f} s", flush=True)
        server.reset()
        started = time.monotonic()
        await asyncio.gather(*(one(client, server) for _ in range(runs)))
        together = time.monotonic() - started
        ideal = 2 * runs * DIALOGUES / AT_ONCE * LATENCY / 1000  # the candidate answers twice a dialogue
        peak = server.stats()["in_flight_peak"]
        print(
            f"{runs} runs of {DIALOGUES} at once: {together:.1f} s, {together / ideal:.2f} × the ideal {ideal:.1f} s;"
        )
        print(f"{peak} calls in flight at the peak of {3 * AT_ONCE} possible", flush=True)
        huge = await client.create_run(asked(server, replicates=HUGE))
        while (await client.run(huge.id)).progress.generated < DIALOGUES:
            await asyncio.sleep(0.1)
        beside = await one(client, server)
        print(f"a run of {DIALOGUES} beside one of 10,800: {beside:.2f} s, {beside / alone:.2f} × alone")
        await client.cancel(huge.id)
    fair = said(f"beside a huge run within {BESIDE:.0f} × alone", beside <= BESIDE * alone)
    return said(f"many at once within {SHARED} × ideal", together <= SHARED * ideal) and fair


async def one(client: AsyncClient, server: Mock) -> float:
    """Seconds from the request for a run of 120 dialogues to its end."""
    started = time.monotonic()
    sample = {"dialogues": DIALOGUES, "seed": workload.SEED}
    run = await client.wait((await client.create_run(asked(server, sample=sample))).id)
    if run.status != "succeeded":
        sys.exit(f"the run {run.status}: {run.error}")
    return time.monotonic() - started


def asked(server: Mock, **more: Any) -> dict[str, Any]:
    """A run's request."""
    candidate = model(server, "mock", max_concurrency=AT_ONCE)
    return {"suite": workload.SUITE, "candidate": candidate, "diversity": False, **more}


if __name__ == "__main__":
    sys.exit(main())
