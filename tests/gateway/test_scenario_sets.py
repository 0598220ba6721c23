"""Scenario sets as clients see them: the grid that is asked for, its coverage, and what becomes a suite."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from esrp.api import ScenarioSetRequest
from esrp.canonical import digest
from esrp.suite import BUNDLED, bundled
from services.gateway.resources import Resources
from services.jobs import WriteScenarios
from services.kit.db import count, open_engine
from services.kit.db import json as as_json
from services.kit.ids import decode, encode, uuid7
from services.kit.queue import RecordedQueue
from services.kit.settings import ModelSettings
from tests.gateway.conftest import BOOTSTRAP, caller

SMALL = {"name": "set", "language": "en", "personas": ["student"], "emotions": ["happy", "sad"], "per_cell": 2}
GRID = {**SMALL, "locations": ["a", "b"]}
WRITER = ModelSettings(base_url="http://127.0.0.1:1/v1", model="writer")


@pytest.fixture
async def queue(resources: Resources) -> RecordedQueue:
    return RecordedQueue()


@pytest.fixture
async def gateway(client: httpx2.AsyncClient, resources: Resources, queue: RecordedQueue) -> AsyncIterator[Any]:
    """A gateway with a writer; the suite `tiny` is there."""
    settings = resources.settings.model_copy(update={"writer": WRITER})
    async with caller(replace(resources, settings=settings, queue=queue), BOOTSTRAP) as opened:
        yield opened


async def asked(gateway: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await gateway.post("/v1/scenario-sets", json={**GRID, **fields})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def play_generator(
    database: str,
    set_id: str,
    *,
    failed: Sequence[int] = (),
    waiting: Sequence[int] = (),
    like: dict[int, int] | None = None,
) -> list[str]:
    """Write the set's drafts as the generator would; returns their ids in order."""
    engine = open_engine(database, "postgres")
    slots = ScenarioSetRequest(**GRID).grid.slots()
    ids = [uuid7() for _ in slots]
    async with engine.begin() as tx:
        for slot, id in zip(slots, ids, strict=True):
            place = slot.position
            state = "failed" if place in failed else "waiting" if place in waiting else "written"
            done = state == "written"
            await count(
                tx,
                "INSERT INTO generator.scenario_drafts (id, tenant_id, set_id, position, persona, emotion, location,"
                " number, state, event, question, writer, attempts, raw, error, near_duplicate_of, similarity, calls,"
                " prompt_tokens, completion_tokens, finished_at) VALUES (:id, :id, :set, :position, :persona, :emotion,"
                " :location, :number, :state, :event, :question, CAST(:writer AS jsonb), 1, :raw,"
                " CAST(:error AS jsonb), :of, :similarity, 1, 10, 5, CASE WHEN :state <> 'waiting' THEN now() END)",
                id=id,
                set=decode("scs", set_id),
                position=place,
                **slot.cell.model_dump(),
                number=slot.number,
                state=state,
                event=f"Event {place}." if done else None,
                question=f"Question {place}?" if done else None,
                writer=as_json({"model": "writer", "prompts": ["p"]}) if done else None,
                raw="Sorry." if state == "failed" else None,
                error=as_json({"code": "malformed", "message": "The writer: no JSON"}) if state == "failed" else None,
                of=ids[like[place]] if like and place in like else None,
                similarity=(0.9 if like and place in like else 0.0) if done and not waiting else None,
            )
    await engine.dispose()
    return [encode("scn", id) for id in ids]


async def test_the_papers_grid_is_the_default(gateway: httpx2.AsyncClient, queue: RecordedQueue) -> None:
    answer = await gateway.post("/v1/scenario-sets", json={"name": "all"})
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, made["links"]["self"])
    assert (made["status"], made["writer"], made["language"], made["error"]) == ("queued", "writer", "zh", None)
    assert made["progress"] == {"planned": 288, "written": 0, "failed": 0, "selected": 0, "near_duplicates": 0}
    assert len(made["coverage"]["cells"]) == 144
    assert {name: tally["planned"] for name, tally in made["coverage"]["personas"].items()} == {
        "student": 72,
        "employee": 72,
        "freelancer": 72,
        "self-employed": 72,
    }
    assert {tally["planned"] for tally in made["coverage"]["emotions"].values()} == {32}
    assert made["coverage"]["locations"]["home"]["planned"] == 36  # employees and freelancers
    assert queue.jobs == [WriteScenarios(decode("scs", made["id"]))]
    assert (await gateway.get(made["links"]["self"])).json() == made


