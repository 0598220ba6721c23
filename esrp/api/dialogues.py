"""A run's dialogues and batches of replies, and what judges said of them."""

from typing import Literal

from pydantic import Field

from esrp.api.common import Answer, RaterKind, RunError
from esrp.dialogue import Turn

DialogueState = Literal["waiting", "playing", "done", "failed", "cancelled"]


class RatingOut(Answer):
    metric: str
    rater: str
    kind: RaterKind
    score: int
    explanation: str | None


class VerdictOut(Answer):
    """What a judge did with the dialogue; ``raw`` is its reply where scores are missing from it."""

    judge: str
    state: str
    error: str | None
    raw: str | None


class DialogueOut(Answer):
    id: str
    run: str
    character: str
    scenario: str | None
    replicate: int
    state: DialogueState
    turns: list[Turn]
    ratings: list[RatingOut]
    verdicts: list[VerdictOut]
    attempts: int = Field(0, description="that failed since the last answer")
    error: RunError | None


class BatchVerdict(Answer):
    """What a judge said of a batch; ``raw`` is its last reply, also where no score could be read from it."""

    judge: str
    state: str
    score: int | None
    explanation: str | None
    error: str | None
    raw: str | None


class BatchOut(Answer):
    """Replies of one character that judges rate together, for how varied they are; ``batch`` counts from 1."""

    character: str
    batch: int
    replies: list[str]
    verdicts: list[BatchVerdict]
