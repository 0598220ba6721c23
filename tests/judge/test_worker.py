"""Judging in slices, on a real database."""

import asyncio
from uuid import uuid4

import pytest

from esrp.metrics import METRIC_IDS
from services.jobs import AdvanceRun, JudgeSlice, StoreRatings
from services.judge import store
from services.judge.rating import Fault, Score, Unserved, Verdict
from services.judge.worker import judge_slice, look_around
from services.kit.endpoint import Usage
from services.kit.ids import verdict_id
from services.kit.queue import Job
from services.work.published import played_run
from services.work.seats import OPERATOR, AllSeats, Caps
from tests.judge.conftest import NINE, TURNS, Convene, Court, ScriptedRater


async def until_rating(rater: ScriptedRater, busy: int) -> None:
    async with asyncio.timeout(20):
        while rater.busy < busy:
            await asyncio.sleep(0.01)


async def test_every_finished_dialogue_is_rated_by_every_judge(convene: Convene) -> None:
    one, two = ScriptedRater(), ScriptedRater()
    court = await convene({"one": one, "two": two})
    await court.play(3)
    await court.play(1, "playing")
    await court.play(1, "failed")

    await judge_slice(court.resources, court.run_id)

    verdicts = await court.verdicts()
    dialogues = await court.all("SELECT * FROM generator.dialogues WHERE state = 'done'")
    assert {v["id"] for v in verdicts} == {verdict_id(d["id"], judge) for d in dialogues for judge in ("one", "two")}
    first = verdicts[0]
    assert first["state"] == "done" and first["error"] is None and first["raw"] == "{…}"
    assert first["scores"] == {metric: {"score": 4, "explanation": "fits"} for metric in METRIC_IDS}
    assert (first["calls"], first["prompt_tokens"], first["completion_tokens"], first["attempts"]) == (1, 100, 50, 1)
    assert first["finished_at"] is not None and first["slice_id"] is None
    assert await court.all("SELECT * FROM judge.slices") == []


async def test_a_judge_gets_the_character_and_the_turns_in_the_suites_language(convene: Convene) -> None:
    rater = ScriptedRater()
    court = await convene({"default": rater})
    await court.play(1)
    await judge_slice(court.resources, court.run_id)
    ((dialogue, language),) = rater.rated
    assert (dialogue.character.id, language) == ("c1", "en")
    assert [(turn.user, turn.assistant) for turn in dialogue.turns] == [(t["user"], t["assistant"]) for t in TURNS]


async def test_the_others_are_rung_when_scores_are_there_and_in_the_end(convene: Convene) -> None:
    court = await convene({"default": ScriptedRater()})
    await court.play(2)
    await judge_slice(court.resources, court.run_id)
    assert StoreRatings(court.run_id) in court.queue.jobs
    assert court.queue.jobs[-1] == AdvanceRun(court.run_id)
    assert JudgeSlice(court.run_id) not in court.queue.jobs


async def test_judging_twice_changes_nothing(convene: Convene) -> None:
    rater = ScriptedRater()
    court = await convene({"default": rater})
    await court.play(3)
    await judge_slice(court.resources, court.run_id)
    before = await court.verdicts()
    await judge_slice(court.resources, court.run_id)
    assert await court.verdicts() == before
    assert len(rater.rated) == 3


async def test_a_verdict_without_scores_is_done_and_a_fault_is_failed(convene: Convene) -> None:
    silent = ScriptedRater(answer=lambda _: Verdict({}, "no JSON here", usage=Usage(1, 1, 1)))
    partial = ScriptedRater(answer=lambda _: Verdict({"fluency": Score(5, None)}, "{}"))
    away = ScriptedRater(answer=lambda _: Verdict(error=Fault("unauthorized", "The judge away: 401")))
    court = await convene({"away": away, "partial": partial, "silent": silent})
    await court.play(1)
    await judge_slice(court.resources, court.run_id)
    found = [(v["judge"], v["state"], v["scores"], v["raw"], v["error"]) for v in await court.verdicts()]
    assert found == [
        ("away", "failed", {}, None, {"code": "unauthorized", "message": "The judge away: 401"}),
        ("partial", "done", {"fluency": {"score": 5, "explanation": None}}, "{}", None),
        ("silent", "done", {}, "no JSON here", None),
    ]


