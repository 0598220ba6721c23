"""`esrp demo`: two releases of a recorded bot through the real pipeline, what moved, and what a gate makes of it."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import yaml

from esrp.api import Estimate, Report, Run
from esrp.cli.progress import watch
from esrp.cli.text import table
from esrp.cli.verdicts import plain
from esrp.client import AsyncClient
from esrp.metrics import DIMENSIONS, METRIC_IDS
from esrp.stats import Difference, Differences, Rating, Ratings, differences
from esrp.text import NONE, interval, number
from services.stack.configuration import load as load_configuration
from services.stack.errors import CannotStart
from services.stack.home import Home, ephemeral
from services.stack.recorded import JUDGE, RELEASES, SIMULATOR, Recordings, load, serving
from services.stack.up import Stack, conduct, say, show_ready

GATE = "smoke"  # the policy that suits a sample
NO_INTERVAL = "[–]"
AT_ONCE = 4  # dialogues in flight: few enough for the progress to be seen

INTRODUCTION = """\
This demo needs no key, no GPU and no network. Its models are RECORDINGS: two releases of a bot, a simulated user
and a judge, whose replies and verdicts are data that was written by hand. The numbers say nothing about any real
model. Everything else is real: the HTTP calls, the queue, the database, the statistics.
"""

FOOTNOTE = """\
Means on the 1–5 scale with their 95% `dialogue` intervals; the difference is paired: the same character in the same
scenario with both releases. A metric has moved where the interval of its difference excludes 0."""


def demo(*, keep: bool) -> int:
    """Run it; the exit code. With ``keep`` the stack stays up until Ctrl-C."""
    # Nothing of the user's own installation takes part: no server, no model, no key.
    for name in [name for name in os.environ if name.startswith("ESRP_")]:
        del os.environ[name]
    print(INTRODUCTION, flush=True)
    with ephemeral() as home:
        return asyncio.run(_demo(home, keep))


async def _demo(home: Home, keep: bool) -> int:
    recordings = load()
    async with serving(recordings) as models:
        os.environ["ESRP_CONFIG"] = str(_write_configuration(home, models))
        say("starting the stack")
        stack = Stack(home, load_configuration(None), 0, say)
        return await conduct(stack, _show(recordings, models, keep))


def _write_configuration(home: Home, models: str) -> Path:
    config = {
        "simulator": {"base_url": models, "model": SIMULATOR},
        "judges": [{"name": "default", "kind": "chat", "base_url": models, "model": JUDGE}],
    }
    path = home.path / "esrp.yaml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


def _show(recordings: Recordings, models: str, keep: bool) -> Callable[[Stack], Awaitable[int]]:
    async def show(stack: Stack) -> int:
        async with AsyncClient(stack.url, stack.key) as client:
            suite = await client.upload_suite(recordings.suite.model_dump(mode="json"))
            size = "{characters} characters × {scenarios} scenarios".format(**suite.counts)
            print(f"suite {suite.name}: {size}", flush=True)
            runs = [await _benchmark(client, release, models) for release in RELEASES]
            reports = [await client.report(run.id) for run in runs]
            ratings = [await _ratings(client, run) for run in runs]
            await client.set_baseline("production", runs[0].id)
            verdict = await client.gate(runs[1].id, GATE)
        print("\n" + comparison(reports, differences(ratings[1], ratings[0])), flush=True)
        print(f"\nMay {RELEASES[1]} replace {RELEASES[0]}?\n\n{plain(verdict, stack.url)}", flush=True)
        if keep:
            print()
            show_ready(stack)
            await asyncio.Event().wait()
        return 0

    return show


async def _benchmark(client: AsyncClient, release: str, models: str) -> Run:
    candidate = {"base_url": models, "model": release, "max_concurrency": AT_ONCE}
    run = await client.create_run({"name": release, "suite": "esrp-demo", "candidate": candidate})
    with watch(sys.stderr) as progress:
        run = await client.wait(run.id, progress.on_progress, progress.on_lost)
    played = f"{run.progress.generated} of {run.progress.dialogues} dialogues played, {run.progress.judged} judged"
    print(f"{release}: {run.status}, {played}", flush=True)
    if run.status != "succeeded" or run.progress.judged != run.progress.dialogues:
        raise CannotStart(f"the run of {release} is not complete: {run.error.message if run.error else played}")
    return run


async def _ratings(client: AsyncClient, run: Run) -> Ratings:
    return Ratings.of(
        [
            Rating(
                dialogue.id,
                dialogue.character,
                dialogue.scenario,
                rating.metric,
                rating.rater,
                rating.kind,
                rating.score,
            )
            async for dialogue in client.dialogues(run.id)
            for rating in dialogue.ratings
        ]
    )


def comparison(reports: list[Report], moved: Differences) -> str:
    """Both reports side by side, one metric a line, and what moved."""
    before, after = reports
    rows = [_row(id, before.metrics[id], after.metrics[id], moved.metrics[id]) for id in METRIC_IDS]
    rows += [_row(id, before.dimensions[id], after.dimensions[id], moved.dimensions[id]) for id in DIMENSIONS]
    rows += [_row("overall", before.overall, after.overall, moved.overall)]
    header = ("", before.candidate, after.candidate, "difference")
    scored = ", ".join(f"{report.coverage.scored} of {report.coverage.dialogues}" for report in reports)
    return "\n".join([table(header, rows), "", FOOTNOTE, f"Dialogues scored: {scored}.", "", *_moves(moved)])


def _row(id: str, before: Estimate, after: Estimate, difference: Difference) -> tuple[str, str, str, str]:
    return id, _estimate(before), _estimate(after), _difference(difference)


def _estimate(estimate: Estimate) -> str:
    if estimate.mean is None:
        return NONE
    return f"{number(estimate.mean)} {interval(estimate.ci.dialogue, unknown=NO_INTERVAL)}"


def _difference(difference: Difference) -> str:
    if difference.difference is None:
        return NONE
    found = difference.intervals.dialogue
    ends = interval((found.low, found.high) if found else None, "+", NO_INTERVAL)
    return f"{number(difference.difference, '+')} {ends}" + (" *" if _direction(difference) else "")


def _direction(difference: Difference) -> int:
    """1 if it is up, -1 if it is down, 0 if that is not shown."""
    interval = difference.intervals.dialogue
    return 0 if interval is None else (interval.low > 0) - (interval.high < 0)


def _moves(moved: Differences) -> Iterable[str]:
    found = {id: _direction(moved.metrics[id]) for id in METRIC_IDS}
    for word, direction in (("Up", 1), ("Down", -1), ("Not shown to have moved", 0)):
        ids = [id for id in METRIC_IDS if found[id] == direction]
        yield f"{word}: {', '.join(ids) or 'none'}"
