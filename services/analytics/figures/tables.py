"""Figures as tables: columns with types (docs/exports.md) and rows; and a leaderboard as the paper prints it."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow

from esrp.api import Diversity, Estimate, Leaderboard, LeaderboardRow, MetricsOut, PublishedRow, Scored, Series
from esrp.metrics import DIMENSIONS, metrics_of
from services.analytics.markdown import cell, interval, number

_TEXT, _NUMBER, _COUNT = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
INTERVALS = ("suite", "dialogue", "population")
ESTIMATE = [
    ("mean", _NUMBER),
    ("n", _COUNT),
    ("ratings", _COUNT),
    ("se", _NUMBER),
    *((f"{name}_{end}", _NUMBER) for name in INTERVALS for end in ("low", "high")),
]
METRICS = pyarrow.schema(
    [*((name, _TEXT) for name in ("run", "suite", "candidate", "raters", "group_by", "group", "metric")), *ESTIMATE]
)
SERIES = pyarrow.schema(
    [
        *((name, _TEXT) for name in ("created_at", "run", "name", "suite", "candidate", "judges", "raters", "status")),
        ("metric", _TEXT),
        *ESTIMATE,
    ]
)
# As Table 1 has them: each dimension's metrics, then their mean; in the end overall.
PRINTED = [*(name for dimension in DIMENSIONS for name in (*metrics_of(dimension), str(dimension))), "overall"]
LEADERBOARD = pyarrow.schema(
    [
        ("rank", _COUNT),
        ("last_rank", _COUNT),
        ("candidate", _TEXT),
        ("run", _TEXT),
        *((name, _NUMBER) for name in PRINTED),
        *((f"overall_{name}_{end}", _NUMBER) for name in INTERVALS for end in ("low", "high")),
        ("diversity", _NUMBER),
        ("diversity_kind", _TEXT),
        ("dialogues", _COUNT),
        ("scored", _COUNT),
        ("tied_with", _TEXT),
        ("difference", _NUMBER),
        ("difference_low", _NUMBER),
        ("difference_high", _NUMBER),
    ]
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
        *(estimate.mean for estimate in _printed(row)),
        *_bounds(row.overall),
        row.diversity and row.diversity.mean,
        row.diversity and row.diversity.kind,
        row.coverage.dialogues,
        row.coverage.scored,
        " ".join(row.tied_with),
        apart and apart.difference,
        *bounds,
    )


def _printed(row: Scored) -> Iterator[Estimate]:
    for dimension in DIMENSIONS:
        yield from (row.metrics[id] for id in metrics_of(dimension))
        yield row.dimensions[dimension]
    yield row.overall


def _scores(found: Scored) -> Iterator[tuple[Any, ...]]:
    """Overall, dimensions, metrics: the name, then what ``ESTIMATE`` lists."""
    named = {"overall": found.overall, **found.dimensions, **found.metrics}
    for name, of in named.items():
        yield name, of.mean, of.n, of.ratings, of.se, *_bounds(of)


def _bounds(of: Estimate) -> Iterator[float | None]:
    for name in INTERVALS:
        bounds = getattr(of.ci, name)
        yield from (None, None) if bounds is None else bounds


# --- the leaderboard as Markdown --------------------------------------------------------------------------------------


def leaderboard_markdown(found: Leaderboard) -> str:
    """Table 1's columns, then who is tied with whom, and the published rows apart."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Leaderboard) -> Iterator[str]:
    people = {"judge": "judges", "human": "people", None: "nobody yet"}[found.raters]
    yield f"# Leaderboard: {cell(found.suite)}"
    yield ""
    yield f"Rated by {people}; the newest finished run of each candidate. `suite` is the {_confidence(found)} interval"
    yield "of overall for new scenarios of this kind. Candidates whose ranks overlap may differ by chance alone (Holm)."
    yield ""
    yield from _table(["rank", "candidate", *PRINTED, "suite", "diversity", f"to {cell(_reference(found))}"])
    for row in found.rows:
        means = [number(estimate.mean) for estimate in _printed(row)]
        what = [_rank(row), cell(row.candidate), *means, interval(row.overall.ci.suite), _diversity(row.diversity)]
        yield _line([*what, _apart(row)])
    if found.not_ranked:
        yield ""
        yield "Not ranked, and in what they differ from those that are:"
        yield ""
        for other in found.not_ranked:
            yield f"- {cell(other.candidate)} (`{other.run}`): {cell(', '.join(other.differs))}"
    if found.published is not None:
        published = found.published
        yield ""
        yield f"## Published reference: {cell(published.source)}, {cell(published.title)}"
        yield ""
        yield f"Printed there, rated by {cell(published.raters)}; not measured here and part of no test."
        yield ""
        yield from _table(["candidate", *PRINTED, "diversity"])
        yield from (_line([cell(row.candidate), *_published(row), number(row.diversity)]) for row in published.rows)


def _published(row: PublishedRow) -> Iterator[str]:
    values = {**row.metrics, **row.dimensions, "overall": row.overall}
    return (number(values[name]) for name in PRINTED)


def _confidence(found: Leaderboard) -> str:
    return f"{found.method['confidence']:.0%}"


def _reference(found: Leaderboard) -> str:
    return next((row.candidate for row in found.rows if row.run == found.reference), "–")


def _rank(row: LeaderboardRow) -> str:
    if row.rank is None or row.last_rank is None:
        return "–"
    return str(row.rank) if row.rank == row.last_rank else f"{row.rank}–{row.last_rank}"


def _apart(row: LeaderboardRow) -> str:
    apart = row.difference.overall if row.difference else None
    if apart is None or apart.difference is None:
        return "–"
    return f"{apart.difference:+.2f} {interval(apart.ci.dialogue)}"


def _diversity(found: Diversity | None) -> str:
    if found is None:
        return "–"
    return number(found.mean) + (f" of {found.scale[1]} (counted)" if found.kind == "automatic" else "")


def _table(names: Sequence[str]) -> Iterator[str]:
    yield _line(names)
    yield _line(["---"] * len(names))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
