"""Tables that were printed elsewhere, for reference."""

from typing import Literal

from pydantic import Field

from esrp.api.common import Answer, Bounds


class PublishedRow(Answer):
    """A row of a published table: dimensions and metrics by their ids, as printed."""

    candidate: str
    overall: float
    dimensions: dict[str, float]
    metrics: dict[str, float]
    diversity: float | None = None
    ci: Bounds | None = Field(None, description="of overall, where the paper states it")


class PublishedTable(Answer):
    """Published figures for reference: they were measured elsewhere, on other raters."""

    reference: Literal[True] = True
    title: str
    source: str
    raters: str
    rows: list[PublishedRow]
