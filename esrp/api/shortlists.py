"""A panel over many candidates, and the best of them."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from esrp.api.candidates import Candidate
from esrp.api.common import Answer, Bounds
from esrp.api.judges import JudgeName
from esrp.api.published import PublishedTable
from esrp.api.runs import Paneled, RunStatus, Sample


class ShortlistRequest(Paneled):
    """``POST /v1/shortlists``: a panel over many candidates, recorded ones too, of which the best ``keep`` are kept.

    Each gets a run of its own; ``budget`` and ``prices`` are those of each.
    """

    suite: str = Field(min_length=1, max_length=200, description="name, or name@version")
    candidates: list[Candidate] = Field([], max_length=64)
    transcripts: list[str] = Field([], max_length=64, description="recorded candidates: their transcripts' ids")
    keep: int = Field(5, ge=1, le=128)
    judges: list[JudgeName] = Field(["default"], min_length=1, max_length=16)
    name: str | None = Field(None, max_length=200)
    simulator: str = Field("default", max_length=64)
    rounds: int = Field(2, ge=1, le=10)
    sample: Sample | None = None

    @field_validator("candidates", mode="before")
    @classmethod
    def _an_endpoint_unless_said_otherwise(cls, candidates: Any) -> Any:
        if not isinstance(candidates, list):
            return candidates
        return [{"kind": "endpoint", **c} if isinstance(c, dict) and "kind" not in c else c for c in candidates]

    @model_validator(mode="after")
    def _there_is_a_choice(self) -> Self:
        if len(self.candidates) + len(self.transcripts) < 2:
            raise ValueError("give at least two candidates or transcripts to choose from")
        return self


class ShortlistRow(Answer):
    """A candidate as the panel sees it: a row of the paper's Table 4.

    ``place`` and ``kept`` are ``null`` until every run has ended; who has no score has no place and is not kept.
    """

    place: int | None
    kept: bool | None
    candidate: str
    run: str
    status: RunStatus
    overall: float | None
    dimensions: dict[str, float | None]
    metrics: dict[str, float | None]
    ci: Bounds | None = Field(None, description="of overall, for new scenarios (`suite`)")
    scored: int = Field(0, description="dialogues with a score")
    dialogues: int


class ShortlistLinks(Answer):
    self: str


class Shortlist(Answer):
    """Candidates in descending order of their overall score by the panel (paper, appendix D)."""

    id: str
    name: str | None
    status: Literal["running", "finished"]
    suite: str
    judges: list[str]
    keep: int
    created_at: datetime
    rows: list[ShortlistRow]
    published: PublishedTable | None = Field(None, description="the paper's Table 4, beside the suite `chatanime`")
    links: ShortlistLinks