async def test_without_a_writer_the_lines_to_add_are_told(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/scenario-sets", json=GRID)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_configured")
    assert "writer: {base_url:" in answer.json()["detail"]
    assert (await client.get("/v1/scenario-sets")).json()["data"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"personas": []}, "/personas"),
        ({"personas": ["pilot"], "locations": None}, "/locations"),
        ({"personas": ["a", "a"]}, "/personas"),
        ({"emotions": ["x" * 65]}, "/emotions/0"),
        ({"emotions": ["a\nb"]}, "/emotions/0"),
        ({"emotions": ["⟦"]}, "/emotions/0"),
        ({"emotions": [" "]}, "/emotions/0"),
        ({"locations": {"student": []}}, "/locations/for_each/student"),
        ({"locations": {"student": ["a"], "pilot": ["b"]}}, "/locations"),
        ({"locations": ["a", "a"]}, "/locations"),
        ({"per_cell": 0}, "/per_cell"),
        ({"per_cell": 11}, "/per_cell"),
        ({"language": "de"}, "/language"),
        ({"colour": "red"}, "/colour"),
        ({"per_cell": 10, "locations": [str(n) for n in range(32)], "emotions": [str(n) for n in range(32)]}, "/"),
    ],
)
async def test_a_grid_that_cannot_be_is_refused_with_its_place(
    gateway: httpx2.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    answer = await gateway.post("/v1/scenario-sets", json={**GRID, **change})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_the_same_request_twice_is_one_set(gateway: httpx2.AsyncClient, queue: RecordedQueue) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await gateway.post("/v1/scenario-sets", json=GRID, headers=key)
    again = await gateway.post("/v1/scenario-sets", json=GRID, headers=key)
    other = await gateway.post("/v1/scenario-sets", json={**GRID, "name": "other"}, headers=key)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert other.json()["code"] == "idempotency_key_reused"
    assert len(queue.jobs) == 1


async def test_sets_are_listed_page_by_page_in_the_order_of_their_making(gateway: httpx2.AsyncClient) -> None:
    made = [(await asked(gateway, name=f"set {n}"))["id"] for n in range(3)]
    first = (await gateway.get("/v1/scenario-sets?limit=2")).json()
    rest = (await gateway.get(f"/v1/scenario-sets?limit=2&cursor={first['next_cursor']}")).json()
    assert [one["id"] for one in first["data"] + rest["data"]] == made
    assert rest["next_cursor"] is None
    assert "coverage" not in first["data"][0]
    for bad in ("nonsense", first["next_cursor"][:-2]):
        assert (await gateway.get(f"/v1/scenario-sets?cursor={bad}")).status_code == 422


async def test_status_and_coverage_follow_from_the_drafts(gateway: httpx2.AsyncClient, database: str) -> None:
    made = await asked(gateway)
    await play_generator(database, made["id"], failed=[1], waiting=[7])
    running = (await gateway.get(made["links"]["self"])).json()
    assert (running["status"], running["finished_at"]) == ("running", None)
    assert running["progress"] == {"planned": 8, "written": 6, "failed": 1, "selected": 0, "near_duplicates": 0}
    assert running["usage"] == {"calls": 8, "prompt_tokens": 80, "completion_tokens": 40}
    assert running["coverage"]["cells"][1] == {
        "persona": "student",
        "emotion": "sad",
        "location": "a",
        "planned": 2,
        "written": 1,
        "failed": 1,
        "selected": 0,
    }
    assert running["coverage"]["emotions"]["sad"] == {"planned": 4, "written": 2, "failed": 1, "selected": 0}


async def test_a_set_is_over_once_all_is_written_and_compared(gateway: httpx2.AsyncClient, database: str) -> None:
    made = await asked(gateway)
    ids = await play_generator(database, made["id"], failed=[1], like={4: 0})
    done = (await gateway.get(made["links"]["self"])).json()
    assert (done["status"], done["error"], done["progress"]["near_duplicates"]) == ("succeeded", None, 1)
    assert done["finished_at"] is not None
    page = (await gateway.get(made["links"]["scenarios"] + "?limit=5")).json()
    rest = (await gateway.get(f"{made['links']['scenarios']}?cursor={page['next_cursor']}")).json()
    drafts = page["data"] + rest["data"]
    assert [draft["id"] for draft in drafts] == ids
    assert rest["next_cursor"] is None
    assert drafts[4] == {
        "id": ids[4],
        "persona": "student",
        "emotion": "happy",
        "location": "a",
        "number": 2,
        "state": "written",
        "event": "Event 4.",
        "question": "Question 4?",
        "near_duplicate_of": ids[0],
        "similarity": 0.9,
        "selected": False,
        "attempts": 1,
        "raw": None,
        "error": None,
    }
    assert (drafts[1]["state"], drafts[1]["raw"], drafts[1]["error"]["code"]) == ("failed", "Sorry.", "malformed")


async def test_a_set_of_which_nothing_was_written_has_failed_and_says_why(
    gateway: httpx2.AsyncClient, database: str
) -> None:
    made = await asked(gateway)
    await play_generator(database, made["id"], failed=range(8))
    failed = (await gateway.get(made["links"]["self"])).json()
    assert failed["status"] == "failed"
    assert failed["error"] == {
        "code": "nothing_written",
        "message": "None of the 8 scenarios could be written. The writer: no JSON",
    }


# --- selecting --------------------------------------------------------------------------------------------------------


async def test_chosen_scenarios_become_a_suite_that_says_where_they_come_from(
    gateway: httpx2.AsyncClient, database: str
) -> None:
    made = await asked(gateway)
    ids = await play_generator(database, made["id"])
    chosen = {"suite": "mine", "scenarios": [ids[5], ids[0]], "characters": {"from": "tiny"}}
    answer = await gateway.post(made["links"]["select"], json=chosen)
    suite = answer.json()
    assert (answer.status_code, suite["name"], suite["version"], suite["language"]) == (201, "mine", 1, "en")
    assert suite["counts"] == {"characters": 2, "scenarios": 2, "dialogues": 4}
    scenarios = (await gateway.get("/v1/suites/mine/scenarios")).json()["data"]
    assert scenarios[1] == {
        "id": "s006",
        "persona": "student",
        "emotion": "sad",
        "location": "a",
        "event": "Event 5.",
        "question": "Question 5?",
    }
    provenance = (await gateway.get("/v1/suites/mine/provenance")).json()
    assert provenance["sha256"] == suite["sha256"]
    assert provenance["provenance"] == {
        "scenario_set": made["id"],
        "grid": made["grid"],
        "writers": [{"model": "writer", "prompts": ["p"]}],
        "scenarios": {"s001": ids[0], "s006": ids[5]},
    }
    seen = (await gateway.get(made["links"]["self"])).json()
    assert seen["progress"]["selected"] == 2
    assert seen["coverage"]["emotions"]["sad"]["selected"] == 1
    drafts = (await gateway.get(made["links"]["scenarios"])).json()["data"]
    assert [draft["id"] for draft in drafts if draft["selected"]] == [ids[0], ids[5]]


async def test_the_same_choice_is_the_same_version_and_provenance_is_no_part_of_the_hash(
    gateway: httpx2.AsyncClient, database: str
) -> None:
    made = await asked(gateway)
    ids = await play_generator(database, made["id"])
    body = {"suite": "mine", "scenarios": [ids[0], ids[1]], "characters": {"from": "tiny"}}
    first = (await gateway.post(made["links"]["select"], json=body)).json()
    again = (await gateway.post(made["links"]["select"], json={**body, "scenarios": [ids[1], ids[0]]})).json()
    more = (await gateway.post(made["links"]["select"], json={**body, "scenarios": ids[:3]})).json()
    assert again == first
    assert (more["name"], more["version"]) == ("mine", 2)
    characters = (await gateway.get("/v1/suites/tiny/characters")).json()["data"]
    scenarios = (await gateway.get("/v1/suites/mine@1/scenarios")).json()["data"]
    plain = {"name": "by-hand", "language": "en", "characters": characters, "scenarios": scenarios}
    assert (await gateway.post("/v1/suites", json=plain)).json()["sha256"] == first["sha256"]
    assert (await gateway.get("/v1/suites/by-hand/provenance")).json()["provenance"] is None


async def test_characters_may_be_given(gateway: httpx2.AsyncClient, database: str) -> None:
    made = await asked(gateway)
    ids = await play_generator(database, made["id"])
    characters = [{"id": "fox", "name": "Fox", "profile": "A fox."}]
    body = {"suite": "foxes", "scenarios": ids[:1], "characters": characters}
    assert (await gateway.post(made["links"]["select"], json=body)).status_code == 201
    twice = await gateway.post(made["links"]["select"], json={**body, "characters": characters * 2})
    assert (twice.status_code, twice.json()["errors"][0]["pointer"]) == (422, "/characters")


async def test_what_cannot_be_taken_is_refused_with_its_place_and_nothing_is_stored(
    gateway: httpx2.AsyncClient, database: str
) -> None:
    made, other = await asked(gateway), await asked(gateway)
    ids = await play_generator(database, made["id"], failed=[2])
    [foreign, *_] = await play_generator(database, other["id"])
    wrong = [ids[0], "scn_nonsense", ids[0], ids[2], foreign]
    body = {"suite": "mine", "scenarios": wrong, "characters": {"from": "tiny"}}
    answer = await gateway.post(made["links"]["select"], json=body)
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/scenarios/{n}" for n in (1, 2, 3, 4)]
    assert (await gateway.get("/v1/suites/mine")).status_code == 404
    for change, pointer in (
        ({"suite": "esrp-zh"}, "/suite"),
        ({"suite": "No Name"}, "/suite"),
        ({"characters": {"from": "nobody"}}, "/characters/from"),
        ({"characters": {"from": "esrp-zh"}}, "/characters/from"),
        ({"characters": []}, "/characters/list"),
        ({"scenarios": []}, "/scenarios"),
    ):
        refused = await gateway.post(made["links"]["select"], json={**body, "scenarios": ids[:1], **change})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer), refused.text


