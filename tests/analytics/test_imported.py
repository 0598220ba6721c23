"""An import stands in no judge's place and decides no gate unseen: each way is tried, and leaves its trace."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic import command
from alembic.config import Config
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import migrations
from services.analytics.app import create_app
from services.analytics.worker import look_around, store_ratings
from services.jobs import StoreRatings
from services.kit.ids import encode
from services.kit.migrate import upgraded
from services.kit.settings import JudgeSettings
from services.kit.web import INTERNAL
from tests.analytics.conftest import KEY, TENANT, World, csv
from tests.analytics.test_figures import batches
from tests.analytics.test_figures import send as send_batches
from tests.analytics.test_gates import FLOORS, by_people, gate
from tests.analytics.test_gates import judged as judged_in_full

# How one can write `default` so that a reader takes it for the judge's name.
SPELLINGS = [
    "default",
    "Default",
    "DEFAULT",
    " default ",
    "d e f a u l t",
    "ｄｅｆａｕｌｔ",
    "jdg_default",
    "default.",
    "'default'",
]
WANTED = {"floors": {"overall": 4.9}}
IMPORTED = "imported_ratings: human 0, judge 182, replaced 0"


async def judged(world: World, **fields: Any) -> UUID:
    """A finished run whose judge gave each dialogue a 3 or a 4."""
    run = await world.run(2, 10, status="succeeded", phase=None, **fields)
    for at in range(20):
        await world.judge(run, at, 3 + at // 2 % 2)
    await store_ratings(world.resources, run)
    return run


def forged(world: World, run: UUID, rater: str = "default", kind: str = "judge") -> list[dict[str, Any]]:
    return [{**row, "rater_kind": kind} for row in world.rows(run, 5, rater)]


async def stored(world: World, run: UUID) -> list[tuple[str, str, int, int]]:
    """What the run's ratings are: rater, kind, score and how many."""
    found = await world.db.fetch(
        "SELECT rater, kind, score, count(*) FROM analytics.ratings WHERE run_id = $1"
        " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        run,
    )
    return [tuple(r) for r in found]


# --- in a judge's place -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["judge", "human"])
@pytest.mark.parametrize("rater", SPELLINGS)
async def test_no_rater_of_an_import_is_called_like_a_judge_of_the_run(world: World, rater: str, kind: str) -> None:
    run = await judged(world)
    before = await world.report(run)

    rows = forged(world, run, rater, kind)
    body = "".join(json.dumps(row) + "\n" for row in rows)
    for replace in ("true", "false"):
        answer = await world.send(body, "application/x-ndjson", replace=replace)
        assert answer.status_code == 422
        faults = answer.json()["errors"]
        assert [fault["pointer"] for fault in faults] == [f"line {n}" for n in range(1, 101)]
        assert all("has the name of the judge default" in fault["message"] for fault in faults)

    assert await world.report(run) == before
    assert await stored(world, run) == [("default", "judge", 3, 90), ("default", "judge", 4, 90)]


async def test_a_judges_place_is_not_taken_before_it_has_rated(world: World) -> None:
    run = await world.run(2, 10)
    assert (await world.send(csv(forged(world, run)))).status_code == 422
    for at in range(20):
        await world.judge(run, at, 3)
    await store_ratings(world.resources, run)
    assert await stored(world, run) == [("default", "judge", 3, 180)]


async def test_names_of_judges_of_other_runs_and_of_the_configuration_are_taken_too(world: World) -> None:
    run = await world.run(judges=())
    await world.run(judges=("glm",))
    await world.run(judges=("qwen",), tenant=uuid4())
    settings = world.resources.settings.model_copy(
        update={"judges": [JudgeSettings(base_url="http://judge/v1", model="m", name="lora-3")]}
    )
    resources = type(world.resources)(settings, world.resources.engine, world.queue, world.resources.keys)
    headers = {INTERNAL: resources.keys.internal_token, "Content-Type": "text/csv"}
    query = {"tenant": str(TENANT), "key": str(KEY), "key_name": "ci"}
    async with AsyncClient(transport=ASGITransport(create_app(resources)), base_url="http://a") as web:

        async def status(rater: str) -> int:
            body = csv(forged(world, run, rater)[:1])
            return (await web.post("/internal/ratings", params=query, content=body, headers=headers)).status_code

        assert [await status(rater) for rater in ("GLM", "LoRA 3", "qwen")] == [422, 422, 200]