async def test_a_judge_that_is_not_served_or_gone_fails_its_verdicts_and_no_others(convene: Convene) -> None:
    lora = Unserved("judge_kind_not_served", "The judge lora is of kind lora.")
    court = await convene({"default": ScriptedRater(), "lora": lora}, judges=["default", "gone", "lora"])
    await court.play(1)
    await judge_slice(court.resources, court.run_id)
    found = {v["judge"]: (v["state"], (v["error"] or {}).get("code")) for v in await court.verdicts()}
    assert found == {
        "default": ("done", None),
        "gone": ("failed", "judge_not_configured"),
        "lora": ("failed", "judge_kind_not_served"),
    }


async def test_a_crash_of_ours_fails_one_verdict_and_not_the_slice(convene: Convene) -> None:
    def answer(dialogue: object) -> Verdict:
        if rater.rated[0][0] is dialogue:
            raise RuntimeError("boom")
        return Verdict(NINE)

    rater = ScriptedRater(answer=answer)
    court = await convene({"default": rater})
    await court.play(3)
    await judge_slice(court.resources, court.run_id)
    assert await court.states() == {"done": 2, "failed": 1}


async def test_a_judge_is_never_asked_for_more_at_once_than_it_takes(convene: Convene) -> None:
    here, there = ScriptedRater(max_concurrency=5), ScriptedRater(max_concurrency=5)
    court, other = await convene({"default": here}), await convene({"default": there})
    books = [AllSeats(process.resources.engine, "judge") for process in (court, other)]
    here.seats, there.seats = (seats.at(OPERATOR, "judge default", Caps(3)) for seats in books)
    here.opened.clear()
    there.opened = here.opened
    await court.play(12)
    slices = asyncio.gather(judge_slice(court.resources, court.run_id), judge_slice(other.resources, court.run_id))
    async with asyncio.timeout(20):
        while here.busy + there.busy < 3:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.6)  # two looks: whoever could would have taken more
    assert here.busy + there.busy == 3
    here.opened.set()
    await slices
    assert len(here.rated) + len(there.rated) == 12
    assert await court.states() == {"done": 12}
    for seats in books:
        await seats.close()


async def test_a_judge_that_is_slow_holds_up_no_other(convene: Convene) -> None:
    slow, quick = ScriptedRater(max_concurrency=40), ScriptedRater(max_concurrency=4)
    court = await convene({"slow": slow, "quick": quick})
    await court.play(30)
    slow.opened.clear()
    slices = asyncio.create_task(judge_slice(court.resources, court.run_id))
    async with asyncio.timeout(20):
        while len(quick.rated) < 30:
            await asyncio.sleep(0.01)
    assert slow.busy == 30
    slow.opened.set()
    await slices
    assert await court.states() == {"done": 60}


async def test_dialogues_that_end_meanwhile_join_the_slice_that_sits(convene: Convene) -> None:
    rater = ScriptedRater()
    court = await convene({"default": rater})
    await court.play(1)
    rater.opened.clear()
    sitting = asyncio.create_task(judge_slice(court.resources, court.run_id))
    await until_rating(rater, 1)
    await court.play(2)
    await judge_slice(court.resources, court.run_id)  # returns at once: somebody sits
    await until_rating(rater, 3)
    rater.opened.set()
    await sitting
    assert await court.states() == {"done": 3}
    assert court.resources.slices.benches == {}


async def test_no_new_dialogue_is_taken_once_the_run_is_no_longer_running(convene: Convene) -> None:
    rater = ScriptedRater(max_concurrency=2)
    court = await convene({"default": rater})
    await court.play(6)
    rater.opened.clear()
    sitting = asyncio.create_task(judge_slice(court.resources, court.run_id))
    await until_rating(rater, 2)
    await court.do("UPDATE gateway.runs SET status = 'cancelling'")
    rater.opened.set()
    await sitting
    assert len(rater.rated) == 2
    assert await court.states() == {"done": 2, "waiting": 4}
    await judge_slice(court.resources, court.run_id)
    assert len(rater.rated) == 2


async def test_a_run_without_judges_or_without_a_name_is_left_alone(convene: Convene) -> None:
    court = await convene({}, judges=[])
    await court.play(1)
    await judge_slice(court.resources, court.run_id)
    await judge_slice(court.resources, uuid4())
    assert await court.verdicts() == []
    assert court.resources.slices.benches == {}


