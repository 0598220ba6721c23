"""What ratings say of a judge: of the judge as it is configured now, and of nobody else's ratings."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import ASGITransport, AsyncClient
from structlog.testing import capture_logs

from esrp.api import JudgeCard
from esrp.metrics import METRIC_IDS
from esrp.prompts import prompt_hashes
from services.analytics.app import create_app
from services.analytics.cards.measure import measure_judges, measures
from services.analytics.cards.store import Material, MeasuredRun, Rated
from services.analytics.resources import Resources
from services.analytics.worker import handlers, look_around, store_ratings
from services.jobs import MeasureJudges
from services.kit.db import open_engine
from services.kit.settings import JudgeSettings
from services.kit.web import INTERNAL
from services.work.cards import identity
from tests.analytics.conftest import TENANT, World, csv
from tests.work.test_cards import keep

JUDGE = JudgeSettings(name="default", base_url="http://127.0.0.1:9/v1", model="qwen-max")
OTHER = JudgeSettings(name="other", base_url="http://127.0.0.1:9/v1", model="gpt-4.1")


def judging(world: World, *judges: JudgeSettings) -> Resources:
    """The service with these judges configured."""
    return replace(world.resources, settings=world.resources.settings.model_copy(update={"judges": list(judges)}))


async def judged_by(world: World, run: UUID, *judges: JudgeSettings) -> None:
    """The run's manifest tells of these judges."""
    await world.update(run, manifest=json.dumps({"judges": [identity(judge, prompt_hashes("en")) for judge in judges]}))


async def run_judged_by(world: World, *judges: JudgeSettings, **fields: Any) -> UUID:
    run = await world.run(judges=tuple(judge.name for judge in judges), phase="analysing", **fields)
    await judged_by(world, run, *judges)
    return run


async def work(resources: Resources) -> None:
    """Everything that the timer finds."""
    for job in await look_around(resources):
        await handlers(resources)[type(job)](job.subject)


async def card(resources: Resources, judge: str = "default", tenant: UUID = TENANT) -> JudgeCard:
    (found,) = await cards(resources, 1, judge, tenant)
    return found


async def cards(resources: Resources, times: int, judge: str = "default", tenant: UUID = TENANT) -> list[JudgeCard]:
    """The card, asked for so many times at once."""
    headers, path = {INTERNAL: resources.keys.internal_token}, f"/internal/judges/{judge}/card"
    transport = ASGITransport(create_app(resources))
    async with AsyncClient(transport=transport, base_url="http://a", headers=headers) as http:
        answers = await asyncio.gather(*(http.get(path, params={"tenant": str(tenant)}) for _ in range(times)))
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    return [JudgeCard.model_validate_json(answer.content) for answer in answers]


# --- agreement with people --------------------------------------------------------------------------------------------


async def test_a_judge_is_held_against_people_once_their_ratings_are_there(world: World) -> None:
    resources = judging(world, JUDGE)
    run = await run_judged_by(world, JUDGE)
    for at, score in enumerate([1, 2, 3, 4, 5, 3]):
        await world.judge(run, at, score)
    await work(resources)
    assert (await card(resources)).human is None
    people = world.rows(run, 3, "p1")[:-9] + world.rows(run, 4, "p2")[:9]
    assert (await world.send(csv(people))).status_code == 200
    assert MeasureJudges(TENANT) in await look_around(resources)
    human = (await card(resources)).human
    assert human is not None and (human.languages, human.runs) == (["en"], 1)
    fluency = human.metrics["fluency"]
    # The judge's 1 to 5 beside 3 of p1, and its 1 beside 4 of p2.
    assert (fluency.n, fluency.dialogues, fluency.acc_soft) == (6, 5, 0.5)
    assert fluency.acc == pytest.approx(1 / 6)
    assert fluency.bias == pytest.approx((-2 - 1 + 0 + 1 + 2 - 3) / 6)
    assert MeasureJudges(TENANT) not in await look_around(resources)


