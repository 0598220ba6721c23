"""Ratings that people gave, as they come in."""

from typing import Literal

from esrp.api.common import Answer

Sampling = Literal["random"]  # what an import may say; that the service drew a dialogue is for the service to say


class Imported(Answer):
    """``POST /v1/ratings``: rows stored, rows with no score, rows that were there already, columns not read."""

    stored: int
    missing: int
    duplicates: int
    ignored_columns: list[str]