async def leased(court: Court, seconds: int) -> None:
    """Somebody else holds all verdicts of the run for that long."""
    async with court.resources.engine.begin() as tx:
        run = await played_run(tx, court.run_id)
        assert run is not None
        await store.expect(tx, run)
    slice_id = uuid4()
    await court.do(
        "INSERT INTO judge.slices VALUES (:id, :id, :run, now() + make_interval(secs => :seconds))",
        id=slice_id,
        run=court.run_id,
        seconds=seconds,
    )
    await court.do("UPDATE judge.verdicts SET state = 'rating', slice_id = :id", id=slice_id)


async def test_verdicts_of_a_living_slice_are_left_to_it(convene: Convene) -> None:
    rater = ScriptedRater()
    court = await convene({"default": rater})
    await court.play(2)
    await leased(court, 60)
    await judge_slice(court.resources, court.run_id)
    assert rater.rated == []
    assert await court.states() == {"rating": 2}


async def test_verdicts_of_a_slice_whose_lease_is_over_are_given_by_another(convene: Convene) -> None:
    court = await convene({"default": ScriptedRater()})
    await court.play(2)
    await leased(court, -1)
    await judge_slice(court.resources, court.run_id)
    assert await court.states() == {"done": 2}


async def test_a_verdict_that_somebody_else_took_over_is_not_written(convene: Convene) -> None:
    rater = ScriptedRater(answer=lambda _: Verdict(NINE, "mine"))
    court = await convene({"default": rater})
    await court.play(2)
    rater.opened.clear()
    sitting = asyncio.create_task(judge_slice(court.resources, court.run_id))
    await until_rating(rater, 2)
    taken = (await court.verdicts())[0]["id"]
    await court.do("UPDATE judge.verdicts SET state = 'done', raw = 'theirs', slice_id = NULL WHERE id = :id", id=taken)
    rater.opened.set()
    await sitting
    assert [v["raw"] for v in await court.verdicts()] == ["theirs", "mine"]


async def test_a_worker_that_is_stopped_leaves_its_verdicts_free_at_once(convene: Convene) -> None:
    rater = ScriptedRater()
    court = await convene({"default": rater})
    await court.play(2)
    rater.opened.clear()
    sitting = asyncio.create_task(judge_slice(court.resources, court.run_id))
    await until_rating(rater, 2)
    sitting.cancel()
    await asyncio.gather(sitting, return_exceptions=True)
    assert court.resources.slices.benches == {}
    rater.opened.set()
    await judge_slice(court.resources, court.run_id)
    assert await court.states() == {"done": 2}


async def found_by_looking(court: Court) -> list[Job]:
    return list(await look_around(court.resources))


async def test_work_that_nobody_was_rung_for_is_found_and_only_as_long_as_there_is_some(convene: Convene) -> None:
    court = await convene({"default": ScriptedRater()})
    assert await found_by_looking(court) == []
    await court.play(1)
    assert await found_by_looking(court) == [JudgeSlice(court.run_id)]
    await leased(court, 60)
    assert await found_by_looking(court) == []
    await court.do("UPDATE judge.slices SET expires_at = now() - interval '2 minutes'")
    assert await found_by_looking(court) == [JudgeSlice(court.run_id)]
    assert await court.all("SELECT id FROM judge.slices") == []
    await judge_slice(court.resources, court.run_id)
    assert await found_by_looking(court) == []
    await court.play(1)
    await court.do("UPDATE gateway.runs SET status = 'cancelled'")
    assert await found_by_looking(court) == []


async def test_a_slice_whose_time_is_up_rings_for_a_successor_and_lets_its_calls_end(
    convene: Convene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.work.lease.LENGTH", 0.5)  # not worth an argument: only here it is not 20 s
    rater = ScriptedRater(max_concurrency=1)
    court = await convene({"default": rater})
    await court.play(2)
    rater.opened.clear()
    sitting = asyncio.create_task(judge_slice(court.resources, court.run_id))
    async with asyncio.timeout(20):
        while JudgeSlice(court.run_id) not in court.queue.jobs:
            await asyncio.sleep(0.01)
    assert court.resources.slices.benches == {}
    rater.opened.set()
    await sitting
    assert await court.states() == {"done": 1, "waiting": 1}
