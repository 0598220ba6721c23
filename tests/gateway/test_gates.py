"""Named policies and baselines: versions, what is refused and where, and whose they are."""

import asyncio
from typing import Any

import httpx2
import pytest
from sqlalchemy.exc import IntegrityError

from esrp.errors import EsrpError
from esrp.policies import bundled
from services.gateway.access.keys import FIRST_TENANT
from services.gateway.gates import policies, verdicts
from services.gateway.resources import Resources
from services.gateway.runs import store
from services.gateway.upstream import Forwarded
from services.kit.db import count, row
from services.kit.ids import decode
from tests.builders import a_run_request, a_suite
from tests.gateway.conftest import caller

YAML = {"Content-Type": "application/yaml"}
POLICY: dict[str, Any] = {"baseline": "production", "margins": {"*": 0.2}}


GONE = "run_01a1fd3f9a2d7ed4b7f0c0ffee000000"


async def a_run(client: httpx2.AsyncClient, **fields: Any) -> str:
    answer = await client.post("/v1/runs", json=a_run_request(**fields))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def succeed(resources: Resources, run: str) -> None:
    async with resources.engine.begin() as tx:
        await count(
            tx,
            "UPDATE gateway.runs SET status = 'succeeded', finished_at = now() WHERE id = :id",
            id=decode("run", run),
        )


# --- policies ---------------------------------------------------------------------------------------------------------


async def test_the_bundled_policies_are_there(client: httpx2.AsyncClient) -> None:
    listed = (await client.get("/v1/gates")).json()["data"]

    assert [(gate["name"], gate["version"]) for gate in listed] == [("smoke", 1), ("release-default", 1)]
    assert listed[0]["policy"] == bundled("smoke").model_dump(mode="json")


async def test_the_same_policy_is_the_same_version_and_another_one_the_next(client: httpx2.AsyncClient) -> None:
    first = await client.post("/v1/gates", json={"name": "mine", "policy": POLICY})
    again = await client.post("/v1/gates", json={"name": "mine", "policy": POLICY})
    other = await client.post("/v1/gates", json={"name": "mine", "policy": {**POLICY, "floors": {"overall": 3.9}}})

    assert (first.status_code, again.json(), other.json()["version"]) == (201, first.json(), 2)
    listed = (await client.get("/v1/gates?limit=3")).json()
    assert [gate["version"] for gate in listed["data"] if gate["name"] == "mine"] == [1]
    rest = (await client.get(f"/v1/gates?cursor={listed['next_cursor']}")).json()
    assert [(gate["name"], gate["version"]) for gate in rest["data"]] == [("mine", 2)]


