"""Importing and exporting ratings: all of a file or nothing of it."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from esrp.metrics import METRIC_IDS
from services.analytics.imports.judge_names import Reserved
from services.analytics.imports.ratings import parse, resolve, run_ids
from services.analytics.worker import summarise_run
from services.kit.ids import encode
from tests.analytics.conftest import TENANT, World, csv


def ndjson(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


async def test_a_csv_file_is_stored_and_its_second_time_counted_as_duplicates(world: World) -> None:
    run = await world.run()
    body = csv(world.rows(run))
    first, second = await world.send("\ufeff" + body), await world.send(body.replace("\n", "\r\n"))
    assert first.json() == {"stored": 54, "missing": 0, "duplicates": 0, "ignored_columns": []}
    assert second.json() == {"stored": 0, "missing": 0, "duplicates": 54, "ignored_columns": []}
    kinds = await world.db.fetch("SELECT kind, score, character, scenario, replicate FROM analytics.ratings LIMIT 1")
    assert tuple(kinds[0]) == ("human", 4, "c0", "s0", 1)


async def test_ndjson_says_the_same(world: World) -> None:
    run = await world.run()
    rows = [{**row, "note": "fine", "rater": 7} for row in world.rows(run)]
    answer = await world.send(ndjson(rows), "application/x-ndjson; charset=utf-8")
    assert answer.json() == {"stored": 54, "missing": 0, "duplicates": 0, "ignored_columns": ["note"]}


async def test_an_empty_score_is_missing_and_unknown_columns_are_named(world: World) -> None:
    run = await world.run()
    rows = [{**row, "mood": "sunny", "when": "now"} for row in world.rows(run)[:3]]
    rows[1]["score"] = ""
    rows[2]["score"] = "5.0"  # as a spreadsheet writes a column with gaps
    answer = await world.send(csv(rows))
    assert answer.json() == {"stored": 2, "missing": 1, "duplicates": 0, "ignored_columns": ["mood", "when"]}


async def test_every_bad_row_is_named_by_its_line_and_nothing_is_stored(world: World) -> None:
    run = await world.run()
    good, elsewhere = world.rows(run)[0], encode("run", uuid4())
    bad: list[tuple[str, Any, str]] = [
        ("run", "run_1", "there is no run 'run_1'"),
        ("run", elsewhere, f"there is no run {elsewhere!r}"),
        ("character", "nobody", "the run has no dialogue with character 'nobody' and scenario 's0'"),
        ("scenario", "", "the run has no dialogue with character 'c0' and no scenario"),
        ("metric", "charm", "metric 'charm' is none of consistency, "),
        ("rater", "", "rater is empty"),
        ("rater_kind", "robot", "rater_kind 'robot' is neither human nor judge"),
        ("replicate", "0", "replicate '0' is not a whole number from 1"),
        ("score", 6, "score '6' is not a whole number from 1 to 5"),
        ("score", 4.5, "score '4.5' is not a whole number from 1 to 5"),
        ("score", "four", "score 'four' is not a whole number from 1 to 5"),
    ]
    good = {**good, "rater_kind": "human", "replicate": 1}
    answer = await world.send(csv([good, *({**good, column: value} for column, value, _ in bad)]))
    assert answer.status_code == 422
    faults = answer.json()["errors"]
    assert [fault["pointer"] for fault in faults] == [f"line {n}" for n in range(3, 14)]
    assert all(fault["message"].startswith(reason) for fault, (_, _, reason) in zip(faults, bad, strict=True))
    assert await world.count("analytics.ratings") == 0


async def test_another_tenants_run_is_no_run(world: World) -> None:
    run = await world.run(tenant=uuid4())
    answer = await world.send(csv(world.rows(run)[:1]))
    assert answer.json()["errors"] == [{"pointer": "line 2", "message": f"there is no run {encode('run', run)!r}"}]


async def test_the_same_cell_with_another_score_is_refused_with_its_lines(world: World) -> None:
    run = await world.run()
    rows = world.rows(run)
    await world.send(csv(rows[:2]))
    rows[1]["score"] = 1
    stored = await world.send(csv(rows))
    assert stored.status_code == 422
    assert [fault["pointer"] for fault in stored.json()["errors"]] == ["line 3"]
    within = await world.send(csv([rows[5], {**rows[5], "score": 2}]))
    assert within.json()["errors"] == [
        {"pointer": "line 3", "message": "the score is 2, and 4 on line 2 for the same cell and rater"}
    ]
    assert await world.count("analytics.ratings") == 2


async def test_replace_takes_the_last_score(world: World) -> None:
    run = await world.run()
    rows = world.rows(run)[:3]
    await world.send(csv(rows))
    answer = await world.send(csv([rows[0], {**rows[0], "score": 2}, {**rows[0], "score": 1}, rows[1]]), replace="true")
    assert answer.json() == {"stored": 1, "missing": 0, "duplicates": 3, "ignored_columns": []}
    assert await world.db.fetchval("SELECT sum(score) FROM analytics.ratings") == 1 + 4 + 4


async def test_people_and_judges_of_one_name_are_two_raters(world: World) -> None:
    run = await world.run()
    row = world.rows(run)[0]
    rows = [{**row, "rater_kind": "human"}, {**row, "rater_kind": "judge", "score": 1}]
    assert (await world.send(csv(rows))).json()["stored"] == 2


async def test_replicates_must_be_told_apart(world: World) -> None:
    run = await world.run(1, 1, replicates=2)
    row = world.rows(run)[0]
    vague = await world.send(csv([row]))
    assert "the column replicate must say which" in vague.json()["errors"][0]["message"]
    clear = await world.send(csv([{**row, "replicate": 2}, {**row, "replicate": 1, "score": 1}]))
    assert clear.json()["stored"] == 2


@pytest.mark.parametrize(
    ("body", "content_type", "pointer", "reason"),
    [
        ("", "text/csv", "line 1", "the header lacks the columns run, character"),
        ("run,character,scenario,metric,rater\n", "text/csv", "line 1", "lacks the column score"),
        ("run,run,character,scenario,metric,rater,score\n", "text/csv", "line 1", "names run twice"),
        ("run,character,scenario,metric,rater,score\nrun_1,c0,s0\n", "text/csv", "line 2", "3 fields where"),
        ('run,character,scenario,metric,rater,score\nrun_1,"c0', "text/csv", "line 2", "not CSV"),
        (b"run,character,scenario,metric,rater,score\nrun_1,\xff", "text/csv", "line 2", "not UTF-8"),
        ('{"run": "run_1"}\n', "application/x-ndjson", "line 1", "character, scenario, metric, rater is missing"),
        ('\n{"run": "run_1', "application/x-ndjson", "line 2", "not JSON"),
        ("[1]\n", "application/x-ndjson", "line 1", "not a JSON object"),
        (b"\n\n\xff\n", "application/x-ndjson", "line 3", "not JSON"),
        (
            '{"run": [], "character": "c0", "scenario": null, "metric": "fluency", "rater": "r", "score": 3}\n',
            "application/x-ndjson", "line 1", "run must be printable text",
        ),
        (
            '{"run": "x", "character": "c0", "scenario": null, "metric": "fluency", "rater": "\\u0000", "score": 1}\n',
            "application/x-ndjson", "line 1", "rater must be printable text",
        ),
        (
            '{"run": "x", "character": "c0", "scenario": null, "metric": "fluency", "rater": "r", "score": true}\n',
            "application/x-ndjson", "line 1", "score True is not a whole number",
        ),
    ],
)  # fmt: skip
async def test_malformed_files_say_where_and_why(
    world: World, body: str | bytes, content_type: str, pointer: str, reason: str
) -> None:
    answer = await world.send(body, content_type)
    assert answer.status_code == 422
    fault = answer.json()["errors"][0]
    assert fault["pointer"] == pointer and reason in fault["message"]


async def test_a_line_number_is_where_a_record_starts(world: World) -> None:
    header = "run,character,scenario,metric,rater,note,score\n"
    answer = await world.send(header + 'run_1,c0,s0,fluency,r,"two\nlines",3\nrun_1,c0,s0,charm,r,,3\n')
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["line 2", "line 4"]


async def test_at_most_100_faults_are_listed(world: World) -> None:
    run = await world.run()
    answer = await world.send(csv([{**world.rows(run)[0], "score": 9}] * 250))
    assert len(answer.json()["errors"]) == 100
    assert "The first 100 faults are listed." in answer.json()["detail"]


async def test_an_import_drops_the_reports_of_its_runs_only(world: World) -> None:
    one, other = [await world.run(status="succeeded", phase=None, judges=()) for _ in range(2)]
    for run in (one, other):
        await summarise_run(world.resources, run)
    await world.send(csv(world.rows(one)))
    assert [row["run_id"] for row in await world.db.fetch("SELECT run_id FROM analytics.reports")] == [other]


async def test_imports_of_the_same_file_at_once_store_it_once(world: World) -> None:
    one, other = await world.run(), await world.run()
    rows = world.rows(one) + world.rows(other)
    answers = await asyncio.gather(world.send(csv(rows)), world.send(csv(rows[::-1])), world.send(csv(rows)))
    assert sorted(answer.json()["stored"] for answer in answers) == [0, 0, 108]


@pytest.mark.parametrize("format", ["csv", "jsonl"])
async def test_an_export_can_be_imported_again(world: World, format: str) -> None:
    run = await world.run(own_logs=2)
    ids = [encode("dlg", id) for id, *_ in world.ids[run] for _ in METRIC_IDS]
    rows = [{**row, "dialogue": id} for row, id in zip(world.rows(run, rater="=sum(1)"), ids, strict=True)]
    assert (await world.send(csv(rows))).json()["stored"] == 72
    exported = await world.client.get(f"/internal/ratings?tenant={TENANT}&run={run}&format={format}")
    again = await world.send(exported.content, exported.headers["content-type"])
    assert again.json() == {"stored": 0, "missing": 0, "duplicates": 72, "ignored_columns": []}


async def test_conversations_from_own_logs_are_told_apart_by_their_ids(world: World) -> None:
    run = await world.run(0, 0, own_logs=2)
    row = world.rows(run)[0]
    vague = await world.send(csv([{**row, "replicate": 1}]))
    assert "the column dialogue must say which" in vague.json()["errors"][0]["message"]
    clear = [{**row, "dialogue": encode("dlg", id), "score": 2 + n} for n, (id, *_) in enumerate(world.ids[run])]
    assert (await world.send(csv(clear))).json()["stored"] == 2


@pytest.mark.parametrize("rater", ["=1+1", "+49 30", "-x", "@ann", "'=1+1", "''@ann"])
async def test_a_rater_that_a_spreadsheet_would_compute_leaves_as_text_and_comes_back_as_it_was(
    world: World, rater: str
) -> None:
    run = await world.run(1, 1)
    await world.send(ndjson([{**world.rows(run)[0], "rater": rater}]), "application/x-ndjson")
    exported = await world.client.get(f"/internal/ratings?tenant={TENANT}&run={run}")
    assert f",'{rater},human,4" in exported.text
    assert (await world.send(exported.content)).json()["duplicates"] == 1


async def test_another_tenants_ratings_are_not_exported(world: World) -> None:
    run = await world.run(tenant=uuid4())
    answer = await world.client.get(f"/internal/ratings?tenant={TENANT}&run={run}")
    assert answer.status_code == 404


def test_nothing_in_a_file_of_no_runs() -> None:
    parsed = parse(b"run,character,scenario,metric,rater,score\n\n", "text/csv")
    assert run_ids(parsed) == [] and resolve(parsed, {}, Reserved([]), replace=False).cells == []
