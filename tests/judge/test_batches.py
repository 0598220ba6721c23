"""Judging the diversity of batches in slices, on a real database, by a judge behind a scripted server."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import RowMapping

from esrp.prompts.diversity import diversity_hashes
from services.jobs import AdvanceRun, DiversitySlice, JudgeSlice, StoreRatings
from services.judge import diversity_store
from services.judge.panel import PanelRater, panel_rater
from services.judge.worker import diversity_slice, judge_slice, look_around
from services.kit.chat import ChatClient
from services.kit.settings import JudgeSettings
from services.work.seats import OPERATOR, AllSeats, Caps
from tests.fakes import Answer, Models, serve_models
from tests.judge.conftest import Convene, Court, ScriptedRater

MANIFEST = {"judges": [{"kind": "chat"}], "diversity": {"prompts": list(diversity_hashes("en").values())}}


@pytest.fixture
async def models() -> AsyncIterator[Models]:
    """A judge's endpoint that gives every batch a 3."""
    async with serve_models(Models(answer=lambda _: json.dumps({"score": 3, "explanation": "half alike"}))) as served:
        yield served


@pytest.fixture
async def judge(models: Models) -> AsyncIterator[PanelRater]:
    client = ChatClient()
    yield panel_rater(JudgeSettings(base_url=models.base_url, model="m", max_concurrency=4), client)
    await client.close()


async def planned(court: Court, dialogues: int, manifest: Mapping[str, Any] = MANIFEST, revision: int = 1) -> None:
    """The run shall have so many dialogues in all."""
    await court.do(
        "UPDATE gateway.runs SET plan = jsonb_build_object('dialogues', CAST(:n AS integer)),"
        " manifest = CAST(:manifest AS jsonb), revision = :revision",
        n=dialogues,
        manifest=json.dumps(manifest),
        revision=revision,
    )


async def verdicts(court: Court) -> list[RowMapping]:
    return await court.all("SELECT * FROM judge.diversity_verdicts ORDER BY character, batch, state")


async def states(court: Court) -> dict[str, int]:
    found = await court.all("SELECT state, count(*) AS n FROM judge.diversity_verdicts GROUP BY state")
    return {row["state"]: row["n"] for row in found}


async def leased(court: Court, seconds: int) -> None:
    """Somebody else holds all batches of the run for that long."""
    async with court.resources.engine.begin() as tx:
        await diversity_store.expect(tx, court.run_id)
    slice_id = uuid4()
    await court.do(
        "INSERT INTO judge.slices VALUES (:id, :id, :run, now() + make_interval(secs => :seconds))",
        id=slice_id,
        run=court.run_id,
        seconds=seconds,
    )
    await court.do("UPDATE judge.diversity_verdicts SET state = 'rating', slice_id = :id", id=slice_id)


async def test_batches_are_made_and_rated_once_the_whole_run_is_played(
    convene: Convene, judge: PanelRater, models: Models
) -> None:
    court = await convene({"default": judge})
    await planned(court, 41)
    await court.play(35)
    await diversity_slice(court.resources, court.run_id)
    assert (await verdicts(court), models.requests) == ([], [])
    await court.play(5)
    await court.play(1, "failed")
    await diversity_slice(court.resources, court.run_id)
    found = await verdicts(court)
    assert [(v["character"], v["batch"], len(v["replies"])) for v in found] == [
        ("c1", 1, 10),
        ("c1", 2, 10),
        ("c1", 3, 10),
        ("c2", 1, 10),
    ]
    first = found[0]
    assert (first["state"], first["score"], first["explanation"], first["error"]) == ("done", 3, "half alike", None)
    assert (first["calls"], first["prompt_tokens"], first["completion_tokens"]) == (1, 10, 5)
    assert first["raw"] == '{"score": 3, "explanation": "half alike"}'
    assert len(models.requests) == 4
    assert StoreRatings(court.run_id) in court.queue.jobs
    assert court.queue.jobs[-1] == AdvanceRun(court.run_id)


async def test_a_batch_whose_replies_are_known_does_not_wait_for_the_rest_of_the_run(
    convene: Convene, judge: PanelRater, models: Models
) -> None:
    court = await convene({"default": judge})
    await planned(court, 30)
    await court.do("UPDATE gateway.runs SET rounds = 1")
    await court.play(14)
    await court.play(16, "waiting")
    await diversity_slice(court.resources, court.run_id)
    assert [(v["batch"], v["score"]) for v in await verdicts(court)] == [(1, 3)]
    await court.do("UPDATE generator.dialogues SET state = 'done' WHERE position <> 12")
    await court.do("UPDATE generator.dialogues SET state = 'playing' WHERE position = 12")
    await diversity_slice(court.resources, court.run_id)
    assert [v["batch"] for v in await verdicts(court)] == [1, 3], "the second waits for its third reply"
    await court.do("UPDATE generator.dialogues SET state = 'done'")
    await diversity_slice(court.resources, court.run_id)
    assert await states(court) == {"done": 3}
    assert len(models.requests) == 3