async def test_another_tenants_set_is_not_there_and_a_reader_may_only_read(
    gateway: httpx2.AsyncClient, resources: Resources, database: str
) -> None:
    made = await asked(gateway)
    ids = await play_generator(database, made["id"])
    body = {"suite": "mine", "scenarios": ids[:1], "characters": {"from": "tiny"}}
    tenant = (await gateway.post("/v1/tenants", json={"name": "other"})).json()["id"]
    scopes = {"scopes": ["runs:write"], "tenant": tenant}
    stranger = (await gateway.post("/v1/keys", json=scopes)).json()["key"]
    reader = (await gateway.post("/v1/keys", json={"scopes": ["runs:read"]})).json()["key"]
    async with caller(resources, stranger) as client:
        answers = [await client.get(made["links"][link]) for link in ("self", "scenarios")]
        answers.append(await client.post(made["links"]["select"], json=body))
        assert [answer.status_code for answer in answers] == [404] * 3
        assert (await client.get("/v1/scenario-sets")).json()["data"] == []
    async with caller(resources, reader) as client:
        assert (await client.get(made["links"]["self"])).status_code == 200
        assert (await client.post("/v1/scenario-sets", json=GRID)).status_code == 403
        assert (await client.post(made["links"]["select"], json=body)).status_code == 403
    async with caller(resources, None) as client:
        assert (await client.get("/v1/scenario-sets")).status_code == 401
    assert (await gateway.get("/v1/scenario-sets/scs_1")).status_code == 404


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_suites_keep_the_hash_that_they_had_before_there_was_provenance(name: str) -> None:
    suite = bundled(name)
    asked = suite.model_dump(include={"language", "metrics", "characters", "scenarios"})
    assert suite.sha256 == digest(asked)
    assert suite.model_copy(update={"provenance": {"by": "hand"}}).sha256 == digest(asked)


async def test_the_document_of_the_api_describes_it(gateway: httpx2.AsyncClient) -> None:
    document = await asyncio.to_thread(json.loads, (await gateway.get("/openapi.json")).text)
    asked = document["components"]["schemas"]["ScenarioSetRequest"]["properties"]
    assert asked["per_cell"] == {"type": "integer", "maximum": 10.0, "minimum": 1.0, "title": "Per Cell", "default": 2}
    assert set(document["paths"]["/v1/scenario-sets/{id}/select"]["post"]["responses"]) >= {"201", "404", "422"}
