"""What a whole run survives: ``python -m benchmarks.chaos`` (Linux; about two minutes).

The published replies of one ChatAnime source are served by the mock model server at 200 ms a call. A calm run over the
suite `chatanime` (20 × 60 dialogues, two rounds, one judge) gives a report. Then the server answers 5 % of the calls
with 429, 2 % with 500, drops 1 % and never answers 1 %, and the same run goes on while Postgres, Valkey and the four
services are killed with SIGKILL at random times, Valkey is emptied, and workers are stopped past their lease and then
let go on beside those who took over from them. The times are shares of the run's calls, drawn from ``--seed``.

It fails unless the run succeeds, every dialogue is stored exactly once and as published, the report's sha256 is the
calm one's, and no more calls were answered twice than were in flight where their caller or Postgres was killed or a
caller was stopped.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.pipeline import PUBLISHED, SHARED
from esrp.chatanime import parse
from esrp.metrics import METRIC_IDS
from tests.chaos.harness import Seen, Stack, Survived, free_port, models_environment, plain_http, stack, survive
from tests.chaos.schedule import CALLERS, TARGETS, schedule

IN_FLIGHT = 64
CALLS = 4  # a dialogue: two answers, the follow-up between them, the verdict
FAULTS = ("--p429", "0.05", "--p500", "0.02", "--p-drop", "0.01", "--p-hang", "0.01")
FIRST_BYTE, TOTAL = 3.0, 10.0  # seconds until a call that hangs is given up


async def main() -> None:
    """Run calmly, run in chaos, compare, print."""
    options = arguments()
    source, tool = PUBLISHED / f"{options.source}.json", SHARED / "tools" / "mock_openai.py"
    for needed in (source, tool):
        if not needed.exists():
            sys.exit(f"{needed} is not here: this benchmark replays the published data")
    dialogues = len(parse(json.loads(source.read_text("utf-8"))).dialogues)
    actions = schedule(options.seed, kills=options.kills, flushes=options.flushes, stops=options.stops)
    mock = Mock([str(tool), "--latency", str(options.latency), "--replay", str(source)], free_port())
    seats = {"base_url": f"{mock.url}/v1", "max_concurrency": IN_FLIGHT}
    environment = models_environment(
        {**seats, "model": "mock-simulator"}, {**seats, "model": "mock-judge"}, first_byte=FIRST_BYTE, total=TOTAL
    )
    request = {"suite": "chatanime", "candidate": {**seats, "model": "replayed"}, "diversity": False}
    with tempfile.TemporaryDirectory(prefix="chaos") as folder:
        async with stack(Path(folder), environment) as esrp:
            await esrp.client.import_published(source.stem, source)
            with mock.serving():
                calm = await survive(esrp, mock, request, CALLS * dialogues, [])
            print(f"calm: {calm.run.status} in {calm.seconds:.1f} s", flush=True)
            with mock.serving(*FAULTS, "--seed", str(options.seed)):
                chaos = await survive(esrp, mock, request, CALLS * dialogues, actions, options.seed)
                stats = await mock.stats()
            found = await results(esrp, calm, chaos, source)
            if options.logs:
                options.logs.write_text("\n".join([*esrp.said, esrp.logs()]), "utf-8")
    print_table(chaos, stats, found)
    if wrong := list(broken(chaos, len(actions), found)):
        sys.exit("; ".join(wrong))


def arguments() -> argparse.Namespace:
    """What to replay, and how hard a time to give it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="deepseek-v3", help="the published source to replay")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule and of the faults")
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--flushes", type=int, default=3)
    parser.add_argument("--stops", type=int, default=2)
    parser.add_argument("--latency", type=int, default=200, help="milliseconds a call")
    parser.add_argument("--logs", type=Path, help="write there what was restarted and what all processes logged")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Mock:
    """The mock model server, started anew for each run."""

    arguments: Sequence[str]
    port: int

    @property
    def url(self) -> str:
        """Its base URL without `/v1`."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self, *faults: str) -> Iterator[None]:
        """Serve for the length of the block."""
        command = [sys.executable, *self.arguments, "--port", str(self.port), *faults]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert server.stdout is not None
            server.stdout.readline()
            yield
        finally:
            server.terminate()
            server.wait()

    async def stats(self) -> dict[str, Any]:
        """All its counters."""
        async with plain_http() as http:
            found: dict[str, Any] = (await http.get(f"{self.url}/stats")).json()
        return found

    async def seen(self) -> Seen:
        """Those that decide."""
        stats = await self.stats()
        return Seen(stats["answered"], stats["answered_again"], stats["in_flight"])


@dataclass(frozen=True, slots=True)
class Found:
    """What is stored: dialogues that are as published, of how many; dialogues with all ratings; the reports' hashes."""

    equal: int
    published: int
    stored: int
    rated: int
    calm_sha256: str
    chaos_sha256: str