async def test_ratings_of_a_judge_that_was_configured_otherwise_say_nothing_of_this_one(world: World) -> None:
    run = await run_judged_by(world, JUDGE)
    await world.judge_all(run)
    await work(judging(world, JUDGE))
    await world.send(csv(world.rows(run, 3, "p1")))
    before = await card(judging(world, JUDGE))
    assert before.human is not None
    changed = judging(world, JUDGE.model_copy(update={"model": "qwen-plus"}))
    after = await card(changed)
    assert after.human is None and after.configuration != before.configuration
    assert await card(judging(world, JUDGE)) == before


async def test_what_was_once_imported_in_a_judges_name_is_nothing_that_it_said(world: World) -> None:
    resources = judging(world, JUDGE)
    run = await run_judged_by(world, JUDGE)
    await world.send(csv([{**row, "rater_kind": "judge"} for row in world.rows(run, 3, "elsewhere")]))
    await world.send(csv(world.rows(run, 3, "p1")))
    await world.db.execute("UPDATE analytics.ratings SET rater = 'default' WHERE kind = 'judge'")
    assert (await card(resources)).human is None


@pytest.mark.parametrize("rated_first", [True, False])
async def test_people_who_rated_the_same_dialogues_in_another_run_count_too(world: World, rated_first: bool) -> None:
    """A run is judged again by another judge: what was said is the same, and so are its people's ratings."""
    resources = judging(world, JUDGE, OTHER)
    first, second = await run_judged_by(world, JUDGE), await run_judged_by(world, OTHER)
    for run, judge in ((first, "default"), (second, "other")):
        for at in range(6):
            await world.judge(run, at, 2 + at % 3, judge)
    await work(resources)
    await world.send(csv(world.rows(first if rated_first else second, 3, "p1")))
    ours, others = await card(resources, "default"), await card(resources, "other")
    assert ours.human is not None and others.human is not None
    assert ours.human.metrics == others.human.metrics
    assert ours.human.metrics["fluency"].n == 6
    assert ours.judges is not None and [(one.judge, one.n, one.acc) for one in ours.judges] == [("other", 54, 1)]


async def test_dialogues_in_which_something_else_was_said_are_others(world: World) -> None:
    resources = judging(world, JUDGE, OTHER)
    first, second = await run_judged_by(world, JUDGE), await run_judged_by(world, OTHER)
    await world.judge_all(first)
    await world.db.execute(
        'UPDATE generator.dialogues SET turns = \'[{"user": "?", "assistant": "!"}]\' WHERE run_id = $1', second
    )
    await work(resources)
    await world.send(csv(world.rows(second, 3, "p1")))
    assert (await card(resources)).human is None


async def test_another_tenants_people_do_not_count(world: World) -> None:
    resources = judging(world, JUDGE)
    run = await run_judged_by(world, JUDGE)
    await world.judge_all(run)
    await work(resources)
    await world.send(csv(world.rows(run, 3, "p1")))
    assert (await card(resources)).human is not None
    assert (await card(resources, tenant=UUID(int=2))).human is None


async def test_what_was_deleted_is_in_no_card(world: World) -> None:
    resources = judging(world, JUDGE)
    run = await run_judged_by(world, JUDGE)
    await world.judge_all(run)
    await work(resources)
    await world.send(csv(world.rows(run, 3, "p1")))
    assert (await card(resources)).human is not None
    await world.db.execute("INSERT INTO gateway.deletions (run_id, tenant_id) VALUES ($1, $2)", run, TENANT)
    await work(resources)
    await work(resources)
    assert (await card(resources)).human is None


# --- when -------------------------------------------------------------------------------------------------------------


async def test_measuring_twice_changes_nothing_but_when(world: World) -> None:
    resources = judging(world, JUDGE)
    run = await run_judged_by(world, JUDGE)
    await world.judge_all(run)
    await work(resources)
    await world.send(csv(world.rows(run, 3, "p1")))
    documents = []
    for _ in range(2):
        await measure_judges(resources, TENANT)
        documents.append(await world.db.fetchval("SELECT document::text FROM analytics.judge_measures"))
    assert documents[0] == documents[1] and json.loads(documents[0])["human"]["runs"] == 1


