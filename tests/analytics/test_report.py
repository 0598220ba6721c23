"""What a report says, read over HTTP."""

import json
from uuid import UUID, uuid4

import pytest

from esrp.api import Report
from esrp.limits import loaded, worded
from esrp.metrics import DIMENSIONS, METRIC_IDS
from services.analytics.worker import store_ratings, summarise_run
from services.kit.ids import encode
from tests.analytics.conftest import TENANT, World, csv

NOTHING = {
    "mean": None, "n": 0, "ratings": 0, "se": None, "worst": None,
    "ci": {"suite": None, "dialogue": None, "population": None},
}  # fmt: skip


async def rated(world: World) -> UUID:
    run = await world.run()
    await world.judge_all(run)
    await store_ratings(world.resources, run)
    return run


async def test_a_report_in_full(world: World) -> None:
    run = await world.run(2, 2)
    for at, score in enumerate((5, 4, 3, 2)):  # c0 and c1 in s0, then in s1
        await world.judge(run, at, score)
    await store_ratings(world.resources, run)
    found = await world.report(run)
    assert found["coverage"] == {"dialogues": 4, "scored": 4, "missing": {}}
    assert (found["run"], found["suite"], found["candidate"]) == (encode("run", run), "tiny@1", "bot")
    assert found["judges"] == [{"id": "jdg_default", "validated": False, "card": "/v1/judges/jdg_default/card"}]
    assert found["raters"] == "judge"
    overall = found["overall"]
    assert (overall["mean"], overall["n"], overall["ratings"], overall["worst"]) == (3.5, 4, 36, [3.5, 3.5])
    assert overall["se"] == pytest.approx((2 * (2 / 4) ** 2 * 2) ** 0.5)  # cluster sums ±2, over 4, G / (G − 1) = 2
    assert list(found["dimensions"]) == list(DIMENSIONS) and list(found["metrics"]) == list(METRIC_IDS)
    assert found["lengths"] == {"replies": 8, "inside": 0.0, "median": 14.0}  # words: the suite is English
    assert found["method"]["bootstrap"] == 5000 and found["method"]["confidence"] == 0.95


async def test_a_run_without_judges_and_ratings_has_a_report_of_nulls(world: World) -> None:
    run = await world.run(status="succeeded", phase=None, judges=())
    found = await world.report(run)
    assert found["overall"] == NOTHING and found["metrics"] == dict.fromkeys(METRIC_IDS, NOTHING)
    assert found["raters"] is None
    assert found["coverage"] == {"dialogues": 6, "scored": 0, "missing": {"not_rated": 6}}
    assert found["limits"][0] == "Nothing is rated yet: there are no scores."


async def test_its_report_follows_from_imported_ratings_at_any_time(world: World) -> None:
    run = await world.run(status="succeeded", phase=None, judges=())
    before = await world.report(run)
    assert (await world.send(csv(world.rows(run, 4)))).status_code == 200
    after = await world.report(run)
    assert (after["raters"], after["overall"]["mean"], after["coverage"]["scored"]) == ("human", 4, 6)
    assert before["sha256"] != after["sha256"]


async def test_missing_dialogues_have_a_reason_each(world: World) -> None:
    run = await world.run()
    ids = [id for id, *_ in world.ids[run]]
    failed = json.dumps({"code": "candidate_error", "reason": "timeout", "message": "The candidate: too late."})
    await world.db.execute("UPDATE generator.dialogues SET state = 'failed', error = $2 WHERE id = $1", ids[0], failed)
    await world.db.execute("UPDATE generator.dialogues SET state = 'cancelled' WHERE id = $1", ids[1])
    await world.judge(run, 2, None)
    await world.judge(run, 3, {})
    await world.judge(run, 4, 4)
    await world.update(run, plan=json.dumps({"dialogues": 8}))  # two are not even written down
    await store_ratings(world.resources, run)
    assert (await world.report(run))["coverage"] == {
        "dialogues": 8,
        "scored": 1,
        "missing": {"candidate_error": 1, "judge_error": 1, "no_valid_score": 1, "not_played": 3, "not_rated": 1},
    }


