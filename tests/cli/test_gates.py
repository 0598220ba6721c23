"""A gate's exit code is its verdict, and nothing else ends like one; what models wrote stays text."""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from esrp.api import GateBaseline, GateOut, GateRule, GateVerdict, Given, RatedDialogue, SentinelOut, WorstPair
from esrp.policies import Policy
from tests.cli.conftest import Esrp
from tests.client import fake_api
from tests.client.fake_api import RUN, Answer, FakeApi, stream

GATE, STATE = f"/v1/runs/{RUN}/gate", f"/v1/runs/{RUN}"
BOT = ("--base-url", "http://bot/v1", "--model", "bot")
NOW = "2026-05-04T10:00:00Z"
HOSTILE = "<b>@admin</b> ``` \x1b[31m\x00 ]]> | [x](http://evil) \u202e\u061c\xad\U000e0041 https://evil &amp;"
WHY = "Every bound clears its threshold."


def a_verdict(decision: Any = "pass", **fields: Any) -> GateVerdict:
    given: dict[str, Any] = {
        "run": RUN,
        "gate": "smoke@1",
        "policy": Policy(margins={"fluency": 0.3}),
        "verdict": decision,
        "failing": [],
        "warnings": [],
        "errors": [],
        "explanation": [WHY],
        "rules": [a_rule()],
        "needed_dialogues": None,
        "commands": [],
        "baseline": None,
        "raters": "judge",
        "worst": [],
        "sentinel": [],
        "created_at": NOW,
    }
    return GateVerdict(**{**given, **fields})


def a_rule(outcome: Any = "pass", metric: str = "fluency") -> GateRule:
    return GateRule(metric=metric, kind="margin", estimate=-0.1, bound=-0.2, threshold=-0.3, outcome=outcome)


def a_failure(text: str) -> GateVerdict:
    """A failed verdict in which every foreign text is ``text``."""
    rated = RatedDialogue(
        dialogue="dlg_1",
        score=2,
        link="/v1/dialogues/dlg_1",
        ratings=[Given(metric="fluency", rater=text, score=2, explanation=text)],
    )
    pair = WorstPair(metric="fluency", character=text, scenario=text, difference=-2, candidate=rated, baseline=rated)
    return a_verdict(
        "fail",
        failing=["fluency"],
        rules=[a_rule("fail"), a_rule("inconclusive", "coherence")],
        explanation=[text],
        warnings=[text],
        worst=[pair],
        baseline=GateBaseline(name=text, run="run_1", candidate=text, finished_at=NOW, age_days=3.2),
    )


def answer(verdict: GateVerdict) -> Answer:
    return Answer(verdict.model_dump(mode="json"))


def a_run(status: str = "succeeded", **fields: Any) -> Answer:
    return Answer({**fake_api.run(status).body, **fields})


@pytest.fixture(autouse=True)
def price(api: FakeApi) -> dict[str, Any]:
    """What every look costs here."""
    price = {
        "release": "commit:abc",
        "attempts": 2,
        "n": 480,
        "max_dialogues": 1200,
        "level": 0.0127,
        "spends": 0.01,
        "left": 0.03,
        "again": False,
        "repeated": False,
        "refused": False,
    }
    api.on("POST", f"{GATE}/price", Answer(price))
    return price


def test_what_a_look_costs_is_said_before_it_is_taken(api: FakeApi, esrp: Esrp) -> None:
    api.on("POST", GATE, answer(a_verdict("pass")))
    result = esrp("gate", RUN, "--gate", "smoke")
    assert result.stderr.startswith(
        "commit:abc, look 3: 480 of 1200 dialogues spend 0.0100 of the error; 0.0300 is left.\n"
    )
    assert [asked.path for asked in api.asked] == [f"{GATE}/price", GATE]


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"repeated": True}, "commit:abc: these ratings were looked at; again spends nothing, 0.0300 is left.\n"),
        ({"refused": True}, "commit:abc: all 1200 dialogues were looked at; nothing is left to spend.\n"),
        (
            {"again": True, "spends": 0},
            "commit:abc, look 3: 480 of 1200 dialogues, which were looked at before, spend 0.0000 of the error; 0.0300"
            " is left.\n",
        ),
    ],
)
def test_a_look_that_costs_nothing_says_why(
    api: FakeApi, esrp: Esrp, price: dict[str, Any], told: dict[str, Any], line: str
) -> None:
    api.on("POST", GATE, answer(a_verdict("pass")))
    api.on("POST", f"{GATE}/price", Answer({**price, **told}))
    assert esrp("gate", RUN, "--gate", "smoke").stderr == line


