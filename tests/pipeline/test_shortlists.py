"""Shortlists through all four services: a panel over many candidates, and the best of them."""

import csv
import json
import random
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest

from esrp.api import Shortlist
from esrp.client import ApiError
from esrp.metrics import METRIC_IDS
from esrp.paper_tables import published
from tests.fakes import Answer, by_model, rated
from tests.pipeline.conftest import Configured, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "chatanime"
PANEL = ("first", "second")


@pytest.fixture(scope="module")
def configured() -> Configured:
    """A panel of two."""

    def settings(base_url: str) -> dict[str, str]:
        return {
            "ESRP_JUDGES": orjson.dumps(
                [{"name": name, "base_url": base_url, "model": f"{name}-judge"} for name in PANEL]
            ).decode()
        }

    return settings


def by_quality(request: dict[str, Any]) -> Answer:
    """Judges who see who speaks: the good bot's replies begin with a plus, the poor one's with a minus."""
    if request["model"] in ("good", "poor"):
        return f"{'+' if request['model'] == 'good' else '-'} {by_model(request)}"
    if request["model"].endswith("-judge"):
        text = request["messages"][-1]["content"]
        return rated(request, 5 if "⟧\n+ " in text else 2 if "⟧\n- " in text else 3)
    return by_model(request)


async def finished(stack: Stack, shortlist: Shortlist) -> Shortlist:
    for row in shortlist.rows:
        await stack.done(await stack.client.run(row.run))
    return await stack.client.shortlist(shortlist.id)


def bots(stack: Stack, *names: str) -> list[dict[str, Any]]:
    return [{"base_url": stack.models.base_url, "model": name} for name in names]


async def test_a_panel_keeps_the_best_of_endpoints_and_transcripts(stack: Stack) -> None:
    stack.models.answer = by_quality
    turns = [{"user": "Question number 1?", "assistant": "Recorded."}]
    recorded = [{"character": c, "scenario": s, "turns": turns} for c in ("c1", "c2") for s in ("s1", "s2", "s3")]
    transcript = await stack.client.import_transcript("logs", "tiny", recorded)
    asked = {
        "suite": "tiny",
        "name": "spring",
        "candidates": bots(stack, "poor", "good"),
        "transcripts": [transcript.id],
        "judges": list(PANEL),
        "keep": 2,
    }
    started = await stack.client.create_shortlist(asked)
    assert (started.status, started.name, started.judges, len(started.rows)) == (
        "running",
        "spring",
        ["first", "second"],
        3,
    )
    assert {(row.place, row.kept, row.overall) for row in started.rows} == {(None, None, None)}
    found = await finished(stack, started)
    assert found.status == "finished"
    rows = [(row.place, row.candidate, row.overall, row.scored, row.dialogues, row.kept) for row in found.rows]
    assert rows == [(1, "good", 5.0, 6, 6, True), (2, "logs", 3.0, 6, 6, True), (3, "poor", 2.0, 6, 6, False)]
    assert set(found.rows[0].metrics) == set(METRIC_IDS)
    assert set(found.rows[0].dimensions.values()) == {5.0}
    assert (await stack.client.report(found.rows[0].run)).overall.mean == 5.0

    table = list(csv.DictReader(StringIO(await stack.client.shortlist(found.id, "csv"))))
    assert [(row["place"], row["candidate"], row["overall"], row["kept"]) for row in table] == [
        ("1", "good", "5.0", "yes"),
        ("2", "logs", "3.0", "yes"),
        ("3", "poor", "2.0", "no"),
    ]
    text = await stack.client.shortlist(found.id, "md")
    assert "| 1 good | 5.00 | 5.00 | 5.00 | 5.00 |" in text


async def test_a_candidate_that_gets_no_score_comes_last_and_is_not_kept(stack: Stack) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        return (401, {"error": {"message": "bad key"}}) if request["model"] == "away" else by_quality(request)

    stack.models.answer = answer
    asked = {
        "suite": "tiny",
        "candidates": bots(stack, "away", "poor"),
        "judges": ["first"],
        "sample": {"dialogues": 2},
    }
    found = await finished(stack, await stack.client.create_shortlist(asked))
    assert [(row.candidate, row.place, row.kept, row.status) for row in found.rows] == [
        ("poor", 1, True, "succeeded"),
        ("away", None, False, "failed"),
    ]


