"""An uploaded suite is refused with lines, or taken with warnings."""

import json
from typing import Any

import httpx2
import pytest

from tests.builders import a_suite

JSON, YAML = {"Content-Type": "application/json"}, {"Content-Type": "application/yaml"}


@pytest.mark.parametrize("headers", [JSON, YAML])
async def test_every_wrong_field_is_told_with_its_line(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    document: dict[str, Any] = a_suite(name="mine").model_dump(mode="json")
    document["characters"][1]["profile"] = 41
    del document["scenarios"][2]["question"]
    text = json.dumps(document, indent=2)
    line = text[: text.index("41")].count("\n") + 1
    answer = await client.post("/v1/suites", content=text, headers=headers)
    faults = {fault["pointer"]: fault["message"] for fault in answer.json()["errors"]}
    assert answer.status_code == 422
    assert list(faults) == ["/characters/1/profile", "/scenarios/2/question"]
    assert faults["/characters/1/profile"] == f"line {line}: Input should be a valid string; put it in quotes"


@pytest.mark.parametrize("text", ["a: " + "[" * 200_000, "name: 2020-13-45", "a: &a [*a]", "name: " + "9" * 5_000])
async def test_a_hostile_text_is_refused_and_the_gateway_lives(client: httpx2.AsyncClient, text: str) -> None:
    assert (await client.post("/v1/suites", content=text, headers=YAML)).status_code == 422
    assert (await client.get("/v1/suites/tiny")).status_code == 200


async def test_warnings_come_with_the_upload_and_with_the_suite_but_not_in_lists(client: httpx2.AsyncClient) -> None:
    suite = a_suite(name="mine", scenarios=1).model_dump(mode="json")
    uploaded = (await client.post("/v1/suites", json=suite)).json()
    assert "emotion: one scenario alone stands for 'EMOTION-1'" in uploaded["warnings"]
    assert (await client.get("/v1/suites/mine@1")).json() == uploaded
    assert {str(listed["warnings"]) for listed in (await client.get("/v1/suites")).json()["data"]} == {"[]"}