def test_extending_a_run_says_what_the_next_look_at_so_many_dialogues_costs(api: FakeApi, esrp: Esrp) -> None:
    plan = {**fake_api.run("running").body["plan"], "dialogues": 240}
    api.on("POST", f"{STATE}/extend", a_run("running", plan=plan))
    api.on("GET", GATE, answer(a_verdict("inconclusive")))
    result = esrp("extend", RUN, "--dialogues", 240)
    [asked] = api.requests("POST", f"{GATE}/price")
    assert (asked.query, asked.json()["policy"]["margins"]) == ({"dialogues": "240"}, {"fluency": 0.3})
    assert result.stderr.startswith("commit:abc, look 3: ")


@pytest.fixture
def going(api: FakeApi) -> FakeApi:
    """A service on which a run with the gate smoke@2 goes from start to its verdict."""
    api.on("POST", "/v1/runs", fake_api.run("queued"))
    api.on("GET", f"{STATE}/events", stream([(1, "run.finished")]))
    api.on("GET", STATE, fake_api.run("queued"), a_run(gate="smoke@2", verdict="fail"))
    api.on("GET", f"{STATE}/report", fake_api.report())
    api.on("GET", GATE, answer(a_verdict("fail", gate="smoke@2")))
    gates = [
        GateOut(name="smoke", version=n, sha256="0" * 64, policy=Policy(margins={"*": 0.3}), created_at=NOW)
        for n in (1, 2)
    ]
    api.on("GET", "/v1/gates", Answer({"data": [one.model_dump(mode="json") for one in gates], "next_cursor": None}))
    return api


# --- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decision", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 2), ("error", 3)])
def test_the_exit_code_is_the_verdict(api: FakeApi, esrp: Esrp, decision: str, code: int) -> None:
    api.on("POST", GATE, answer(a_verdict(decision)))

    result = esrp("gate", RUN, "--gate", "smoke")

    assert result.exit_code == code
    assert result.stdout.startswith(f"gate smoke@1: {decision.upper()}\n")
    assert api.requests("POST", GATE)[0].json() == {"gate": "smoke"}


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ((RUN, "--gate", "smoke"), 6, "There is no such thing."),  # an unknown run
        ((RUN, "--gate", "smoke", "--url", "http://127.0.0.1:9"), 5, "No connection"),
        ((RUN, "--gate", "smoke", "--nonsense"), 4, "--nonsense"),
        ((RUN,), 4, "either --policy FILE or --gate NAME"),
        ((RUN, "--policy", "nowhere.yaml"), 4, "nowhere.yaml"),
        ((RUN, "--gate", "nowhere.yaml"), 4, "nowhere.yaml cannot be read"),
        ((RUN, "--gate", "smoke", "--junit", "/nowhere/gate.xml"), 4, "/nowhere/gate.xml cannot be written"),
        ((), 4, "RUN"),
    ],
)
def test_what_is_no_verdict_never_ends_like_one(esrp: Esrp, options: tuple[str, ...], code: int, says: str) -> None:
    result = esrp("gate", *options)

    assert (result.exit_code, says in result.stderr) == (code, True)


@pytest.mark.parametrize("crash", [ZeroDivisionError("by zero"), SystemExit(1), SystemExit(2), SystemExit("words")])
def test_a_crash_is_no_verdict_and_leaves_no_files(
    api: FakeApi, esrp: Esrp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crash: BaseException
) -> None:
    def broken(*_: object) -> str:
        raise crash

    monkeypatch.setattr("esrp.cli.verdicts.plain", broken)
    api.on("POST", GATE, answer(a_verdict("pass")))
    old = tmp_path / "gate.xml"
    old.write_text("of yesterday")

    result = esrp("gate", RUN, "--gate", "smoke", "--junit", old)

    assert result.exit_code >= 4
    assert not old.exists()


def test_an_installation_that_cannot_be_loaded_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ImportError('half installed')")
    command = [sys.executable, "-c", "from esrp.cli import main; main()", "gate", RUN]

    found = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    assert found.returncode == 8
    assert found.stderr == "esrp: this installation is broken: ImportError: half installed\n"


