"""Suites and transcripts: immutable, versioned by content, refused with line and reason."""

import json
import time
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from esrp.api import MOST_RECORDED
from services.gateway.resources import Resources
from services.gateway.suites.suites import Known
from tests.builders import a_suite
from tests.gateway.conftest import BOOTSTRAP, caller

YAML = {"Content-Type": "application/yaml"}
TURNS = [{"user": "Hi", "assistant": "Hello"}]


async def test_the_same_content_is_the_same_version_and_a_new_one_a_new_version(client: httpx2.AsyncClient) -> None:
    again = (await client.post("/v1/suites", json=a_suite().model_dump(mode="json"))).json()
    newer = (await client.post("/v1/suites", json=a_suite(scenarios=4).model_dump(mode="json"))).json()
    assert (again["version"], newer["version"]) == (1, 2)
    assert newer["counts"] == {"characters": 2, "scenarios": 4, "dialogues": 8}
    assert (await client.get("/v1/suites/tiny")).json()["version"] == 2
    assert (await client.get("/v1/suites/tiny@1")).json() == again
    scenarios = (await client.get("/v1/suites/tiny@1/scenarios?limit=2")).json()
    assert [s["id"] for s in scenarios["data"]] == ["s1", "s2"]
    assert scenarios["next_cursor"] is not None


async def test_the_bundled_suites_are_there(client: httpx2.AsyncClient) -> None:
    names = {suite["name"] for suite in (await client.get("/v1/suites")).json()["data"]}
    assert names == {"esrp-zh", "esrp-en", "tiny"}


async def test_yaml_is_taken_and_its_mistakes_are_told_by_line(client: httpx2.AsyncClient) -> None:
    text = json.dumps(a_suite(name="mine").model_dump(mode="json"))  # JSON is YAML
    assert (await client.post("/v1/suites", content=text, headers=YAML)).status_code == 201
    broken = await client.post("/v1/suites", content="name: x\nlanguage: [zh\ncharacters: 1", headers=YAML)
    assert broken.status_code == 422
    assert broken.json()["errors"][0]["pointer"] == "line 3"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"characters": []}, "/characters"),
        ({"metrics": "other"}, "/metrics"),
        ({"colour": "red"}, "/colour"),
        ({"name": "esrp-zh"}, "/name"),
    ],
)
async def test_a_wrong_field_is_named(client: httpx2.AsyncClient, change: dict[str, Any], pointer: str) -> None:
    answer = await client.post("/v1/suites", json={**a_suite().model_dump(mode="json"), **change})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_two_characters_of_one_id_are_refused(client: httpx2.AsyncClient) -> None:
    document = a_suite().model_dump(mode="json")
    document["characters"] *= 2
    answer = await client.post("/v1/suites", json=document)
    assert "character ids must be unique; twice: c1, c2" in answer.text


async def test_recorded_dialogues_are_kept_and_the_same_again_is_the_same_transcript(
    client: httpx2.AsyncClient,
) -> None:
    body = {"name": "logs", "suite": "tiny", "dialogues": [{"character": "c1", "scenario": "s1", "turns": TURNS}]}
    first = await client.post("/v1/transcripts", json=body)
    again = await client.post("/v1/transcripts", json=body)
    assert first.status_code == 201
    assert again.json() == first.json() == (await client.get(f"/v1/transcripts/{first.json()['id']}")).json()


async def test_a_transcript_is_deleted_once_no_run_is_over_it(client: httpx2.AsyncClient) -> None:
    body = {"name": "logs", "suite": "tiny", "dialogues": [{"character": "c1", "scenario": "s1", "turns": TURNS}]}
    id = (await client.post("/v1/transcripts", json=body)).json()["id"]
    free = (await client.post("/v1/transcripts", json={**body, "name": "other"})).json()["id"]
    asked = {"suite": "tiny", "candidate": {"kind": "transcript", "transcript": id}}
    run = (await client.post("/v1/runs", json=asked)).json()["id"]
    refused = await client.delete(f"/v1/transcripts/{id}")
    assert (refused.status_code, run in refused.json()["detail"]) == (409, True)
    assert (await client.delete(f"/v1/runs/{run}")).json()["code"] == "wrong_state"
    assert (await client.delete(f"/v1/transcripts/{free}")).status_code == 204
    assert (await client.get(f"/v1/transcripts/{free}")).status_code == 404


