"""Has a hosted judge moved since the baseline: its stored dialogues are rated again, over the judge service."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.errors import EsrpError
from esrp.metrics import METRIC_IDS
from esrp.suite import Suite
from services.gateway.gates.policies import BaselineRun
from services.gateway.resources import Resources
from services.gateway.runs.rows import StoredRun
from services.gateway.suites import suites
from services.kit.db import many, reading, row

PART = 500  # dialogues of one request to the judge service
ALL = 100_000  # more than any run has
SECONDS = 200  # for all dialogues of one judge; a job may take 300, and the verdict comes after them

Heard: TypeAlias = dict[str, Any]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Chosen:
    """A dialogue of the baseline that is rated again."""

    id: UUID
    character: str
    scenario: str
    turns: Sequence[Mapping[str, str]]


async def heard(
    resources: Resources, run: StoredRun, baseline: BaselineRun, wanted: int | Literal["all"]
) -> list[Heard]:
    """What each hosted judge of both runs says now of so many dialogues of the baseline, or of all.

    What it said before about the same two runs is not paid for again. Each: ``judge``, ``asked``, ``scores`` by
    dialogue and metric, and ``error`` where it could not be asked.
    """
    dialogues = ALL if wanted == "all" else wanted
    async with reading(resources.engine) as tx:
        before = await _before(tx, run, baseline, dialogues)
        suite = (await suites.of(tx, baseline.suite_id)).suite
        asked = {judge: await _chosen(tx, baseline, judge, dialogues) for judge in _hosted(resources, run, baseline)}

    async def one(judge: str, chosen: Sequence[Chosen]) -> Heard:
        again = before.get(judge) or await _asked(resources, judge, suite, chosen)
        return {**again, "judge": judge, "asked": dialogues}

    return list(await asyncio.gather(*(one(judge, chosen) for judge, chosen in asked.items())))


def _hosted(resources: Resources, run: StoredRun, baseline: BaselineRun) -> list[str]:
    """Judges behind somebody's chat endpoint, where a model may change under its name; a LoRA is pinned by its own."""
    named = [judge for judge in run.judges if judge in baseline.judges]
    found = {judge: resources.settings.judge(judge) for judge in named}
    return [judge for judge, settings in found.items() if settings is None or settings.kind == "chat"]


async def _asked(resources: Resources, judge: str, suite: Suite, chosen: Sequence[Chosen]) -> Heard:
    if not chosen:
        return {"scores": {}, "error": "The baseline has no stored scores of this judge."}
    given: list[Heard] = []
    try:
        async with asyncio.timeout(SECONDS):
            for start in range(0, len(chosen), PART):
                given += await _scored(resources, judge, suite, chosen[start : start + PART])
    except (EsrpError, TimeoutError) as error:
        detail = error.detail if isinstance(error, EsrpError) else f"It takes longer than {SECONDS} s."
        log.warning("sentinel.failed", judge=judge, error=detail)
        return {"scores": {}, "error": detail}
    failed = next((item["error"]["message"] for item in given if item["error"]), None)
    scores = {item["id"]: item["scores"] for item in given if item["scores"]}
    # What half of the dialogues say is no longer what was drawn.
    return {"scores": scores, "error": failed if 2 * len(scores) < len(chosen) else None}


async def _scored(resources: Resources, judge: str, suite: Suite, chosen: Sequence[Chosen]) -> list[Heard]:
    body = {
        "judge": judge,
        "language": suite.language,
        "dialogues": [
            {
                "character": suite.character(dialogue.character).model_dump(mode="json"),
                "scenario": suite.scenario(dialogue.scenario).model_dump(mode="json"),
                "turns": dialogue.turns,
            }
            for dialogue in chosen
        ],
    }
    answer = await resources.peers.call("judge", "POST", "/v1/scores", body=orjson.dumps(body), seconds=SECONDS)
    return list(_given(chosen, orjson.loads(answer.body)["dialogues"]))


def _given(chosen: Sequence[Chosen], answers: Sequence[Mapping[str, Any]]) -> Iterator[Heard]:
    for dialogue, answer in zip(chosen, answers, strict=True):
        scores = {metric: score["rating"] for metric, score in answer["scores"].items() if score is not None}
        yield {"id": str(dialogue.id), "scores": scores, "error": answer["error"]}


async def _chosen(tx: AsyncConnection, baseline: BaselineRun, judge: str, dialogues: int) -> list[Chosen]:
    """Dialogues that the judge scored on every metric, always the same ones, over all characters and scenarios."""
    return await many(
        tx,
        Chosen,
        """
        SELECT d.id, d.character, d.scenario,
            (SELECT jsonb_agg(jsonb_build_object('user', t -> 'user', 'assistant', t -> 'assistant') ORDER BY n)
             FROM jsonb_array_elements(d.turns) WITH ORDINALITY AS x (t, n)) AS turns
        FROM generator.dialogues_v1 d
        WHERE d.run_id = :run AND d.state = 'done' AND d.scenario IS NOT NULL AND :metrics = (
            SELECT count(*) FROM analytics.ratings_v1 r
            WHERE r.run_id = d.run_id AND r.dialogue_id = d.id AND r.rater = :judge AND r.kind = 'judge')
        ORDER BY md5(d.id::text) LIMIT :dialogues
        """,
        run=baseline.id,
        judge=judge,
        metrics=len(METRIC_IDS),
        dialogues=dialogues,
    )


async def _before(
    tx: AsyncConnection, run: StoredRun, baseline: BaselineRun, dialogues: int
) -> dict[str, dict[str, Any]]:
    """What was heard for the newest verdict over the same dialogues of both runs."""
    found = await row(
        tx,
        "SELECT sentinel FROM analytics.gates_v1 WHERE run_id = :run AND revision = :revision"
        " AND baseline_run_id = :baseline AND sentinel <> '[]' ORDER BY created_at DESC LIMIT 1",
        run=run.id,
        revision=run.revision,
        baseline=baseline.id,
    )
    heard: Sequence[Heard] = found["sentinel"] if found else []
    return {item["judge"]: item for item in heard if item["asked"] == dialogues and item["error"] is None}
