import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.conftest import Esrp
from tests.client import fake_api
from tests.client.fake_api import RUN, Answer, FakeApi, hang_up, problem, stream

EVENTS, STATE, REPORT = f"/v1/runs/{RUN}/events", f"/v1/runs/{RUN}", f"/v1/runs/{RUN}/report"
BOT = ("--base-url", "http://bot/v1", "--model", "bot")


@pytest.fixture
def going(api: FakeApi) -> FakeApi:
    """A service on which a run goes from start to a report."""
    api.on("POST", "/v1/runs", fake_api.run("queued"))
    api.on("GET", EVENTS, stream([(1, "run.progress"), (2, "run.finished")]))
    api.on("GET", STATE, fake_api.run("queued"), fake_api.run(generated=5), fake_api.run("succeeded", judged=10))
    api.on("GET", REPORT, fake_api.report())
    return api


def body(api: FakeApi) -> Any:
    """The run that was asked for."""
    return api.requests("POST", "/v1/runs")[0].json()


def test_a_run_prints_each_metric_by_its_id_with_mean_and_interval(going: FakeApi, esrp: Esrp) -> None:
    result = esrp("run", *BOT)

    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["emotional_value", "4.00", "[3.88,", "4.12]", "10"] in lines
    assert ["fluency", "–", "–", "0"] in lines
    assert ["overall", "4.00", "[3.88,", "4.12]", "10"] in lines
    assert "9 of 10 dialogues scored (1 candidate_error); judged by default (not validated)" in result.stdout


def test_progress_goes_to_stderr_in_plain_lines(going: FakeApi, esrp: Esrp) -> None:
    result = esrp("run", *BOT)

    assert f"{RUN} generating: 5/10 played, 0 judged, 0 failed, 1,234 tokens" in result.stderr
    assert "played" not in result.stdout


def test_only_what_was_given_is_sent(going: FakeApi, esrp: Esrp) -> None:
    esrp("run", *BOT)

    candidate = {"kind": "endpoint", "base_url": "http://bot/v1", "model": "bot"}
    assert body(going) == {"suite": "esrp-zh", "candidate": candidate}


def test_every_option_reaches_the_service(going: FakeApi, esrp: Esrp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOT_KEY", "sk-bot")
    options = ["--suite", "esrp-en@2", "--judge", "a", "--judge", "b", "--simulator", "s", "--sample", 5, "--rounds", 3]
    options += ["--replicates", 2, "--label", "commit=c7f=1", "--name", "rc3", "--max-concurrency", 8]

    esrp("run", *BOT, "--api-key-env", "BOT_KEY", *options)

    assert body(going) == {
        "suite": "esrp-en@2",
        "candidate": {
            "kind": "endpoint",
            "base_url": "http://bot/v1",
            "model": "bot",
            "api_key": "sk-bot",
            "max_concurrency": 8,
        },
        "name": "rc3",
        "judges": ["a", "b"],
        "simulator": "s",
        "rounds": 3,
        "replicates": 2,
        "sample": {"dialogues": 5},
        "labels": {"commit": "c7f=1"},
    }


def test_judge_none_asks_for_no_judge(going: FakeApi, esrp: Esrp) -> None:
    esrp("run", *BOT, "--judge", "none")

    assert body(going)["judges"] == []


def test_a_transcript_is_judged_on_its_suite(going: FakeApi, esrp: Esrp) -> None:
    esrp("run", "--transcript", "trn_1", "--suite", "chatanime")

    assert body(going) == {"suite": "chatanime", "candidate": {"kind": "transcript", "transcript": "trn_1"}}


def test_without_waiting_the_run_is_printed_and_left(going: FakeApi, esrp: Esrp) -> None:
    result = esrp("run", *BOT, "--no-wait", "--json")

    assert (result.exit_code, json.loads(result.stdout)["id"]) == (0, RUN)
    assert going.requests("GET", EVENTS) == []


def test_json_holds_run_and_report(going: FakeApi, esrp: Esrp) -> None:
    document = json.loads(esrp("run", *BOT, "--json").stdout)

    assert (document["run"]["status"], document["report"]["sha256"]) == ("succeeded", "f" * 64)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "Name the bot: --base-url and --model"),
        (("--base-url", "http://bot/v1"), "Name the bot"),
        ((*BOT, "--transcript", "trn_1", "--suite", "chatanime"), "either --transcript, or --base-url"),
        (("--transcript", "trn_1"), "--transcript needs --suite"),
        ((*BOT, "--label", "commit"), "key=value"),
        ((*BOT, "--judge", "none", "--judge", "a"), "stands alone"),
        ((*BOT, "--api-key-env", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE, which is not set"),
        (("--base-url", "bot", "--model", "bot"), "base_url"),
        ((*BOT, "--sample", "0"), "--sample"),
        ((*BOT, "--judge", "a", "--judge", "a"), "a judge is named twice"),
        ((*BOT, "--nonsense"), "--nonsense"),
    ],
)
def test_wrong_usage_ends_with_4_and_asks_for_nothing(
    api: FakeApi, esrp: Esrp, options: tuple[str, ...], says: str
) -> None:
    result = esrp("run", *options)

    assert result.exit_code == 4
    assert says in result.stderr
    assert api.asked == []


def test_no_connection_ends_with_5_and_names_the_url(esrp: Esrp) -> None:
    result = esrp("runs", "--url", "http://127.0.0.1:9")

    assert result.exit_code == 5
    assert "http://127.0.0.1:9" in result.stderr
    assert "`esrp up`" in result.stderr