async def test_missing_ratings_widen_the_worst_case_only(world: World) -> None:
    run = await world.run(1, 4)
    for at in range(3):
        await world.judge(run, at, 4)
    await world.judge(run, 3, {"fluency": 4})
    await store_ratings(world.resources, run)
    found = await world.report(run)
    assert found["metrics"]["fluency"]["worst"] == [4, 4]
    assert found["metrics"]["coherence"]["mean"] == 4
    assert found["metrics"]["coherence"]["worst"] == [3.25, 4.25]
    assert found["coverage"]["scored"] == 4


async def test_people_and_judges_are_reported_apart(world: World) -> None:
    run = await rated(world)
    assert (await world.send(csv(world.rows(run, 5)))).status_code == 200
    assert (await world.report(run))["raters"] == "judge"
    assert (await world.report(run, raters="human"))["overall"]["mean"] == 5
    assert (await world.report(run, raters="judge"))["overall"]["mean"] < 5


async def test_the_same_ratings_give_the_same_hash_in_another_run(world: World) -> None:
    one, other = await rated(world), await rated(world)
    first, second = await world.report(one), await world.report(other)
    assert first["sha256"] == second["sha256"] and first["run"] != second["run"]
    changed = await world.run()
    await world.judge(changed, 0, 5)
    for at in range(1, 6):
        await world.judge(changed, at, {metric: 2 + (3 * at + n) % 4 for n, metric in enumerate(METRIC_IDS)})
    await store_ratings(world.resources, changed)
    assert (await world.report(changed))["sha256"] != second["sha256"]


async def test_a_final_report_is_stored_and_read_with_the_status_of_now(world: World) -> None:
    run = await rated(world)
    await world.update(run, phase="analysing")
    await summarise_run(world.resources, run)
    await world.update(run, status="succeeded", phase=None)
    first = await world.report(run)
    assert first["status"] == "succeeded"
    await world.db.execute(
        "UPDATE analytics.reports SET created_at = now(),"
        " document = replace(document::text, '\"bot\"', '\"stored\"')::json"
    )
    second = await world.report(run)
    assert second == {**first, "candidate": "stored"}
    assert list(second["metrics"]) == list(METRIC_IDS)


async def test_a_report_that_was_kept_with_sentences_is_made_again_when_it_is_read(world: World) -> None:
    run = await rated(world)
    await world.update(run, status="succeeded", phase=None)
    first = await world.report(run)
    await world.db.execute(
        "UPDATE analytics.reports SET limits = NULL, document = replace(document::text, '\"bot\"', '\"of old\"')::json"
    )
    assert await world.report(run) == first
    facts, kept = await world.db.fetchrow("SELECT limits::text, document ->> 'candidate' FROM analytics.reports")  # type: ignore[misc]  # there is one
    assert kept == "bot"
    assert worded(loaded(facts)) == first["limits"]


async def test_a_kept_report_holds_facts_and_no_sentence(world: World) -> None:
    run = await rated(world)
    await world.update(run, status="succeeded", phase=None)
    await world.report(run)
    assert await world.db.fetchval("SELECT document ->> 'limits' FROM analytics.reports") == "[]"
    codes = json.loads(await world.db.fetchval("SELECT limits::text FROM analytics.reports"))
    assert {"code": "suite_alone", "facts": {"suite": "tiny@1"}} in codes


async def test_the_report_of_an_open_run_is_not_kept(world: World) -> None:
    run = await rated(world)
    await world.report(run)
    assert await world.count("analytics.reports") == 0


async def test_a_final_run_without_a_report_gets_one_when_it_is_read(world: World) -> None:
    run = await world.run(status="cancelled", phase=None)
    await world.judge(run, 0, 4)
    assert (await world.report(run))["coverage"]["scored"] == 1
    assert await world.count("analytics.reports") == 1


