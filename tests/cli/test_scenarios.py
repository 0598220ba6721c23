import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Esrp
from tests.client.fake_api import Answer, FakeApi
from tests.client.scenario_sets import SET, drafts, scenario_set
from tests.client.test_calls import SUITE

PATH = f"/v1/scenario-sets/{SET}"
LIKE = {"near_duplicate_of": "scn_0", "similarity": 0.71, "question": "Same\x1b[31m again?"}
FAILED = {
    "state": "failed",
    "event": None,
    "question": None,
    "raw": "no",
    "error": {"code": "malformed", "message": "The writer: no JSON"},
}


@pytest.fixture
def made(api: FakeApi) -> None:
    """A set that is written: the second draft is like the first, the last could not be written."""
    api.on("POST", "/v1/scenario-sets", Answer(scenario_set("queued").body, 202))
    api.on("GET", PATH, scenario_set("succeeded", written=3, failed=1, near_duplicates=1))
    api.on("GET", f"{PATH}/scenarios", drafts({}, LIKE, {}, FAILED))
    api.on("POST", f"{PATH}/select", Answer(SUITE, 201))


@pytest.mark.usefixtures("made")
def test_generate_follows_to_the_end_and_shows_the_grid(api: FakeApi, esrp: Esrp) -> None:
    result = esrp("scenarios", "generate", "--name", "x")

    assert result.exit_code == 0, result.output
    assert api.requests("POST", "/v1/scenario-sets")[0].json() == {"name": "x"}
    assert "scs_1 started; 4 scenarios" in result.stderr
    assert "succeeded, 3/4 written, 1 failed, 1 near-duplicates" in result.stderr
    assert ["student", "canteen", "2≈1", "2"] in [line.split() for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("made")
def test_the_grid_is_asked_for_by_label(api: FakeApi, esrp: Esrp) -> None:
    grid = ("--persona", "fox", "--persona", "owl", "--emotion", "happy", "--per-cell", "1", "--language", "en")
    esrp("scenarios", "generate", "--name", "x", "--no-wait", *grid, "--location", "wood", "--location", "lake")
    esrp("scenarios", "generate", "--name", "x", *grid, "--location", "fox=wood", "--location", "owl=barn")

    first, second = (asked.json() for asked in api.requests("POST", "/v1/scenario-sets"))
    assert first == {
        "name": "x",
        "language": "en",
        "personas": ["fox", "owl"],
        "emotions": ["happy"],
        "locations": ["wood", "lake"],
        "per_cell": 1,
    }
    assert second["locations"] == {"fox": ["wood"], "owl": ["barn"]}


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate",),
        ("generate", "--name", "x", "--persona", "fox"),
        ("generate", "--name", "x", "--location", "a", "--location", "student=b"),
        ("generate", "--name", "x", "--per-cell", "11"),
        ("select", "nowhere.yaml", "--suite", "s", "--from", "esrp-zh"),
        ("select", SET, "--suite", "s", "--from", "esrp-zh"),
        ("select", SET, "--suite", "s", "--scenario", "scn_0"),
    ],
)
def test_what_cannot_be_asked_for_is_wrong_usage(api: FakeApi, esrp: Esrp, arguments: tuple[str, ...]) -> None:
    assert esrp("scenarios", *arguments).exit_code == 4
    assert api.asked == []


def test_a_set_that_failed_ends_the_command_so_and_says_why(api: FakeApi, esrp: Esrp) -> None:
    api.on("POST", "/v1/scenario-sets", Answer(scenario_set("queued").body, 202))
    api.on("GET", PATH, scenario_set("failed", failed=4))
    api.on("GET", f"{PATH}/scenarios", drafts(*[FAILED] * 4))

    result = esrp("scenarios", "generate", "--name", "x")

    assert result.exit_code == 7
    assert "error: The writer refused the key." in result.stdout
    assert "failed: The writer: no JSON (4 ×)" in result.stdout


