from collections.abc import AsyncIterator

import pytest

from esrp.api import Run
from esrp.client import ApiError, AsyncClient, Client, ConnectionFailed, Event, Lost
from tests.client import fake_api
from tests.client.fake_api import RUN, FakeApi, hang_up, problem, run, stream

EVENTS, STATE = f"/v1/runs/{RUN}/events", f"/v1/runs/{RUN}"
THREE = [(1, "run.status"), (2, "dialogue.completed"), (3, "run.finished")]


def seen(events: list[Event]) -> list[tuple[str | None, str]]:
    """Ids and types."""
    return [(event.id, event.type) for event in events]


ALL = [("1", "run.status"), ("2", "dialogue.completed"), ("3", "run.finished")]


def test_events_end_with_the_run(api: FakeApi, client: Client) -> None:
    api.on("GET", EVENTS, stream(THREE))
    api.on("GET", STATE, run("succeeded"))

    events = list(client.events(RUN))

    assert seen(events) == ALL
    assert events[0].data == {"n": 1}


def test_a_lost_connection_is_taken_up_after_the_last_event(api: FakeApi, client: Client) -> None:
    api.on("GET", EVENTS, stream(THREE[:2], cut=True), hang_up, stream(THREE))
    api.on("GET", STATE, run())
    api.on("GET", STATE, run(), run(), run("succeeded"))

    events = list(client.events(RUN))

    assert [pair for pair in seen(events) if pair[0]] == ALL
    assert [asked.headers.get("last-event-id") for asked in api.requests("GET", EVENTS)] == [None, "2", "2"]


def test_events_begin_after_the_one_that_is_named(api: FakeApi, client: Client) -> None:
    api.on("GET", EVENTS, stream(THREE))
    api.on("GET", STATE, run("succeeded"))

    assert seen(list(client.events(RUN, last_event_id="2"))) == ALL[2:]


def test_an_end_in_the_past_of_a_resumed_run_is_not_the_end(api: FakeApi, client: Client) -> None:
    api.on("GET", EVENTS, stream([(1, "run.finished"), (2, "run.status"), (3, "run.finished")]))
    api.on("GET", STATE, run(), run("succeeded"))

    assert [event.id for event in client.events(RUN)] == ["1", "2", "3"]


def test_without_a_stream_the_run_is_polled_to_its_end(api: FakeApi, client: Client) -> None:
    api.on("GET", EVENTS, problem(501, "not_here", "No streams through this proxy."))
    api.on("GET", STATE, run(generated=1), run("succeeded", generated=10))

    events = list(client.events(RUN))

    assert seen(events) == [(None, "run.progress"), (None, "run.finished")]
    assert events[0].data["progress"]["generated"] == 1


def test_what_was_missed_while_the_run_ended_is_told_once(api: FakeApi, client: Client) -> None:
    api.on("GET", EVENTS, stream(THREE[:1], cut=True), stream(THREE))
    api.on("GET", STATE, run("succeeded"))

    assert seen(list(client.events(RUN))) == ALL


def test_a_run_that_does_not_exist_is_an_error_at_once(api: FakeApi, client: Client, slept: list[float]) -> None:
    with pytest.raises(ApiError) as caught:
        list(client.events(RUN))

    assert caught.value.status == 404
    assert slept == []


def test_a_service_that_never_answered_is_not_waited_for(slept: list[float]) -> None:
    with Client("http://127.0.0.1:9", sleep=slept.append) as client, pytest.raises(ConnectionFailed):
        list(client.events(RUN))

    assert slept == []


def test_waiting_tells_the_progress_and_returns_the_run(api: FakeApi, client: Client) -> None:
    api.on("GET", EVENTS, stream(THREE))
    api.on("GET", STATE, run(generated=1), run(generated=5), run("succeeded", generated=10))
    told: list[Run] = []

    ended = client.wait(RUN, told.append)

    assert ended.status == "succeeded"
    assert [state.progress.generated for state in told] == [1, 5, 10]


def test_waiting_survives_lost_connections_and_says_so(api: FakeApi, client: Client, slept: list[float]) -> None:
    api.on("GET", EVENTS, stream(THREE[:1], cut=True), hang_up, stream(THREE))
    api.on("GET", STATE, run(), run(), hang_up, run(generated=3), run("succeeded"))
    lost: list[Lost] = []

    ended = client.wait(RUN, on_lost=lost.append)

    assert ended.status == "succeeded"
    assert [item.seconds for item in lost] == slept == [0.5, 1.0]


def test_waiting_gives_up_when_nothing_answers_for_minutes(api: FakeApi, client: Client, slept: list[float]) -> None:
    api.on("GET", EVENTS, hang_up)
    api.on("GET", STATE, run(), hang_up)

    with pytest.raises(ConnectionFailed):
        client.wait(RUN)

    assert 180 <= sum(slept) < 200


def test_a_run_that_has_ended_is_not_waited_for(api: FakeApi, client: Client) -> None:
    api.on("GET", STATE, run("cancelled"))

    assert client.wait(RUN).status == "cancelled"
    assert api.requests("GET", EVENTS) == []


@pytest.fixture
async def async_client(api: FakeApi) -> AsyncIterator[AsyncClient]:
    """The client for asyncio."""

    async def no_sleep(seconds: float) -> None:
        """Go on at once."""

    async with AsyncClient(api.url, "esrp_secret", sleep=no_sleep) as made:
        yield made


async def test_asyncio_has_the_same_events_over_a_lost_connection(api: FakeApi, async_client: AsyncClient) -> None:
    api.on("GET", EVENTS, stream(THREE[:2], cut=True), stream(THREE))
    api.on("GET", STATE, run(), run("succeeded"))

    events = [event async for event in async_client.events(RUN)]

    assert [pair for pair in seen(events) if pair[0]] == ALL


async def test_asyncio_waits_lists_and_fails_alike(api: FakeApi, async_client: AsyncClient) -> None:
    api.on("GET", EVENTS, stream(THREE))
    api.on("GET", STATE, run(), run("succeeded"))
    api.on("GET", "/v1/runs", fake_api.Answer({"data": [run().body], "next_cursor": None}))

    assert (await async_client.wait(RUN)).status == "succeeded"
    assert [item.id async for item in async_client.runs()] == [RUN]
    with pytest.raises(ApiError):
        await async_client.dialogue("dlg_1")
