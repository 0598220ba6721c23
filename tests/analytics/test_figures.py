"""Diversity, calibration, agreement, exports and figures, as the analytics service answers them."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest

from services.analytics.report import kept
from services.analytics.runs import OF_A_RUN
from services.analytics.worker import handlers, look_around, store_ratings
from services.jobs import MeasureAgreement
from services.kit.ids import encode
from tests.analytics.conftest import KEY, TENANT, World, csv

SAMPLE = {"sampling": "random"}


async def finished(world: World, characters: int = 2, scenarios: int = 3, **fields: Any) -> UUID:
    return await world.run(characters, scenarios, status="succeeded", phase=None, **{"judges": (), **fields})


async def get(world: World, path: str, **query: str) -> Any:
    answer = await world.client.get(path, params={"tenant": str(TENANT), **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- diversity --------------------------------------------------------------------------------------------------------


def batches(run: UUID, *scores: int, rater: str = "r1") -> list[dict[str, Any]]:
    """A rating of each batch of the first character."""
    rows = enumerate(scores, start=1)
    return [{"run": encode("run", run), "character": "c0", "batch": n, "rater": rater, "score": s} for n, s in rows]


async def send(world: World, rows: list[dict[str, Any]], **query: str) -> Any:
    return await world.client.post(
        "/internal/ratings/diversity",
        params={"tenant": str(TENANT), "key": str(KEY), "key_name": "ci", **query},
        content=csv(rows).encode(),
        headers={"Content-Type": "text/csv"},
    )


async def test_ratings_of_batches_are_stored_once_and_the_report_tells_their_mean(world: World) -> None:
    run = await finished(world, 1, 15)  # 30 replies: three batches
    first, second = await send(world, batches(run, 2, 3, 5)), await send(world, batches(run, 2, 3, 5))
    assert first.json() == {"stored": 3, "missing": 0, "duplicates": 0, "ignored_columns": []}
    assert (second.json()["stored"], second.json()["duplicates"]) == (0, 3)
    found = (await world.report(run))["diversity"]
    assert (found["kind"], found["scale"], found["n"], found["ratings"]) == ("human", [1, 5], 3, 3)
    assert found["mean"] == pytest.approx(10 / 3, abs=1e-9)


async def test_another_score_of_a_batch_is_refused_with_its_line_unless_it_replaces(world: World) -> None:
    run = await finished(world, 1, 15)
    await send(world, batches(run, 2, 3))
    refused = await send(world, batches(run, 2, 4))
    assert refused.status_code == 422
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["line 3"]
    assert (await send(world, batches(run, 2, 4), replace="true")).json()["stored"] == 1
    assert (await world.report(run))["diversity"]["mean"] == 3


async def test_a_batch_that_the_run_does_not_have_is_named_by_its_line(world: World) -> None:
    run = await finished(world, 1, 5)  # ten replies: one batch
    other = {**batches(run, 3)[0], "character": "nobody"}
    answer = await send(world, [*batches(run, 3, 3), other, {**other, "run": "run_1"}])
    messages = [fault["message"] for fault in answer.json()["errors"]]
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["line 3", "line 4", "line 5"]
    assert "has 1 batches, and this is batch 2" in messages[0]
    assert "no replies of character 'nobody'" in messages[1]
    assert "there is no run 'run_1'" in messages[2]


async def test_diversity_that_nobody_rated_is_counted_and_is_no_score(world: World) -> None:
    run = await finished(world, 1, 15)
    found = await world.report(run)
    assert (found["diversity"]["kind"], found["diversity"]["scale"]) == ("automatic", [0, 1])
    assert found["form"]["repeated_openings"] == 0.9  # all replies are the same, ten a batch
    assert any("counted from how replies open" in limit for limit in found["limits"])
    assert await world.count("analytics.replies") == 15


async def test_what_was_counted_of_replies_moves_no_hash(world: World) -> None:
    one, other = await finished(world, 1, 5), await finished(world, 1, 5)
    await world.db.execute(
        "UPDATE generator.dialogues SET turns = $2 WHERE run_id = $1",
        other,
        json.dumps([{"user": "I am tired.", "assistant": "Something quite different, said at length."}] * 2),
    )
    for run in (one, other):
        await world.send(csv(world.rows(run, 4)))
    first, second = await world.report(one), await world.report(other)
    assert first["lengths"] != second["lengths"] and first["sha256"] == second["sha256"]


# --- people beside judges ---------------------------------------------------------------------------------------------


async def judged(world: World) -> UUID:
    """Eighty dialogues, which judges gave some score and people, later, a point less."""
    run = await world.run(4, 20, status="succeeded", phase=None)
    for at in range(80):
        await world.judge(run, at, 3 + (at % 7) % 3)
    await store_ratings(world.resources, run)
    return run


def people(world: World, run: UUID, dialogues: int) -> list[dict[str, Any]]:
    rows = [row for row in world.rows(run) if int(row["scenario"][1:]) < dialogues // 4]
    at = {(c, s): n for n, (_, c, s, _) in enumerate(world.ids[run])}
    return [{**row, "score": 2 + (at[row["character"], row["scenario"]] % 7) % 3} for row in rows]


async def test_a_random_part_that_people_rated_corrects_the_judges(world: World) -> None:
    run = await judged(world)
    assert (await world.send(csv(people(world, run, 64)), **SAMPLE)).status_code == 200
    found = await world.report(run)
    overall = found["calibrated"]["overall"]
    assert (found["raters"], found["calibrated"]["sampling"]) == ("calibrated", "random")
    trust, by_judge = overall["lambda"], [3 + (at % 7) % 3 for at in range(80)]  # people rated the first 64
    unrated, rated = sum(by_judge[64:]) / 16, sum(by_judge[:64]) / 64
    assert overall["n_human"] == 64 and 0 < trust < 1
    assert overall["mean"] == pytest.approx(trust * unrated + (rated - 1) - trust * rated, abs=1e-9)
    assert (found["overall"]["mean"], found["overall"]["ci"]) == (overall["mean"], overall["ci"])
    assert found["judges_against_humans"]["default"]["fluency"]["bias"] == 1
    assert any("are said to be drawn at random" in limit for limit in found["limits"])
    judges_alone = await world.report(run, raters="judge")
    assert found["groups"] == judges_alone["groups"]  # what people say of a part is too little for parts of it
    uncorrected = "Groups and examples are as judges rated them"
    assert [any(limit.startswith(uncorrected) for limit in r["limits"]) for r in (found, judges_alone)] == [True, False]


async def test_each_kind_of_raters_can_be_asked_for(world: World) -> None:
    run = await judged(world)
    await world.send(csv(people(world, run, 64)), **SAMPLE)
    reports = {raters: await world.report(run, raters=raters) for raters in ("judge", "human", "calibrated")}
    side_by_side = reports["judge"]["calibrated"]["overall"]
    means = {raters: report["overall"]["mean"] for raters, report in reports.items()}
    assert means["judge"] == side_by_side["judge_mean"]
    assert means["human"] == pytest.approx(side_by_side["human_mean"])
    assert means["calibrated"] == side_by_side["mean"]
    assert {report["raters"] for report in reports.values()} == {"judge", "human", "calibrated"}
    assert len({report["sha256"] for report in reports.values()}) == 3


async def test_nobody_but_the_service_says_that_the_service_drew_a_sample(world: World) -> None:
    run = await judged(world)
    answer = await world.send(csv(people(world, run, 64)), sampling="drawn")
    assert (answer.status_code, await world.count("analytics.ratings")) == (422, 720)


async def test_people_who_rated_a_part_that_nobody_drew_correct_nothing(world: World) -> None:
    run = await judged(world)
    await world.send(csv(people(world, run, 64)))
    found = await world.report(run)
    assert (found["raters"], found["calibrated"]["sampling"]) == ("judge", None)
    assert found["calibrated"]["overall"]["mean"] is None and found["calibrated"]["overall"]["human_mean"] is not None
    assert any("nobody says that these were drawn at random" in limit for limit in found["limits"])
    await world.send(csv(people(world, run, 64)), **SAMPLE)  # said afterwards, of the same ratings
    assert (await world.report(run))["raters"] == "calibrated"


async def test_a_metric_that_people_rated_on_a_part_is_not_all_because_another_is(world: World) -> None:
    run = await judged(world)
    rows = people(world, run, 80)
    part = [row for row in rows if row["metric"] == "fluency" or row["character"] != "c0"]  # 60 of 80 dialogues
    await world.send(csv(part))
    found = await world.report(run)
    assert (found["raters"], found["calibrated"]["sampling"]) == ("judge", None)
    await world.send(csv(rows))
    assert (await world.report(run))["calibrated"]["sampling"] == "all"


async def test_under_sixty_dialogues_only_agreement_is_shown(world: World) -> None:
    run = await judged(world)
    await world.send(csv(people(world, run, 56)), **SAMPLE)
    found = await world.report(run)
    assert (found["raters"], found["calibrated"]["overall"]["mean"]) == ("judge", None)
    assert found["judges_against_humans"]["default"]["coherence"]["n"] == 56
    assert (await world.report(run, raters="calibrated"))["overall"]["mean"] is None


# --- agreement --------------------------------------------------------------------------------------------------------


async def test_agreement_is_computed_when_ratings_change_and_belongs_to_these_ratings_alone(world: World) -> None:
    run = await finished(world)
    await world.send(csv([*world.rows(run, 4), *world.rows(run, 5, rater="r2")]))
    assert world.queue.jobs[-1] == MeasureAgreement(run)
    assert (await world.report(run))["agreement"] is None
    await kept.agree(world.resources, run)
    first = (await world.report(run))["agreement"]
    assert (first["kind"], first["cells"], first["acc"], first["acc_soft"]) == ("human", 54, 0, 1)
    changed = {**world.rows(run, 5)[0], "rater": "r3"}
    await world.send(csv([changed]))
    assert (await world.report(run))["agreement"] is None
    await kept.agree(world.resources, run)
    assert (await world.report(run))["agreement"]["pairs"] == 56


async def test_agreement_twice_is_computed_once(world: World) -> None:
    run = await finished(world)
    await world.send(csv([*world.rows(run, 4), *world.rows(run, 5, rater="r2")]))
    await asyncio.gather(*(kept.agree(world.resources, run) for _ in range(3)))
    at = await world.db.fetchval("SELECT created_at FROM analytics.agreements")
    await kept.agree(world.resources, run)
    assert await world.db.fetchval("SELECT created_at FROM analytics.agreements") == at


async def test_the_timer_finds_ratings_whose_agreement_nobody_computed(world: World) -> None:
    run = await finished(world)
    await world.send(csv(world.rows(run, 4)))
    found = [job for job in await look_around(world.resources) if isinstance(job, MeasureAgreement)]
    assert found == [MeasureAgreement(run)]
    await handlers(world.resources)[MeasureAgreement](run)
    assert not [job for job in await look_around(world.resources) if isinstance(job, MeasureAgreement)]


async def test_a_deleted_run_leaves_nothing(world: World) -> None:
    run = await finished(world, 1, 15)
    await world.send(csv([*world.rows(run, 4), *world.rows(run, 5, rater="r2")]))
    await send(world, batches(run, 3))
    await kept.agree(world.resources, run)
    await world.report(run)
    await get(world, f"/internal/runs/{run}/metrics", group_by="character")
    assert await world.count("analytics.packed") == await world.count("analytics.figures") == 1
    await world.db.execute("INSERT INTO gateway.deletions (run_id, tenant_id) VALUES ($1, $2)", run, TENANT)
    await world.db.execute("DELETE FROM gateway.runs WHERE id = $1", run)
    await look_around(world.resources)
    for table in (*OF_A_RUN, "analytics.figures"):
        assert await world.count(table) == 0, table


# --- reports under change ---------------------------------------------------------------------------------------------


async def test_many_readers_at_once_have_one_report_made(world: World) -> None:
    run = await finished(world)
    await world.send(csv(world.rows(run, 4)))
    reports = await asyncio.gather(*(world.report(run) for _ in range(12)))
    assert all(report == reports[0] for report in reports)
    assert await world.count("analytics.reports") == 1


async def test_a_report_is_never_older_than_the_ratings(world: World) -> None:
    run = await finished(world)
    seen = []
    for score in (1, 2, 3, 4, 5):
        await asyncio.gather(*(world.report(run) for _ in range(3)))
        await world.send(csv(world.rows(run, score)), replace="true")
        seen.append((await world.report(run))["overall"]["mean"])
    assert seen == [1, 2, 3, 4, 5]


async def test_published_figures_stand_beside_the_published_suite_alone(world: World) -> None:
    run = await finished(world)
    await world.send(csv(world.rows(run, 4)))
    assert (await world.report(run))["published"] is None
    await world.update(run, suite_label="chatanime@1", revision=2)
    found = (await world.report(run))["published"]
    assert (found["reference"], found["title"], len(found["rows"])) == (True, "Table 1", 6)
    text = (await world.client.get(f"/internal/runs/{run}/report?tenant={TENANT}&format=md")).text
    assert "not measured here and part of no test" in text
    judged_run = await rated_by_judges(world)
    await world.update(judged_run, suite_label="chatanime@1", revision=2)
    assert (await world.report(judged_run))["published"]["title"] == "Table 4"


async def rated_by_judges(world: World) -> UUID:
    run = await world.run(status="succeeded", phase=None)
    await world.judge_all(run)
    await store_ratings(world.resources, run)
    return run


async def test_markdown_shows_all_of_it(world: World) -> None:
    run = await judged(world)
    both = [*people(world, run, 64), *({**row, "rater": "r2"} for row in people(world, run, 64))]
    await world.send(csv(both), **SAMPLE)
    await kept.agree(world.resources, run)
    text = (await world.client.get(f"/internal/runs/{run}/report?tenant={TENANT}&format=md")).text
    wanted = ["## Judges and people side by side", "## Agreement", "## Judges against people", "## By character"]
    for heading in [*wanted, "## Best and worst dialogues", "**Diversity", "## What this report does not show"]:
        assert heading in text, heading
    assert "None" not in text and "nan" not in text


# --- figures ----------------------------------------------------------------------------------------------------------


async def test_a_breakdown_of_nothing_has_no_groups(world: World) -> None:
    run = await finished(world)
    for by in ("character", "scenario", "persona", "rater"):
        found = await get(world, f"/internal/runs/{run}/metrics", group_by=by)
        assert (found["groups"], found["raters"]) == ({}, None)


async def test_a_breakdown_by_rater_tells_one_kind_apart_from_the_other(world: World) -> None:
    run = await rated_by_judges(world)
    await world.send(csv(world.rows(run, 5)))
    by_judges = await get(world, f"/internal/runs/{run}/metrics", group_by="rater")
    by_people = await get(world, f"/internal/runs/{run}/metrics", group_by="rater", raters="human")
    assert (list(by_judges["groups"]), list(by_people["groups"])) == (["default"], ["r1"])
    assert by_people["groups"]["r1"]["overall"]["mean"] == 5


async def compared(world: World, baseline: UUID, candidate: UUID, **fields: str) -> Any:
    body = {"baseline": encode("run", baseline), "candidate": encode("run", candidate), **fields}
    return await world.client.post("/internal/comparisons", params={"tenant": str(TENANT)}, json=body)


async def test_calibrated_runs_are_compared_by_their_calibrated_means(world: World) -> None:
    first, second = await judged(world), await judged(world)
    for run, shift in ((first, 0), (second, 1)):
        rows = [{**row, "score": min(5, row["score"] + shift)} for row in people(world, run, 64)]
        await world.send(csv(rows), **SAMPLE)
    found = (await compared(world, first, second)).json()
    assert found["raters"] == "calibrated"
    assert (found["overall"]["difference"], found["overall"]["n"]) == (pytest.approx(1, abs=1e-9), 64)
    assert found["overall"]["ci"]["dialogue"] is None
    by_judges = (await compared(world, first, second, raters="judge")).json()
    assert (by_judges["raters"], by_judges["overall"]["difference"]) == ("judge", 0)


async def test_what_differs_makes_runs_not_comparable(world: World) -> None:
    first, second = await finished(world), await finished(world)
    await world.update(first, manifest=json.dumps({"suite": "a", "rounds": 2, "judges": [], "simulator": None}))
    await world.update(second, manifest=json.dumps({"suite": "a", "rounds": 3, "judges": ["x"], "simulator": None}))
    answer = await compared(world, first, second)
    assert (answer.status_code, answer.json()["code"], answer.json()["differs"]) == (
        409,
        "not_comparable",
        ["judges", "rounds"],
    )


async def test_a_leaderboard_leaves_out_what_was_measured_otherwise(world: World) -> None:
    runs = {}
    for name, rounds in (("wren", 2), ("lark", 2), ("finch", 3)):
        run = runs[name] = await finished(world, 2, 5)
        await world.update(run, candidate_name=name, manifest=json.dumps({"rounds": rounds}))
        await world.send(csv(world.rows(run, {"wren": 3, "lark": 4, "finch": 5}[name])))
    unrated = await finished(world, 2, 5)
    await world.update(unrated, candidate_name="owl", manifest=json.dumps({"rounds": 2}))
    found = await get(world, "/internal/leaderboard", suite="tiny")
    assert [(row["candidate"], row["rank"], row["last_rank"]) for row in found["rows"]] == [
        ("lark", 1, 1),
        ("wren", 2, 2),
    ]
    assert found["reference"] == encode("run", runs["lark"])
    assert found["rows"][1]["difference"]["overall"]["difference"] == -1
    assert {row["candidate"]: row["differs"] for row in found["not_ranked"]} == {"finch": ["rounds"], "owl": ["raters"]}


async def test_only_the_newest_finished_run_of_a_candidate_is_ranked(world: World) -> None:
    for score in (2, 5):
        run = await finished(world, 2, 5)
        await world.send(csv(world.rows(run, score)))
    open_run = await world.run(2, 5)
    await world.send(csv(world.rows(open_run, 1)))
    found = await get(world, "/internal/leaderboard", suite="tiny@1")
    assert [row["overall"]["mean"] for row in found["rows"]] == [5]


async def test_a_run_that_was_cancelled_or_that_nobody_rated_takes_no_candidates_place(world: World) -> None:
    whole, cancelled, _unrated = [await finished(world, 2, 5) for _ in range(3)]
    await world.send(csv(world.rows(whole, 4)))
    await world.update(cancelled, status="cancelled")
    await world.send(csv(world.rows(cancelled, 1)[:9]))
    found = await get(world, "/internal/leaderboard", suite="tiny")
    assert [row["run"] for row in found["rows"]] == [encode("run", whole)] and not found["not_ranked"]
    await world.update(whole, status="failed")
    found = await get(world, "/internal/leaderboard", suite="tiny")
    assert [row["run"] for row in found["rows"]] == [encode("run", cancelled)]  # of those that are rated the newest


async def test_a_leaderboard_of_nothing_is_empty_in_every_format(world: World) -> None:
    assert (await get(world, "/internal/leaderboard", suite="none"))["rows"] == []
    for format in ("md", "csv", "parquet"):
        answer = await world.client.get(f"/internal/leaderboard?suite=none&tenant={TENANT}&format={format}")
        assert answer.status_code == 200


async def test_a_series_is_of_one_judge_suite_and_candidate(world: World) -> None:
    judged_run, other = await rated_by_judges(world), await finished(world)
    await world.update(other, candidate_name="other")
    assert [p["run"] for p in (await get(world, "/internal/series", judge="default"))["data"]] == [
        encode("run", judged_run)
    ]
    assert [p["candidate"] for p in (await get(world, "/internal/series", suite="tiny"))["data"]] == ["bot", "other"]
    assert (await get(world, "/internal/series", candidate="nobody"))["data"] == []