async def test_bells_that_rang_while_judges_were_measured_measure_nothing_again(world: World) -> None:
    resources = judging(world, JUDGE)
    run = await run_judged_by(world, JUDGE)
    await world.judge_all(run)
    await work(resources)
    await world.send(csv(world.rows(run, 3, "p1")))
    measure = handlers(resources)[MeasureJudges]
    await measure(TENANT)
    at = await world.db.fetchval("SELECT measured_at FROM analytics.judge_measures")
    await asyncio.gather(*(measure(TENANT) for _ in range(3)))
    assert await world.db.fetchval("SELECT measured_at FROM analytics.judge_measures") == at
    await world.send(csv(world.rows(run, 3, "p2")))
    await measure(TENANT)
    assert await world.db.fetchval("SELECT measured_at FROM analytics.judge_measures") > at


async def test_what_was_read_earlier_does_not_replace_what_was_read_later(world: World) -> None:
    resources = judging(world, JUDGE)
    await measure_judges(resources, TENANT)
    await world.db.execute(
        "UPDATE analytics.judge_measures SET document = '{\"human\": null}', measured_at = $1",
        datetime(2100, 1, 1, tzinfo=UTC),
    )
    await measure_judges(resources, TENANT)
    assert await world.db.fetchval("SELECT document::text FROM analytics.judge_measures") == '{"human": null}'


async def test_ratings_that_come_while_judges_are_measured_are_not_forgotten(world: World) -> None:
    resources = judging(world, JUDGE)
    run = await run_judged_by(world, JUDGE)
    await world.judge_all(run)
    await work(resources)
    await world.send(csv(world.rows(run, 3, "p1")))
    async with world.db.transaction():
        await world.db.execute("LOCK TABLE analytics.judge_measures IN EXCLUSIVE MODE")
        measuring = asyncio.create_task(measure_judges(resources, TENANT))
        async with asyncio.timeout(20):
            while not await world.db.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0.01)
        await world.send(csv(world.rows(run, 3, "p2")))
    await measuring
    assert MeasureJudges(TENANT) in await look_around(resources)
    human = (await card(resources)).human
    assert human is not None and human.metrics["fluency"].n == 12


async def test_many_who_ask_at_once_are_answered_by_one_measurement(world: World) -> None:
    resources = judging(world, JUDGE)
    with capture_logs() as logs:
        found = await cards(resources, 5)
    assert len({one.measured_at for one in found}) == 1
    assert [log["event"] for log in logs] == ["judges.measured"]


async def test_runs_that_people_rated_are_not_pushed_out_by_newer_ones(world: World) -> None:
    resources = judging(world, JUDGE)
    old = await run_judged_by(world, JUDGE, characters=1, scenarios=1)
    await world.judge_all(old)
    for _ in range(21):
        await run_judged_by(world, JUDGE, characters=1, scenarios=1)
    await world.update(old, created_at=datetime(2020, 1, 1, tzinfo=UTC))
    await work(resources)
    await world.send(csv(world.rows(old, 3, "p1")))
    human = (await card(resources)).human
    assert human is not None and human.metrics["fluency"].n == 1


# --- what a report says of its judges ---------------------------------------------------------------------------------


async def said(world: World, resources: Resources, run: UUID) -> list[str]:
    """What the report says of judges."""
    headers = {INTERNAL: resources.keys.internal_token}
    async with AsyncClient(
        transport=ASGITransport(create_app(resources)), base_url="http://a", headers=headers
    ) as http:
        report = (await http.get(f"/internal/runs/{run}/report", params={"tenant": str(TENANT)})).json()
    return [limit for limit in report["limits"] if "judge" in limit]


