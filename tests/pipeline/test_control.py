"""Budgets, retries, extensions and repeated requests: nothing is paid twice, and nothing that was paid is lost."""

import asyncio
import json
from typing import Any

import pytest

from esrp.api import Run
from esrp.client import ApiError
from services.kit.db import count, open_engine
from services.kit.ids import decode
from tests.builders import a_run_request
from tests.fakes import Answer, by_model
from tests.pipeline.conftest import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


def spent(run: Run) -> int:
    return run.usage.candidate.calls + run.usage.simulator.calls + run.usage.judge.calls


@pytest.mark.parametrize("most", [1, 7, 13, 25])
async def test_a_budget_of_calls_is_never_broken_and_a_larger_one_pays_only_for_the_rest(
    stack: Stack, most: int
) -> None:
    run = await stack.done(await stack.run(budget={"max_calls": most}))
    assert (run.status, spent(run)) == ("budget_exhausted", most)
    assert len(stack.models.requests) == most
    dialogues = [dialogue async for dialogue in stack.client.dialogues(run.id)]
    assert sum(len(dialogue.turns) for dialogue in dialogues) == run.usage.candidate.calls
    assert (await stack.client.report(run.id)).status == "budget_exhausted"
    await stack.client.resume(run.id, {"max_calls": 26})
    resumed = await stack.done(run)
    assert (resumed.status, spent(resumed)) == ("succeeded", 26)
    assert len(stack.models.requests) == 26


async def test_a_budget_of_tokens_is_never_broken(stack: Stack) -> None:
    # An answer costs fifteen tokens here, but before it is asked for, a judge's may cost over 3,000.
    run = await stack.done(await stack.run(budget={"max_tokens": 3000}))
    assert (run.status, run.usage.judge.calls) == ("budget_exhausted", 0)
    sides = (run.usage.candidate, run.usage.simulator, run.usage.judge)
    assert 0 < sum(side.prompt_tokens + side.completion_tokens for side in sides) <= 3000
    assert spent(run) == len(stack.models.requests)


async def test_a_budget_of_money_counts_every_role_at_its_price(stack: Stack) -> None:
    prices = {"candidate": {"prompt_per_million": 0.0, "completion_per_million": 1000.0}}
    # An answer of at most 10 tokens may cost 0.010, and costs 0.005: the eighth could break the budget.
    bot = {"params": {"max_tokens": 10}}
    run = await stack.done(await stack.run(candidate=bot, budget={"max_cost": 0.04}, prices=prices))
    assert (run.status, run.usage.candidate.calls) == ("budget_exhausted", 7)
    with pytest.raises(ApiError, match=r"0\.035 are spent already"):
        await stack.client.resume(run.id, {"max_cost": 0.035})
    with pytest.raises(ApiError, match=r"budget\.max_cost needs prices"):
        await stack.run(budget={"max_cost": 2.0})


async def test_a_used_up_budget_is_not_resumed_without_a_larger_one(stack: Stack) -> None:
    run = await stack.done(await stack.run(budget={"max_calls": 5}))
    for budget in (None, {"max_calls": 5}):
        with pytest.raises(ApiError) as error:
            await stack.client.resume(run.id, budget)
        assert error.value.status == 422
    with pytest.raises(ApiError, match="the run has no prices"):
        await stack.client.resume(run.id, {"max_cost": 1.0})
    await stack.client.resume(run.id, lift=True)
    assert (await stack.done(run)).status == "succeeded"


async def test_what_failed_is_tried_again_and_the_rest_is_not_paid_twice(stack: Stack) -> None:
    def refusing(request: dict[str, Any]) -> Answer:
        text = json.dumps(request)
        if request["model"] == "bot" and "Name 1" in text and "And then?" in text:
            return 400, {"error": {"message": "content policy"}}
        if request["model"] == "judge" and "Question number 3?" in text:
            return 400, {"error": {"message": "too long"}}
        return by_model(request)

    stack.models.answer = refusing
    run = await stack.done(await stack.run())
    assert (run.status, run.progress.failed, run.progress.generated) == ("succeeded", 3, 3)
    stack.models.answer = by_model
    before = len(stack.models.requests)
    assert (await stack.client.retry_failed(run.id)).status == "running"
    retried = await stack.done(run)
    assert (retried.status, retried.progress.failed, retried.progress.judged) == ("succeeded", 0, 6)
    # Three second answers and their verdicts, the verdict that had failed, and a batch of each character: the first
    # had none, the second's failed with the same words.
    assert len(stack.models.requests) - before == 3 + 3 + 1 + 2
    report = await stack.client.report(run.id)
    assert report.coverage.model_dump() == {"dialogues": 6, "scored": 6, "missing": {}}
    with pytest.raises(ApiError) as error:
        await stack.client.retry_failed(run.id)
    assert error.value.status == 409


