"""Panels through all four services: several judges, what they give and what they do not, and other judges later."""

import json
import random
from collections import Counter
from typing import Any

import httpx2
import orjson
import pytest

from esrp.api import DialogueOut, Run
from esrp.client import ApiError
from esrp.metrics import METRIC_IDS
from tests.builders import a_run_request, a_suite
from tests.fakes import Answer, by_model, is_batch, rated, verdict
from tests.pipeline.conftest import KEY, Configured, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

PANEL = {"qwen": "qwen-judge", "glm": "glm-judge", "doubao": "doubao-judge"}
SCORES = {"qwen-judge": 3, "glm-judge": 4, "doubao-judge": 5}


@pytest.fixture(scope="module")
def configured() -> Configured:
    """Three judges of different families; one of them knows structured output."""

    def settings(base_url: str) -> dict[str, str]:
        judges = [
            {"name": name, "base_url": base_url, "model": model, "structured": name == "glm"}
            for name, model in PANEL.items()
        ]
        return {"ESRP_JUDGES": orjson.dumps(judges).decode()}

    return settings


def panel(request: dict[str, Any]) -> Answer:
    """Each judge always gives its own score; everybody else is as usual."""
    score = SCORES.get(request["model"])
    return by_model(request) if score is None else rated(request, score)


async def played(stack: Stack, **fields: Any) -> Run:
    return await stack.done(await stack.run(**{"judges": list(PANEL), **fields}))


async def listed(stack: Stack, run: Run) -> list[DialogueOut]:
    return [dialogue async for dialogue in stack.client.dialogues(run.id)]


# --- several judges ---------------------------------------------------------------------------------------------------


async def test_scores_are_averaged_over_the_judges_and_each_ones_stay(stack: Stack) -> None:
    stack.models.answer = panel
    run = await played(stack)
    assert (run.plan.judge_calls, run.usage.judge.calls) == (24, 24)  # six dialogues and a batch of each character
    report = await stack.client.report(run.id)
    assert {name: metric.mean for name, metric in report.metrics.items()} == dict.fromkeys(METRIC_IDS, 4.0)
    assert report.overall.ratings == 3 * 54
    for dialogue in await listed(stack, run):
        given = Counter((rating.rater, rating.score) for rating in dialogue.ratings)
        assert given == {("qwen", 3): 9, ("glm", 4): 9, ("doubao", 5): 9}


async def test_only_the_endpoint_that_knows_structured_output_is_told_the_form(stack: Stack) -> None:
    stack.models.answer = panel
    await played(stack)
    told = {
        request["model"]: request["response_format"]["type"]
        for request in stack.models.requests
        if "response_format" in request
    }
    assert told == {"glm-judge": "json_schema"}


async def test_the_judges_rate_ten_replies_of_a_character_at_a_time(stack: Stack) -> None:
    stack.models.answer = panel
    run = await played(stack, judges=["glm"], replicates=4)
    about = [r["messages"][1]["content"] for r in stack.models.sent_to("glm-judge") if "reply 10" in json.dumps(r)]
    # 24 replies a character: two batches, and a rest under five that is left out.
    assert len(about) == 4
    assert (run.plan.judge_calls, run.usage.judge.calls) == (24 + 4, 24 + 4)
    assert sum("Name 1" in text for text in about) == 2
    made = [batch async for batch in stack.client.batches(run.id)]
    assert [(b.character, b.batch, len(b.replies)) for b in made] == [
        ("c1", 1, 10),
        ("c1", 2, 10),
        ("c2", 1, 10),
        ("c2", 2, 10),
    ]
    raw = json.dumps({"score": 4, "explanation": "it is a 4"})
    assert {(v.judge, v.state, v.score, v.raw) for b in made for v in b.verdicts} == {("glm", "done", 4, raw)}
    report = await stack.client.report(run.id)
    assert report.diversity is not None
    assert (report.diversity.kind, report.diversity.mean, report.diversity.n) == ("judge", 4.0, 4)


async def test_a_verdict_on_metrics_is_none_on_a_batch_and_can_be_read(stack: Stack) -> None:
    stack.models.answer = lambda request: panel(request) if request["model"] == "bot" else verdict(4)
    run = await played(stack, judges=["glm"], rounds=1, replicates=4)
    assert run.usage.judge.calls == run.plan.judge_calls + 2, "each batch is asked about twice"
    made = [batch async for batch in stack.client.batches(run.id)]
    assert [(v.state, v.score, v.raw) for b in made for v in b.verdicts] == [("done", None, verdict(4))] * 2
    report = await stack.client.report(run.id)
    assert report.diversity is not None and report.diversity.kind == "automatic"


