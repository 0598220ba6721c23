from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from esrp.api import EndpointCandidate, RecordedDialogue, RunRequest
from esrp.client import ApiError, Client, ConnectionFailed
from esrp.client.wire import retry_after
from esrp.dialogue import Turn
from esrp.errors import Fault, InvalidInput
from tests.client import fake_api
from tests.client.fake_api import RUN, Answer, FakeApi, problem

SUITE = {
    "id": "ste_1",
    "name": "bots",
    "version": 1,
    "sha256": "0",
    "language": "en",
    "experimental": False,
    "counts": {"characters": 1},
    "created_at": "2026-05-01T10:00:00Z",
}
TRANSCRIPT = {"id": "trn_1", "name": "logs", "suite": "bots@1", "dialogues": 1, "created_at": "2026-05-01T10:00:00Z"}
REQUEST = RunRequest(
    suite="esrp-zh", candidate=EndpointCandidate(base_url="http://bot/v1", model="bot", api_key="sk-1")
)


def test_a_run_is_sent_with_what_was_set_its_key_and_an_idempotency_key(api: FakeApi, client: Client) -> None:
    api.on("POST", "/v1/runs", fake_api.run("queued"))

    started = client.create_run(REQUEST)

    [asked] = api.requests("POST", "/v1/runs")
    assert started.id == RUN
    assert asked.json() == {
        "suite": "esrp-zh",
        "candidate": {"kind": "endpoint", "base_url": "http://bot/v1", "model": "bot", "api_key": "sk-1"},
    }
    assert asked.headers["authorization"] == "Bearer esrp_secret"
    assert UUID(asked.headers["idempotency-key"])


def test_a_dry_run_asks_for_the_plan_alone(api: FakeApi, client: Client) -> None:
    document = fake_api.run().body
    api.on("POST", "/v1/runs", Answer({"plan": document["plan"], "manifest": document["manifest"]}))

    assert client.dry_run({"suite": "esrp-zh"}).plan.judge_calls == 10
    assert api.asked[0].query == {"dry_run": "true"}
    assert "idempotency-key" not in api.asked[0].headers


def test_a_list_is_read_page_by_page_and_no_further_than_needed(api: FakeApi, client: Client) -> None:
    first, second = fake_api.run().body, fake_api.run("succeeded").body
    api.on(
        "GET",
        "/v1/runs",
        Answer({"data": [first], "next_cursor": "abc"}),
        Answer({"data": [second], "next_cursor": None}),
    )

    found = client.runs(status="running")

    assert next(found).status == "running"
    assert [asked.query for asked in api.asked] == [{"limit": "100", "status": "running"}]
    assert [run.status for run in found] == ["succeeded"]
    assert api.asked[1].query == {"limit": "100", "status": "running", "cursor": "abc"}


def test_a_problem_document_is_an_error_with_every_fact(api: FakeApi, client: Client) -> None:
    errors = [{"pointer": "/suite", "message": "There is no suite 'x'."}]
    api.on("POST", "/v1/runs", problem(422, "invalid_input", "The run is not valid.", errors=errors))

    with pytest.raises(ApiError) as caught:
        client.create_run({"suite": "x"})

    error = caught.value
    assert (error.status, error.code, error.detail) == (422, "invalid_input", "The run is not valid.")
    assert (error.errors, error.request_id) == ((Fault("/suite", "There is no suite 'x'."),), "req-1")


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (Answer("<html>Bad gateway</html>", 502), "http_502", "502 Bad Gateway without saying why"),
        (Answer("", 308, {"Location": "https://esrp.example/"}), "http_308", "points to https://esrp.example/"),
        (Answer("<html>Welcome</html>"), "unexpected_answer", "not ESRP's API"),
        (Answer({"hello": "world"}), "unexpected_answer", "not ESRP's API"),
    ],
)
def test_what_is_not_this_api_is_said_to_be_so(
    api: FakeApi, client: Client, answer: Answer, code: str, says: str
) -> None:
    api.on("GET", f"/v1/runs/{RUN}", answer)

    with pytest.raises(ApiError, match=says) as caught:
        client.run(RUN)

    assert caught.value.code == code


def test_a_service_that_is_away_is_one_error_that_names_its_url() -> None:
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(ConnectionFailed, match=r"No connection to http://127\.0\.0\.1:9:"),
    ):
        client.run(RUN)


def test_a_line_that_breaks_is_the_same_error(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/v1/runs/{RUN}", fake_api.hang_up)

    with pytest.raises(ConnectionFailed, match=api.url):
        client.run(RUN)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "http://[", "http://host:x", ""])
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput, match="URL"):
        Client(url)


def test_a_key_with_odd_characters_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidInput) as caught:
        Client(api_key="esrp_sécret\nx")

    assert "cret" not in str(caught.value)