@pytest.mark.parametrize("rater", SPELLINGS)
async def test_diversity_is_not_rated_in_a_judges_name(world: World, rater: str) -> None:
    run = await judged(world)
    rows = [{**row, "rater_kind": "judge"} for row in batches(run, 5, 5, rater=rater)]
    for replace in ("true", "false"):
        answer = await send_batches(world, rows, replace=replace)
        assert answer.status_code == 422
        assert [fault["pointer"] for fault in answer.json()["errors"]] == ["line 2", "line 3"]
    assert await world.count("analytics.diversity_ratings") == 0


async def test_a_verdict_takes_the_place_that_an_old_import_has_in_its_judges_name(world: World) -> None:
    run = await world.run(judges=("default",))
    await world.send(csv(forged(world, run, "elsewhere")))
    await send_batches(world, [{**row, "rater_kind": "judge"} for row in batches(run, 5, rater="elsewhere")])
    for table in ("ratings", "diversity_ratings"):  # as before names were reserved
        await world.db.execute(f"UPDATE analytics.{table} SET rater = 'default'")
    for at in range(6):
        await world.judge(run, at, 2)
    assert StoreRatings(run) in await look_around(world.resources)
    await store_ratings(world.resources, run)
    assert StoreRatings(run) not in await look_around(world.resources)
    await world.db.execute(
        "INSERT INTO judge.diversity_verdicts (id, tenant_id, run_id, character, batch, judge, replies, state, score)"
        " VALUES (gen_random_uuid(), $1, $2, 'c0', 1, 'default', '[]', 'done', 5)",
        TENANT, run,
    )  # fmt: skip

    assert StoreRatings(run) in await look_around(world.resources)
    await store_ratings(world.resources, run)

    assert await stored(world, run) == [("default", "judge", 2, 54)]
    assert (await world.report(run))["overall"]["mean"] == 2
    assert await world.db.fetchval("SELECT import_id FROM analytics.diversity_ratings") is None
    assert StoreRatings(run) not in await look_around(world.resources)


@pytest.mark.parametrize("kind", ["judge", "human"])
async def test_what_was_not_imported_is_never_replaced(world: World, kind: str) -> None:
    run = await world.run(1, 2, judges=())
    await world.send(csv(forged(world, run, "elsewhere", kind)), sampling="random")
    await world.db.execute("UPDATE analytics.ratings SET import_id = NULL, score = 2, sampling = 'drawn'")
    answer = await world.send(csv(forged(world, run, "elsewhere", kind)), replace="true", sampling="random")
    assert (answer.json()["stored"], await stored(world, run)) == (0, [("elsewhere", kind, 2, 18)])
    assert await world.db.fetchval("SELECT count(*) FROM analytics.ratings WHERE sampling = 'drawn'") == 18


# --- beside a judge ---------------------------------------------------------------------------------------------------


