"""What a panel is planned to do: its calls, its place in the manifest, and the table of a shortlist."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from esrp.api import Shortlist, ShortlistLinks, ShortlistRow
from esrp.metrics import METRIC_IDS, PRINTED
from esrp.prompts.diversity import diversity_hashes
from esrp.render.shortlist import csv_table, markdown
from esrp.suite import Suite, bundled
from services.gateway.runs.plan import Order, order
from services.gateway.runs.shortlists import ranked
from services.gateway.suites.transcripts import Replies
from services.kit.settings import JudgeSettings, ModelSettings, Settings
from tests.builders import a_run_request
from tests.gateway.builders import found

JUDGES = [
    JudgeSettings(name="default", base_url="http://judge/v1", model="gpt-4.1"),
    JudgeSettings(name="other", base_url="http://judge/v1", model="qwen-max"),
    JudgeSettings(name="lora", kind="lora", base_url="http://vllm/v1", model="judge@1", base_model="Qwen/Qwen3-8B"),
]


def planned(suite: Suite, **fields: Any) -> Order:
    simulator = ModelSettings(base_url="http://simulator/v1", model="qwen-plus")
    settings = Settings(database_url="", redis_url="", secret_key_file=Path("key"), simulator=simulator, judges=JUDGES)
    return order(found(a_run_request(**fields), suite, settings))


@pytest.mark.parametrize(
    ("suite", "fields", "calls"),
    [
        ("esrp-en", {}, 120 + 24),  # 6 characters × 40 replies: four batches each
        ("esrp-zh", {}, 1200 + 240),
        ("esrp-zh", {"sample": {"dialogues": 120}}, 120 + 20),  # 12 replies each: a batch, and two that are left out
        ("esrp-zh", {"sample": {"dialogues": 20}}, 20),  # two replies each
        ("esrp-zh", {"sample": {"dialogues": 50}}, 50 + 10),  # six of ten characters, four of the others
        ("esrp-en", {"judges": ["default", "other", "lora"]}, 3 * 120 + 2 * 24),
        ("esrp-en", {"judges": []}, 0),
        ("esrp-en", {"rounds": 1, "replicates": 3}, 360 + 36),
    ],
)
def test_a_plan_counts_the_calls_about_batches(suite: str, fields: dict[str, Any], calls: int) -> None:
    assert planned(bundled(suite), **fields).plan.judge_calls == calls


def test_a_transcripts_plan_counts_the_replies_that_it_has() -> None:
    transcript = {"kind": "transcript", "transcript": "trn_1"}
    request = {"suite": "esrp-en", "candidate": transcript}
    settings = Settings(database_url="", redis_url="", secret_key_file=Path("key"), judges=JUDGES)
    suite = bundled("esrp-en")
    one, two, three, *_ = (character.id for character in suite.characters)
    replies = [Replies(id, None, n) for id, n in ((one, 24), (two, 25), (three, 4))]
    placed = order(found(request, suite, settings, *replies))
    assert (placed.plan.judge_calls, placed.plan.candidate_calls) == (3 + 2 + 3, 0)
    assert placed.warnings[-1].startswith("The judge default (gpt-4.1) is of the candidate's family (gpt)")


def test_the_manifest_knows_how_diversity_is_judged_where_it_is() -> None:
    manifest = planned(bundled("esrp-en")).manifest
    assert manifest["diversity"]["prompts"] == list(diversity_hashes("en").values())
    assert planned(bundled("esrp-en"), judges=["lora"]).manifest["diversity"] is None


def test_relatives_of_the_candidate_are_warnings_also_by_the_base_of_an_adapter() -> None:
    candidate = {"model": "persona", "models": {"alice": "Qwen3-8B-alice"}}
    told = planned(bundled("esrp-en"), judges=["default", "other", "lora"], candidate=candidate).warnings
    assert [text.partition(" is of the candidate's family (qwen)")[0] for text in told[-3:]] == [
        "The judge other (qwen-max)",
        "The judge lora (Qwen3-8B)",
        "The simulated user (qwen-plus)",
    ]


# --- the table of a shortlist -----------------------------------------------------------------------------------------


def a_row(candidate: str, overall: float | None, **fields: Any) -> ShortlistRow:
    given: dict[str, Any] = {
        "place": None,
        "kept": None,
        "candidate": candidate,
        "run": "run_1",
        "status": "succeeded",
        "overall": overall,
        "dimensions": dict.fromkeys(("BDC", "RPC", "ESC"), overall),
        "metrics": dict.fromkeys(METRIC_IDS, overall),
        "scored": 6,
        "dialogues": 6,
    }
    return ShortlistRow(**{**given, **fields})


def a_shortlist(*rows: ShortlistRow) -> Shortlist:
    return Shortlist(
        id="shl_1",
        name=None,
        status="finished",
        suite="tiny@1",
        judges=["a", "b"],
        keep=2,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        rows=list(rows),
        links=ShortlistLinks(self="/v1/shortlists/shl_1"),
    )


def test_the_best_are_kept_and_equals_stand_as_they_were_asked_for() -> None:
    rows = [a_row("a", 3.0), a_row("b", None), a_row("c", 4.0), a_row("d", 4.0), a_row("e", 4.5)]
    found = [(row.candidate, row.place, row.kept) for row in ranked(rows, 2)]
    assert found == [("e", 1, True), ("c", 2, True), ("d", 2, False), ("a", 4, False), ("b", None, False)]


def test_the_columns_are_those_of_the_papers_table() -> None:
    assert [PRINTED[n] for n in (0, 3, 4, 7, 8, 11, 12)] == [
        "consistency",
        "BDC",
        "character_knowledge",
        "RPC",
        "emotional_value",
        "ESC",
        "overall",
    ]


def test_names_that_would_break_a_table_or_be_a_formula_do_not() -> None:
    shortlist = a_shortlist(a_row("=HYPERLINK(1)", 4.0, place=1, kept=True), a_row("a|b\nc", None, kept=False))
    assert "1,'=HYPERLINK(1),4.0" in csv_table(shortlist)
    lines = markdown(shortlist).splitlines()
    assert lines[-1] == "| a\\|b c | " + " | ".join([""] * 13) + " | no |"


def test_a_shortlists_names_are_no_link_no_tag_and_no_code_in_markdown() -> None:
    name = "[win](http://evil) <img src=x> `rm`"
    inert = "\\[win\\](http://evil) &lt;img src=x> 'rm'"
    shortlist = a_shortlist(a_row(name, 4.0, place=1, kept=True, scored=2))
    lines = markdown(shortlist.model_copy(update={"name": name, "suite": name, "judges": [name]})).splitlines()
    assert lines[0] == f"# Shortlist {inert}"
    assert lines[2].startswith(f"{inert}, panel: {inert}; the best")
    assert lines[6].startswith(f"| 1 {inert} | ")
    assert lines[8] == f"- {inert}: succeeded, 2 of 6 dialogues scored"


def test_who_stands_on_fewer_dialogues_than_the_others_is_told_below_the_table() -> None:
    lost, away = a_row("lost|2", 5.0, place=1, kept=True, scored=2), a_row("away", None, status="failed", scored=0)
    lines = markdown(a_shortlist(lost, a_row("whole", 4.0, place=2, kept=True), away)).splitlines()
    assert lines[-3:] == [
        "",
        "- lost\\|2: succeeded, 2 of 6 dialogues scored",
        "- away: failed, 0 of 6 dialogues scored",
    ]
