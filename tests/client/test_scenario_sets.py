from uuid import UUID

import pytest

from esrp.api import ScenarioSetDetail, ScenarioSetRequest
from esrp.client import ApiError, AsyncClient, Client, Lost
from esrp.dialogue import Character
from tests.client.fake_api import Answer, FakeApi, hang_up, problem
from tests.client.scenario_sets import SET, drafts, scenario_set
from tests.client.test_calls import SUITE

PATH = f"/v1/scenario-sets/{SET}"


def test_only_what_was_set_is_sent_so_that_the_service_keeps_its_defaults(api: FakeApi, client: Client) -> None:
    api.on("POST", "/v1/scenario-sets", Answer(scenario_set("queued").body, 202))

    made = client.create_scenario_set(ScenarioSetRequest(name="x", per_cell=1))

    [asked] = api.asked
    assert made.status == "queued"
    assert asked.json() == {"name": "x", "per_cell": 1}
    assert UUID(asked.headers["idempotency-key"])


def test_a_set_is_read_every_second_until_all_is_written(api: FakeApi, client: Client, slept: list[float]) -> None:
    api.on("GET", PATH, scenario_set("queued"), scenario_set("running", written=2), scenario_set())
    seen: list[ScenarioSetDetail] = []

    done = client.wait_for_scenarios(SET, seen.append)

    assert done.status == "succeeded"
    assert [one.status for one in seen] == ["queued", "running", "succeeded"]
    assert slept == [1.0, 1.0]


def test_a_lost_connection_is_told_and_waited_for(api: FakeApi, client: Client, slept: list[float]) -> None:
    api.on("GET", PATH, scenario_set("running"), hang_up, problem(500, "internal_error", "broken"), scenario_set())
    lost: list[Lost] = []

    assert client.wait_for_scenarios(SET, None, lost.append).status == "succeeded"
    assert len(lost) == 2
    assert slept == [1.0, 2.0, 4.0]


def test_a_set_that_is_not_there_is_not_waited_for(api: FakeApi, client: Client) -> None:
    api.on("GET", PATH, scenario_set("running"), problem(404, "not_found", "There is no scenario set."))
    with pytest.raises(ApiError, match="no scenario set"):
        client.wait_for_scenarios(SET)


def test_characters_are_those_of_a_suite_or_given(api: FakeApi, client: Client) -> None:
    api.on("POST", f"{PATH}/select", Answer(SUITE, 201))
    fox = Character(id="fox", name="Fox", profile="A fox.")

    client.select_scenarios(SET, "mine", ["scn_1"], "esrp-zh")
    client.select_scenarios(SET, "mine", ["scn_1"], [fox, {"id": "owl", "name": "Owl", "profile": "An owl."}])

    assert [asked.json()["characters"] for asked in api.asked] == [
        {"from": "esrp-zh"},
        [{"id": "fox", "name": "Fox", "profile": "A fox."}, {"id": "owl", "name": "Owl", "profile": "An owl."}],
    ]


def test_what_was_made_is_read(api: FakeApi, client: Client) -> None:
    listed = {name: value for name, value in scenario_set().body.items() if name != "coverage"}
    api.on("GET", "/v1/scenario-sets", Answer({"data": [listed], "next_cursor": None}))
    api.on("GET", f"{PATH}/scenarios", drafts())
    origin = {"suite": "mine@1", "sha256": "0", "provenance": {"writers": []}}
    api.on("GET", "/v1/suites/mine/provenance", Answer(origin))

    assert [one.id for one in client.scenario_sets()] == [SET]
    assert [one.id for one in client.scenarios(SET)] == ["scn_0", "scn_1", "scn_2", "scn_3"]
    assert client.provenance("mine").provenance == {"writers": []}


async def test_the_client_for_asyncio_does_the_same(api: FakeApi) -> None:
    api.on("POST", "/v1/scenario-sets", Answer(scenario_set("queued").body, 202))
    api.on("GET", PATH, scenario_set())
    api.on("GET", f"{PATH}/scenarios", drafts())
    async with AsyncClient(api.url, "esrp_secret") as client:
        made = await client.create_scenario_set({"name": "x"})
        assert (await client.wait_for_scenarios(made.id)).status == "succeeded"
        assert (await client.scenario_set(made.id)).id == SET
        assert [one.id async for one in client.scenarios(SET)] == ["scn_0", "scn_1", "scn_2", "scn_3"]
