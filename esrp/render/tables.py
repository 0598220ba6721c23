"""Figures as tables: named columns with the types that docs/exports.md promises, and rows."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from esrp.api import Estimate, Leaderboard, LeaderboardRow, MetricsOut, Report, Scored, Series
from esrp.metrics import PRINTED

Columns: TypeAlias = tuple[tuple[str, type], ...]  # text is str, a number float, a count int

INTERVALS = ("suite", "dialogue", "population")
ESTIMATE: Columns = (
    ("mean", float),
    ("n", int),
    ("ratings", int),
    ("se", float),
    *((f"{name}_{end}", float) for name in INTERVALS for end in ("low", "high")),
)
METRICS: Columns = (
    *((name, str) for name in ("run", "suite", "candidate", "raters", "group_by", "group", "metric")),
    *ESTIMATE,
)
SERIES: Columns = (
    *((name, str) for name in ("created_at", "run", "name", "suite", "candidate", "judges", "raters", "status")),
    ("metric", str),
    *ESTIMATE,
)
LEADERBOARD: Columns = (
    ("rank", int),
    ("last_rank", int),
    ("candidate", str),
    ("run", str),
    *((name, float) for name in PRINTED),
    *((f"overall_{name}_{end}", float) for name in INTERVALS for end in ("low", "high")),
    ("diversity", float),
    ("diversity_kind", str),
    ("dialogues", int),
    ("scored", int),
    ("tied_with", str),
    ("difference", float),
    ("difference_low", float),
    ("difference_high", float),
)


def metrics_rows(found: MetricsOut) -> list[tuple[Any, ...]]:
    """A row for each group and score."""
    what = found.run, found.suite, found.candidate, found.raters, found.group_by
    return [(*what, group, *row) for group, scored in found.groups.items() for row in _scores(scored)]


def series_rows(found: Series) -> list[tuple[Any, ...]]:
    """A row for each run and score."""
    return [
        (
            point.created_at.isoformat(),
            point.run,
            point.name,
            point.suite,
            point.candidate,
            " ".join(point.judges),
            point.raters,
            point.status,
            *row,
        )
        for point in found.data
        for row in _scores(point)
    ]


def leaderboard_rows(found: Leaderboard) -> list[tuple[Any, ...]]:
    """A row for each candidate; published ones are not among them."""
    return [_ranked(row) for row in found.rows]


def _ranked(row: LeaderboardRow) -> tuple[Any, ...]:
    apart = row.difference.overall if row.difference else None
    bounds = (None, None) if apart is None or apart.ci.dialogue is None else apart.ci.dialogue
    return (
        row.rank,
        row.last_rank,
        row.candidate,
        row.run,
        *(estimate.mean for estimate in printed(row)),
        *_bounds(row.overall),
        row.diversity and row.diversity.mean,
        row.diversity and row.diversity.kind,
        row.coverage.dialogues,
        row.coverage.scored,
        " ".join(row.tied_with),
        apart and apart.difference,
        *bounds,
    )


def scores_of(found: Scored | Report) -> dict[str, Estimate]:
    """Overall, dimensions and metrics by name."""
    return {"overall": found.overall, **found.dimensions, **found.metrics}


def printed(row: Scored) -> Iterator[Estimate]:
    """The row's scores in the order of ``PRINTED``."""
    named = scores_of(row)
    return (named[name] for name in PRINTED)


def _scores(found: Scored) -> Iterator[tuple[Any, ...]]:
    """Score by score: the name, then what ``ESTIMATE`` lists."""
    for name, of in scores_of(found).items():
        yield name, of.mean, of.n, of.ratings, of.se, *_bounds(of)


def _bounds(of: Estimate) -> Iterator[float | None]:
    for name in INTERVALS:
        bounds = getattr(of.ci, name)
        yield from (None, None) if bounds is None else bounds
