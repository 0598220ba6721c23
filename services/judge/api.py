"""Scores on request, without a run: dialogues in, distributions and ratings out, nothing stored."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from esrp.api import Usage
from esrp.dialogue import Character, Dialogue, Frozen, Scenario, Turn
from esrp.errors import NotConfigured
from esrp.metrics import METRIC_IDS, Language
from services.judge.rating import Rater, Verdict
from services.judge.resources import Resources
from services.work.budget import Errand

MOST = 1000  # dialogues of one request


class Spoken(Frozen):
    """A dialogue to be scored. A judge sees the character's name, work and profile, and the turns."""

    character: Character
    scenario: Scenario | None = None
    turns: list[Turn] = Field(min_length=1)


class ScoresRequest(Frozen):
    """What to score, by which judge, on which metrics."""

    judge: str
    dialogues: list[Spoken] = Field(min_length=1, max_length=MOST)
    metrics: tuple[str, ...] = Field(METRIC_IDS, min_length=1)
    language: Language = "zh"

    @field_validator("metrics")
    @classmethod
    def _are_metrics(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [metric for metric in metrics if metric not in METRIC_IDS]:
            raise ValueError(f"{unknown[0]!r} is no metric; there are {', '.join(METRIC_IDS)}")
        return metrics


class ScoreOut(BaseModel):
    """The most probable score; ``distribution`` is over 1 to 5, and ``null`` from a judge that gives none."""

    model_config = ConfigDict(frozen=True)

    rating: int
    distribution: tuple[float, ...] | None
    explanation: str | None


class FaultOut(BaseModel):
    """Why a dialogue has no scores."""

    code: str
    message: str
    retryable: bool


class DialogueScores(BaseModel):
    """A dialogue's scores by metric; ``null`` where the judge gave no valid one."""

    scores: dict[str, ScoreOut | None]
    error: FaultOut | None
    usage: Usage


class ScoresOut(BaseModel):
    """An answer for each dialogue, in the order asked."""

    judge: str
    kind: Literal["chat", "lora"]
    model: str
    dialogues: list[DialogueScores]


def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


Opened = Annotated[Resources, Depends(_resources)]


scores = APIRouter(prefix="/v1", tags=["scores"])  # who may ask is known before it is: see ``app``


@scores.post("/scores")
async def score(asked: ScoresRequest, resources: Opened) -> ScoresOut:
    """Have a judge score dialogues."""
    judge = resources.settings.judge(asked.judge)
    if judge is None:
        lines = f'judges:\n  - {{name: {asked.judge}, kind: chat, base_url: "https://…/v1", model: "…"}}'
        raise NotConfigured("/judge", "judge", asked.judge, lines)
    verdicts = await _verdicts(resources.rater(judge.name), asked)
    answers = [_answer(verdict, asked.metrics) for verdict in verdicts]
    return ScoresOut(judge=judge.name, kind=judge.kind, model=judge.model, dialogues=answers)


async def _verdicts(rater: Rater, asked: ScoresRequest) -> list[Verdict]:
    seats = asyncio.Semaphore(rater.max_concurrency)

    async def one(spoken: Spoken) -> Verdict:
        dialogue = Dialogue(character=spoken.character, scenario=spoken.scenario, turns=tuple(spoken.turns))
        async with seats:
            return await rater.rate(dialogue, asked.language, Errand())

    async with asyncio.TaskGroup() as tasks:
        given = [tasks.create_task(one(spoken)) for spoken in asked.dialogues]
    return [task.result() for task in given]


def _answer(verdict: Verdict, metrics: tuple[str, ...]) -> DialogueScores:
    found = {metric: verdict.scores.get(metric) for metric in metrics}
    given = {
        metric: score and ScoreOut(rating=score.score, distribution=score.distribution, explanation=score.explanation)
        for metric, score in found.items()
    }
    fault = verdict.error
    error = fault and FaultOut(code=fault.code, message=fault.message, retryable=fault.retryable)
    return DialogueScores(scores=given, error=error, usage=Usage(**asdict(verdict.usage)))
