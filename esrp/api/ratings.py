"""Ratings that people gave, as they come in."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from esrp.api.common import Answer, RaterKind

Sampling = Literal["random"]  # what an import may say; that the service drew a dialogue is for the service to say


class Imported(Answer):
    """``POST /v1/ratings``: rows stored, rows with no score, rows that were there already, columns not read."""

    stored: int
    missing: int
    duplicates: int
    ignored_columns: list[str]


class ImportedRatings(Answer):
    """What one import stored of one rater of a run."""

    rater: str
    kind: RaterKind
    unit: Literal["dialogue", "batch"]
    rows: int = Field(description="ratings that it stored, `replaced` of them in place of another score")
    replaced: int
    sampling: str | None = Field(description="`random`: the import said so, with 0 rows of ratings that were there")
    by: str | None = Field(description="the API key; `null` for what was imported before that was kept")
    by_name: str | None
    at: datetime