async def test_a_wrong_candidate_is_named_and_nothing_is_started(stack: Stack) -> None:
    before = [run.id async for run in stack.client.runs()]
    asked = {"suite": "tiny", "candidates": bots(stack, "good"), "transcripts": ["trn_x"], "judges": ["first"]}
    with pytest.raises(ApiError) as error:
        await stack.client.create_shortlist(asked)
    assert [fault.pointer for fault in error.value.errors] == ["/transcripts/0"]
    with pytest.raises(ApiError, match="at least two"):
        await stack.client.create_shortlist({**asked, "transcripts": []})
    with pytest.raises(ApiError, match="no shortlist"):
        await stack.client.shortlist("shl_x")
    assert [run.id async for run in stack.client.runs()] == before


async def test_a_repeated_request_is_the_same_shortlist_and_a_key_is_never_shown(stack: Stack) -> None:
    stack.models.answer = by_quality
    candidates = [{**bot, "api_key": "sk-hidden"} for bot in bots(stack, "good", "poor")]
    asked = {"suite": "tiny", "candidates": candidates, "judges": ["first"], "sample": {"dialogues": 1}}
    first, again = [await stack.client.create_shortlist(asked, "spring-1") for _ in range(2)]
    assert first.id == again.id
    found = await finished(stack, first)
    assert "sk-hidden" not in found.model_dump_json() + stack.logs()
    assert {headers["Authorization"] for headers, sent in zip(stack.models.headers, stack.models.requests, strict=True)
            if sent["model"] in ("good", "poor")} == {"Bearer sk-hidden"}  # fmt: skip


# --- the published dialogues ------------------------------------------------------------------------------------------


def as_printed(sources: dict[str, str]) -> Any:
    """A scripted panel whose scores are drawn so that each source's means are about those of the paper's Table 4."""
    table = published("chatanime@1", "judge")
    assert table is not None
    means = {row.candidate.lower(): row.metrics for row in table.rows}

    def answer(request: dict[str, Any]) -> Answer:
        text = request["messages"][1]["content"]
        source = next(source for reply, source in sources.items() if reply in text)
        own = random.Random(f"{request['model']} {text}")
        drawn = {}
        for metric in METRIC_IDS:
            mean = means[source][metric] if source in means else 3.0  # Table 4 has no human fans
            drawn[metric] = {"score": int(mean) + (own.random() < mean % 1), "explanation": "as printed"}
        return json.dumps(drawn)

    return answer


async def test_a_panel_that_scores_as_the_papers_chooses_the_papers_five(stack: Stack) -> None:
    files = sorted(PUBLISHED.glob("*.json"))
    if not files:
        pytest.skip("the published dialogues are not there: ../shared/data/chatanime")
    sources: dict[str, str] = {}
    for file in files:
        for dialogues in json.loads(file.read_text("utf-8")).values():
            sources |= {dialogue["answer_r1"]: file.stem for dialogue in dialogues}
    stack.models.answer = as_printed(sources)
    transcripts = [(await stack.client.import_published(file.stem, file)).id for file in files]
    asked = {"suite": "chatanime", "transcripts": transcripts, "judges": list(PANEL), "sample": {"dialogues": 40}}
    found = await finished(stack, await stack.client.create_shortlist(asked))
    assert len(found.rows) == len(files)
    assert all(row.status == "succeeded" and row.scored == 40 for row in found.rows)
    assert [row.overall for row in found.rows] == sorted((row.overall or 0 for row in found.rows), reverse=True)
    five = {"deepseek-v3", "qwen-max", "gpt-4.1", "doubao-1.5-pro", "claude-sonnet-4"}
    assert {row.candidate for row in found.rows if row.kept} == five
    assert found.published is not None and found.published.title == "Table 4"
    for row in found.rows:
        printed = next((line for line in found.published.rows if line.candidate.lower() == row.candidate), None)
        if printed is not None:
            assert row.overall == pytest.approx(printed.overall, abs=0.1)
    lines = (await stack.client.shortlist(found.id, "md")).splitlines()
    assert lines[4].startswith("| candidate | consistency | fluency | coherence | BDC | character_knowledge |")
    assert len([line for line in lines if line.startswith("| ")]) == 2 * 2 + len(files) + len(found.published.rows)
