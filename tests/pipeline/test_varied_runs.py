"""Runs that differ from the usual one: longer, in other suites, with another kind of bot, repeated, shared out."""

from collections import defaultdict
from typing import Any

import pytest

from esrp.suite import bundled, parse_yaml
from tests.examples.running import FOLDER, adapted
from tests.pipeline.conftest import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

Requests = list[dict[str, Any]]
TWO_CHARACTERS = (FOLDER / "suites" / "two-characters.yaml").read_text("utf-8")


async def test_ten_rounds_take_ten_answers_and_nine_more_questions_a_dialogue_in_order(stack: Stack) -> None:
    run = await stack.done(await stack.run(rounds=10, sample={"dialogues": 2}))
    assert (run.status, run.plan.candidate_calls, run.plan.simulator_calls) == ("succeeded", 20, 18)
    assert (run.usage.candidate.calls, run.usage.simulator.calls, run.usage.judge.calls) == (20, 18, 2 + 2)
    asked, simulated = by_user(stack.models.sent_to("bot")), by_user(stack.models.sent_to("simulator"))
    assert [len(requests) for requests in asked.values()] == [10, 10]
    assert {user: len(requests) for user, requests in simulated.items()} == dict.fromkeys(asked, 9)
    dialogues = [dialogue async for dialogue in stack.client.dialogues(run.id)]
    played = [[(turn.user, turn.assistant) for turn in dialogue.turns] for dialogue in dialogues]
    for requests in asked.values():
        turns = next(turns for turns in played if turns[0][0] == requests[0]["messages"][-1]["content"])
        assert len(turns) == 10
        for place, request in enumerate(requests):
            before = [said for turn in turns[:place] for said in turn]
            assert [message["content"] for message in request["messages"][1:]] == [*before, turns[place][0]]


async def test_the_english_suite_is_played_and_judged_in_english(stack: Stack) -> None:
    run = await stack.done(await stack.run(suite="esrp-en", sample={"dialogues": 3, "seed": 1}))
    assert (run.status, run.progress.judged) == ("succeeded", 3)
    profiles = {character.profile for character in bundled("esrp-en").characters}
    systems = {request["messages"][0]["content"] for request in stack.models.sent_to("bot")}
    assert all(any(profile in system for profile in profiles) for system in systems)
    assert len(stack.models.sent_to("judge")) == 3
    assert not any("\u4e00" <= letter <= "\u9fff" for letter in str(stack.models.requests))


async def test_an_own_suite_is_uploaded_and_every_character_meets_every_scenario(stack: Stack) -> None:
    uploaded = await stack.client.upload_suite(TWO_CHARACTERS)
    suite = parse_yaml(TWO_CHARACTERS)
    run = await stack.done(await stack.run(suite=uploaded.name))
    dialogues = [dialogue async for dialogue in stack.client.dialogues(run.id)]
    assert (run.status, uploaded.warnings, uploaded.sha256) == ("succeeded", [], suite.sha256)
    assert {(d.character, d.scenario, d.turns[0].user) for d in dialogues} == {
        (c.id, s.id, s.question) for c in suite.characters for s in suite.scenarios
    }
    report = await stack.client.report(run.id)
    assert report.coverage.model_dump() == {"dialogues": 12, "scored": 12, "missing": {}}


async def test_a_bot_with_a_memory_of_its_own_remembers_a_dialogue_and_no_other(stack: Stack) -> None:
    await stack.client.upload_suite(TWO_CHARACTERS)
    async with adapted() as bot:
        models = {"wren": "wren", "bastian": "bastian"}
        candidate = {"base_url": bot.base_url, "model": "wren", "prompt": "none", "models": models}
        asked = {"suite": "two-characters", "sample": {"dialogues": 4}, "candidate": candidate}
        runs = [await stack.done(await stack.client.create_run(asked)) for _ in range(2)]
        heard = await bot.heard()
    assert [(run.status, run.usage.candidate.calls) for run in runs] == [("succeeded", 8)] * 2
    played = [dialogue for run in runs for dialogue in [d async for d in stack.client.dialogues(run.id)]]
    assert sorted(heard) == sorted((d.character, [turn.user for turn in d.turns]) for d in played)
    assert {character for character, _ in heard} == {"wren", "bastian"}
    for dialogue in played:
        first, second = dialogue.turns
        assert (first.user in second.assistant, first.user in first.assistant) == (True, False)


async def test_each_replicate_is_a_dialogue_with_a_user_value_of_its_own(stack: Stack) -> None:
    run = await stack.done(await stack.run(replicates=3, sample={"dialogues": 2}))
    dialogues = [dialogue async for dialogue in stack.client.dialogues(run.id)]
    users = by_user(stack.models.sent_to("bot"))
    assert (run.status, run.plan.dialogues, run.progress.judged) == ("succeeded", 6, 6)
    assert sorted(dialogue.replicate for dialogue in dialogues) == [1, 1, 2, 2, 3, 3]
    assert [len(requests) for requests in users.values()] == [2] * 6
    first_asked = [requests[0]["messages"] for requests in users.values()]
    assert all(first_asked.count(messages) == 3 for messages in first_asked)  # but for `user` they are the same


async def test_a_character_may_have_a_model_of_its_own(stack: Stack) -> None:
    run = await stack.done(await stack.run(candidate={"models": {"c2": "bot-for-two"}}))
    assert run.status == "succeeded"
    for model, mine, other in (("bot", "number 1.", "number 2."), ("bot-for-two", "number 2.", "number 1.")):
        systems = [request["messages"][0]["content"] for request in stack.models.sent_to(model)]
        assert len(systems) == 6
        assert all(f"Profile of {mine}" in system and f"Profile of {other}" not in system for system in systems)


def by_user(requests: Requests) -> dict[str, Requests]:
    """The requests of each dialogue, in the order in which they came."""
    found: dict[str, Requests] = defaultdict(list)
    for request in requests:
        found[request["user"]].append(request)
    return dict(found)
