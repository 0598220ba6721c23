"""From a grid to a suite to a run: scenarios written by a model, chosen by a person, played and judged."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from esrp.api import ScenarioDraft, ScenarioSetDetail
from esrp.grid import EMOTIONS, LOCATIONS
from esrp.prompts.writing import writer_hashes
from tests.fakes import Answer, by_model
from tests.pipeline.conftest import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


def with_a_writer(request: dict[str, Any]) -> Answer:
    """The usual cast and a writer, who forgets its JSON in one answer of five, and under one angle altogether."""
    if request["model"] != "writer":
        return by_model(request)
    said = request["messages"][-1]["content"]
    token = hashlib.sha256(said.encode()).hexdigest()
    if "地点：车上" in said and "心情：惊讶" in said:
        return "抱歉，我不能写。"
    if int(token[:2], 16) % 5 == 0 and "第2次请求" not in said:
        return f"好的，事情是这样的：{token}"
    return json.dumps({"event": f"用户遇到了{token[:32]}。", "question": f"{token[32:]}，怎么办？"}, ensure_ascii=False)


async def done(stack: Stack, made: ScenarioSetDetail) -> ScenarioSetDetail:
    async with asyncio.timeout(90):
        return await stack.client.wait_for_scenarios(made.id)


async def test_288_scenarios_are_written_60_chosen_and_a_run_on_them_succeeds(stack: Stack) -> None:
    stack.models.answer = with_a_writer
    written = await done(stack, await stack.client.create_scenario_set({"name": "the paper's"}))
    assert written.status == "succeeded"
    # One cell of 144 cannot be written: both of its scenarios are given up after three answers of no use.
    assert written.progress.model_dump() == {
        "planned": 288,
        "written": 286,
        "failed": 2,
        "selected": 0,
        "near_duplicates": 0,
    }
    calls = stack.models.sent_to("writer")
    assert len(calls) == written.usage.calls > 288 + 2 * 2
    assert len({call["messages"][0]["content"] for call in calls}) == len(calls)

    drafts = [draft async for draft in stack.client.scenarios(written.id)]
    assert len(drafts) == 288
    assert {draft.raw for draft in drafts if draft.state == "failed"} == {"抱歉，我不能写。"}
    chosen = balanced(drafts)
    suite = await stack.client.select_scenarios(written.id, "sixty", [draft.id for draft in chosen], two_characters())
    assert suite.counts == {"characters": 2, "scenarios": 60, "dialogues": 120}

    provenance = (await stack.client.provenance("sixty")).provenance
    assert provenance is not None
    assert [(writer["model"], writer["prompts"]) for writer in provenance["writers"]] == [
        ("writer", writer_hashes("zh"))
    ]
    assert sorted(provenance["scenarios"].values()) == sorted(draft.id for draft in chosen)
    seen = await stack.client.scenario_set(written.id)
    assert {label: tally.selected for label, tally in seen.coverage.personas.items()} == dict.fromkeys(LOCATIONS, 15)
    assert {tally.selected for tally in seen.coverage.emotions.values()} == {6, 7}

    run = await stack.done(await stack.run(suite="sixty", sample={"dialogues": 8}))
    assert (run.status, run.progress.judged) == ("succeeded", 8)
    asked = {call["messages"][-1]["content"] for call in stack.models.sent_to("bot") if len(call["messages"]) == 2}
    assert asked <= {draft.question for draft in chosen}


async def test_a_generator_killed_in_the_middle_loses_nothing_but_the_calls_in_flight(stack: Stack) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        if len(stack.models.sent_to("writer")) >= 100:
            stack.models.opened.clear()
        return with_a_writer(request)

    stack.models.answer = answer
    made = await stack.client.create_scenario_set({"name": "cut", "locations": ["教室", "食堂"], "emotions": EMOTIONS})
    assert made.progress.planned == 144
    while stack.models.opened.is_set() or await saved_calls(stack, made) < 100 - 64:
        await asyncio.sleep(0.02)
    await asyncio.sleep(1)  # what was answered is saved by now, what waits at the gate is in flight
    before = await saved_calls(stack, made)
    await stack.kill("generator")
    sent = len(stack.models.sent_to("writer"))
    stack.models.answer = with_a_writer
    stack.models.opened.set()
    await stack.start("generator")
    written = await done(stack, made)
    assert (written.status, written.progress.written, written.progress.failed) == ("succeeded", 144, 0)
    # Every answer is counted once, and only the calls in flight at the kill were made twice.
    assert sent - before <= 64
    assert len(stack.models.sent_to("writer")) - written.usage.calls == sent - before


async def saved_calls(stack: Stack, made: ScenarioSetDetail) -> int:
    return (await stack.client.scenario_set(made.id)).usage.calls


def balanced(drafts: list[ScenarioDraft]) -> list[ScenarioDraft]:
    """60 of them: 15 of each persona, 6 or 7 of each emotion, at one place after the other."""
    left = {(d.persona, d.emotion, d.location): d for d in drafts if d.state == "written" and d.number == 1}
    chosen = []
    for place in range(60):
        persona, emotion, first = list(LOCATIONS)[place % 4], EMOTIONS[place % 9], place // 4
        places = [LOCATIONS[persona][(first + step) % 4] for step in range(4)]
        location = next(one for one in places if (persona, emotion, one) in left)
        chosen.append(left.pop((persona, emotion, location)))
    return chosen


def two_characters() -> list[dict[str, Any]]:
    return [{"id": f"c{n}", "name": f"角色{n}", "profile": "一位温柔的朋友。"} for n in (1, 2)]