async def test_what_failed_on_batches_is_tried_again_and_nothing_else_is_paid_again(stack: Stack) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        return (400, {"error": {"message": "too long"}}) if is_batch(request) else panel(request)

    stack.models.answer = answer
    run = await played(stack, judges=["glm"])
    assert (run.status, run.progress.judged, run.usage.judge.calls) == ("succeeded", 6, 6)
    assert any("on diversity" in warning and "too long" in warning for warning in run.warnings)
    stack.models.answer = panel
    before = len(stack.models.requests)
    await stack.client.retry_failed(run.id)
    again = await stack.done(run)
    assert (again.status, again.usage.judge.calls, len(stack.models.requests) - before) == ("succeeded", 8, 2)


async def test_a_relative_of_the_candidate_is_a_warning(stack: Stack) -> None:
    stack.models.answer = panel
    run = await stack.run(judges=["qwen", "glm"], sample={"dialogues": 1}, candidate={"model": "qwen3-8b"})
    assert run.warnings == [
        "The judge qwen (qwen-judge) is of the candidate's family (qwen): judges tend to prefer their own kind."
    ]
    await stack.done(run)
    asked = a_run_request(stack.models.base_url, judges=["glm"], candidate={"model": "qwen3-8b"})
    assert (await stack.client.dry_run(asked)).warnings == []


# --- broken answers ---------------------------------------------------------------------------------------------------

FAULTS = {"broken": 0.02, "empty": 0.01, "out of range": 0.01}


def fault(asked: str, time: int) -> str | None:
    """What goes wrong when this is asked for the first or second time; the second time only with every other."""
    own = random.Random(asked)
    drawn, stubborn = own.random(), own.random() < 0.5
    for name, share in FAULTS.items():
        if drawn < share:
            return name if time == 1 or stubborn else None
        drawn -= share
    return None


def scores_of(asked: str) -> dict[str, int]:
    """What the judge thinks, whatever becomes of its answer."""
    own = random.Random(f"scores {asked}")
    return {metric: own.randint(1, 5) for metric in METRIC_IDS}