def test_a_refusal_ends_with_6_and_says_where(api: FakeApi, esrp: Esrp) -> None:
    errors = [{"pointer": "/judges/0", "message": "No judge named 'x' is configured."}]
    api.on("POST", "/v1/runs", problem(422, "not_configured", "The run is not valid.", errors=errors))

    result = esrp("run", *BOT, "--judge", "x")

    assert result.exit_code == 6
    assert result.stderr == ("esrp: The run is not valid.\n  /judges/0: No judge named 'x' is configured.\n")


def test_a_missing_key_is_said_how_to_set(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", "/v1/judges", problem(401, "unauthorized", "There is no key."))

    result = esrp("judges")

    assert (result.exit_code, "Set ESRP_API_KEY" in result.stderr) == (6, True)


def test_a_failed_run_ends_with_7_and_its_reason(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", STATE, fake_api.run("failed"))

    result = esrp("wait", RUN)

    assert result.exit_code == 7
    assert result.stderr.endswith(f"esrp: {RUN} failed: The judge refused the key.\n")


def test_a_cancelled_run_prints_what_there_is_and_ends_with_7(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", STATE, fake_api.run("cancelled"))
    api.on("GET", REPORT, fake_api.report())

    result = esrp("wait", RUN)

    assert (result.exit_code, "emotional_value" in result.stdout) == (7, True)
    assert "ended cancelled" in result.stderr


def test_a_fault_of_ours_ends_with_8_in_one_line(api: FakeApi, esrp: Esrp, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> str:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("esrp.cli.text.run", broken)
    api.on("POST", f"{STATE}/cancel", fake_api.run("cancelling"))

    result = esrp("cancel", RUN)

    assert result.exit_code == 8
    assert result.stderr == "esrp: internal error: ZeroDivisionError: by zero (ESRP_DEBUG=1 shows where)\n"


def test_a_lost_connection_is_survived_and_said(going: FakeApi, esrp: Esrp) -> None:
    going.on("GET", EVENTS, hang_up, stream([(1, "run.finished")]))

    result = esrp("run", *BOT)

    assert result.exit_code == 0
    assert "connection lost" in result.stderr
    assert "trying again, the run goes on" in result.stderr


def test_keys_are_never_printed(api: FakeApi, esrp: Esrp) -> None:
    api.on("POST", "/v1/runs", problem(500, "internal_error", "Something broke."))

    result = esrp("run", *BOT, "--candidate-key", "sk-very-secret", "--api-key", "esrp_very_secret")

    assert (result.exit_code, "secret" in result.output) == (6, False)
    assert api.asked[0].headers["authorization"] == "Bearer esrp_very_secret"


def test_interrupted_it_says_that_the_run_goes_on_and_how_to_follow(api: FakeApi) -> None:
    async def interrupt(request: Any) -> Any:
        child.send_signal(signal.SIGINT)
        return await stream([(1, "run.progress")])(request)

    api.on("GET", STATE, fake_api.run())
    api.on("GET", EVENTS, interrupt)
    # A shell's background job starts with SIGINT ignored, and so would the child of a test that runs in one.
    code = "import signal; signal.signal(2, signal.default_int_handler); from esrp.cli import main; main()"
    command = [sys.executable, "-c", code, "wait", RUN, "--url", api.url]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "ESRP_API_KEY": "k"})
    try:
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()

    assert child.returncode == 130
    assert f"No longer following {RUN}, which goes on at the server. `esrp wait {RUN}` follows it" in said
    assert "Traceback" not in said


def test_a_report_is_text_json_or_markdown(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", REPORT, fake_api.report(), fake_api.report(), Answer("# Report"))

    assert "demand_matching" in esrp("report", RUN).stdout
    assert json.loads(esrp("report", RUN, "--format", "json").stdout)["run"] == RUN
    assert esrp("report", RUN, "--format", "md").stdout == "# Report\n"


def test_runs_are_listed_one_a_line(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", "/v1/runs", Answer({"data": [fake_api.run(judged=3).body], "next_cursor": None}))

    header, row = esrp("runs").stdout.splitlines()

    assert header.split() == ["run", "status", "candidate", "suite", "dialogues", "created"]
    assert row.split() == [RUN, "running", "bot", "esrp-zh@1", "3/10", "2026-05-01", "10:00"]


def test_a_run_is_cancelled_and_resumed(api: FakeApi, esrp: Esrp) -> None:
    api.on("POST", f"{STATE}/cancel", fake_api.run("cancelling"))
    api.on("POST", f"{STATE}/resume", fake_api.run("queued"))

    assert esrp("cancel", RUN).stdout.startswith(f"{RUN} cancelling")
    assert esrp("resume", RUN).stdout.startswith(f"{RUN} queued")


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 7)])
def test_a_check_prints_the_dialogue_and_its_problems(api: FakeApi, esrp: Esrp, ok: bool, code: int) -> None:
    error = None if ok else {"code": "empty", "message": "The reply was empty."}
    exchange = {
        "role": "candidate",
        "request": {},
        "reply": "yo",
        "finish_reason": "stop",
        "error": error,
        "seconds": 1,
    }
    document = {
        "ok": ok,
        "character": "saber",
        "scenario": "s01",
        "turns": [{"user": "hi", "assistant": "yo"}],
        "exchanges": [exchange],
        "problems": [] if ok else ["The reply was empty."],
    }
    api.on("POST", "/v1/check", Answer(document))

    result = esrp("check", *BOT, "--character", "saber")

    assert result.exit_code == code
    assert "  user: hi\n  saber: yo\n" in result.stdout
    assert ("problem: The reply was empty." in result.stdout) is not ok