async def test_an_extended_run_is_the_run_that_was_asked_for_at_once(stack: Stack) -> None:
    run = await stack.done(await stack.run(sample={"dialogues": 2, "seed": 7}))
    extended = await stack.client.extend(run.id, 4)
    assert (extended.plan.dialogues, extended.sample) == (4, {"dialogues": 4, "seed": 7})
    await stack.done(run)
    extended = await stack.client.extend(run.id, replicates=2)
    assert extended.plan.dialogues == 8
    final = await stack.done(run)
    assert (final.status, final.progress.judged) == ("succeeded", 8)
    assert len(stack.models.requests) == 8 * 4 + 2  # four replies of a character are no batch yet, eight are
    whole = await stack.done(await stack.run(sample={"dialogues": 4, "seed": 7}, replicates=2))
    assert whole.manifest.sha256 == final.manifest.sha256
    assert (await stack.client.report(whole.id)).sha256 == (await stack.client.report(run.id)).sha256
    listed = [dialogue.id async for dialogue in stack.client.dialogues(run.id)]
    assert len(set(listed)) == 8
    for wrong in ({"dialogues": 3}, {"dialogues": 4}, {"dialogues": 7}, {"replicates": 1}):
        with pytest.raises(ApiError) as error:
            await stack.client.extend(run.id, wrong.get("dialogues"), replicates=wrong.get("replicates"))
        assert error.value.status == 422


async def test_the_same_labels_and_configuration_are_the_same_run(stack: Stack) -> None:
    request = a_run_request(stack.models.base_url, labels={"commit": "c7f1"}, sample={"dialogues": 1})
    first, again = await asyncio.gather(*(stack.client.create_run(request, reattach=True) for _ in range(2)))
    assert first.id == again.id
    done = await stack.done(first)
    assert (await stack.client.create_run(request, reattach=True)).id == done.id
    assert len(stack.models.requests) == 4
    other = await stack.client.create_run({**request, "labels": {"commit": "d8a2"}}, reattach=True)
    assert other.id != first.id
    await stack.done(other)
    with pytest.raises(ApiError, match="give some"):
        await stack.client.create_run({**request, "labels": {}}, reattach=True)


async def test_a_frozen_second_question_is_the_transcripts_for_every_candidate(stack: Stack) -> None:
    dialogues = [
        {
            "character": character,
            "scenario": scenario,
            "turns": [
                {"user": f"Question number {scenario[1:]}?", "assistant": "Hm."},
                {"user": f"And what does {character} say to {scenario}?", "assistant": "Well."},
            ],
        }
        for character in ("c1", "c2")
        for scenario in ("s1", "s2", "s3")
    ]
    transcript = await stack.client.import_transcript("asked", "tiny", dialogues)
    run = await stack.run(round2={"frozen": transcript.id})
    assert run.plan.simulator_calls == 0
    final = await stack.done(run)
    assert (final.status, final.usage.simulator.calls, stack.models.sent_to("simulator")) == ("succeeded", 0, [])
    async for dialogue in stack.client.dialogues(run.id):
        assert dialogue.turns[1].user == f"And what does {dialogue.character} say to {dialogue.scenario}?"
        assert dialogue.turns[1].assistant.startswith("I hear you: And what does")
    with pytest.raises(ApiError, match="fewer than 3 user turns"):
        await stack.run(round2={"frozen": transcript.id}, rounds=3)


async def test_a_transcript_of_a_part_is_told_when_the_run_shall_be_larger_than_it(stack: Stack) -> None:
    sample = {"dialogues": 1, "seed": 7}
    first = await stack.done(await stack.run(sample=sample, judges=[]))
    (dialogue,) = [d async for d in stack.client.dialogues(first.id)]
    turns = [turn.model_dump() for turn in dialogue.turns]
    said = [{"character": dialogue.character, "scenario": dialogue.scenario, "turns": turns}]
    transcript = await stack.client.import_transcript("one", "tiny", said)
    run = await stack.done(await stack.run(sample=sample, round2={"frozen": transcript.id}))
    with pytest.raises(ApiError, match="1 of the run's dialogues have fewer than 2 user turns"):
        await stack.client.extend(run.id, 2)
    assert (await stack.client.run(run.id)).status == "succeeded"