def test_reads_are_sent_again_after_429_as_long_as_the_service_asks(
    api: FakeApi, client: Client, slept: list[float]
) -> None:
    busy = problem(429, "rate_limited", "Too fast.", headers={"Retry-After": "7"})
    away = problem(503, "unavailable", "Away.")
    api.on("GET", f"/v1/runs/{RUN}", busy, away, fake_api.run())

    assert client.run(RUN).status == "running"
    assert slept == [7, 1]


def test_a_new_run_is_sent_again_under_the_same_idempotency_key(api: FakeApi, client: Client) -> None:
    api.on("POST", "/v1/runs", problem(503, "unavailable", "Away."), fake_api.run("queued"))

    client.create_run(REQUEST)

    first, second = api.requests("POST", "/v1/runs")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


def test_a_write_without_idempotency_key_is_sent_once(api: FakeApi, client: Client) -> None:
    api.on("POST", f"/v1/runs/{RUN}/cancel", problem(503, "unavailable", "Away."))

    with pytest.raises(ApiError, match="Away"):
        client.cancel(RUN)

    assert len(api.asked) == 1


@pytest.mark.parametrize(("after", "times"), [("1", 6), ("3600", 1)])
def test_patience_ends(api: FakeApi, client: Client, after: str, times: int) -> None:
    api.on("GET", f"/v1/runs/{RUN}", problem(429, "rate_limited", "Too fast.", headers={"Retry-After": after}))

    with pytest.raises(ApiError, match="Too fast"):
        client.run(RUN)

    assert len(api.asked) == times


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3),
        ("Fri, 01 May 2026 10:00:30 GMT", 30),
        ("Fri, 01 May 2026 09:00:00 GMT", 0),
        ("soon", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, datetime(2026, 5, 1, 10, tzinfo=UTC)) == seconds


def test_a_suite_goes_as_text_or_as_json(api: FakeApi, client: Client) -> None:
    api.on("POST", "/v1/suites", Answer(SUITE, 201))

    client.upload_suite("name: bots\n")
    client.upload_suite({"name": "bots"})

    assert [(asked.headers["content-type"], asked.body) for asked in api.asked] == [
        ("application/yaml", b"name: bots\n"),
        ("application/json", b'{"name": "bots"}'),
    ]


def test_dialogues_go_as_json_or_as_lines(api: FakeApi, client: Client) -> None:
    api.on("POST", "/v1/transcripts", Answer(TRANSCRIPT, 201))
    dialogue = RecordedDialogue(character="saber", turns=[Turn(user="hi", assistant="yo")])

    client.import_transcript("logs", "bots", [dialogue])
    client.import_transcript("logs", "bots", '{"character": "saber"}\n')

    as_json, as_lines = api.asked
    turns = [{"user": "hi", "assistant": "yo"}]
    assert as_json.json() == {
        "name": "logs",
        "suite": "bots",
        "dialogues": [{"character": "saber", "turns": turns}],
    }
    assert as_lines.headers["content-type"] == "application/x-ndjson"
    assert as_lines.query == {"name": "logs", "suite": "bots"}


def test_a_published_file_goes_as_it_is(api: FakeApi, client: Client, tmp_path: Path) -> None:
    api.on("POST", "/v1/transcripts", Answer(TRANSCRIPT, 201))
    (tmp_path / "human.json").write_bytes(b'{"\xe3\x80\x8a": []}')

    client.import_published("human", tmp_path / "human.json")

    assert (api.asked[0].query, api.asked[0].body) == ({"name": "human"}, b'{"\xe3\x80\x8a": []}')


def test_ratings_are_known_by_their_ending_and_replace_only_when_told(
    api: FakeApi, client: Client, tmp_path: Path
) -> None:
    api.on("POST", "/v1/ratings", Answer({"stored": 1, "missing": 0, "duplicates": 0, "ignored_columns": []}))
    (tmp_path / "a.csv").write_text("run\n")

    client.import_ratings(tmp_path / "a.csv")
    client.import_ratings(b"{}", "application/x-ndjson", replace=True)

    assert [(asked.headers["content-type"], asked.query) for asked in api.asked] == [
        ("text/csv", {}),
        ("application/x-ndjson", {"replace": "true"}),
    ]


def test_ratings_of_an_unknown_ending_are_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")

    with pytest.raises(InvalidInput, match=r"\.csv, \.jsonl"):
        client.import_ratings(tmp_path / "a.xlsx")


def test_a_report_is_a_document_or_text(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/v1/runs/{RUN}/report", fake_api.report(), Answer("# Report"))

    assert client.report(RUN).metrics["emotional_value"].mean == 4.0
    assert client.report(RUN, "md") == "# Report"
    assert api.asked[1].query == {"format": "md"}
