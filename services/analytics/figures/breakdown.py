"""A run's scores by group: character, scenario, persona, emotion, location or rater."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from esrp.api import GroupBy, MetricsOut, RaterKind, Scored
from esrp.stats import METHOD, Rating, Ratings, Score, Scores, table
from services.analytics.report.build import estimate, labels
from services.analytics.store import Fields
from services.kit.ids import encode

Asked = Literal["auto", "judge", "human"]


def breakdown(
    run: Fields, rows: Mapping[RaterKind, Sequence[Rating]], scenarios: Sequence[Fields], by: GroupBy, asked: Asked
) -> MetricsOut:
    """Every group with a rating, on common resamples; by ``auto`` judges' ratings, or people's if no judge rated."""
    kind = kind_of(rows, asked)
    given = rows.get(kind, ()) if kind else ()
    seed, found = _by_rater(given) if by == "rater" else _by_label(given, by, scenarios)
    return MetricsOut(
        run=encode("run", run["id"]),
        suite=run["suite_label"],
        candidate=run["candidate_name"],
        group_by=by,
        raters=kind,
        groups={label: scored(scores) for label, scores in found.items()},
        method=method(seed),
    )


def kind_of(rows: Iterable[RaterKind], asked: Asked) -> RaterKind | None:
    """Whose ratings are meant; ``None`` where nobody rated."""
    if asked != "auto":
        return asked
    if "judge" in rows:
        return "judge"
    return "human" if "human" in rows else None


def scored(found: Scores) -> Scored:
    """As clients see it. Nobody knows how much is missing from a group, so it has no worst case."""

    def shown(score: Score) -> Any:
        return estimate(replace(score, worst=None))

    return Scored(
        overall=shown(found.overall),
        dimensions={name: shown(score) for name, score in found.dimensions.items()},
        metrics={name: shown(score) for name, score in found.metrics.items()},
    )


def method(seed: str) -> dict[str, Any]:
    """How intervals were computed."""
    return dict(sorted({**asdict(METHOD), "seed": seed}.items()))


def _by_rater(rows: Sequence[Rating]) -> tuple[str, dict[str, Scores]]:
    raters: dict[str, list[Rating]] = {}
    for row in rows:
        raters.setdefault(row.rater, []).append(row)
    found = table({rater: Ratings.of(raters[rater]) for rater in sorted(raters)})
    return found.seed, found.scores


def _by_label(rows: Sequence[Rating], by: GroupBy, scenarios: Sequence[Fields]) -> tuple[str, dict[str, Scores]]:
    found = table({"": Ratings.of(rows)}, groups={by: labels(by, scenarios)})
    return found.seed, {label: of[""] for label, of in found.groups[by].items()}