async def test_a_pilot_of_a_frozen_run_asks_what_the_transcript_does(stack: Stack) -> None:
    first = await stack.done(await stack.run(judges=[]))
    dialogues = [d async for d in stack.client.dialogues(first.id)]
    turns = [
        {"character": d.character, "scenario": d.scenario, "turns": [turn.model_dump() for turn in d.turns]}
        for d in dialogues
    ]
    transcript = await stack.client.import_transcript("all", "tiny", turns)
    stack.models.requests.clear()
    frozen = {"frozen": transcript.id}
    plan = (await stack.client.dry_run(a_run_request(stack.models.base_url, round2=frozen), probe=True)).plan
    assert (plan.probed, plan.simulator_calls, stack.models.sent_to("simulator")) == (6, 0, [])
    asked = {request["messages"][-1]["content"] for request in stack.models.sent_to("bot")}
    assert asked == {turn.user for d in dialogues for turn in d.turns}


async def test_a_pilot_is_held_to_the_endpoints_limits(stack: Stack) -> None:
    stack.models.opened.clear()
    request = a_run_request(stack.models.base_url + "?limited", candidate={"max_concurrency": 2}, rounds=1, judges=[])
    probing = asyncio.create_task(stack.client.dry_run(request, probe=True))
    async with asyncio.timeout(30):
        while len(stack.models.requests) < 2:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert len(stack.models.requests) == 2
    stack.models.opened.set()
    assert (await probing).plan.probed == 6


async def test_a_pilot_measures_the_tokens_of_a_plan_and_stores_nothing(stack: Stack) -> None:
    before = [run.id async for run in stack.client.runs()]
    prices = {"judge": {"prompt_per_million": 1e6, "completion_per_million": 0.0}}
    request = a_run_request(stack.models.base_url, replicates=10, prices=prices)
    plan = (await stack.client.dry_run(request, probe=True)).plan
    assert (plan.dialogues, plan.probed) == (60, 6)
    # 60 dialogues of four calls and 12 batches with fifteen tokens each, none of which varies; a tenth is allowed for.
    assert plan.tokens is not None and plan.cost is not None
    assert (plan.tokens.low, plan.tokens.high) == (3402, 4158)
    assert (plan.cost.low, plan.cost.high) == (648.0, 792.0)
    assert len(stack.models.requests) == 6 * 4
    assert [run.id async for run in stack.client.runs()] == before


async def test_a_fault_that_passes_costs_no_dialogue_and_is_told_while_it_lasts(stack: Stack) -> None:
    down = True

    def answer(request: dict[str, Any]) -> Answer:
        if down and request["model"] == "bot":
            return 503, {"error": {"message": "restarting"}}
        return by_model(request)

    stack.models.answer = answer
    run = await stack.run(sample={"dialogues": 1}, rounds=1)
    async with asyncio.timeout(60):
        while not (dialogue := [d async for d in stack.client.dialogues(run.id)]) or not dialogue[0].attempts:
            await asyncio.sleep(0.2)
    assert dialogue[0].state == "waiting"
    assert dialogue[0].error is not None and "restarting" in dialogue[0].error.message
    down = False
    final = await stack.done(run)
    assert (final.status, final.progress.judged) == ("succeeded", 1)


async def test_an_answer_that_was_saved_starts_the_count_of_attempts_anew(stack: Stack) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        if request["model"] == "simulator":
            return 503, {"error": {"message": "restarting"}}
        return by_model(request)

    stack.models.answer = answer
    stack.models.opened.clear()
    run = await stack.run(sample={"dialogues": 1}, judges=[])
    while not stack.models.requests:
        await asyncio.sleep(0.05)
    await stack.client.cancel(run.id)
    stack.models.opened.set()
    await stack.done(run)
    engine = open_engine(stack.environment["ESRP_DATABASE_URL"], "postgres")
    async with engine.begin() as tx:
        sql = (
            "UPDATE generator.dialogues SET attempts = 4, turns = '[]', error = NULL, not_before = NULL"
            " WHERE run_id = :run AND state = 'waiting'"
        )
        assert await count(tx, sql, run=decode("run", run.id)) == 1
    await engine.dispose()
    await stack.client.resume(run.id)
    async with asyncio.timeout(60):
        while (dialogue := [d async for d in stack.client.dialogues(run.id)])[0].error is None:
            await asyncio.sleep(0.2)
    assert (dialogue[0].state, dialogue[0].attempts, len(dialogue[0].turns)) == ("waiting", 1, 1)
    await stack.client.cancel(run.id)
    await stack.done(run)


async def test_how_an_endpoint_was_paced_is_told_with_the_run(stack: Stack) -> None:
    run = await stack.done(await stack.run())
    # What earlier runs at the same endpoints found holds on, so that not each of them changes anew.
    assert set(run.pacing) <= {"candidate", "simulator", "judge default"}
    answer = await stack.client.run(run.id)
    for pace in answer.pacing.values():
        assert pace.limit == pace.history[-1].limit
