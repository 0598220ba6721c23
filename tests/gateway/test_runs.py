"""What a run is asked for, and how it moves on."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from esrp.api import Run, RunError
from services.gateway.resources import Resources
from services.gateway.runs.advance import Counts, advanced, failure
from services.gateway.runs.rows import Place
from services.kit.db import row
from services.kit.ids import decode
from tests.builders import a_run_request, a_suite
from tests.gateway.builders import a_run


def calls(plan: dict[str, Any]) -> tuple[int, ...]:
    return tuple(plan[name] for name in ("dialogues", "candidate_calls", "simulator_calls", "judge_calls"))


async def test_a_run_is_accepted_with_its_plan_and_where_to_follow_it(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/runs", json=a_run_request(name="rc1", labels={"commit": "c7f1"}))
    run = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == run["links"]["self"] == f"/v1/runs/{run['id']}"
    assert calls(run["plan"]) == (6, 12, 6, 6 + 2)
    assert (run["status"], run["phase"], run["suite"]) == ("queued", None, "tiny@1")
    assert (await client.get(run["links"]["self"])).json() == run


async def test_a_dry_run_stores_nothing(client: httpx2.AsyncClient) -> None:
    asked = a_run_request(replicates=3, rounds=1, sample={"dialogues": 4, "seed": 7})
    answer = await client.post("/v1/runs?dry_run=true", json=asked)
    assert answer.status_code == 200
    assert calls(answer.json()["plan"]) == (12, 12, 0, 12 + 2)
    assert (await client.get("/v1/runs")).json()["data"] == []


async def test_the_key_and_the_headers_values_are_never_shown_and_lie_encrypted(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    secret = {"api_key": "sk-very-secret", "headers": {"X-Team-Token": "also-secret"}}
    answer = await client.post("/v1/runs", json=a_run_request(candidate=secret))
    assert answer.status_code == 202
    listed = (await client.get("/v1/runs")).text
    for text in (answer.text, listed):
        assert "sk-very-secret" not in text
        assert "also-secret" not in text
        assert "X-Team-Token" in text
    async with resources.engine.begin() as tx:
        stored = await row(
            tx,
            "SELECT r.candidate::text AS public, s.sealed FROM gateway.runs r"
            " JOIN gateway.secrets s ON s.id = r.secret_id WHERE r.id = :id",
            id=decode("run", answer.json()["id"]),
        )
    assert stored is not None
    assert "secret" not in stored["public"]
    assert b"secret" not in stored["sealed"]
    assert "sk-very-secret" in resources.keys.open(stored["sealed"])


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"suite": "nope"}, "/suite", "There is no suite 'nope'"),
        ({"suite": "tiny@9"}, "/suite", "There is no suite 'tiny@9'"),
        ({"judges": ["default", "lora"]}, "/judges/1", "No judge named 'lora' is configured. Add to esrp.yaml"),
        ({"simulator": "other"}, "/simulator", "No simulator named 'other' is configured"),
        ({"sample": {"dialogues": 7}}, "/sample/dialogues", "the suite has 6 dialogues"),
        ({"foo": 1}, "/foo", "Extra inputs are not permitted"),
        ({"rounds": 11}, "/rounds", "less than or equal to 10"),
        ({"candidate": {"kind": "transcript", "transcript": "trn_x"}}, "/candidate/transcript", "no transcript"),
        ({"candidate": {"base_url": "ftp://x", "model": "m"}}, "/candidate/endpoint/base_url", "pattern"),
        (
            {"candidate": {"base_url": "http://x", "model": "m", "extra_body": {"messages": []}}},
            "/candidate/endpoint/extra_body",
            "messages cannot be set here",
        ),
    ],
)
async def test_bad_input_is_named_with_its_place(
    client: httpx2.AsyncClient, change: dict[str, Any], pointer: str, says: str
) -> None:
    answer = await client.post("/v1/runs", json={**a_run_request(), **change})
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert says in fault["message"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "a\0b"}, "U+0000"),
        ({"labels": {"k\0": "v"}}, "U+0000"),
        ({"candidate": {"base_url": "http://user:pw@host/v1", "model": "m"}}, "use api_key"),
        ({"replicates": 20, "sample": None, "rounds": 1, "suite": "large"}, "1 to 100000 are possible"),
    ],
)
async def test_what_cannot_be_stored_shown_or_planned_is_refused(
    client: httpx2.AsyncClient, change: dict[str, Any], says: str
) -> None:
    large = a_suite(characters=80, scenarios=80, name="large").model_dump(mode="json")
    assert (await client.post("/v1/suites", json=large)).status_code == 201
    answer = await client.post("/v1/runs", json={**a_run_request(), **change})
    assert answer.status_code == 422
    assert says in answer.json()["errors"][0]["message"]


async def test_a_query_in_the_address_is_sealed_too(client: httpx2.AsyncClient, resources: Resources) -> None:
    run = (await client.post("/v1/runs", json=a_run_request("http://host/v1?key=hush"))).json()
    assert run["candidate"]["base_url"] == "http://host/v1?***"
    async with resources.engine.begin() as tx:
        found = await row(tx, "SELECT sealed FROM gateway.secrets")
    assert found is not None
    assert "http://host/v1?key=hush" in resources.keys.open(found["sealed"])


async def test_a_body_that_is_not_json_is_told_by_its_line(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/runs", content='{"suite": "tiny",\n"candidate": ', headers=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "line 2")


async def test_a_body_over_the_limit_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/runs", content=b" " * (1 << 20) + b"{}", headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * (1 << 15)

    unsaid = await client.post("/v1/runs", content=pieces(), headers=JSON)
    assert (unsaid.status_code, unsaid.json()["code"]) == (413, "body_too_large")


async def test_the_same_key_and_body_give_the_same_run(client: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "deploy-1"}
    first = await client.post("/v1/runs", json=a_run_request(), headers=key)
    again = await client.post("/v1/runs", json=a_run_request(), headers=key)
    other = await client.post("/v1/runs", json=a_run_request(name="x"), headers=key)
    assert again.json() == first.json()
    assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
    assert again.headers["location"] == first.headers["location"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await client.get("/v1/runs")).json()["data"]) == 1


async def test_what_is_sent_of_a_run_has_every_field_of_the_schema_in_its_form(client: httpx2.AsyncClient) -> None:
    policy = {"margins": {"*": 0.2}, "baseline": "production"}
    prices = {"candidate": {"prompt_per_million": 1, "completion_per_million": 2}}
    asked = a_run_request(
        gate=policy, prices=prices, budget={"max_calls": 9}, sample={"dialogues": 2}, labels={"a": "b"}
    )
    made = (await client.post("/v1/runs", json=asked)).json()
    [listed] = (await client.get("/v1/runs")).json()["data"]
    assert made == listed == (await client.get(made["links"]["self"])).json()
    assert Run.model_validate(listed).model_dump(mode="json") == listed


async def test_runs_are_listed_page_by_page_and_by_filter(client: httpx2.AsyncClient) -> None:
    made = [(await client.post("/v1/runs", json=a_run_request(name=f"r{n}"))).json()["id"] for n in range(3)]
    first = (await client.get("/v1/runs?limit=2")).json()
    second = (await client.get("/v1/runs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [run["id"] for run in first["data"] + second["data"]] == made
    assert second["next_cursor"] is None
    assert (await client.get("/v1/runs?suite=esrp-zh")).json()["data"] == []
    assert len((await client.get("/v1/runs?status=queued&suite=tiny&candidate=bot")).json()["data"]) == 3
    assert (await client.get("/v1/runs?cursor=nonsense!")).status_code == 422
    assert (await client.get("/v1/runs?limit=0")).status_code == 422


async def test_a_run_without_judges_and_one_round_needs_no_configured_model(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    object.__setattr__(resources.settings, "simulator", None)
    assert (await client.post("/v1/runs", json=a_run_request(judges=[], rounds=1))).status_code == 202
    refused = await client.post("/v1/runs", json=a_run_request())
    assert 'simulator: {base_url: "https://…/v1"' in refused.json()["detail"]


async def test_a_run_is_cancelled_once_and_resumed_only_after_that(client: httpx2.AsyncClient) -> None:
    run = (await client.post("/v1/runs", json=a_run_request())).json()["id"]
    assert (await client.post(f"/v1/runs/{run}/resume")).json()["code"] == "wrong_state"
    assert (await client.post(f"/v1/runs/{run}/cancel")).json()["status"] == "cancelling"
    assert (await client.post(f"/v1/runs/{run}/cancel")).status_code == 202


async def test_the_manifest_knows_neither_addresses_nor_names(client: httpx2.AsyncClient) -> None:
    asked = [
        a_run_request("http://one/v1", name="a"),
        a_run_request("http://two/v1", name="b", candidate={"model": "other", "api_key": "k"}),
        a_run_request("http://one/v1", rounds=3),
    ]
    hashes = [(await client.post("/v1/runs", json=body)).json()["manifest"]["sha256"] for body in asked]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("run", "counts", "place"),
    [
        ({"status": "queued", "phase": None}, Counts(), Place("queued", None)),
        ({"status": "queued", "phase": None}, Counts(written=4), Place("running", "generating")),
        ({}, Counts(written=4, done=3), Place("running", "generating")),
        ({}, Counts(written=4, done=3, failed=1, verdicts=5), Place("running", "judging")),
        ({}, Counts(written=4, done=3, failed=1, verdicts=6), Place("running", "analysing")),
        ({}, Counts(written=4, done=3, failed=1, verdicts=6, unrated=True), Place("running", "judging")),
        ({}, Counts(4, 3, 1, 6, rated=True, summarised=True), Place("succeeded", None)),
        ({"phase": "judging"}, Counts(4, 3, 1, 6, rated=True, summarised=True), Place("succeeded", None)),
        (
            {"phase": "judging"},
            Counts(4, 3, 1, 6, rated=True, summarised=True, unrated=True),
            Place("running", "judging"),
        ),
        ({}, Counts(4, 0, 4, summarised=True, unrated=True), Place("failed", None)),
        ({}, Counts(4, 4, 0, 8, rated=False, summarised=True), Place("failed", None)),
        ({"judges": []}, Counts(4, 4, summarised=True, unrated=True), Place("succeeded", None)),
        ({"status": "cancelling"}, Counts(4, 1, busy=True), Place("cancelling", "generating")),
        ({"status": "cancelling"}, Counts(4, 3), Place("cancelled", None)),
        ({}, Counts(4, 1, exhausted=True, busy=True), Place("running", "generating")),
        ({}, Counts(4, 1, exhausted=True), Place("budget_exhausted", None)),
        ({"status": "succeeded", "phase": None}, Counts(), Place("succeeded", None)),
    ],
)
def test_a_run_stands_where_its_parts_are(run: dict[str, Any], counts: Counts, place: Place) -> None:
    assert advanced(a_run(**run), counts) == place


def test_a_run_that_got_no_score_says_why() -> None:
    unscored = failure(a_run(), Counts(4, 4, 0, 8), ["The judge is away. (4 ×)"])
    silent = failure(a_run(), Counts(4, 0, 4), ["The candidate: wrong key. (4 ×)"])
    assert unscored.code == "nothing_scored"
    assert silent == RunError(
        code="nothing_generated",
        message="None of the 4 dialogues could be played. The candidate: wrong key. (4 ×)",
    )


JSON = {"Content-Type": "application/json"}
