"""A gate looks at the ratings that a report looks at, and holds nothing while it counts."""

import json
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from esrp.imported import ImportTotals
from esrp.metrics import METRIC_IDS
from esrp.policies import Policy
from esrp.verdict import Decided, worded
from services.analytics.gates import verdict
from services.analytics.gates.judged import Against, Ask
from services.analytics.worker import store_ratings
from services.kit.aside import Aside, Pool
from tests.analytics.conftest import TENANT, World, csv

FLOORS = {"floors": {"*": 1.0}}


async def gate(world: World, run: UUID, policy: dict[str, Any], baseline: UUID | None = None) -> dict[str, Any]:
    """The verdict as the gateway asks for it."""
    against = baseline and {"run": str(baseline), "name": "production", "finished_at": None}
    answer = await world.client.post(
        f"/internal/runs/{run}/gate",
        params={"tenant": str(TENANT)},
        json={"gate": None, "policy": policy, "baseline": against},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def means(verdict: dict[str, Any]) -> dict[str, float]:
    return {rule["metric"]: rule["estimate"] for rule in verdict["rules"]}


async def judged(world: World) -> UUID:
    """A finished run of 70 dialogues."""
    run = await world.run(7, 10, status="succeeded", phase=None)
    await world.judge_all(run)
    await store_ratings(world.resources, run)
    return run


def by_people(world: World, run: UUID, dialogues: Iterable[int]) -> str:
    """A person's ratings of the dialogues at these positions, not all alike."""
    rows = world.rows(run)
    chosen = [row for at in dialogues for row in rows[len(METRIC_IDS) * at : len(METRIC_IDS) * (at + 1)]]
    return csv([{**row, "score": 2 + n % 3} for n, row in enumerate(chosen)])


async def is_the_reports(world: World, run: UUID, raters: str) -> None:
    found, report = await gate(world, run, FLOORS), await world.report(run)
    assert (found["raters"], report["raters"]) == (raters, raters)
    assert means(found) == {
        **{metric: report["metrics"][metric]["mean"] for metric in METRIC_IDS},
        "overall": report["overall"]["mean"],
    }


async def test_ratings_of_all_judged_dialogues_calibrate_as_in_the_report(world: World) -> None:
    run = await judged(world)
    assert (await world.send(by_people(world, run, range(70)))).status_code == 200
    await is_the_reports(world, run, "calibrated")


async def test_ratings_that_nobody_calls_random_do_not_spoil_those_that_are(world: World) -> None:
    run = await judged(world)
    assert (await world.send(by_people(world, run, range(62)), sampling="random")).status_code == 200
    assert (await world.send(by_people(world, run, range(62, 65)))).status_code == 200
    await is_the_reports(world, run, "calibrated")


async def test_ratings_of_some_that_nobody_calls_random_leave_the_judges(world: World) -> None:
    run = await judged(world)
    assert (await world.send(by_people(world, run, range(65)))).status_code == 200
    await is_the_reports(world, run, "judge")
    calibrated = await gate(world, run, {**FLOORS, "raters": "calibrated"})
    assert calibrated["errors"] == ["calibrated_not_available"]
    assert set(means(calibrated).values()) == {None}


async def test_people_alone_are_taken_as_they_are(world: World) -> None:
    run = await world.run(7, 10, status="succeeded", phase=None, judges=())
    assert (await world.send(by_people(world, run, range(70)))).status_code == 200
    await is_the_reports(world, run, "human")


class Counting(Pool):
    """Notes something whenever work begins."""

    def __init__(self, look: Callable[[], int]) -> None:
        super().__init__()
        self.look, self.seen = look, list[int]()

    def take(self) -> Any:
        self.seen.append(self.look())
        return super().take()


async def test_a_verdict_holds_no_connection_while_it_counts(world: World) -> None:
    run, baseline = await judged(world), await judged(world)
    connections: Any = world.resources.engine.pool
    pool = Counting(connections.checkedout)
    counting = replace(world.resources, figures=Aside("counting", pool=pool))
    against = Against(run=baseline, name="production", finished_at=None)
    ask = Ask(gate=None, policy=Policy(margins={"*": 0.1}), baseline=against)

    found = await verdict.evaluate(counting, run, TENANT, ask, datetime.now(UTC))
    await counting.figures.close()

    assert found is not None and (found.verdict, set(pool.seen)) == ("pass", {0})
    assert await world.count("analytics.gates") == 1


async def test_a_kept_verdict_holds_facts_and_no_sentence(world: World) -> None:
    found = await gate(world, await judged(world), FLOORS)

    kept = json.loads(await world.db.fetchval("SELECT document::text FROM analytics.gates"))

    assert found["explanation"] and "facts" not in found
    nothing = ImportTotals().model_dump()
    assert kept["facts"] == {
        "planned": 70,
        "baseline_planned": 0,
        "unvalidated": ["default"],
        "extensions": [],
        "fit": True,
        "imported": nothing,
        "baseline_imported": nothing,
    }
    assert (kept["explanation"], kept["commands"]) == ([], [])
    assert json.loads(worded(Decided.model_validate(kept)).model_dump_json()) == found


async def test_the_run_that_a_policy_names_may_be_gone(world: World) -> None:
    gone = "run_01a1fd3f9a2d7ed4b7f0c0ffee000000"

    found = await gate(world, await judged(world), {"baseline": gone, "margins": {"*": 0.1}})

    assert (found["verdict"], found["errors"]) == ("error", ["baseline_missing"])
    assert (
        found["explanation"][0] == f"There is no run {gone}, the policy's baseline; let it name one that has succeeded."
    )


async def test_a_baseline_that_goes_while_the_verdict_is_asked_for_is_missing(world: World) -> None:
    policy = {"baseline": "production", "margins": {"*": 0.1}, "floors": {"*": 1.0}}

    found = await gate(world, await judged(world), policy, UUID(int=7))

    assert (found["verdict"], found["errors"], found["failing"]) == ("error", ["baseline_missing"], [])


@pytest.mark.parametrize(("status", "named"), [("succeeded", True), ("running", True), ("cancelled", False)])
async def test_a_missing_baseline_is_told_with_the_command_that_sets_it(world: World, status: str, named: bool) -> None:
    run = await world.run(1, 2, status=status, phase=None)

    found = await gate(world, run, {"baseline": "my prod'", "margins": {"*": 0.1}, "min_coverage": 0})

    which, whose = (found["run"], "this run") if named else ("RUN", "a run that has succeeded")
    command = shlex.join(["esrp", "baseline", "set", "my prod'", which])
    assert (
        found["explanation"][0]
        == f'There is no baseline "my prod\'", and the policy needs it: `{command}` lets it be {whose}.'
    )


@pytest.mark.parametrize("status", ["running", "failed", "cancelled"])
async def test_a_baseline_that_was_not_played_to_the_end_decides_nothing(world: World, status: str) -> None:
    baseline = await world.run(7, 10, status=status, phase=None)
    await world.judge(baseline, 0, 4)
    await store_ratings(world.resources, baseline)

    found = await gate(world, await judged(world), {"margins": {"*": 4}, "floors": {"*": 1.0}}, baseline)

    assert (found["verdict"], found["errors"][0]) == ("error", "baseline_coverage_below_minimum")


async def dialogues_of(world: World, run: UUID, *, sample: int, of: int) -> None:
    """The run plays a sample of a suite with one character and so many scenarios."""
    await world.update(run, sample=f'{{"dialogues": {sample}, "seed": 1}}')
    await world.db.execute(
        "UPDATE gateway.suites SET document = jsonb_build_object('characters', '[1]'::jsonb, 'scenarios',"
        " (SELECT jsonb_agg(n) FROM generate_series(1, $2) n)) WHERE id = (SELECT suite_id FROM gateway.runs"
        " WHERE id = $1)",
        run,
        of,
    )


@pytest.mark.parametrize(("ours", "theirs"), [(12, 60), (12, 12)])
async def test_every_run_that_has_too_few_dialogues_is_played_on(world: World, ours: int, theirs: int) -> None:
    """The difference is that of the 12 dialogues that both have: −1/12 with an SE of 1/12, where 0.2 is allowed."""
    run, baseline = [await world.run(1, size, status="succeeded", phase=None) for size in (ours, theirs)]
    for at in range(ours):
        await world.judge(run, at, 3 if at % 12 == 0 else 4)
    for at in range(theirs):
        await world.judge(baseline, at, 4)
    for id, sample in ((run, ours), (baseline, theirs)):
        await store_ratings(world.resources, id)
        await dialogues_of(world, id, sample=sample, of=400)

    found = await gate(world, run, {"margins": {"fluency": 0.2}, "max_dialogues": 1200}, baseline)

    assert (found["verdict"], found["rules"][0]["estimate"]) == ("inconclusive", pytest.approx(-1 / 12))
    assert found["needed_dialogues"] > 12 and found["chance"] >= 0.8
    names = found["run"], found["baseline"]["run"]
    assert found["commands"] == [f"esrp extend {name} --dialogues {found['needed_dialogues']}" for name in names]
