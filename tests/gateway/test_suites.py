"""Suites and transcripts: immutable, versioned by content, refused with line and reason."""

import json
from typing import Any

import httpx2
import pytest

from tests.builders import a_suite

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
