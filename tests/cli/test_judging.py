from pathlib import Path
from typing import Any

import pytest

from esrp.metrics import METRIC_IDS
from tests.cli.conftest import Esrp
from tests.client import fake_api
from tests.client.fake_api import RUN, Answer, FakeApi, problem, stream

EVENTS, STATE, REPORT = f"/v1/runs/{RUN}/events", f"/v1/runs/{RUN}", f"/v1/runs/{RUN}/report"
REJUDGE, SHORTLIST = "/v1/runs/run_0/rejudge", "/v1/shortlists/shl_1"


def a_shortlist(status: str = "finished", **row: Any) -> Answer:
    def candidate(name: str, place: int | None, overall: float | None) -> dict[str, Any]:
        return {
            "place": place,
            "kept": None if place is None else place <= 1,
            "candidate": name,
            "run": RUN,
            "status": "succeeded",
            "overall": overall,
            "dimensions": dict.fromkeys(("BDC", "RPC", "ESC"), overall),
            "metrics": dict.fromkeys(METRIC_IDS, overall),
            "ci": None if overall is None else [overall - 0.1, overall + 0.1],
            "scored": 10,
            "dialogues": 10,
            **row,
        }

    return Answer(
        {
            "id": "shl_1",
            "name": "spring",
            "status": status,
            "suite": "tiny@1",
            "judges": ["a", "b"],
            "keep": 1,
            "created_at": "2026-05-01T10:00:00Z",
            "rows": [candidate("好机器人", 1, 4.5), candidate("poor", 2, 2.25)],
            "published": None,
            "links": {"self": SHORTLIST},
        }
    )


@pytest.fixture
def going(api: FakeApi) -> FakeApi:
    """A service on which runs go from start to a report, also those of a shortlist."""
    api.on("POST", REJUDGE, fake_api.run("queued"))
    api.on("POST", "/v1/shortlists", a_shortlist("running"))
    api.on("GET", SHORTLIST, a_shortlist())
    api.on("GET", EVENTS, stream([(1, "run.finished")]))
    api.on("GET", STATE, fake_api.run("succeeded", judged=10))
    api.on("GET", REPORT, fake_api.report())
    return api


def test_rejudging_names_the_judges_follows_the_new_run_and_prints_its_report(going: FakeApi, esrp: Esrp) -> None:
    result = esrp("rejudge", "run_0", "--judge", "a", "--judge", "b", "--name", "again")
    assert result.exit_code == 0, result.stderr
    assert going.requests("POST", REJUDGE)[0].json() == {"judges": ["a", "b"], "name": "again"}
    assert "emotional_value" in result.stdout
    assert "started" in result.stderr


def test_rejudging_without_judges_or_with_an_unknown_one_says_so(api: FakeApi, esrp: Esrp) -> None:
    assert (esrp("rejudge", "run_0").exit_code, api.asked) == (4, [])
    api.on("POST", REJUDGE, problem(422, "not_configured", "No judge named 'x' is configured."))
    result = esrp("rejudge", "run_0", "--judge", "x")
    assert (result.exit_code, "No judge named 'x'" in result.stderr) == (6, True)


def test_a_shortlist_prints_the_table_once_its_runs_have_ended(going: FakeApi, esrp: Esrp) -> None:
    result = esrp("shortlist", "--suite", "tiny", "--transcript", "trn_1", "--transcript", "trn_2", "--keep", 1)
    assert result.exit_code == 0, result.stderr
    sent = going.requests("POST", "/v1/shortlists")[0].json()
    assert sent == {"suite": "tiny", "keep": 1, "transcripts": ["trn_1", "trn_2"]}
    lines = [line.split() for line in result.stdout.splitlines()]
    header = "candidate consistency fluency coherence BDC CK SS BH RPC EV ES DM ESC overall 95 % (suite) kept"
    assert header in [" ".join(line) for line in lines]
    assert ["1", "好机器人", *["4.50"] * 13, "4.40", "to", "4.60", "yes"] in lines
    assert ["2", "poor", *["2.25"] * 13, "2.15", "to", "2.35", "no"] in lines


def test_a_shortlist_says_whose_means_stand_on_fewer_dialogues(going: FakeApi, esrp: Esrp) -> None:
    assert "dialogues scored" not in esrp("shortlist", "shl_1").stdout
    going.on("GET", SHORTLIST, a_shortlist(scored=2))
    assert "poor: succeeded, 2 of 10 dialogues scored" in esrp("shortlist", "shl_1").stdout


def test_candidates_come_from_a_file_with_their_keys_from_the_environment(
    going: FakeApi, esrp: Esrp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bots.yaml"
    file.write_text(
        "- {base_url: http://bot/v1, model: a, api_key_env: BOT_KEY}\n- {base_url: http://bot/v1, model: b}\n"
    )
    options = ("--candidates", file, "--judge", "a", "--sample", 5, "--name", "spring", "--no-wait", "--format", "json")
    result = esrp("shortlist", *options)
    assert (result.exit_code, "BOT_KEY, which is not set" in result.stderr) == (4, True)
    monkeypatch.setenv("BOT_KEY", "sk-bot")
    assert esrp("shortlist", *options).exit_code == 0
    [asked] = going.requests("POST", "/v1/shortlists")
    assert asked.json()["candidates"] == [
        {"kind": "endpoint", "base_url": "http://bot/v1", "model": "a", "api_key": "sk-bot"},
        {"kind": "endpoint", "base_url": "http://bot/v1", "model": "b"},
    ]
    assert going.requests("GET", EVENTS) == []


def test_an_old_shortlist_is_printed_as_it_is_asked_for(going: FakeApi, esrp: Esrp) -> None:
    going.on("GET", SHORTLIST, a_shortlist(), Answer("place,candidate\n"))
    result = esrp("shortlist", "shl_1", "--format", "csv", "--no-wait")
    assert result.stdout == "place,candidate\n"
    assert going.requests("GET", SHORTLIST)[-1].query == {"format": "csv"}


def test_one_candidate_is_no_choice_and_both_ways_at_once_are_none(api: FakeApi, esrp: Esrp) -> None:
    result = esrp("shortlist", "--transcript", "trn_1")
    assert (result.exit_code, "at least two" in result.stderr) == (4, True)
    assert esrp("shortlist", "shl_1", "--transcript", "trn_1").exit_code == 4
    assert api.asked == []