async def test_a_policy_that_was_kept_before_it_had_a_field_is_still_the_same(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    first = (await client.post("/v1/gates", json={"name": "mine", "policy": POLICY})).json()
    async with resources.engine.begin() as tx:
        assert await count(
            tx, "UPDATE gateway.gates SET policy = policy - 'baseline_optional', sha256 = 'old' WHERE name = 'mine'"
        )

    again = (await client.post("/v1/gates", json={"name": "mine", "policy": POLICY})).json()

    assert (again["version"], again["policy"]) == (1, first["policy"])


async def test_a_policy_may_be_a_yaml_file_with_its_fields_beside_its_name(client: httpx2.AsyncClient) -> None:
    text = "name: mine\nbaseline: production\nmargins: {'*': 0.2}\nsentinel: 40\non_inconclusive: fail\n"

    made = (await client.post("/v1/gates", content=text, headers=YAML)).json()

    policy = made["policy"]
    assert (policy["margins"], policy["sentinel"], policy["on_inconclusive"]) == ({"*": 0.2}, 40, "fail")


@pytest.mark.parametrize(
    ("text", "pointer", "says"),
    [
        ("name: mine\nmargins: {fluencyy: 0.1}", "/", "not a metric: fluencyy"),
        ("name: mine\nmargins:\n  fluency: -1", "/margins/fluency", "line 3"),
        ("name: mine\nfloors: {overall: 6}", "/floors/overall", "line 2"),
        ("name: mine\nmargin: {overall: 0.1}", "/margin", "line 2"),
        ("name: mine\nmargins: {'*': 0.1}\nmargins: {'*': 0.9}", "/margins", "line 3"),
        ("name: mine", "/", "a policy needs a margin or a floor"),
        ("name: My Gate\nmargins: {'*': 0.1}", "/name", "line 1"),
        ("margins: {'*': 0.1}", "/name", ""),
        ("name: smoke\nmargins: {'*': 0.1}", "/name", "bundled"),
        ("- name", "/", ""),
        ("name: [", "line 2", "not YAML or JSON"),
    ],
)
async def test_what_is_wrong_with_a_policy_is_told_by_line(
    client: httpx2.AsyncClient, text: str, pointer: str, says: str
) -> None:
    answer = await client.post("/v1/gates", content=text, headers=YAML)

    assert answer.status_code == 422, answer.text
    [fault, *_] = answer.json()["errors"]
    assert (fault["pointer"], says in fault["message"]) == (pointer, True), fault


async def test_a_repeated_request_has_its_answer_repeated(client: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await client.post("/v1/gates", json={"name": "mine", "policy": POLICY}, headers=headers)
    again = await client.post("/v1/gates", json={"name": "mine", "policy": POLICY}, headers=headers)
    other = await client.post("/v1/gates", json={"name": "other", "policy": POLICY}, headers=headers)

    assert again.json() == first.json() and again.headers["Idempotent-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


# --- a run's gate -----------------------------------------------------------------------------------------------------


async def test_a_run_keeps_the_version_of_its_gate(client: httpx2.AsyncClient) -> None:
    await client.post("/v1/gates", json={"name": "mine", "policy": POLICY})
    run = await a_run(client, gate="mine")
    await client.post("/v1/gates", json={"name": "mine", "policy": {"floors": {"overall": 4}}})

    found = (await client.get(f"/v1/runs/{run}")).json()

    assert (found["gate"], found["verdict"]) == ("mine@1", None)
    assert (await client.get(f"/v1/runs/{await a_run(client, gate='mine')}")).json()["gate"] == "mine@2"


async def test_a_runs_gate_may_be_a_policy(client: httpx2.AsyncClient) -> None:
    run = await a_run(client, gate=POLICY)

    assert (await client.get(f"/v1/runs/{run}")).json()["gate"]["margins"] == {"*": 0.2}


@pytest.mark.parametrize(
    ("gate", "pointer"),
    [
        ("nobody", "/gate"),
        ("smoke@7", "/gate"),
        ("smoke\0", "/gate"),
        ({"margins": {"*": 1}, "baseline": "\0"}, "/gate"),
        ({"margins": {"nothing": 1}}, "/gate"),
        ({"margins": {"*": 1}, "baseline": GONE}, "/gate/baseline"),
        ({"floors": {"*": 1}, "baseline": "run_x"}, "/gate/baseline"),
    ],
)
async def test_a_gate_that_is_not_there_is_refused_before_the_run(
    client: httpx2.AsyncClient, gate: Any, pointer: str
) -> None:
    answer = await client.post("/v1/runs", json=a_run_request(gate=gate))

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert (await client.get("/v1/runs")).json()["data"] == []


async def test_a_run_whose_gate_has_no_baseline_yet_is_warned_before_it_is_paid_for(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    planned = (await client.post("/v1/runs?dry_run=true", json=a_run_request(gate="smoke"))).json()
    run = (await client.post("/v1/runs", json=a_run_request(gate=POLICY))).json()
    optional = (await client.post("/v1/runs", json=a_run_request(gate={**POLICY, "baseline_optional": True}))).json()
    await succeed(resources, run["id"])
    await client.put("/v1/baselines/production", json={"run": run["id"]})
    later = (await client.post("/v1/runs", json=a_run_request(gate="smoke"))).json()

    [told] = planned["warnings"]
    assert "no baseline 'production'" in told and "`esrp baseline set production RUN`" in told
    assert (run["warnings"], optional["warnings"], later["warnings"]) == ([told], [], [])


async def test_the_same_job_with_another_gate_finds_its_run_and_changes_its_gate(client: httpx2.AsyncClient) -> None:
    asked: dict[str, Any] = {"labels": {"commit": "c7f1"}}
    first = (await client.post("/v1/runs?reattach=true", json=a_run_request(**asked, gate="smoke"))).json()
    again = (await client.post("/v1/runs?reattach=true", json=a_run_request(**asked, gate="release-default"))).json()

    assert (again["id"], again["gate"]) == (first["id"], "release-default@1")


async def test_a_verdict_waits_while_the_analytics_service_is_away(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    run = await a_run(client, gate="smoke")
    await succeed(resources, run)
    async with resources.engine.begin() as tx:
        found = await store.find_run(tx, FIRST_TENANT, decode("run", run))
        assert await verdicts.claim(tx, found)
        assert not await verdicts.claim(tx, found)  # somebody is at it

    assert not await verdicts.settle(resources, found)

    async with resources.engine.begin() as tx:
        assert await verdicts.claim(tx, found)  # and may be again at once
    assert (await client.get(f"/v1/runs/{run}")).json()["verdict"] is None
    answer = await client.post(f"/v1/runs/{run}/gate", json={"gate": "smoke"})
    assert (answer.status_code, answer.json()["retryable"]) == (503, True)


async def test_a_gate_that_cannot_be_decided_leaves_no_run_waiting(
    client: httpx2.AsyncClient, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await a_run(client, gate="smoke")
    await succeed(resources, run)
    async with resources.engine.begin() as tx:
        found = await store.find_run(tx, FIRST_TENANT, decode("run", run))

    async def refused(*_: Any, **__: Any) -> Forwarded:
        raise EsrpError("Something broke.")

    monkeypatch.setattr(resources.peers, "call", refused)

    assert await verdicts.settle(resources, found)

    assert (await client.get(f"/v1/runs/{run}")).json()["verdict"] == "error"
    async with resources.engine.begin() as tx:
        event = await row(tx, "SELECT data FROM gateway.events WHERE type = 'run.verdict'")
    assert event is not None and event["data"]["explanation"] == ["Something broke."]


@pytest.mark.parametrize("body", [{}, {"gate": "smoke", "policy": POLICY}])
async def test_one_policy_is_asked_for(client: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    run = await a_run(client)

    assert (await client.post(f"/v1/runs/{run}/gate", json=body)).status_code == 422


# --- baselines --------------------------------------------------------------------------------------------------------


async def test_a_baseline_is_a_name_for_a_run_that_has_succeeded(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    first, second = await a_run(client), await a_run(client)
    early = await client.put("/v1/baselines/production", json={"run": first})
    await succeed(resources, first)
    await succeed(resources, second)

    made = (await client.put("/v1/baselines/production", json={"run": first})).json()
    moved = (await client.put("/v1/baselines/production", json={"run": second})).json()

    assert early.status_code == 409
    assert (made["run"], made["suite"], moved["run"]) == (first, "tiny@1", second)
    assert (await client.get("/v1/baselines")).json()["data"] == [moved]


@pytest.mark.parametrize(
    ("name", "run", "pointer"),
    [("run_1", None, "name"), ("..", None, "name"), ("ok", "run_1", "/run"), ("ok", "dlg_1", "/run")],
)
async def test_what_cannot_be_a_baseline_is_refused(
    client: httpx2.AsyncClient, name: str, run: str | None, pointer: str
) -> None:
    answer = await client.put(f"/v1/baselines/{name.replace('.', '%2E')}", json={"run": run or await a_run(client)})

    assert answer.status_code in (404, 422)
    if answer.status_code == 422:
        assert pointer in answer.json()["errors"][0]["pointer"]


async def test_a_run_is_deleted_only_when_it_is_no_baseline(client: httpx2.AsyncClient, resources: Resources) -> None:
    run, other = await a_run(client), await a_run(client)
    await succeed(resources, run)
    await succeed(resources, other)
    for name in ("staging", "production"):
        await client.put(f"/v1/baselines/{name}", json={"run": run})

    refused = await client.delete(f"/v1/runs/{run}")

    told = refused.json()
    assert (refused.status_code, told["code"], told["baselines"]) == (
        409,
        "baseline_in_use",
        ["production", "staging"],
    )
    assert "`esrp baseline set production RUN`" in told["detail"]
    assert "`esrp baseline delete production`, `esrp baseline delete staging`" in told["detail"]
    await client.put("/v1/baselines/production", json={"run": other})
    assert (await client.delete(f"/v1/runs/{run}")).json()["baselines"] == ["staging"]
    assert (await client.delete("/v1/baselines/staging")).status_code == 204
    assert (await client.delete(f"/v1/runs/{run}")).status_code == 204
    assert [item["name"] for item in (await client.get("/v1/baselines")).json()["data"]] == ["production"]


async def until_someone_waits(resources: Resources) -> None:
    async with asyncio.timeout(20), resources.engine.connect() as watching:
        while await row(watching, "SELECT 1 FROM pg_locks WHERE NOT granted") is None:
            await asyncio.sleep(0.01)


async def test_a_run_that_becomes_a_baseline_while_it_is_deleted_stays(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    run = await a_run(client)
    await succeed(resources, run)
    async with resources.engine.begin() as tx:
        found = await store.find_run(tx, FIRST_TENANT, decode("run", run), lock=True)
        await policies.set_baseline(tx, FIRST_TENANT, "production", found.id)
        deleting = asyncio.create_task(client.delete(f"/v1/runs/{run}"))
        await until_someone_waits(resources)

    assert ((await deleting).status_code, (await client.get(f"/v1/runs/{run}")).status_code) == (409, 200)


async def test_a_run_that_is_deleted_while_it_becomes_a_baseline_is_none(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    run = await a_run(client)
    await succeed(resources, run)
    async with resources.engine.begin() as tx:
        await store.delete_run(tx, await store.find_run(tx, FIRST_TENANT, decode("run", run), lock=True))
        setting = asyncio.create_task(client.put("/v1/baselines/production", json={"run": run}))
        await until_someone_waits(resources)

    refused = await setting
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/run")
    assert (await client.get("/v1/baselines")).json()["data"] == []


async def test_the_database_itself_keeps_a_run_that_is_a_baseline(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    run = await a_run(client)
    await succeed(resources, run)
    await client.put("/v1/baselines/production", json={"run": run})

    with pytest.raises(IntegrityError, match="baselines_run_id_fkey"):
        async with resources.engine.begin() as tx:
            await count(tx, "DELETE FROM gateway.runs WHERE id = :id", id=decode("run", run))


@pytest.mark.parametrize(("name", "status"), [("nobody", 404), ("a%00", 422), ("%2E%2E", 422)])
async def test_a_name_that_means_no_run_cannot_be_taken_away(
    client: httpx2.AsyncClient, name: str, status: int
) -> None:
    assert (await client.delete(f"/v1/baselines/{name}")).status_code == status


async def test_another_tenant_sees_none_of_it(client: httpx2.AsyncClient, resources: Resources) -> None:
    run = await a_run(client)
    await succeed(resources, run)
    await client.put("/v1/baselines/production", json={"run": run})
    await client.post("/v1/gates", json={"name": "mine", "policy": POLICY})
    tenant = (await client.post("/v1/tenants", json={"name": "other"})).json()
    key = (await client.post("/v1/keys", json={"tenant": tenant["id"], "scopes": ["admin"]})).json()["key"]

    async with caller(resources, key) as other:
        assert (await other.get("/v1/baselines")).json()["data"] == []
        assert {gate["name"] for gate in (await other.get("/v1/gates")).json()["data"]} == {"smoke", "release-default"}
        assert (await other.post(f"/v1/runs/{run}/gate", json={"gate": "smoke"})).status_code == 404
        assert (await other.get(f"/v1/runs/{run}/gate")).status_code == 404
        assert (await other.put("/v1/baselines/production", json={"run": run})).status_code == 422
        assert (await other.delete("/v1/baselines/production")).status_code == 404
        suite = await other.post("/v1/suites", json=a_suite().model_dump(mode="json"))
        assert suite.status_code == 201
        asked = await other.post("/v1/runs", json=a_run_request(gate={**POLICY, "baseline": run}))
        assert asked.json()["errors"] == [{"pointer": "/gate/baseline", "message": f"There is no run {run!r}."}]


async def test_reading_needs_one_scope_and_deciding_another(client: httpx2.AsyncClient, resources: Resources) -> None:
    run = await a_run(client)
    made = (await client.post("/v1/keys", json={"scopes": ["runs:read"]})).json()

    async with caller(resources, made["key"]) as reader:
        assert (await reader.get("/v1/gates")).status_code == 200
        assert (await reader.get("/v1/baselines")).status_code == 200
        refused = [
            await reader.post("/v1/gates", json={"name": "mine", "policy": POLICY}),
            await reader.put("/v1/baselines/production", json={"run": run}),
            await reader.delete("/v1/baselines/production"),
            await reader.post(f"/v1/runs/{run}/gate", json={"gate": "smoke"}),
        ]
    assert [answer.status_code for answer in refused] == [403, 403, 403, 403]


async def test_the_openapi_document_describes_a_policy(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    assert {"baseline", "baseline_optional", "margins", "floors", "sentinel"} <= set(
        document["components"]["schemas"]["Policy"]["properties"]
    )
    assert set(document["paths"]["/v1/gates"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "application/yaml",
    }