async def test_another_judges_scores_count_for_nothing_where_the_run_has_its_own(world: World) -> None:
    run, untouched = await judged(world), await judged(world)
    before, refused = await world.report(run), await gate(world, run, WANTED)
    await send_batches(world, [{**row, "rater_kind": "judge"} for row in batches(run, 5, 5, rater="elsewhere")])

    assert (await world.send(csv(forged(world, run, "elsewhere")))).json()["stored"] == 180

    after, found = await world.report(run), await gate(world, run, WANTED)
    trace = {"imported": after["imported"], "limits": after["limits"]}
    assert after == {**before, **trace}
    assert after["sha256"] == (await world.report(untouched))["sha256"]
    assert after["limits"][-1] == "Imported ratings of judges of this run count in no score: it has judges of its own."
    assert [(one["unit"], one["rows"]) for one in after["imported"]] == [("batch", 2), ("dialogue", 180)]
    assert (refused["verdict"], found["verdict"], found["rules"]) == ("fail", "fail", refused["rules"])
    assert (found["worst"], found["imported"]) == (refused["worst"], after["imported"])
    assert found["warnings"] == ["no_baseline", "judge_not_validated", IMPORTED]
    for raters in ("judge", "calibrated"):
        assert (await gate(world, run, {**WANTED, "raters": raters}))["verdict"] != "pass"
    query = {"tenant": str(TENANT), "group_by": "rater"}
    assert list((await world.client.get(f"/internal/runs/{run}/metrics", params=query)).json()["groups"]) == ["default"]


async def test_a_run_without_judges_is_rated_by_what_is_imported_and_says_so(world: World) -> None:
    run = await world.run(2, 10, status="succeeded", phase=None, judges=())
    await world.send(csv(forged(world, run, "elsewhere")))
    await send_batches(world, [{**row, "rater_kind": "judge"} for row in batches(run, 4, 5, rater="elsewhere")])

    wanted = {"floors": {"overall": 4.5}}  # twenty fives show no more

    report, found = await world.report(run), await gate(world, run, wanted)

    assert (report["raters"], report["overall"]["mean"], report["diversity"]["mean"]) == ("judge", 5, 4.5)
    assert (found["verdict"], found["raters"]) == ("pass", "judge")
    assert found["warnings"] == ["no_baseline", "judge_not_validated", IMPORTED]
    assert "Ratings of the run were imported: 182 of judges." in found["explanation"]


# --- what people said -------------------------------------------------------------------------------------------------


async def test_a_gate_that_imported_ratings_of_people_move_says_so(world: World) -> None:
    run, baseline = await judged_in_full(world), await judged(world)
    await world.send(csv(world.rows(baseline, 1)[:9]), key_name="other | ci")
    before = await gate(world, run, FLOORS, baseline)

    assert (await world.send(by_people(world, run, range(62)), sampling="random")).json()["stored"] == 558
    found = await gate(world, run, FLOORS, baseline)

    assert (before["raters"], found["raters"], before["imported"]) == ("judge", "calibrated", [])
    assert found["warnings"][-2:] == [
        "imported_ratings: human 558, judge 0, replaced 0",
        "baseline_imported_ratings: human 9, judge 0, replaced 0",
    ]
    (ours,), (theirs,) = found["imported"], found["baseline"]["imported"]
    assert (ours["kind"], ours["rows"], ours["sampling"], ours["by_name"]) == ("human", 558, "random", "ci")
    assert (theirs["rows"], theirs["by_name"]) == (9, "other | ci")
    assert {
        "Ratings of the run were imported: 558 of people.",
        "That dialogues of the run were drawn at random for people is said by an import; nobody checks it.",
        "Ratings of the baseline were imported: 9 of people.",
    } < set(found["explanation"])