@pytest.mark.usefixtures("made")
def test_near_duplicates_are_shown_beside_what_they_are_like_and_nothing_reaches_the_terminal_raw(esrp: Esrp) -> None:
    result = esrp("scenarios", "show", SET)

    assert "near-duplicate: scn_1 Same [31m again?\n  is like scn_0 (0.71): Question 0?" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.usefixtures("made")
def test_everything_can_be_had_as_json(esrp: Esrp) -> None:
    document = json.loads(esrp("scenarios", "show", SET, "--json").stdout)
    assert (document["id"], len(document["scenarios"])) == (SET, 4)


@pytest.mark.usefixtures("made")
def test_a_person_marks_what_to_keep_in_yaml(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    file = tmp_path / "drafts.yaml"
    assert "3 scenarios written to" in esrp("scenarios", "show", SET, "--write", file).stderr
    document = yaml.safe_load(file.read_text("utf-8"))
    assert document["set"] == SET
    assert document["scenarios"][1] == {
        "keep": False,
        "persona": "student",
        "emotion": "happy",
        "location": "canteen",
        "event": "Event 1.",
        "question": "Same\x1b[31m again?",
        "near_duplicate_of": "scn_0",
        "similarity": 0.71,
        "id": "scn_1",
    }

    unmarked = esrp("scenarios", "select", file, "--suite", "mine", "--from", "esrp-zh")
    text = file.read_text("utf-8")
    file.write_text(text.replace("keep: false", "keep: true", 1).replace("keep: false", "keep:", 1), "utf-8")
    marked = esrp("scenarios", "select", file, "--suite", "mine", "--from", "esrp-zh")

    assert (unmarked.exit_code, "Nothing is marked" in unmarked.stderr) == (4, True)
    assert marked.stdout == "bots@1  1 characters  sha256 0\n"
    [asked] = api.requests("POST", f"{PATH}/select")
    assert asked.json() == {"suite": "mine", "scenarios": ["scn_0"], "characters": {"from": "esrp-zh"}}


def test_a_person_marks_what_to_keep_in_a_spreadsheet(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    file = tmp_path / "drafts.csv"
    api.on("GET", PATH, scenario_set())
    api.on("GET", f"{PATH}/scenarios", drafts({"question": '=HYPERLINK("http://x")', "event": "一，\n二"}))
    api.on("POST", f"{PATH}/select", Answer(SUITE, 201))
    esrp("scenarios", "show", SET, "--write", file)
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows[0]["question"] == '\'=HYPERLINK("http://x")'
    assert rows[0]["event"] == "一，\n二"
    rows[0]["keep"], rows[2]["keep"] = "x", "TRUE"
    with file.open("w", encoding="utf-8-sig", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    assert esrp("scenarios", "select", file, "--suite", "mine", "--from", "esrp-zh").exit_code == 0
    assert api.requests("POST", f"{PATH}/select")[0].json()["scenarios"] == ["scn_0", "scn_2"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", "set: [", "is not YAML"),
        ("a.yaml", "scenarios: []", "needs `set` and `scenarios`"),
        ("a.yaml", "set: scs_1\nscenarios: [{keep: maybe, id: scn_1}]", "keep is 'maybe' at scn_1"),
        ("a.yaml", b"\xff\xfe", "is not UTF-8"),
        ("a.csv", "id,set\n1,2", "keep"),
        ("a.csv", "keep,id,set\nx,scn_1,scs_1\nx,scn_2,scs_2", "scenarios of 2 sets"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_to_be_so(
    esrp: Esrp, tmp_path: Path, name: str, content: Any, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = esrp("scenarios", "select", file, "--suite", "s", "--from", "esrp-zh")
    assert (result.exit_code, said in result.stderr) == (4, True), result.stderr


@pytest.mark.usefixtures("made")
def test_scenarios_may_be_named_one_by_one(api: FakeApi, esrp: Esrp) -> None:
    named = ("--scenario", "scn_2", "--scenario", "scn_0")
    assert esrp("scenarios", "select", SET, "--suite", "mine", "--from", "esrp-zh", *named).exit_code == 0
    assert api.asked[0].json()["scenarios"] == ["scn_2", "scn_0"]
