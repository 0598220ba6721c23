"""Recorded dialogues over a suite."""

from datetime import datetime

from pydantic import Field

from esrp.api.common import Answer, Body
from esrp.dialogue import Slug, Turn

MOST_RECORDED = 100_000  # dialogues of a transcript


class RecordedDialogue(Body):
    character: Slug
    scenario: Slug | None = None
    turns: list[Turn] = Field(min_length=1, max_length=200)
    replicate: int = Field(1, ge=1, le=10_000)


class TranscriptRequest(Body):
    """``POST /v1/transcripts``: recorded dialogues over a suite. A dialogue without a scenario is from own logs."""

    name: str = Field(min_length=1, max_length=200)
    suite: str = Field(min_length=1, max_length=200)
    dialogues: list[RecordedDialogue] = Field(min_length=1, max_length=MOST_RECORDED)


class TranscriptOut(Answer):
    id: str
    name: str
    suite: str
    dialogues: int
    created_at: datetime
