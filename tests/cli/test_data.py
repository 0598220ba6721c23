import json
from pathlib import Path

import pytest

from tests.cli.conftest import Esrp
from tests.client.fake_api import Answer, FakeApi, problem
from tests.client.test_calls import SUITE, TRANSCRIPT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files that stand for published ones, and one that is none."""
    for name in ("b.json", "a.json", "LICENSE"):
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_each_file_becomes_a_transcript_named_after_it(api: FakeApi, esrp: Esrp, folder: Path) -> None:
    api.on("POST", "/v1/transcripts", Answer(TRANSCRIPT, 201))

    result = esrp("import", "chatanime", folder / "b.json", folder)

    assert result.exit_code == 0
    assert [asked.query["name"] for asked in api.asked] == ["b", "a", "b"]
    assert result.stdout.splitlines()[0] == "trn_1  logs  1 dialogues on bots@1"


def test_the_file_that_is_refused_is_named(api: FakeApi, esrp: Esrp, folder: Path) -> None:
    api.on("POST", "/v1/transcripts", Answer(TRANSCRIPT, 201), problem(422, "invalid_input", "line 1: not JSON"))

    result = esrp("import", "chatanime", folder)

    assert (result.exit_code, result.stderr) == (6, f"esrp: {folder / 'b.json'}: line 1: not JSON\n")
    assert result.stdout.count("trn_1") == 1


@pytest.mark.parametrize("arguments", [("chatanime", "nowhere.json"), ("ratings", "nowhere.csv"), ("nonsense",), ()])
def test_what_is_not_there_is_wrong_usage(api: FakeApi, esrp: Esrp, arguments: tuple[str, ...]) -> None:
    assert esrp("import", *arguments).exit_code == 4
    assert api.asked == []


def test_a_folder_without_files_is_wrong_usage(esrp: Esrp, tmp_path: Path) -> None:
    result = esrp("import", "chatanime", tmp_path)

    assert (result.exit_code, "no .json file" in result.stderr) == (4, True)


def test_own_logs_go_with_suite_and_name(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    api.on("POST", "/v1/transcripts", Answer(TRANSCRIPT, 201))
    (tmp_path / "may.jsonl").write_text('{"character": "saber"}\n')

    assert esrp("import", "transcript", tmp_path / "may.jsonl", "--suite", "bots").exit_code == 0
    assert api.asked[0].query == {"name": "may", "suite": "bots"}
    assert api.asked[0].body == b'{"character": "saber"}\n'


def test_ratings_say_what_was_stored_and_which_columns_were_not_read(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    api.on("POST", "/v1/ratings", Answer({"stored": 9, "missing": 1, "duplicates": 2, "ignored_columns": ["note"]}))
    (tmp_path / "ratings.csv").write_text("run,note\n")

    result = esrp("import", "ratings", tmp_path / "ratings.csv", "--replace")

    assert result.stdout == "9 stored, 1 without a score, 2 there already\n"
    assert result.stderr == "columns not read: note\n"
    assert api.asked[0].query == {"replace": "true"}


def test_bad_rows_are_told_with_their_lines(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    errors = [{"pointer": f"line {n}", "message": "score: 7 is not 1 to 5"} for n in range(2, 32)]
    api.on("POST", "/v1/ratings", problem(422, "invalid_input", "Nothing was stored.", errors=errors))
    (tmp_path / "ratings.csv").write_text("run\n")

    result = esrp("import", "ratings", tmp_path / "ratings.csv")

    assert result.exit_code == 6
    assert "  line 2: score: 7 is not 1 to 5\n" in result.stderr
    assert result.stderr.endswith("  … and 10 more\n")


def test_a_suite_is_pushed_and_listed(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    api.on("POST", "/v1/suites", Answer(SUITE, 201))
    api.on("GET", "/v1/suites", Answer({"data": [SUITE], "next_cursor": None}))
    (tmp_path / "bots.yaml").write_text("name: bots\n")

    assert esrp("suite", "push", tmp_path / "bots.yaml").stdout == "bots@1  1 characters  sha256 0\n"
    assert esrp("suite", "list").stdout.splitlines()[1].split() == ["bots@1", "en", "1", "0"]


def test_judges_are_listed(api: FakeApi, esrp: Esrp) -> None:
    judge = {"id": "jdg_1", "name": "default", "kind": "chat", "model": "m", "validated": False}
    api.on("GET", "/v1/judges", Answer({"data": [judge], "next_cursor": None}))

    assert esrp("judges").stdout.splitlines()[1].split() == ["default", "chat", "m", "no"]


def test_metrics_by_other_names_are_read_as_ours(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    stored = {"stored": 2, "missing": 0, "duplicates": 0, "ignored_columns": []}
    api.on("POST", "/v1/ratings", Answer(stored))
    rows = [("r1", "relevance", 4), ("r1", "fluency", 3), ("r1", "safety", 5)]
    table, lines = tmp_path / "people.csv", tmp_path / "people.jsonl"
    table.write_text(
        "run,metric,score\n" + "".join(f"{run},{metric},{score}\n" for run, metric, score in rows), "utf-8"
    )
    lines.write_text("".join(json.dumps(dict(zip(("run", "metric", "score"), r, strict=True))) + "\n" for r in rows))

    for file in (table, lines):
        assert esrp("import", "ratings", file, "--map", "relevance=consistency", "--map", "safety=").exit_code == 0

    sent = [asked.body.decode() for asked in api.requests("POST", "/v1/ratings")]
    assert sent[0] == "run,metric,score\nr1,consistency,4\nr1,fluency,3\n"
    assert [json.loads(line)["metric"] for line in sent[1].splitlines()] == ["consistency", "fluency"]
    assert esrp("import", "ratings", table, "--map", "relevance=wit").exit_code == 4
