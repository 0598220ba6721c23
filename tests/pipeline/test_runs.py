"""From the endpoint of a bot to a report, through all four services."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import redis.asyncio

from esrp.metrics import METRIC_IDS
from services.kit.db import open_engine, row
from services.kit.ids import decode
from tests.fakes import Answer, by_model, verdict
from tests.pipeline.conftest import KEY, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_bots_endpoint_becomes_a_report(stack: Stack) -> None:
    run = await stack.done(await stack.run(name="rc1"))
    report = await stack.client.report(run.id)
    assert (run.status, run.phase, run.error) == ("succeeded", None, None)
    assert run.progress.model_dump() == {"dialogues": 6, "generated": 6, "judged": 6, "failed": 0}
    assert run.usage.model_dump() == {
        "candidate": {"calls": 12, "prompt_tokens": 120, "completion_tokens": 60},
        "simulator": {"calls": 6, "prompt_tokens": 60, "completion_tokens": 30},
        "judge": {"calls": 8, "prompt_tokens": 80, "completion_tokens": 40},  # six dialogues, a batch of each character
    }
    assert report.coverage.model_dump() == {"dialogues": 6, "scored": 6, "missing": {}}
    assert {name: metric.mean for name, metric in report.metrics.items()} == dict.fromkeys(METRIC_IDS, 4.0)
    assert (report.overall.mean, report.overall.ratings) == (4.0, 54)
    text = await stack.client.report(run.id, "md")
    assert all(metric in text for metric in METRIC_IDS)


async def test_every_dialogue_comes_with_its_turns_and_its_ratings(stack: Stack) -> None:
    run = await stack.done(await stack.run())
    dialogues = [dialogue async for dialogue in stack.client.dialogues(run.id)]
    assert len(dialogues) == 6
    assert await stack.client.dialogue(dialogues[0].id) == dialogues[0]
    for dialogue in dialogues:
        assert dialogue.turns[0].user.startswith("Question number")
        assert len(dialogue.turns) == 2
        assert sorted(rating.metric for rating in dialogue.ratings) == sorted(METRIC_IDS)
        assert {(rating.rater, rating.kind, rating.score) for rating in dialogue.ratings} == {("default", "judge", 4)}
        assert dialogue.ratings[0].explanation == "it is a 4"


async def test_who_sees_what(stack: Stack) -> None:
    await stack.done(await stack.run(sample={"dialogues": 1}))
    bot, simulator, judge = (json.dumps(stack.models.sent_to(model)) for model in ("bot", "simulator", "judge"))
    for label in ("PERSONA-", "EMOTION-", "LOCATION-", "EVENT-"):
        assert (label in bot, label in simulator, label in judge) == (False, True, False), label
    assert ("Profile of number" in bot, "Profile of number" in simulator, "Profile of number" in judge) == (
        True,
        False,
        True,
    )
    assert "I hear you: Question number" in simulator
    assert "run_" not in bot + simulator + judge


async def test_what_happens_is_told_as_events_and_told_again_from_where_one_left_off(stack: Stack) -> None:
    run = await stack.run()
    seen = [event async for event in stack.client.events(run.id)]
    kinds = [event.type for event in seen]
    assert kinds[-1] == "run.finished"
    assert kinds.count("dialogue.completed") == 6
    assert "run.progress" in kinds
    statuses = [event.data["status"] for event in seen if event.type == "run.status"]
    assert statuses[0] == "queued"
    assert statuses[-1] == "succeeded"
    kept = [event.id for event in seen if event.type != "run.progress"]
    rest = [event async for event in stack.client.events(run.id, kept[3])]
    assert [event.id for event in rest if event.type != "run.progress"] == kept[4:]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"error": {"message": "bad key"}}), "does not accept the API key"),
        ((404, {"error": {"message": "no such model"}}), "404"),
    ],
)
async def test_an_endpoint_that_refuses_is_asked_once_a_dialogue_and_the_run_says_why(
    stack: Stack, answer: tuple[int, dict[str, Any]], says: str
) -> None:
    stack.models.answer = only("bot", answer)
    run = await stack.done(await stack.run(candidate={"api_key": "sk-hidden"}))
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "nothing_generated"
    assert says in run.error.message
    assert len(stack.models.sent_to("bot")) == 6
    assert (await stack.client.report(run.id)).coverage.missing == {"candidate_error": 6}
    assert "sk-hidden" not in stack.logs() + run.model_dump_json()
    assert stack.models.headers[0]["Authorization"] == "Bearer sk-hidden"


async def test_a_model_that_only_thinks_is_told_so(stack: Stack) -> None:
    stack.models.answer = only("bot", "<think>What might they need? Let me")
    run = await stack.done(await stack.run(sample={"dialogues": 1}))
    assert run.error is not None
    assert "think" in run.error.message


async def test_some_dialogues_may_fail_and_the_coverage_says_so(stack: Stack) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        hopeless = request["model"] == "bot" and "Question number 2?" in json.dumps(request)
        return (400, {"error": {"message": "content policy"}}) if hopeless else by_model(request)

    stack.models.answer = answer
    run = await stack.done(await stack.run())
    report = await stack.client.report(run.id)
    assert (run.status, run.progress.failed, run.progress.judged) == ("succeeded", 2, 4)
    assert report.coverage.model_dump() == {"dialogues": 6, "scored": 4, "missing": {"candidate_error": 2}}
    assert report.overall.worst is not None
    assert any("content policy" in warning for warning in run.warnings)


async def test_a_judge_that_gives_no_valid_score_gives_none_and_its_words_are_kept(stack: Stack) -> None:
    partly = json.loads(verdict())
    partly["fluency"]["score"] = 7

    def answer(request: dict[str, Any]) -> Answer:
        if request["model"] != "judge":
            return by_model(request)
        return "Lovely work!" if "Question number 1?" in json.dumps(request) else json.dumps(partly)

    stack.models.answer = answer
    run = await stack.done(await stack.run())
    report = await stack.client.report(run.id)
    dialogues = [dialogue async for dialogue in stack.client.dialogues(run.id)]
    assert (report.metrics["fluency"].mean, report.metrics["fluency"].n) == (None, 0)
    assert (report.metrics["coherence"].mean, report.metrics["coherence"].n) == (4.0, 4)
    assert report.coverage.model_dump() == {"dialogues": 6, "scored": 4, "missing": {"no_valid_score": 2}}
    silent = [dialogue for dialogue in dialogues if not dialogue.ratings]
    assert [dialogue.verdicts[0].raw for dialogue in silent] == ["Lovely work!"] * 2


async def test_cancel_keeps_what_was_paid_for_and_resume_pays_for_the_rest(stack: Stack) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        if len(stack.models.sent_to("bot")) == 5:
            stack.models.opened.clear()
        return by_model(request)

    stack.models.answer = answer
    run = await stack.run(candidate={"max_concurrency": 2})
    while len(stack.models.sent_to("bot")) < 5:
        await asyncio.sleep(0.01)
    await stack.client.cancel(run.id)
    await asyncio.sleep(1)  # it is promised that no new call starts a second after this
    stack.models.answer = by_model
    stack.models.opened.set()
    cancelled = await stack.done(run)
    paid = len(stack.models.sent_to("bot"))
    assert cancelled.status == "cancelled"
    assert cancelled.usage.candidate.calls == paid < 12
    assert (await stack.client.report(run.id)).status == "cancelled"
    await stack.client.resume(run.id)
    resumed = await stack.done(run)
    assert (resumed.status, resumed.progress.judged) == ("succeeded", 6)
    assert len(stack.models.sent_to("bot")) == 12
    assert (await stack.client.report(run.id)).coverage.scored == 6


async def test_a_cancelled_run_whose_workers_were_killed_is_cancelled_all_the_same(stack: Stack) -> None:
    stack.models.opened.clear()
    run = await stack.run()
    while len(stack.models.requests) < 6:
        await asyncio.sleep(0.02)
    await stack.client.cancel(run.id)
    await stack.kill("generator", "judge")
    stack.models.opened.set()
    await stack.start("generator", "judge")
    cancelled = await stack.done(run)
    assert (cancelled.status, cancelled.progress.generated) == ("cancelled", 0)
    await stack.client.resume(run.id)
    assert (await stack.done(run)).status == "succeeded"


async def test_services_killed_and_valkey_emptied_in_the_middle_lose_nothing(stack: Stack) -> None:
    stack.models.opened.clear()
    run = await stack.run()
    while len(stack.models.requests) < 6:
        await asyncio.sleep(0.02)
    await stack.kill("generator", "judge", "analytics", "gateway")
    client = redis.asyncio.Redis.from_url(stack.redis_url)
    await client.flushall()
    await client.aclose()
    stack.models.opened.set()
    await stack.start("generator", "judge", "analytics", "gateway")
    await stack.ready()
    finished = await stack.done(run)
    assert (finished.status, finished.progress.judged) == ("succeeded", 6)
    # The six calls in flight at the kill were paid for twice, and nothing else was.
    assert len(stack.models.sent_to("bot")) == 12 + 6


async def test_a_run_ends_though_valkey_is_emptied_all_the_time(stack: Stack) -> None:
    async def empty() -> None:
        client = redis.asyncio.Redis.from_url(stack.redis_url)
        while True:
            await client.flushall()
            await asyncio.sleep(0.01)

    emptying = asyncio.create_task(empty())
    run = await stack.done(await stack.run())
    emptying.cancel()
    assert (run.status, run.progress.judged) == ("succeeded", 6)
    assert len(stack.models.sent_to("bot")) == 12


async def test_recorded_dialogues_go_straight_to_judging_and_people_may_rate_them(stack: Stack) -> None:
    turns = [{"user": "Question number 1?", "assistant": "Recorded."}]
    dialogues = [{"character": c, "scenario": s, "turns": turns} for c in ("c1", "c2") for s in ("s1", "s2")]
    transcript = await stack.client.import_transcript("logs", "tiny", dialogues)
    asked = {"suite": "tiny", "candidate": {"kind": "transcript", "transcript": transcript.id}}
    judged = await stack.done(await stack.client.create_run(asked))
    assert (judged.status, judged.progress.judged) == ("succeeded", 4)
    assert stack.models.sent_to("bot") == []

    unjudged = await stack.done(await stack.client.create_run({**asked, "judges": []}))
    assert (unjudged.status, (await stack.client.report(unjudged.id)).overall.mean) == ("succeeded", None)
    lines = ["run,character,scenario,metric,rater,score,mood"]
    lines += [f"{unjudged.id},{c},s1,fluency,ann,{score},calm" for c, score in (("c1", 2), ("c2", 3))]
    stored = await stack.client.import_ratings("\n".join(lines).encode(), "text/csv")
    assert stored.model_dump() == {"stored": 2, "missing": 0, "duplicates": 0, "ignored_columns": ["mood"]}
    report = await stack.client.report(unjudged.id)
    assert (report.raters, report.metrics["fluency"].mean) == ("human", 2.5)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "text/csv", "Idempotency-Key": unjudged.id}
    async with httpx2.AsyncClient(base_url=stack.url, headers=headers) as client:
        again = [await client.post("/v1/ratings", content="\n".join(lines)) for _ in range(2)]
        other = await client.post("/v1/ratings", content=lines[0])
    assert [answer.json()["duplicates"] for answer in again] == [2, 2]
    assert again[1].headers["idempotent-replayed"] == "true"
    assert other.json()["code"] == "idempotency_key_reused"


async def test_a_deleted_run_is_gone_from_sight_at_once_and_from_every_table_soon(stack: Stack) -> None:
    run = await stack.done(await stack.run(candidate={"api_key": "sk-hidden"}))
    dialogue = await anext(stack.client.dialogues(run.id))
    async with httpx2.AsyncClient(base_url=stack.url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        assert (await client.delete(f"/v1/runs/{run.id}")).status_code == 204
        for path in (f"/v1/runs/{run.id}", f"/v1/runs/{run.id}/report", f"/v1/dialogues/{dialogue.id}"):
            assert (await client.get(path)).status_code == 404
        assert (await client.delete(f"/v1/runs/{run.id}")).status_code == 404
    engine = open_engine(stack.environment["ESRP_DATABASE_URL"], "postgres")
    judged = ("judge.verdicts", "judge.diversity_verdicts", "judge.diversity_plans")
    tables = ("gateway.events", "generator.dialogues", *judged, "analytics.ratings", "analytics.reports")
    left = " + ".join(f"(SELECT count(*) FROM {table} WHERE run_id = :run)" for table in tables)
    async with asyncio.timeout(30):
        while True:
            async with engine.begin() as tx:
                found = await row(tx, f"SELECT {left} AS left", run=decode("run", run.id))
            if found is not None and found["left"] == 0:
                break
            await asyncio.sleep(0.2)
    await engine.dispose()


async def test_a_check_plays_one_dialogue_and_stores_nothing(stack: Stack) -> None:
    candidate = {"base_url": stack.models.base_url, "model": "bot", "api_key": "sk-hidden"}
    before = [run.id async for run in stack.client.runs()]
    good = await stack.client.check({"suite": "tiny", "candidate": candidate})
    stack.models.answer = only("bot", (401, {"error": {"message": "bad key"}}))
    bad = await stack.client.check({"suite": "tiny", "candidate": candidate})
    assert (good.ok, [exchange.role for exchange in good.exchanges]) == (True, ["candidate", "simulator", "candidate"])
    assert good.exchanges[0].request["messages"][-1]["content"] == "Question number 1?"
    assert bad.ok is False
    assert "does not accept" in bad.problems[0]
    assert "sk-hidden" not in good.model_dump_json() + bad.model_dump_json()
    assert [run.id async for run in stack.client.runs()] == before


def only(model: str, answer: Answer) -> Callable[[dict[str, Any]], Answer]:
    """A script in which one model always answers the same."""
    return lambda request: answer if request["model"] == model else by_model(request)