async def test_a_reply_that_never_comes_moves_later_batches_up(convene: Convene, judge: PanelRater) -> None:
    court = await convene({"default": judge})
    await planned(court, 30)
    await court.do("UPDATE gateway.runs SET rounds = 1")
    await court.play(30)
    await court.do(
        "UPDATE generator.dialogues SET turns = jsonb_build_array("
        " jsonb_build_object('user', '?', 'assistant', scenario))"
    )
    await court.do("UPDATE generator.dialogues SET state = 'playing' WHERE position = 0")
    await diversity_slice(court.resources, court.run_id)
    assert [v["batch"] for v in await verdicts(court)] == [2, 3]
    await court.do("UPDATE generator.dialogues SET state = 'failed', finished_at = now() WHERE position = 0")
    await diversity_slice(court.resources, court.run_id)
    assert await states(court) == {"done": 3, "outdated": 2}
    kept = [v["replies"] for v in await verdicts(court) if v["state"] == "done"]
    assert [reply for replies in kept for reply in replies] == [f"s{n}" for n in range(2, 31)]


async def test_dialogues_that_end_ring_for_their_batches(convene: Convene, judge: PanelRater) -> None:
    court = await convene({"default": judge})
    await planned(court, 30)
    await court.play(14)
    await court.play(16, "waiting")
    await judge_slice(court.resources, court.run_id)
    assert DiversitySlice(court.run_id) in court.queue.jobs


async def test_a_batch_holds_the_replies_in_the_order_of_the_suite(convene: Convene, judge: PanelRater) -> None:
    court = await convene({"default": judge})
    await planned(court, 12)
    await court.play(12)
    await court.do(
        "UPDATE generator.dialogues SET turns = jsonb_build_array("
        " jsonb_build_object('user', '?', 'assistant', scenario || ', first'),"
        " jsonb_build_object('user', '?', 'assistant', scenario || ', second'))"
    )
    await diversity_slice(court.resources, court.run_id)
    first, second = await verdicts(court)
    said = [f"s{n}, {which}" for n in range(1, 13) for which in ("first", "second")]
    assert first["replies"] + second["replies"] == said[:20]


async def test_rating_batches_twice_changes_nothing(convene: Convene, judge: PanelRater, models: Models) -> None:
    court = await convene({"default": judge})
    await planned(court, 20)
    await court.play(20)
    await diversity_slice(court.resources, court.run_id)
    before = await verdicts(court)
    await diversity_slice(court.resources, court.run_id)
    assert await verdicts(court) == before
    assert len(models.requests) == 2


async def test_two_answers_without_a_score_are_kept_and_no_score(
    convene: Convene, judge: PanelRater, models: Models
) -> None:
    models.answer = lambda _: "Quite varied!"
    court = await convene({"default": judge})
    await planned(court, 10)
    await court.play(10)
    await diversity_slice(court.resources, court.run_id)
    (found,) = await verdicts(court)
    assert (found["state"], found["score"], found["raw"], found["calls"]) == ("done", None, "Quite varied!", 2)


async def test_a_fault_that_passes_is_tried_again_later_and_one_that_stays_when_somebody_asks(
    convene: Convene, judge: PanelRater, models: Models
) -> None:
    refused: Answer = (400, {"error": {"message": "too long"}})
    models.answer = lambda _: refused
    court = await convene({"default": judge})
    await planned(court, 10)
    await court.play(10)
    await diversity_slice(court.resources, court.run_id)
    (found,) = await verdicts(court)
    assert (found["state"], found["error"]["code"]) == ("failed", "bad_request")
    models.answer = lambda _: '{"score": 2}'
    await court.do("UPDATE gateway.runs SET revision = 2, retry_at = clock_timestamp()")
    await diversity_slice(court.resources, court.run_id)
    (found,) = await verdicts(court)
    assert (found["state"], found["score"], found["error"]) == ("done", 2, None)


async def test_of_an_enlarged_run_only_batches_with_other_replies_are_rated_anew(
    convene: Convene, judge: PanelRater, models: Models
) -> None:
    court = await convene({"default": judge})
    await planned(court, 16)
    await court.play(16)
    await diversity_slice(court.resources, court.run_id)
    assert [len(v["replies"]) for v in await verdicts(court)] == [10, 6]
    await planned(court, 20, revision=2)
    await court.play(4)
    await diversity_slice(court.resources, court.run_id)
    found = [(v["batch"], v["state"], len(v["replies"]), v["calls"]) for v in await verdicts(court)]
    assert found == [(1, "done", 10, 1), (2, "done", 10, 1), (2, "outdated", 6, 1)]
    assert len(models.requests) == 3