async def test_conversations_from_own_logs_are_units_of_their_own(world: World) -> None:
    run = await world.run(0, 0, own_logs=3)
    for at, score in enumerate((5, 4, 3)):
        await world.judge(run, at, score)
    await store_ratings(world.resources, run)
    found = await world.report(run)
    assert (found["overall"]["mean"], found["overall"]["n"]) == (4, 3)
    assert found["overall"]["ci"]["suite"] == found["overall"]["ci"]["dialogue"]
    assert any("own logs" in limit for limit in found["limits"])


async def test_a_judge_that_scored_less_than_the_others_is_told_of(world: World) -> None:
    run = await world.run(judges=("default", "silent"), status="cancelled", phase=None)
    await world.judge(run, 0, 4)
    told = "Judge silent scored 0 of 6 dialogues; elsewhere the others' scores stand."
    assert told in (await world.report(run))["limits"]


async def test_markdown_names_every_metric_on_a_line_of_its_own(world: World) -> None:
    run = await rated(world)
    answer = await world.client.get(f"/internal/runs/{run}/report?tenant={TENANT}&format=md")
    assert answer.headers["content-type"].startswith("text/markdown")
    starts = [line.split("|")[1].strip(" *") for line in answer.text.splitlines() if line.startswith("| ")]
    assert starts[2:15] == ["overall", *DIMENSIONS, *METRIC_IDS]


async def test_markdown_of_nothing_is_readable_too(world: World) -> None:
    run = await world.run(status="succeeded", phase=None, judges=())
    answer = await world.client.get(f"/internal/runs/{run}/report?tenant={TENANT}&format=md")
    assert "**Overall –** –, 0 of" in answer.text and "None" not in answer.text


async def test_a_name_cannot_break_out_of_the_markdown(world: World) -> None:
    run = await rated(world)
    await world.update(run, candidate_name="bot\n# Passed | <script>`")
    text = (await world.client.get(f"/internal/runs/{run}/report?tenant={TENANT}&format=md")).text
    assert text.splitlines()[0] == "# ESRP report: bot # Passed \\| &lt;script>'"


async def test_another_tenants_run_is_not_there(world: World) -> None:
    run = await world.run()
    for id, tenant in ((run, uuid4()), (uuid4(), TENANT)):
        answer = await world.client.get(f"/internal/runs/{id}/report?tenant={tenant}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_only_the_other_services_may_ask(world: World) -> None:
    answer = await world.client.get(
        f"/internal/runs/{uuid4()}/report?tenant={TENANT}", headers={"X-ESRP-Internal": "guess"}
    )
    assert answer.status_code == 403


async def test_a_reader_who_comes_late_does_not_put_an_old_report_in_place_of_a_new_one(world: World) -> None:
    run = await world.run(status="succeeded", phase=None)
    await world.update(run, revision=2)
    await world.report(run)
    await world.update(run, revision=1)
    await world.report(run)
    assert await world.db.fetchval("SELECT revision FROM analytics.reports") == 2


async def test_the_service_is_ready_when_its_parts_are(world: World) -> None:
    answer = await world.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"postgres": True, "redis": True})


async def test_a_report_is_what_the_wire_schema_says(world: World) -> None:
    found = await world.report(await rated(world))
    assert Report.model_validate(found).model_dump(mode="json") == found


async def test_a_character_that_lost_more_than_chance_would_have_it_is_named(world: World) -> None:
    run = await world.run(4, 12)
    for at, (_, character, _, _) in enumerate(world.ids[run]):
        await world.judge(run, at, None if character == "c0" and at % 3 else 4)
    await store_ratings(world.resources, run)
    found = await world.report(run)
    assert [limit for limit in found["limits"] if "than chance" in limit] == [
        "More scores are missing than chance would have it for character c0: what is lost is not like the rest."
    ]
