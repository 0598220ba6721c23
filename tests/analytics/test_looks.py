"""Looks at a release are paid for, whatever asks for them: by label, over runs, and after these are gone."""

import json
from typing import Any
from uuid import UUID

import pytest

from services.analytics.worker import look_around, store_ratings
from tests.analytics.conftest import TENANT, World

POLICY = {"baseline": "production", "margins": {"*": 0.3}, "max_dialogues": 240}


async def gate(world: World, run: UUID, baseline: UUID, **policy: Any) -> dict[str, Any]:
    answer = await world.client.post(
        f"/internal/runs/{run}/gate",
        params={"tenant": str(TENANT)},
        json={
            "gate": None,
            "policy": {**POLICY, **policy},
            "baseline": {"run": str(baseline), "name": "production", "finished_at": None},
        },
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def rated(world: World, scores: tuple[int, ...] = (4, 4, 5), **labels: str) -> UUID:
    """A finished run of 60 dialogues, rated by turns with these scores."""
    run = await world.run(6, 10, status="succeeded", phase=None)
    await world.db.execute("UPDATE gateway.runs SET labels = $2 WHERE id = $1", run, json.dumps(labels))
    for at in range(60):
        await world.judge(run, at, scores[at % len(scores)])
    await store_ratings(world.resources, run)
    return run


def spent(found: dict[str, Any]) -> list[float]:
    return [attempt["spent"] for attempt in found["attempts"]]


async def test_the_same_ratings_are_paid_for_once_whatever_policy_asks(world: World) -> None:
    baseline, run = await rated(world), await rated(world, release="7")
    first = await gate(world, run, baseline)
    again = await gate(world, run, baseline)
    other = await gate(world, run, baseline, margins={"*": 0.4})
    assert first["release"] == "release:7"
    assert (first["max_dialogues"], first["left"]) == (240, 0.0375)
    assert [spent(found) for found in (first, again, other)] == [[0.0125]] * 3


async def test_runs_of_one_release_are_pooled_and_spend_together(world: World) -> None:
    baseline = await rated(world)
    found = [await gate(world, await rated(world, commit="abc"), baseline) for _ in range(4)]
    assert [one["release"] for one in found] == ["commit:abc"] * 4
    assert [attempt["n"] for attempt in found[-1]["attempts"]] == [60, 120, 180, 240]
    assert spent(found[-1]) == [0.0125, 0.025, 0.0375, 0.05]
    beyond = await gate(world, await rated(world, commit="abc"), baseline)
    assert (beyond["verdict"], beyond["errors"]) == ("error", ["looks_used"])
    assert spent(beyond) == spent(found[-1])
    assert "Another release begins anew" in " ".join(beyond["explanation"])
    assert (await gate(world, await rated(world, commit="abd"), baseline))["verdict"] == "pass"


async def test_other_ratings_of_as_many_dialogues_are_decided_at_the_level_reached(world: World) -> None:
    baseline, run = await rated(world), await rated(world, release="7")
    await gate(world, run, baseline)
    await world.db.execute("UPDATE analytics.ratings SET score = 5 WHERE run_id = $1", run)
    await world.db.execute("UPDATE analytics.rated SET changes = changes + 1 WHERE run_id = $1", run)
    found = await gate(world, run, baseline)
    assert [(attempt["n"], attempt["again"]) for attempt in found["attempts"]] == [(60, False), (60, True)]
    assert spent(found) == [0.0125, 0.0125]


async def test_what_a_deleted_run_has_spent_stays_spent(world: World) -> None:
    baseline, run = await rated(world), await rated(world, release="7")
    await gate(world, run, baseline)
    await world.db.execute("INSERT INTO gateway.deletions (run_id, tenant_id) VALUES ($1, $2)", run, TENANT)
    await world.db.execute("DELETE FROM gateway.runs WHERE id = $1", run)
    await look_around(world.resources)
    found = await gate(world, await rated(world, (5, 4, 4), release="7"), baseline)
    assert [attempt["n"] for attempt in found["attempts"]] == [60, 120]


async def test_runs_without_a_label_are_releases_of_their_own_and_told_of(world: World) -> None:
    baseline = await rated(world)
    first, second = [await gate(world, await rated(world), baseline) for _ in range(2)]
    assert first["asked_before"] == [] and "asked_before" not in first["warnings"]
    assert [before["run"] for before in second["asked_before"]] == [first["run"]]
    assert (second["verdict"], second["warnings"][-1]) == ("pass", "asked_before")
    assert spent(second) == [0.0125]


async def test_nothing_is_spent_where_nothing_can_be_decided(world: World) -> None:
    baseline, run = await rated(world), await rated(world, release="7")
    found = await gate(world, run, baseline, required_checks=["crisis"])
    assert (found["verdict"], found["errors"], found["attempts"]) == ("error", ["check_missing: crisis"], [])
    assert found["left"] == 0.05


@pytest.mark.parametrize(("outcome", "verdict", "failing"), [("pass", "pass", []), ("fail", "fail", ["check: crisis"])])
async def test_a_required_result_from_elsewhere_decides(
    world: World, outcome: str, verdict: str, failing: list[str]
) -> None:
    baseline, run = await rated(world), await rated(world)
    answer = await world.client.post(
        f"/internal/runs/{run}/gate",
        params={"tenant": str(TENANT)},
        json={
            "gate": None,
            "policy": {**POLICY, "required_checks": ["crisis"]},
            "baseline": {"run": str(baseline), "name": "production", "finished_at": None},
            "checks": [{"name": "crisis", "outcome": outcome, "url": None, "at": "2026-01-01T00:00:00Z"}],
        },
    )
    assert (answer.json()["verdict"], answer.json()["failing"]) == (verdict, failing)


async def test_disasters_are_held_to_their_ceiling(world: World) -> None:
    baseline, run = await rated(world), await rated(world, (5, 5, 5, 5, 5, 1))
    found = await gate(world, run, baseline, margins={"*": 4}, ceilings={"disaster": 0.01})
    [rule] = [rule for rule in found["rules"] if rule["kind"] == "ceiling"]
    assert (found["failing"], rule["estimate"], rule["outcome"]) == (["disaster"], pytest.approx(1 / 6), "fail")
    clean = await gate(world, await rated(world), baseline, ceilings={"disaster": 0.01})
    assert (clean["verdict"], clean["rules"][-1]["outcome"]) == ("inconclusive", "inconclusive")
    assert (await gate(world, await rated(world), baseline, ceilings={"disaster": 0.08}))["verdict"] == "pass"


async def test_a_group_that_breaks_is_named(world: World) -> None:
    baseline, run = await rated(world), await rated(world)
    await world.db.execute("UPDATE analytics.ratings SET score = 2 WHERE run_id = $1 AND character = 'c3'", run)
    await world.db.execute("UPDATE analytics.rated SET changes = changes + 1 WHERE run_id = $1", run)
    found = await gate(world, run, baseline, margins={"*": 4}, per={"by": "character", "margin": 0.3})
    assert found["failing"] == ["character: c3"]
    assert [rule["metric"] for rule in found["rules"] if rule["kind"] == "group"] == [
        f"character: c{n}" for n in range(6)
    ]


async def test_a_fixed_reference_stops_small_steps_down(world: World) -> None:
    reference, baseline, run = await rated(world, (5, 5, 5)), await rated(world), await rated(world)
    policy = {**POLICY, "anchor": {"baseline": "first", "margins": {"overall": 0.3}}}
    answer = await world.client.post(
        f"/internal/runs/{run}/gate",
        params={"tenant": str(TENANT)},
        json={
            "gate": None,
            "policy": policy,
            "baseline": {"run": str(baseline), "name": "production", "finished_at": None},
            "anchor": {"run": str(reference), "name": "first", "finished_at": None},
        },
    )
    found = answer.json()
    [rule] = [rule for rule in found["rules"] if rule["kind"] == "anchor"]
    assert (found["verdict"], found["failing"], rule["estimate"]) == ("fail", ["overall"], pytest.approx(-2 / 3))
    assert any("below the fixed reference" in line for line in found["explanation"])
    missing = await gate(world, run, baseline, anchor={"baseline": "first", "margins": {"overall": 0.3}})
    assert missing["errors"] == ["anchor_missing"]


async def test_a_ceiling_and_groups_are_held_at_the_level_of_the_look(world: World) -> None:
    """60 of 240 dialogues spend a quarter of the error: 60 clean ones pass under a ceiling of 7.1 %, not of 4.9 %."""
    baseline, run = await rated(world), await rated(world)
    open_, passed = [await gate(world, run, baseline, ceilings={"disaster": c}) for c in (0.06, 0.0715)]
    [limit] = [rule["bound"] for rule in passed["rules"] if rule["kind"] == "ceiling"]
    assert limit == pytest.approx(1 - 0.0125 ** (1 / 60))
    assert (open_["verdict"], passed["verdict"]) == ("inconclusive", "pass")


async def test_groups_that_are_all_too_small_pass_nothing(world: World) -> None:
    baseline, run = await rated(world), await rated(world)
    per = {"by": "emotion", "margin": 0.3}  # six dialogues of each
    await world.db.execute(
        "UPDATE gateway.suites SET document = jsonb_set(document, '{scenarios}', (SELECT jsonb_agg(jsonb_build_object("
        "'id', 's' || n, 'emotion', 'e' || n)) FROM generate_series(0, 9) n))"
    )
    found = await gate(world, run, baseline, per=per)
    assert {rule["outcome"] for rule in found["rules"] if rule["kind"] == "group"} == {"not_measured"}
    assert (found["verdict"], found["failing"]) == ("inconclusive", [])
    assert found["warnings"][-1].startswith("groups_not_measured: emotion: e0, ")


async def test_two_runs_that_share_few_pairs_are_not_compared(world: World) -> None:
    baseline, run = await rated(world), await rated(world)
    for id, gone in ((baseline, "scenario > 's5'"), (run, "scenario < 's5'")):  # each has half, they share one in ten
        await world.db.execute(f"DELETE FROM analytics.ratings WHERE run_id = $1 AND {gone}", id)
        await world.db.execute("UPDATE analytics.rated SET changes = changes + 1 WHERE run_id = $1", id)
    found = await gate(world, run, baseline, min_coverage=0.45)
    assert (found["errors"], found["shared_pairs"], found["attempts"]) == (["not_shared", "too_few"], 6, [])