class Unreliable:
    """A judge whose scores follow from the dialogue alone, and whose answers are broken now and then."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    def __call__(self, request: dict[str, Any]) -> Answer:
        if request["model"] not in SCORES or is_batch(request):
            return panel(request)
        asked = request["messages"][1]["content"]
        self.times[asked] += 1
        found, scores = fault(asked, self.times[asked]), scores_of(asked)
        if found == "out of range":
            scores["fluency"] = 6
        text = json.dumps({metric: {"score": score, "explanation": "so"} for metric, score in scores.items()})
        return {"broken": f"Sure: {text[:150]}", "empty": ""}.get(found or "", text)


async def test_broken_answers_give_no_score_and_can_be_read(stack: Stack) -> None:
    stack.models.answer = unreliable = Unreliable()
    await stack.client.upload_suite(a_suite(characters=10, scenarios=40, name="wide").model_dump(mode="json"))
    run = await stack.done(await stack.run(suite="wide", judges=["glm"], rounds=1))
    assert (run.status, run.progress.judged) == ("succeeded", 400)
    last = {asked: fault(asked, times) for asked, times in unreliable.times.items()}
    first = {asked: fault(asked, 1) for asked in last}
    assert {name for name in first.values() if name} == {name for name in last.values() if name} == set(FAULTS)
    assert {times for asked, times in unreliable.times.items() if first[asked]} == {2}
    assert {times for asked, times in unreliable.times.items() if not first[asked]} == {1}
    assert run.usage.judge.calls == len(stack.models.sent_to("glm-judge"))

    dialogues = {
        next(
            asked for asked in last if f"Name {found.character[1:]}\n" in asked and found.turns[0].user in asked
        ): found
        for found in await listed(stack, run)
    }
    assert dialogues.keys() == last.keys()
    for asked, dialogue in dialogues.items():
        expected = {} if last[asked] in ("broken", "empty") else scores_of(asked)
        if last[asked] == "out of range":
            del expected["fluency"]
        assert {rating.metric: rating.score for rating in dialogue.ratings} == expected
        (given,) = dialogue.verdicts
        assert given.state == "done" and given.raw is not None
        told = {"broken": "Sure: {", "empty": "", "out of range": '"score": 6'}.get(last[asked] or "")
        assert told is None or told in given.raw
        assert (given.raw == "") == (last[asked] == "empty")

    counted = Counter(last.values())
    silent = counted["broken"] + counted["empty"]
    report = await stack.client.report(run.id)
    assert report.coverage.model_dump() == {
        "dialogues": 400,
        "scored": 400 - silent,
        "missing": {"no_valid_score": silent},
    }
    assert report.metrics["coherence"].n == 400 - silent
    assert report.metrics["fluency"].n == 400 - silent - counted["out of range"]


# --- other judges later -----------------------------------------------------------------------------------------------


async def test_other_judges_rate_the_stored_dialogues_and_the_candidate_is_not_asked(stack: Stack) -> None:
    stack.models.answer = panel
    source = await played(stack, judges=["qwen"], name="rc1", candidate={"model": "qwen3-8b"})
    stack.models.requests.clear()
    started = await stack.client.rejudge(source.id, ["glm", "doubao"])
    assert (started.plan.candidate_calls, started.plan.simulator_calls, started.plan.judge_calls) == (0, 0, 16)
    assert (started.source, started.name) == (source.id, "rc1")
    assert source.id in started.warnings[0]
    run = await stack.done(started)
    assert (run.status, run.progress.judged, run.usage.judge.calls) == ("succeeded", 6, 16)
    assert {request["model"] for request in stack.models.requests} == {"glm-judge", "doubao-judge"}
    report = await stack.client.report(run.id)
    assert (report.candidate, report.overall.mean, report.overall.ratings) == ("qwen3-8b", 4.5, 108)
    before = [dialogue.turns for dialogue in await listed(stack, source)]
    assert [dialogue.turns for dialogue in await listed(stack, run)] == before
    assert (await stack.client.report(source.id)).overall.mean == 3.0


async def test_the_same_judges_again_are_the_same_manifest_and_a_relative_is_still_one(stack: Stack) -> None:
    stack.models.answer = panel
    source = await played(stack, judges=["glm"], candidate={"model": "glm-4"}, sample={"dialogues": 2})
    again = await stack.done(await stack.client.rejudge(source.id, ["glm"]))
    assert again.manifest.sha256 == source.manifest.sha256
    for told in (again.warnings, (await stack.client.report(again.id)).limits):
        assert any("of the candidate's family (glm)" in sentence for sentence in told)
        assert not any("recorded elsewhere" in sentence for sentence in told)
    twice = await stack.done(await stack.client.rejudge(again.id, ["qwen"]))
    assert (twice.status, twice.progress.judged, twice.source) == ("succeeded", 2, again.id)


async def test_a_transcripts_run_and_one_with_failures_are_judged_again_as_far_as_they_go(stack: Stack) -> None:
    turns = [{"user": "Question number 1?", "assistant": "Recorded."}]
    logs = [{"character": c, "turns": turns} for c in ("c1", "c1", "c2")]
    transcript = await stack.client.import_transcript("logs", "tiny", logs)
    asked = {"suite": "tiny", "candidate": {"kind": "transcript", "transcript": transcript.id}, "judges": ["qwen"]}
    stack.models.answer = panel
    source = await stack.done(await stack.client.create_run(asked))
    again = await stack.done(await stack.client.rejudge(source.id, ["glm"]))
    assert (again.progress.judged, (await stack.client.report(again.id)).overall.mean) == (3, 4.0)

    def refusing(request: dict[str, Any]) -> Answer:
        hopeless = request["model"] == "bot" and "Question number 2?" in json.dumps(request)
        return (400, {"error": {"message": "content policy"}}) if hopeless else panel(request)

    stack.models.answer = refusing
    source = await played(stack, judges=["qwen"])
    again = await stack.done(await stack.client.rejudge(source.id, ["glm"], labels={"panel": "b"}))
    assert (again.plan.dialogues, again.progress.judged, again.labels) == (4, 4, {"panel": "b"})
    assert any("2 of that run's 6 dialogues" in warning for warning in again.warnings)


async def test_who_cannot_be_judged_again_is_told_why(stack: Stack) -> None:
    stack.models.answer = panel
    source = await played(stack, judges=[], sample={"dialogues": 1})
    with pytest.raises(ApiError, match="No judge named 'lora'"):
        await stack.client.rejudge(source.id, ["glm", "lora"])
    with pytest.raises(ApiError) as error:
        await stack.client.rejudge(source.id, [])
    assert error.value.status == 422
    stack.models.opened.clear()
    running = await stack.run(judges=[], sample={"dialogues": 1})
    with pytest.raises(ApiError, match="final"):
        await stack.client.rejudge(running.id, ["glm"])
    stack.models.opened.set()
    await stack.done(running)


async def test_a_run_that_was_judged_again_is_deleted_after_its_copies(stack: Stack) -> None:
    stack.models.answer = panel
    source = await played(stack, judges=["qwen"], sample={"dialogues": 1})
    again = await stack.done(await stack.client.rejudge(source.id, ["glm"]))
    async with httpx2.AsyncClient(base_url=stack.url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        refused = await client.delete(f"/v1/runs/{source.id}")
        assert refused.status_code == 409 and again.id in refused.json()["detail"]
        for run in (again, source):
            assert (await client.delete(f"/v1/runs/{run.id}")).status_code == 204
    left = [run.id async for run in stack.client.runs()]
    assert source.id not in left and again.id not in left