async def test_own_logs_come_as_lines_and_need_no_scenario(client: httpx2.AsyncClient) -> None:
    lines = "\n".join(json.dumps({"character": "c1", "turns": TURNS * n}) for n in (1, 5))
    answer = await client.post("/v1/transcripts?name=logs&suite=tiny", content=lines, headers=NDJSON)
    assert (answer.status_code, answer.json()["dialogues"]) == (201, 2)


async def test_a_bad_line_is_told_by_its_number_and_nothing_is_stored(client: httpx2.AsyncClient) -> None:
    lines = json.dumps({"character": "c1", "turns": TURNS}) + "\n{broken"
    answer = await client.post("/v1/transcripts?name=logs&suite=tiny", content=lines, headers=NDJSON)
    assert answer.status_code == 422
    assert "line 2" in answer.json()["errors"][0]["pointer"]


async def test_a_dialogue_of_an_unknown_character_or_twice_the_same_is_refused(client: httpx2.AsyncClient) -> None:
    one = {"character": "c1", "scenario": "s1", "turns": TURNS}
    body = {"name": "logs", "suite": "tiny", "dialogues": [one, one, {**one, "character": "zz"}]}
    answer = await client.post("/v1/transcripts", json=body)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/dialogues/1", "/dialogues/2/character"]


NDJSON = {"Content-Type": "application/x-ndjson"}


async def test_near_duplicates_are_looked_for_once_however_often_a_suite_is_read(client: httpx2.AsyncClient) -> None:
    document = a_suite(name="alike").model_dump(mode="json")
    text = "She would like to be left alone with the letter, at least until the rain has stopped, she says. " * 8
    document["scenarios"] = [
        {"id": f"s{n}", "question": f"{text}{n}", "event": f"{text}{n}", "persona": None} for n in range(1000)
    ]
    uploaded = await client.post("/v1/suites", json=document)
    assert uploaded.status_code == 201 and any(
        "nearly the same question" in told for told in uploaded.json()["warnings"]
    )
    began = time.process_time()
    for _ in range(20):
        assert (await client.get("/v1/suites/alike")).json() == uploaded.json()
    assert time.process_time() - began < 2  # of this process, which has the gateway in it; once took 4.5


async def test_a_gateway_that_was_restarted_tells_the_same_warnings(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    told = (await client.get("/v1/suites/tiny")).json()["warnings"]
    fresh = replace(resources, known=Known())
    async with caller(fresh, BOOTSTRAP) as again:
        assert told and (await again.get("/v1/suites/tiny")).json()["warnings"] == told
        assert [len(fresh.known.facts), fresh.known.told(next(iter(fresh.known.facts)))] == [1, told]


async def test_suites_are_listed_without_reading_their_texts_again(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    first = (await client.get("/v1/suites")).json()
    counts = dict(resources.known.facts)
    assert len(counts) == 3 and first == (await client.get("/v1/suites")).json()
    assert all(resources.known.facts[id] is row for id, row in counts.items())


@pytest.mark.parametrize(("field", "size"), [("work", 201), ("name", 65), ("id", 65), ("profile", 20_001)])
async def test_every_text_of_a_character_has_a_longest(client: httpx2.AsyncClient, field: str, size: int) -> None:
    document = a_suite(name="mine").model_dump(mode="json")
    document["characters"][0][field] = "x" * size
    answer = await client.post("/v1/suites", json=document)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/characters/0/{field}"]


async def test_provenance_is_no_burden(client: httpx2.AsyncClient) -> None:
    document = {**a_suite(name="mine").model_dump(mode="json"), "provenance": {"x": "y" * (1 << 20)}}
    answer = await client.post("/v1/suites", json=document)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/provenance"]


async def test_a_transcript_has_a_longest_reply_and_so_many_dialogues(client: httpx2.AsyncClient) -> None:
    dialogue = {"character": "c1", "turns": [{"user": "Hi", "assistant": "x" * ((2 << 20) + 1)}]}
    long = await client.post("/v1/transcripts", json={"name": "x", "suite": "tiny", "dialogues": [dialogue]})
    assert long.json()["errors"][0]["pointer"] == "/dialogues/0/turns/0/assistant"
    line = '{"character":"c1","turns":[{"user":"a","assistant":"b"}]}\n'
    many = await client.post(
        "/v1/transcripts?name=x&suite=tiny",
        content=line * (MOST_RECORDED + 1),
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert (many.status_code, many.json()["errors"][0]["pointer"]) == (422, f"line {MOST_RECORDED + 1}")