async def test_a_batch_that_is_outdated_while_it_is_rated_is_paid_for_and_counts_no_more(
    convene: Convene, judge: PanelRater, models: Models
) -> None:
    court = await convene({"default": judge})
    await planned(court, 10)
    await court.play(10)
    models.opened.clear()
    sitting = asyncio.create_task(diversity_slice(court.resources, court.run_id))
    async with asyncio.timeout(20):
        while not models.requests:
            await asyncio.sleep(0.01)
    await planned(court, 10, revision=2)
    await court.do('UPDATE generator.dialogues SET turns = \'[{"user": "?", "assistant": "Other."}]\'')
    await diversity_slice(court.resources, court.run_id)  # returns at once: somebody sits, and looks again
    async with asyncio.timeout(20):
        while len(models.requests) < 2:
            await asyncio.sleep(0.01)
    models.opened.set()
    await sitting
    found = [(v["state"], v["score"], v["calls"], v["replies"][0]) for v in await verdicts(court)]
    assert sorted(found) == [("done", 3, 1, "Other."), ("outdated", 3, 1, "Reply.")]


async def test_batches_of_a_dead_worker_are_rated_by_another_and_those_of_a_living_one_left_to_it(
    convene: Convene, judge: PanelRater, models: Models
) -> None:
    court = await convene({"default": judge})
    await planned(court, 20)
    await court.play(20)
    await leased(court, 60)
    await diversity_slice(court.resources, court.run_id)
    assert (await states(court), models.requests) == ({"rating": 2}, [])
    await court.do("UPDATE judge.slices SET expires_at = now()")
    await diversity_slice(court.resources, court.run_id)
    assert await states(court) == {"done": 2}


async def test_dialogues_and_batches_together_are_never_more_than_a_judge_takes(
    convene: Convene, judge: PanelRater, models: Models
) -> None:
    court = await convene({})
    seats = AllSeats(court.resources.engine, "judge")
    judge = replace(judge, seats=seats.at(OPERATOR, "judge default", Caps(4)))
    court = await convene({"default": judge}, judges=["default"])
    await court.do("UPDATE gateway.runs SET judges = '{default}'")
    await planned(court, 60)
    await court.play(60)
    models.opened.clear()
    slices = asyncio.gather(judge_slice(court.resources, court.run_id), diversity_slice(court.resources, court.run_id))
    async with asyncio.timeout(20):
        while len(models.requests) < 4:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    assert len(models.requests) == 4
    models.opened.set()
    await slices
    assert (await states(court), await court.states()) == ({"done": 6}, {"done": 60})
    await seats.close()


async def test_a_cancelled_run_gets_no_more_batches_rated(convene: Convene, judge: PanelRater, models: Models) -> None:
    court = await convene({"default": judge})
    await planned(court, 60)
    await court.play(60)
    models.opened.clear()
    sitting = asyncio.create_task(diversity_slice(court.resources, court.run_id))
    async with asyncio.timeout(20):
        while len(models.requests) < 4:
            await asyncio.sleep(0.01)
    await court.do("UPDATE gateway.runs SET status = 'cancelling'")
    models.opened.set()
    await sitting
    assert await states(court) == {"done": 4, "waiting": 2}
    await diversity_slice(court.resources, court.run_id)
    assert len(models.requests) == 4


async def test_a_judge_that_was_not_taught_to_rates_no_batches_and_the_run_goes_on(convene: Convene) -> None:
    court = await convene({"lora": ScriptedRater()})
    await planned(court, 20, {"judges": [{"kind": "lora"}], "diversity": None})
    await court.play(20)
    await diversity_slice(court.resources, court.run_id)
    assert await verdicts(court) == []
    assert await court.all("SELECT revision FROM judge.diversity_plans") == [{"revision": 1}]


async def test_batches_that_nobody_was_rung_for_are_found_and_only_as_long_as_there_are_some(
    convene: Convene, judge: PanelRater
) -> None:
    court = await convene({"default": judge})
    await planned(court, 10)
    await court.play(9)
    assert list(await look_around(court.resources)) == [JudgeSlice(court.run_id)]
    await court.play(1)
    assert list(await look_around(court.resources)) == [JudgeSlice(court.run_id), DiversitySlice(court.run_id)]
    await leased(court, -1)
    await judge_slice(court.resources, court.run_id)
    assert list(await look_around(court.resources)) == [DiversitySlice(court.run_id)]
    assert await states(court) == {"waiting": 1}
    await diversity_slice(court.resources, court.run_id)
    assert list(await look_around(court.resources)) == []
