"""Figures on the command line, against a scripted service."""

import json
from pathlib import Path
from typing import Any

from esrp.metrics import DIMENSIONS, METRIC_IDS
from tests.cli.conftest import Esrp
from tests.client import fake_api
from tests.client.fake_api import RUN, Answer, FakeApi

OTHER = "run_2"
CI = {"suite": [3.5, 4.5], "dialogue": [3.6, 4.4], "population": None}
METHOD = {"bootstrap": 5000, "confidence": 0.95, "seed": "0", "version": "1"}
IMPORTED = {"stored": 2, "missing": 0, "duplicates": 0, "ignored_columns": []}


def scored(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "overall": value,
        "dimensions": dict.fromkeys(map(str, DIMENSIONS), value),
        "metrics": dict.fromkeys(METRIC_IDS, value),
    }


def scores(mean: float | None = 4.0) -> dict[str, Any]:
    return scored({"mean": mean, "n": 12, "ratings": 24, "se": 0.1, "ci": CI, "worst": None})


def apart(difference: float) -> dict[str, Any]:
    return scored({"difference": difference, "n": 12, "se": 0.1, "ci": {**CI, "suite": [-0.1, 0.3]}})


def comparison() -> dict[str, Any]:
    names = {"baseline": RUN, "candidate": OTHER, "suite": "tiny@1", "raters": "human", "method": METHOD}
    return {**names, **apart(0.125)}


def leaderboard() -> dict[str, Any]:
    row = {
        "run": RUN,
        "candidate": "bot",
        "coverage": {"dialogues": 12, "scored": 12, "missing": {}},
        "rank": 1,
        "last_rank": 2,
        "tied_with": [OTHER],
        "diversity": None,
        "difference": None,
        **scores(),
    }
    other = {**row, "run": OTHER, "candidate": "rc2", "tied_with": [RUN], "difference": apart(-0.25)}
    left_out = {"run": "run_3", "candidate": "old", "differs": ["judges"]}
    head = {"suite": "tiny@1", "raters": "judge", "reference": RUN, "method": METHOD, "published": None}
    return {**head, "rows": [row, other], "not_ranked": [left_out]}


def test_two_runs_are_compared_metric_by_metric(api: FakeApi, esrp: Esrp) -> None:
    api.on("POST", "/v1/comparisons", Answer(comparison()))

    result = esrp("compare", RUN, OTHER, "--raters", "human")

    assert api.asked[0].json() == {"baseline": RUN, "candidate": OTHER, "raters": "human"}
    assert result.stdout.splitlines()[0] == f"{OTHER} − {RUN} on tiny@1, rated by people"
    lines = [line.split() for line in result.stdout.splitlines()[3:]]
    assert [line[0] for line in lines if line[0] in METRIC_IDS] == list(METRIC_IDS)
    assert lines[0] == ["overall", "+0.12", "[-0.10,", "+0.30]", "12"]


def test_runs_that_are_not_comparable_say_in_what(api: FakeApi, esrp: Esrp) -> None:
    body = {
        "type": "urn:esrp:problem:not_comparable",
        "title": "Not comparable",
        "status": 409,
        "detail": "The runs cannot be compared: they differ in judges.",
        "code": "not_comparable",
        "request_id": "r",
        "retryable": False,
        "errors": [],
        "differs": ["judges"],
    }
    api.on("POST", "/v1/comparisons", Answer(body, 409))

    result = esrp("compare", RUN, OTHER)

    assert result.exit_code >= 4
    assert "they differ in judges" in result.stderr


def test_a_leaderboard_names_ranks_ties_and_what_is_left_out(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", "/v1/leaderboard", Answer(leaderboard()))

    result = esrp("leaderboard", "--suite", "tiny", "--reference", RUN)

    assert api.asked[0].query == {"suite": "tiny", "reference": RUN}
    head, columns, first, second, left_out = result.stdout.splitlines()
    assert head == "tiny@1, rated by judges"
    assert columns.split()[:3] == ["rank", "candidate", "overall"]
    assert first.split()[:3] == ["1–2", "bot", "4.00"]
    assert "-0.25" in second
    assert left_out == "not ranked: old (run_3) differs in judges"


def test_a_leaderboard_as_a_file_is_passed_through(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", "/v1/leaderboard", Answer(leaderboard()), Answer(leaderboard()))

    as_json = json.loads(esrp("leaderboard", "--format", "json").stdout)
    esrp("leaderboard", "--format", "csv")

    assert as_json["rows"][0]["candidate"] == "bot"
    assert [asked.query for asked in api.asked] == [{"suite": "esrp-zh"}, {"suite": "esrp-zh", "format": "csv"}]


def test_metrics_by_group_name_every_metric_on_a_line(api: FakeApi, esrp: Esrp) -> None:
    document = {
        "run": RUN,
        "suite": "tiny@1",
        "candidate": "bot",
        "group_by": "persona",
        "raters": "judge",
        "method": METHOD,
        "groups": {"student": scores(), "teacher": scores(None)},
        "count": 102,
        "next_cursor": "WzJd",
    }
    api.on("GET", f"/v1/runs/{RUN}/metrics", Answer(document))

    result = esrp("metrics", RUN, "--by", "persona")

    assert api.asked[0].query == {"group_by": "persona"}
    lines = result.stdout.splitlines()
    assert lines[0] == "bot on tiny@1 by persona, rated by judges"
    assert lines.count("student: 12 dialogues") == 1
    assert sum(line.split()[:1] == ["emotional_value"] for line in lines) == 2
    assert any(line.split()[:2] == ["overall", "–"] for line in lines)
    assert result.stderr == "2 of 102 groups; the next ones: --cursor WzJd\n"


def test_metrics_as_markdown_are_refused_as_a_mistake_of_use(esrp: Esrp) -> None:
    result = esrp("metrics", RUN, "--format", "md")
    assert result.exit_code >= 4
    assert "text, json or csv" in result.stderr


def test_a_report_of_other_raters_is_asked_for(api: FakeApi, esrp: Esrp) -> None:
    api.on("GET", f"/v1/runs/{RUN}/report", fake_api.report())

    esrp("report", RUN, "--raters", "human")

    assert api.asked[0].query == {"raters": "human"}


def test_ratings_are_imported_as_a_random_sample_or_of_batches(api: FakeApi, esrp: Esrp, tmp_path: Path) -> None:
    api.on("POST", "/v1/ratings", Answer(IMPORTED))
    api.on("POST", "/v1/ratings/diversity", Answer(IMPORTED))
    (tmp_path / "a.csv").write_text("run\n")

    esrp("import", "ratings", tmp_path / "a.csv", "--random")
    esrp("import", "ratings", tmp_path / "a.csv", "--diversity")
    both = esrp("import", "ratings", tmp_path / "a.csv", "--diversity", "--random")

    assert [(asked.path, asked.query) for asked in api.asked] == [
        ("/v1/ratings", {"sampling": "random"}),
        ("/v1/ratings/diversity", {}),
    ]
    assert both.exit_code >= 4