def test_an_interrupt_is_no_verdict(api: FakeApi) -> None:
    async def interrupt(_: Any) -> Any:
        child.send_signal(signal.SIGINT)
        return await stream([])(_)

    api.on("POST", GATE, interrupt)
    code = "import signal; signal.signal(2, signal.default_int_handler); from esrp.cli import main; main()"
    command = [sys.executable, "-c", code, "gate", RUN, "--gate", "smoke", "--url", api.url]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "ESRP_API_KEY": "k"})
    try:
        child.communicate(timeout=60)
    finally:
        child.kill()

    assert child.returncode == 130


# --- a run with a gate ------------------------------------------------------------------------------------------------


def test_a_run_ends_with_the_verdict_of_its_own_gate(going: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    junit = tmp_path / "gate.xml"

    result = esrp("run", *BOT, "--gate", "smoke", "--junit", junit)

    assert result.exit_code == 1
    assert "emotional_value" in result.stdout and "gate smoke@2: FAIL" in result.stdout
    assert going.requests("POST", "/v1/runs")[0].json()["gate"] == "smoke"
    assert going.requests("POST", GATE) == []
    assert len(list(JUnitXml.fromfile(str(junit)))) == 1


def test_a_run_that_was_found_again_with_another_gate_is_held_against_the_one_asked_for(
    going: FakeApi, esrp: Esrp
) -> None:
    going.on("GET", STATE, a_run(gate="smoke@1", verdict="pass"))
    going.on("POST", GATE, answer(a_verdict("inconclusive", gate="smoke@2")))

    result = esrp("run", *BOT, "--gate", "smoke", "--label", "commit=c7f")

    assert result.exit_code == 2
    assert going.requests("POST", GATE)[0].json() == {"gate": "smoke@2"}


def test_waiting_for_a_run_with_a_gate_ends_with_its_verdict(going: FakeApi, esrp: Esrp) -> None:
    going.on("GET", STATE, a_run(gate="smoke@2", verdict="fail"))

    assert esrp("wait", RUN).exit_code == 1


def test_a_policy_in_a_file_goes_along_with_the_run(going: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("floors: {overall: 3.9}\nbaseline: production\n")
    going.on("POST", GATE, answer(a_verdict(gate=None)))

    assert esrp("run", *BOT, "--gate", file).exit_code == 0

    sent = going.requests("POST", "/v1/runs")[0].json()["gate"]
    assert (sent["floors"], sent["baseline"]) == ({"overall": 3.9}, "production")


def test_a_policy_that_is_wrong_is_told_by_line_before_anything_is_spent(
    api: FakeApi, esrp: Esrp, tmp_path: Path
) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("baseline: production\nmargins: {fluencyy: 0.1}\n")

    result = esrp("run", *BOT, "--gate", file)

    assert (result.exit_code, api.asked) == (4, [])
    assert "fluencyy" in result.stderr


def test_a_run_that_fails_has_no_verdict_and_says_so_in_the_files(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    api.on("GET", STATE, a_run("failed", gate="smoke@1"))
    junit, summary = tmp_path / "gate.xml", tmp_path / "gate.md"

    result = esrp("wait", RUN, "--junit", junit, "--summary", summary)

    assert result.exit_code == 7
    [case] = next(iter(JUnitXml.fromfile(str(junit))))
    assert isinstance(case.result[0], Error)
    assert "no verdict" in summary.read_text("utf-8")


@pytest.mark.parametrize("options", [("--junit", "x.xml"), ("--gate", "smoke", "--no-wait", "--summary", "x.md")])
def test_files_without_a_verdict_are_wrong_usage(api: FakeApi, esrp: Esrp, options: tuple[str, ...]) -> None:
    assert (esrp("run", *BOT, *options).exit_code, api.asked) == (4, [])


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_ci_parser_reads_one_testcase_a_rule(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    rules = [a_rule("pass"), a_rule("fail", "coherence"), a_rule("inconclusive", "overall")]
    api.on("POST", GATE, answer(a_verdict("fail", failing=["coherence"], rules=rules)))
    junit = tmp_path / "gate.xml"

    esrp("gate", RUN, "--gate", "smoke", "--junit", junit)

    [suite] = JUnitXml.fromfile(str(junit))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (3, 1, 0, 1)
    assert [(case.name, [type(result) for result in case.result]) for case in suite] == [
        ("fluency margin", []),
        ("coherence margin", [Failure]),
        ("overall margin", [Skipped]),
    ]
    assert {case.classname for case in suite} == {"esrp.gate.smoke"}


def test_an_open_rule_is_an_error_where_it_leaves_the_verdict_open(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    verdict = a_verdict("inconclusive", rules=[a_rule("inconclusive")], commands=[f"esrp extend {RUN} --dialogues 240"])
    api.on("POST", GATE, answer(verdict))
    junit = tmp_path / "gate.xml"

    result = esrp("gate", RUN, "--gate", "smoke", "--junit", junit)

    assert f"\n  esrp extend {RUN} --dialogues 240" in result.stdout
    [[case]] = JUnitXml.fromfile(str(junit))
    assert isinstance(case.result[0], Error)
    assert case.result[0].text == f"esrp extend {RUN} --dialogues 240"


def test_no_rule_is_a_failure_where_nothing_could_be_decided(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    rules = [a_rule("fail"), a_rule("inconclusive", "coherence"), a_rule("pass", "overall")]
    moved = SentinelOut(
        judge="j", outcome="shifted", dialogues=9, difference=-1, interval=(-2, 0), shifted=["overall"], message=None
    )
    junit = tmp_path / "gate.xml"
    found: list[tuple[int, int, int]] = []
    for verdict in (
        a_verdict("inconclusive", rules=rules, sentinel=[moved]),
        a_verdict("error", rules=rules, errors=["x"]),
    ):
        api.on("POST", GATE, answer(verdict))
        esrp("gate", RUN, "--gate", "smoke", "--junit", junit)
        [suite] = JUnitXml.fromfile(str(junit))
        found.append((suite.failures, suite.errors, suite.skipped))

    assert found == [(0, 1, 2), (0, 1, 2)]


def test_what_models_wrote_stays_text_in_xml(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    api.on("POST", GATE, answer(a_failure(HOSTILE)))
    junit = tmp_path / "gate.xml"

    assert esrp("gate", RUN, "--gate", "smoke", "--junit", junit).exit_code == 1

    root = ET.fromstring(junit.read_text("utf-8"))
    known = {"testsuites", "testsuite", "properties", "property", "testcase", "failure", "skipped", "system-out"}
    assert {element.tag for element in root.iter()} == known
    assert "<b>@admin</b>" in "".join(root.itertext())


def test_what_models_wrote_stays_code_in_markdown(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    api.on("POST", GATE, answer(a_failure(HOSTILE)))
    summary = tmp_path / "gate.md"

    esrp("gate", RUN, "--gate", "smoke", "--summary", summary)

    lines = summary.read_text("utf-8").splitlines()
    about = [line for line in lines if "admin" in line]
    assert len(about) == 5
    for line in about:
        # Three backticks of theirs end no span that four of ours began.
        spans = line.replace("````", "\0").split("\0")
        outside = "".join(spans[::2])
        assert "<b>" not in outside and "@admin" not in outside and "](http://evil" not in outside
        assert "http://evil" not in outside


def test_what_models_wrote_cannot_steer_a_terminal(api: FakeApi, esrp: Esrp) -> None:
    api.on("POST", GATE, answer(a_failure(HOSTILE)))

    said = esrp("gate", RUN, "--gate", "smoke").stdout

    assert not any(mark in said for mark in "\x1b\x00\u202e\u061c\xad\U000e0041")
    assert "fluency is worst here:" in said


# --- baselines --------------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_away_is_told(api: FakeApi, esrp: Esrp) -> None:
    api.on("DELETE", "/v1/baselines/production", Answer("", 204))

    assert esrp("baseline", "delete", "production").stdout == "production is no baseline any more\n"
    assert esrp("baseline", "delete", "staging").exit_code == 6


def test_a_baseline_is_set_and_listed(api: FakeApi, esrp: Esrp) -> None:
    baseline = {
        "name": "production",
        "run": RUN,
        "suite": "esrp-zh@1",
        "candidate": "bot",
        "finished_at": NOW,
        "set_at": NOW,
    }
    api.on("PUT", "/v1/baselines/production", Answer(baseline))
    api.on("GET", "/v1/baselines", Answer({"data": [baseline], "next_cursor": None}))

    assert esrp("baseline", "set", "production", RUN).stdout == f"production is {RUN} (bot on esrp-zh@1)\n"
    assert api.requests("PUT", "/v1/baselines/production")[0].json() == {"run": RUN}
    assert esrp("baseline", "list").stdout.splitlines()[1].split() == [
        "production",
        RUN,
        "bot",
        "esrp-zh@1",
        "2026-05-04",
        "10:00",
    ]