async def results(esrp: Stack, calm: Survived, chaos: Survived, source: Path) -> Found:
    """Read everything back over the public API."""
    published = {(d.character, d.scenario): d.turns for d in parse(json.loads(source.read_text("utf-8"))).dialogues}
    stored = [dialogue async for dialogue in esrp.client.dialogues(chaos.run.id)]
    turns = {(dialogue.character, dialogue.scenario): dialogue.turns for dialogue in stored}
    return Found(
        equal=sum(turns.get(pair) == expected for pair, expected in published.items()),
        published=len(published),
        stored=len(stored),
        rated=sum(sorted(rating.metric for rating in dialogue.ratings) == sorted(METRIC_IDS) for dialogue in stored),
        calm_sha256=(await esrp.client.report(calm.run.id)).sha256,
        chaos_sha256=(await esrp.client.report(chaos.run.id)).sha256,
    )


def broken(chaos: Survived, actions: int, found: Found) -> Iterator[str]:
    """Every promise that was not kept."""
    if chaos.run.status != "succeeded":
        yield f"the run {chaos.run.status}: {chaos.run.error and chaos.run.error.message}"
    if len(chaos.done) != actions:
        yield f"the run ended after {len(chaos.done)} of {actions} actions"
    if {found.equal, found.stored, found.rated} != {found.published}:
        yield f"of {found.published} dialogues {found.stored} are stored, {found.equal} equal, {found.rated} rated"
    if found.calm_sha256 != found.chaos_sha256:
        yield "the reports differ"
    if chaos.seen.again > chaos.in_flight:
        yield f"{chaos.seen.again} calls were answered twice, {chaos.in_flight} were in flight"


def print_table(chaos: Survived, stats: dict[str, Any], found: Found) -> None:
    """What was done, and what it cost."""
    kills = Counter(done.action.target for done in chaos.done if done.action.kind == "kill")
    kinds = Counter(done.action.kind for done in chaos.done)
    usage = [getattr(chaos.run.usage, role).calls for role in ("candidate", "simulator", "judge")]
    at_server = sum(done.at_server for done in chaos.done if done.action.target in CALLERS)
    unsaved = sum(done.unsaved for done in chaos.done if done.action.target in CALLERS)
    rows: list[tuple[str, object]] = [
        ("kill -9", f"{kinds['kill']}: " + ", ".join(f"{target} {kills[target]}" for target in TARGETS)),
        ("Valkey emptied", kinds["flush"]),
        ("workers stopped past their lease", kinds["stop"]),
        ("429, 500", f"{stats['status'].get('429', 0)}, {stats['status'].get('500', 0)}"),
        ("connections dropped, calls never answered", f"{stats['drops']}, {stats['hangs']}"),
        ("run", f"{chaos.run.status} in {chaos.seconds:.1f} s"),
        ("dialogues stored, as published, rated", f"{found.stored}, {found.equal}, {found.rated}"),
        ("calls needed, sent", f"{chaos.seen.answered - chaos.seen.again}, {stats['requests']}"),
        ("calls answered twice", chaos.seen.again),
        ("calls broken off by their caller's end", stats["client_gone"]),
        (
            "in flight where a caller was killed or stopped",
            f"{at_server} at the server, {unsaved} answered, not stored",
        ),
        ("in flight where Postgres was killed", chaos.in_flight - at_server - unsaved),
        ("calls on the run's bill", f"{sum(usage)}: {usage}"),
        ("report sha256 calm", found.calm_sha256),
        ("report sha256 chaos", found.chaos_sha256),
    ]
    for name, value in rows:
        print(f"{name:50}{value}")


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") is None:
        os.environ["OMP_NUM_THREADS"] = "1"
    asyncio.run(main())
