"""Figures beside the report: breakdowns, series, comparisons, leaderboards."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from esrp.api.common import Answer, Body, Choice, RaterKind, Raters
from esrp.api.estimates import Coverage, Diversity, Estimate, Intervals
from esrp.api.published import PublishedTable
from esrp.api.runs import RunStatus

GroupBy = Literal["character", "scenario", "persona", "emotion", "location", "rater"]


class Scored(Answer):
    """Overall, dimensions and metrics of one group."""

    overall: Estimate
    dimensions: dict[str, Estimate]
    metrics: dict[str, Estimate]


class MetricsOut(Answer):
    """``GET /v1/runs/{id}/metrics``: the groups in their order; ``worst`` is ``null``: nobody knows what is missing.

    Of ``count`` groups these are a page, which share resamples; ``next_cursor`` is where the next begins.
    """

    run: str
    suite: str
    candidate: str
    group_by: GroupBy
    raters: RaterKind | None
    groups: dict[str, Scored]
    count: int
    next_cursor: str | None
    method: dict[str, Any]


class SeriesPoint(Scored):
    run: str
    name: str | None
    suite: str
    candidate: str
    judges: list[str]
    raters: Raters | None
    status: RunStatus
    labels: dict[str, str]
    created_at: datetime


class Series(Answer):
    """``GET /v1/metrics/series``: the finished runs, oldest first."""

    data: list[SeriesPoint]


class ComparisonRequest(Body):
    """``POST /v1/comparisons``: two runs' ids."""

    baseline: str
    candidate: str
    raters: Choice = "auto"


class DifferenceOut(Answer):
    """Candidate − baseline on the ``n`` pairs of character and scenario that both were rated on.

    ``calibrated``: ``n`` dialogues that people rated of both.
    """

    difference: float | None
    n: int
    se: float | None
    ci: Intervals


class Comparison(Answer):
    baseline: str
    candidate: str
    suite: str
    raters: Raters | None
    overall: DifferenceOut
    dimensions: dict[str, DifferenceOut]
    metrics: dict[str, DifferenceOut]
    method: dict[str, Any]


class Differences(Answer):
    overall: DifferenceOut
    dimensions: dict[str, DifferenceOut]
    metrics: dict[str, DifferenceOut]


class LeaderboardRow(Scored):
    """``rank`` and ``last_rank``: one more than are better beyond chance, and all but those that are worse.

    ``tied_with`` names the runs whose overall score is not different beyond chance (Holm over all pairs).
    """

    run: str
    candidate: str
    coverage: Coverage
    rank: int | None
    last_rank: int | None
    tied_with: list[str]
    diversity: Diversity | None
    difference: Differences | None = Field(None, description="to the reference row, paired by resamples")


class NotRanked(Answer):
    """A run that was measured in another way than those that are ranked."""

    run: str
    candidate: str
    differs: list[str]


class Leaderboard(Answer):
    """``GET /v1/leaderboard``: the newest finished run of each candidate, best first; published rows beside them."""

    suite: str
    raters: RaterKind | None
    reference: str | None
    rows: list[LeaderboardRow]
    not_ranked: list[NotRanked]
    published: PublishedTable | None
    method: dict[str, Any]