async def test_a_report_names_its_judges_until_they_are_validated(world: World) -> None:
    resources = judging(world, JUDGE)
    run = await run_judged_by(world, JUDGE)
    await world.judge_all(run)
    await store_ratings(resources, run)
    sentence = "Not validated as a judge: default (its card says what is lacking); scores may be biased."
    assert await said(world, resources, run) == [sentence]
    owner = open_engine(world.resources.settings.database_url, "postgres")
    await keep(owner, JUDGE, "en")
    await owner.dispose()
    assert await said(world, resources, run) == []
    assert await said(world, judging(world, JUDGE.model_copy(update={"model": "m2"})), run) == [sentence]


async def test_a_judge_whose_ratings_were_imported_is_not_known_here(world: World) -> None:
    run = await run_judged_by(world)
    await world.send(csv([{**row, "rater_kind": "judge"} for row in world.rows(run, 3, "elsewhere")]))
    sentence, trace = await said(world, judging(world, JUDGE), run)
    assert trace == "Ratings of this run were imported: 54 of judges."
    assert sentence.startswith("Not validated as a judge: elsewhere (")


# --- length, self-preference ------------------------------------------------------------------------------------------


def a_run(candidate: str, *judges: JudgeSettings) -> MeasuredRun:
    manifest = {"judges": [identity(judge, prompt_hashes("en")) for judge in judges]}
    names = [judge.name for judge in judges]
    return MeasuredRun(
        id=uuid4(),
        judges=names,
        manifest=manifest,
        candidate_name=candidate,
        language="en",
        suite_sha256="suite",
    )


def material(runs: Sequence[MeasuredRun], scores: Sequence[Sequence[int]], rater: str = "default") -> Material:
    """In each run the judge scores one character in s0, s1, …; a reply has 100 × its score words."""
    rated = [
        Rated(run.id, f"{place}-{n}", "c", f"s{n}", rater, "judge", dict.fromkeys(METRIC_IDS, score))
        for place, (run, given) in enumerate(zip(runs, scores, strict=True))
        for n, score in enumerate(given)
    ]
    sizes = {one.dialogue: 100.0 * one.scores["fluency"] for one in rated}
    return Material(runs, rated, {one.dialogue: one.dialogue for one in rated}, sizes)


def test_what_longer_replies_go_with_is_measured_within_a_run() -> None:
    found = measures([JUDGE], material([a_run("a", JUDGE), a_run("b", JUDGE)], [[2, 3, 4], [3, 4, 5]]))["default"]
    assert found["length"] == [{"language": "en", "per_100": 1.0, "ci": (1.0, 1.0), "dialogues": 6}]


def test_a_judge_that_likes_its_own_family_better_is_seen_to() -> None:
    runs = [a_run("Qwen/Qwen3-8B", JUDGE), a_run("gpt-4.1", JUDGE), a_run("our-bot", JUDGE)]
    found = measures([JUDGE], material(runs, [[5, 4, 4], [4, 4, 3], [1, 1, 1]]))["default"]["self_preference"]
    assert (found["family"], found["pairs"]) == ("qwen", 3)  # of our-bot nobody knows the family
    assert found["difference"] == pytest.approx(2 / 3)
    assert found["ci"][0] < 2 / 3 < found["ci"][1]
    alone = measures([JUDGE], material(runs[:1], [[5, 4, 4]]))["default"]
    assert alone["self_preference"] is None and alone["human"] is None


def test_a_judge_without_a_known_family_has_no_preference_to_measure() -> None:
    nobody = JUDGE.model_copy(update={"model": "judge@0123456789ab"})
    runs = [a_run("Qwen/Qwen3-8B", nobody), a_run("gpt-4.1", nobody)]
    assert measures([nobody], material(runs, [[5, 4], [4, 4]]))["default"]["self_preference"] is None
    lora = nobody.model_copy(update={"kind": "lora", "base_model": "Qwen/Qwen3-8B"})
    taught = [a_run("Qwen/Qwen3-8B", lora), a_run("gpt-4.1", lora)]
    assert measures([lora], material(taught, [[5, 4], [4, 4]]))["default"]["self_preference"]["family"] == "qwen"
