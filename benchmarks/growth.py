"""Does a dialogue cost the same in a run of any size: ``python -m benchmarks.growth``.

One run each of 1,200, 10,800 and 54,000 dialogues (20 characters × 180 scenarios, up to 15 replicates), every model
answering at once, on a fresh stack: processor time of the whole stack a dialogue, seconds from the last call that a
model answered to the report, and the peak memory of the four services (shared pages counted once).
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import workload
from benchmarks.footprint import watched
from benchmarks.servers import Mock, Stack, add_options, mock, model, stack
from benchmarks.speed import METRICS, said
from esrp.client import AsyncClient
from esrp.suite import bundled

SIZES = (1_200, 10_800, 54_000)
COPIES = 3  # of each scenario
AT_ONCE = 64  # calls to each of the three models
CPU, MEMORY = 1.15, 1.5  # limits: of what the smallest run takes
UNTIL_REPORT = {1_200: 0.5, 54_000: 3.0}  # seconds from the last call
LOOK = 0.02  # seconds between looks at the model server's counters


@dataclass(frozen=True, slots=True)
class Grown:
    """What a run took."""

    dialogues: int
    seconds: float
    cpu: float  # ms a dialogue
    until_report: float
    memory: float  # MB


def main() -> int:
    """Measure and print; 1 if a limit was missed."""
    options = arguments()
    rows = []
    with mock(options.mock, "--latency", "0") as server:
        for dialogues in options.sizes:
            rows.append(grown(server, dialogues))
            print_row(rows[-1], rows[0])
    return 0 if met(rows) else 1


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="dialogues of each run")
    return parser.parse_args()


def grown(server: Mock, dialogues: int) -> Grown:
    """One run on a fresh stack."""
    settings = {
        "simulator": model(server, "mock-simulator", max_concurrency=AT_ONCE),
        "judges": [model(server, "mock-judge", name="default", kind="chat", max_concurrency=AT_ONCE)],
    }
    with stack(settings) as up:
        server.reset()
        with watched(up.pid, "services.") as watch:
            started = time.monotonic()
            last_call, ended = asyncio.run(played(up, server, dialogues))
    cpu, memory = watch.footprint.cpu or 0.0, watch.footprint.memory or 0.0
    return Grown(dialogues, ended - started, cpu / dialogues * 1000, ended - last_call, memory)


async def played(up: Stack, server: Mock, dialogues: int) -> tuple[float, float]:
    """Play a run to its report; when the last call was answered, and when the report was there."""
    async with AsyncClient(up.url, up.key) as client:
        await client.upload_suite(suite())
        run = await client.create_run({**plan(dialogues), "candidate": model(server, "mock", max_concurrency=AT_ONCE)})
        watching = asyncio.create_task(asyncio.to_thread(watch_calls, server, stop := []))
        try:
            final = await client.wait(run.id)
            report = await client.report(run.id)
            ended = time.monotonic()
        finally:
            stop.append(True)
        if final.status != "succeeded" or report.overall.ratings != METRICS * dialogues:
            sys.exit(f"the run {final.status}, {report.overall.ratings} ratings: {final.error}")
        return await watching, ended


def watch_calls(server: Mock, stop: list[bool]) -> float:
    """When the number of calls was last seen to grow."""
    calls, grew = -1, time.monotonic()
    while not stop:
        seen, now = server.stats()["requests"], time.monotonic()
        if seen != calls:
            calls, grew = seen, now
        time.sleep(LOOK)
    return grew


def suite() -> dict[str, Any]:
    """The bundled Chinese suite with each scenario three times, and a name of its own."""
    document = bundled(workload.SUITE).model_dump(mode="json")
    copies = [
        {**scenario, "id": f"{scenario['id']}-{copy}", "question": scenario["question"] + "～" * copy}
        for copy in range(COPIES)
        for scenario in document["scenarios"]
    ]
    return {**document, "name": "grown", "scenarios": copies}


def plan(dialogues: int) -> Mapping[str, Any]:
    """What to play: a sample, or all of the suite so many times."""
    whole = 20 * 60 * COPIES
    if dialogues < whole:
        return {"suite": "grown", "sample": {"dialogues": dialogues, "seed": workload.SEED}}
    return {"suite": "grown", "replicates": dialogues // whole}


def print_row(row: Grown, first: Grown) -> None:
    """One line, with what it is of the smallest."""
    if row is first:
        head = ("dialogues", 10), ("seconds", 10), ("CPU ms/dial.", 15), ("×", 7), ("to report s", 14)
        print("\n" + "".join(f"{name:>{width}}" for name, width in (*head, ("services MB", 14), ("×", 7))))
    print(
        f"{row.dialogues:>10,}{row.seconds:>10.1f}{row.cpu:>15.2f}{row.cpu / first.cpu:>7.2f}"
        f"{row.until_report:>14.2f}{row.memory:>14.0f}{row.memory / first.memory:>7.2f}",
        flush=True,
    )


def met(rows: Sequence[Grown]) -> bool:
    """Whether the limits hold."""
    first, verdicts = rows[0], []
    print()
    for row in rows[1:]:
        verdicts.append(said(f"{row.dialogues:,}: processor time within {CPU} ×", row.cpu <= CPU * first.cpu))
        verdicts.append(said(f"{row.dialogues:,}: memory within {MEMORY} ×", row.memory <= MEMORY * first.memory))
    for row in rows:
        if limit := UNTIL_REPORT.get(row.dialogues):
            verdicts.append(said(f"{row.dialogues:,}: report within {limit} s", row.until_report <= limit))
    return all(verdicts)


if __name__ == "__main__":
    sys.exit(main())
