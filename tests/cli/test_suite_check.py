"""A suite is checked here, and what the server warns of is shown."""

from pathlib import Path

from tests.builders import a_suite
from tests.cli.conftest import Esrp
from tests.client.fake_api import Answer, FakeApi
from tests.client.test_calls import SUITE

GOOD = a_suite(scenarios=2).model_dump_json(indent=1)


def test_a_suite_is_checked_without_a_server_and_warnings_do_not_fail_it(
    api: FakeApi, esrp: Esrp, tmp_path: Path
) -> None:
    (tmp_path / "tiny.json").write_text(GOOD)

    result = esrp("suite", "check", tmp_path / "tiny.json")

    assert result.exit_code == 0
    assert result.stdout.startswith("tiny  2 characters, 2 scenarios, 4 dialogues  sha256 ")
    assert "warning: scenarios s1 and s2: nearly the same question\n" in result.stderr
    assert api.asked == []


def test_a_wrong_suite_is_wrong_usage_with_file_line_and_field(esrp: Esrp, tmp_path: Path) -> None:
    file = tmp_path / "tiny.json"
    file.write_text(GOOD.replace('"s2"', "2").replace('"en"', '"fr"'))
    lines = file.read_text().split("\n")
    line = next(number for number, text in enumerate(lines, 1) if text.strip() == '"id": 2,')

    result = esrp("suite", "check", file)

    assert result.exit_code == 4
    assert result.stderr.startswith(f"esrp: {file}: The suite is not valid.\n  /language: line 3: Input should be")
    assert f"  /scenarios/1/id: line {line}: Input should be a valid string; put it in quotes\n" in result.stderr


def test_a_suite_that_is_not_there_or_no_text_is_wrong_usage(esrp: Esrp, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")

    assert esrp("suite", "check", tmp_path / "nowhere.yaml").exit_code == 4
    assert "is not UTF-8" in esrp("suite", "check", tmp_path / "latin.yaml").stderr


def test_a_push_shows_what_the_server_warns_of(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    api.on("POST", "/v1/suites", Answer({**SUITE, "warnings": ["character a: the profile is short"]}, 201))
    (tmp_path / "bots.yaml").write_text("name: bots\n")

    result = esrp("suite", "push", tmp_path / "bots.yaml")

    assert (result.exit_code, result.stderr) == (0, "warning: character a: the profile is short\n")
