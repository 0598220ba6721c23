"""Who may ask: keys, scopes, tenants, rates."""

import json
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from services.gateway.access.quota import RateLimit
from services.gateway.resources import Resources
from services.kit.db import open_engine
from services.kit.ids import decode
from tests.builders import a_run_request
from tests.gateway.conftest import BOOTSTRAP, caller


@pytest.mark.parametrize("key", [None, "esrp_wrong", "sk-other"])
async def test_without_a_known_key_nothing_is_told(resources: Resources, key: str | None) -> None:
    async with caller(resources, key) as stranger:
        answer = await stranger.get("/v1/runs")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(
    client: httpx2.AsyncClient, resources: Resources
) -> None:
    made = (await client.post("/v1/keys", json={"name": "ci", "scopes": ["runs:read"]})).json()
    async with caller(resources, made["key"]) as reader:
        assert (await reader.get("/v1/runs")).status_code == 200
        listed = (await client.get("/v1/keys")).text
        assert made["id"] in listed
        assert made["key"] not in listed
        assert (await client.delete(f"/v1/keys/{made['id']}")).status_code == 204
        assert (await reader.get("/v1/runs")).status_code == 401


async def test_a_scope_that_is_missing_is_named(client: httpx2.AsyncClient, resources: Resources) -> None:
    made = (await client.post("/v1/keys", json={"scopes": ["runs:read"]})).json()
    async with caller(resources, made["key"]) as reader:
        answer = await reader.post("/v1/runs", json=a_run_request())
        assert (answer.status_code, answer.json()["detail"]) == (403, "This key lacks the scope runs:write.")
        assert (await reader.post("/v1/keys", json={"scopes": ["admin"]})).status_code == 403


async def test_another_tenants_things_are_not_there(client: httpx2.AsyncClient, resources: Resources) -> None:
    run = (await client.post("/v1/runs", json=a_run_request())).json()
    tenant = (await client.post("/v1/tenants", json={"name": "other"})).json()
    key = (await client.post("/v1/keys", json={"tenant": tenant["id"], "scopes": ["admin"]})).json()["key"]
    async with caller(resources, key) as other:
        for path in (f"/v1/runs/{run['id']}", f"/v1/runs/{run['id']}/report", f"/v1/runs/{run['id']}/events"):
            assert (await other.get(path)).status_code == 404, path
        assert (await other.post(f"/v1/runs/{run['id']}/cancel")).status_code == 404
        assert (await other.get("/v1/suites/tiny")).status_code == 404
        assert (await other.get("/v1/suites/esrp-zh")).status_code == 200
        assert (await other.get("/v1/runs")).json()["data"] == []
        assert (await other.post("/v1/tenants", json={"name": "third"})).status_code == 403


async def test_the_bootstrap_key_works_on_existing_data_too(resources: Resources) -> None:
    async with caller(resources, BOOTSTRAP) as admin:
        assert (await admin.get("/v1/tenants")).json()["data"][0]["name"] == "first"


async def test_over_the_rate_the_answer_says_when_to_go_on(client: httpx2.AsyncClient, resources: Resources) -> None:
    object.__setattr__(resources, "rates", RateLimit(2))
    answers = [await client.get("/v1/judges") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"default";q=2;w=60'
    assert int(answers[2].headers["retry-after"]) >= 1
    assert answers[2].json()["retryable"] is True


async def test_every_answer_carries_the_request_id(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/runs/run_nothing", headers={"X-Request-ID": "mine-1"})
    assert (answer.status_code, answer.headers["x-request-id"], answer.json()["request_id"]) == (
        404,
        "mine-1",
        "mine-1",
    )


async def test_a_database_that_is_away_is_no_fault_of_the_client(resources: Resources) -> None:
    away = open_engine("postgresql+asyncpg://postgres@/x?host=/nowhere", "esrp_gateway")
    object.__setattr__(resources, "engine", away)
    async with caller(resources, BOOTSTRAP) as admin:
        answer = await admin.get("/v1/runs", headers={"X-Request-ID": "mine-2"})
    assert (answer.status_code, answer.json()["retryable"], answer.headers["retry-after"]) == (503, True, "2")
    assert answer.headers["x-request-id"] == "mine-2"


async def test_an_export_without_the_analytics_service_is_an_error_and_not_an_empty_file(
    client: httpx2.AsyncClient,
) -> None:
    run = (await client.post("/v1/runs", json=a_run_request())).json()["id"]
    assert (await client.get(f"/v1/ratings?run={run}")).status_code == 503


async def test_health_needs_no_key_and_readiness_names_what_is_away(resources: Resources) -> None:
    async with caller(resources, None) as anyone:
        assert (await anyone.get("/healthz")).status_code == 200
        ready = await anyone.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {
            "postgres": True,
            "redis": True,
            "seeded": True,
            "generator": False,
            "judge": False,
            "analytics": False,
        }
        assert "esrp_web_requests_total" in (await anyone.get("/metrics")).text


def test_an_id_of_another_kind_names_nothing() -> None:
    with pytest.raises(Exception, match="There is no run 'dlg_"):
        decode("run", "dlg_" + "0" * 32)


async def test_the_api_describes_itself_and_every_reference_in_it_leads_somewhere(resources: Resources) -> None:
    async with caller(resources, None) as anyone:
        document = (await anyone.get("/openapi.json")).json()
        assert (await anyone.get("/docs")).status_code == 200
    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references >= {"Suite", "TranscriptRequest", "RunRequest", "Report", "Problem"}
    assert references <= set(document["components"]["schemas"])
    assert '"#/$defs' not in json.dumps(document)


@pytest.mark.parametrize("key", [None, "esrp_" + "x" * 43])
@pytest.mark.parametrize("path", ["/v1/suites", "/v1/runs", "/v1/ratings", "/v1/keys"])
async def test_nobody_without_a_key_has_a_body_read(resources: Resources, path: str, key: str | None) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"{"

    async with caller(resources, key) as stranger:
        answer = await stranger.post(path, content=body(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"], read) == (401, "unauthorized", 0)
