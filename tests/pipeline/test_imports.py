"""Whoever may import ratings can neither speak for a run's judge nor move its gate unseen."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from esrp.api import Run
from esrp.client import ApiError, AsyncClient
from esrp.metrics import METRIC_IDS
from tests.builders import a_suite
from tests.pipeline.conftest import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLOOR = {"floors": {"overall": 4.9}}
SCENARIOS = [f"s{n}" for n in range(1, 7)]
DIALOGUES = 12  # of 2 characters in 6 scenarios: fewer than ten decide nothing
ROWS = DIALOGUES * len(METRIC_IDS)


def fives(run: Run, rater: str, kind: str = "judge", score: int = 5) -> bytes:
    """The best of scores for every dialogue and metric of the run."""
    cells = [(c, s, metric) for c in ("c1", "c2") for s in SCENARIOS for metric in METRIC_IDS]
    lines = [f"{run.id},{c},{s},{metric},{rater},{kind},{score}" for c, s, metric in cells]
    return "\n".join(["run,character,scenario,metric,rater,rater_kind,score", *lines]).encode()


def best_batches(run: Run, rater: str) -> bytes:
    lines = [f"{run.id},{c},1,{rater},judge,5" for c in ("c1", "c2")]
    return "\n".join(["run,character,batch,rater,rater_kind,score", *lines]).encode()


@pytest_asyncio.fixture(loop_scope="module")
async def attacker(stack: Stack) -> AsyncIterator[AsyncClient]:
    """A client whose key may import ratings and nothing else."""
    key = await stack.client.create_key({"name": "raters", "scopes": ["ratings:write"]})
    async with AsyncClient(stack.url, key.key) as client:
        yield client


async def refused(client: AsyncClient, run: Run, rater: str, kind: str, *, replace: bool) -> None:
    with pytest.raises(ApiError) as found:
        await client.import_ratings(fives(run, rater, kind), "text/csv", replace=replace)
    assert found.value.status == 422
    assert "has the name of the judge default" in str(found.value)


async def test_a_floor_that_the_judge_holds_fails_whatever_is_imported(stack: Stack, attacker: AsyncClient) -> None:
    await stack.client.upload_suite(a_suite(2, 6, name="dozen").model_dump(mode="json"))
    honest = await stack.done(await stack.run(suite="dozen"))
    expected = await stack.client.report(honest.id)
    stack.models.opened.clear()  # nothing is played or judged yet
    run = await stack.run(suite="dozen", gate=FLOOR)
    async with asyncio.timeout(30):
        while len([dialogue async for dialogue in stack.client.dialogues(run.id)]) < DIALOGUES:
            await asyncio.sleep(0.1)
    await refused(attacker, run, "default", "judge", replace=False)
    await attacker.import_ratings(fives(run, "panel of my own"), "text/csv")
    stack.models.opened.set()
    ended = await stack.done(run)
    assert ended.verdict == "fail"

    for rater in ("default", "DEFAULT", "jdg_default", "de fault"):
        for kind in ("judge", "human"):
            await refused(attacker, run, rater, kind, replace=True)
    await attacker.import_ratings(fives(run, "panel of my own", score=4), "text/csv", replace=True)
    with pytest.raises(ApiError) as batches:
        await attacker.import_diversity(best_batches(run, "Default"), "text/csv", replace=True)
    await attacker.import_diversity(best_batches(run, "panel of my own"), "text/csv")

    report, found = await stack.client.report(run.id), await stack.client.gate(run.id, FLOOR)
    assert batches.value.status == 422
    assert (found.verdict, found.failing, found.raters) == ("fail", ["overall"], "judge")
    assert (report.overall.mean, report.overall.ratings, report.sha256) == (4.0, ROWS, expected.sha256)
    assert report.diversity == expected.diversity
    issued = stack.client.keys()
    (key,) = [key.id async for key in issued if key.name == "raters"]
    assert [(one.rater, one.kind, one.unit, one.rows, one.replaced, one.by) for one in report.imported] == [
        ("panel of my own", "judge", "dialogue", ROWS, 0, key),
        ("panel of my own", "judge", "dialogue", ROWS, ROWS, key),
        ("panel of my own", "judge", "batch", 2, 0, key),
    ]
    assert found.imported == report.imported
    assert f"imported_ratings: human 0, judge {2 * ROWS + 2}, replaced {ROWS}" in found.warnings
    assert "## Imported ratings" in await stack.client.report(run.id, "md")