async def test_what_was_imported_and_replaced_by_whom_and_when_is_in_the_report_and_not_in_its_hash(
    world: World,
) -> None:
    run, other = [await world.run(status="succeeded", phase=None, judges=()) for _ in range(2)]
    began = datetime.now(UTC) - timedelta(seconds=1)
    await world.send(csv([*world.rows(run, 4, "ann"), *world.rows(run, 3, "bob|<b>")[:9]]))
    key = uuid4()
    changed = [*world.rows(run, 5, "ann")[:2], *world.rows(run, 4, "ann")[2:]]
    await world.send(csv(changed), replace="true", key=str(key), key_name="night `job`")
    await world.send(csv(changed), key=str(key), key_name="night `job`")  # nothing new: no trace
    await world.send(csv([*changed, *world.rows(run, 3, "bob|<b>")[:9]]), sampling="random")

    report = await world.report(run)

    ends = [datetime.fromisoformat(one.pop("at")) for one in report["imported"]]
    by = encode("key", KEY), "ci"
    names = ("rater", "kind", "unit", "rows", "replaced", "sampling", "by", "by_name")
    assert [tuple(one[name] for name in names) for one in report["imported"]] == [
        ("ann", "human", "dialogue", 54, 0, None, *by),
        ("bob|<b>", "human", "dialogue", 9, 0, None, *by),
        ("ann", "human", "dialogue", 2, 2, None, encode("key", key), "night `job`"),
        ("ann", "human", "dialogue", 0, 0, "random", *by),
        ("bob|<b>", "human", "dialogue", 0, 0, "random", *by),
    ]
    assert all(began < at < datetime.now(UTC) for at in ends) and ends == sorted(ends)
    assert "Ratings of this run were imported: 65 of people, 2 of them in place of others." in report["limits"]
    query = {"tenant": str(TENANT), "format": "md"}
    text = (await world.client.get(f"/internal/runs/{run}/report", params=query)).text
    assert "| bob\\|&lt;b> | human | dialogue | 9 | 0 | – | ci (key_" in text
    assert f"| ann | human | dialogue | 2 | 2 | – | night 'job' (key_{key.hex}) | {ends[2]:%F %T} |" in text
    await world.send(
        csv([*changed, *world.rows(run, 3, "bob|<b>")[:9]]).replace(encode("run", run), encode("run", other))
    )
    assert (await world.report(other))["sha256"] == report["sha256"]


async def test_the_newest_hundred_of_many_imports_are_listed_and_all_are_counted(world: World) -> None:
    run = await world.run(1, 1, judges=())
    raters = [f"r{n:03}" for n in range(150)]
    await world.send(csv([row for rater in raters for row in world.rows(run, 4, rater)]))
    report, found = await world.report(run), await gate(world, run, FLOORS)
    assert [one["rater"] for one in report["imported"]] == raters[50:]
    assert found["imported"] == report["imported"]
    assert (
        "Ratings of this run were imported: 1,350 of people; the newest 100 of 150 entries are listed."
        in report["limits"]
    )


async def test_a_run_that_nothing_was_imported_into_has_no_word_of_it(world: World) -> None:
    run = await judged(world)
    report, found = await world.report(run), await gate(world, run, FLOORS)
    assert (report["imported"], found["imported"]) == ([], [])
    assert not any("import" in sentence for sentence in [*report["limits"], *found["explanation"], *found["warnings"]])


# --- what was imported before -----------------------------------------------------------------------------------------


async def test_a_migration_gives_judges_back_what_imports_had_overwritten(world: World, database: str) -> None:
    run, unjudged = await judged(world), await world.run(judges=(), status="succeeded", phase=None)
    await world.send(csv(world.rows(unjudged, 4)), sampling="random")
    await world.send(csv(forged(world, run, "elsewhere")))
    honest = await world.report(run)
    await world.resources.engine.dispose()
    await _downgrade(database, "0011")
    await world.db.execute("UPDATE analytics.ratings SET score = 5, explanation = NULL WHERE rater = 'default'")
    await world.db.execute(
        "UPDATE analytics.reports SET document = replace(document::text, '\"bot\"', '\"forged\"')::json"
    )

    await upgraded(database)

    report = await world.report(run)
    (one,) = report["imported"]
    assert report == {**honest, "imported": [one]}
    assert (one["rater"], one["kind"], one["rows"], one["by"]) == ("elsewhere", "judge", 180, None)
    (one,) = (await world.report(unjudged))["imported"]
    assert (one["rater"], one["kind"], one["rows"], one["sampling"]) == ("r1", "human", 54, "random")


async def _downgrade(database: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    def work(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)

    engine = create_async_engine(database)
    async with engine.begin() as connection:
        await connection.run_sync(work)
    await engine.dispose()
