"""Candidates of a suite side by side: who is better than whom beyond chance, on common resamples (STATISTICS 6)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from esrp.api import (
    Coverage,
    DifferenceOut,
    Differences,
    Diversity,
    Leaderboard,
    LeaderboardRow,
    NotRanked,
    RaterKind,
)
from esrp.api import Intervals as Bounds
from esrp.comparable import differs, way
from esrp.errors import InvalidInput
from esrp.paper_tables import published
from esrp.stats import Differences as Found
from esrp.stats import Ratings, Table, table
from esrp.stats.ranking import Standing, standings
from services.analytics.figures.breakdown import method, scored
from services.analytics.figures.compare import difference
from services.analytics.runs import FinishedRun
from services.kit.ids import encode

MOST = 40  # candidates: 780 pairs, each with thirteen scores; those that were measured last
OLDER = f"older than the newest {MOST} candidates"


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that is to be ranked: its ratings of one kind, its coverage by them, and its diversity."""

    run: FinishedRun
    ratings: Ratings
    coverage: Coverage
    diversity: Diversity | None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The runs to rank, and those that were measured in another way than these."""

    runs: tuple[FinishedRun, ...]
    others: tuple[NotRanked, ...]


def chosen(runs: Sequence[FinishedRun]) -> Chosen:
    """The newest run of each candidate, in the way of measuring that most candidates share; ``runs``: newest first.

    A run that is not rated, or that did not succeed, stands for its candidate only if there is no other. Of a candidate
    that was never measured so, its newest run is named with what differs.
    """
    if not runs:
        return Chosen((), ())
    runs = sorted(runs, key=lambda run: (not run.rated, run.status != "succeeded"))  # else newest first
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(way(run.manifest), []).append(run)
    newest = {key: _newest(group) for key, group in groups.items()}
    ranked = max(newest.values(), key=len)  # of equally many the newest, which came first
    there = {run.candidate_name for run in ranked}
    others = [
        _not_ranked(run, differs(run.manifest, ranked[0].manifest))
        for run in _newest(runs)
        if run.candidate_name not in there
    ]
    return Chosen(tuple(ranked[:MOST]), (*others, *(_not_ranked(run, [OLDER]) for run in ranked[MOST:])))


def leaderboard(
    suite: str, entries: Sequence[Entry], others: Sequence[NotRanked], raters: RaterKind | None, reference: str | None
) -> Leaderboard:
    """The table, best first. ``reference`` is the run whose row the others are held against, else the first row."""
    rated = {encode("run", entry.run.id): entry for entry in entries if entry.ratings}
    unrated = [_not_ranked(entry.run, ["raters"]) for entry in entries if not entry.ratings]
    ratings = {id: entry.ratings for id, entry in rated.items()}
    found = table(ratings)
    places = standings(found, ratings)
    order = sorted(rated, key=lambda id: _place(found, rated, id))
    if reference is not None and reference not in rated:
        raise InvalidInput.at("reference", f"{reference!r} is none of the runs that are ranked")
    against = reference or (order[0] if order else None)
    label = entries[0].run.suite_label if entries else suite
    return Leaderboard(
        suite=label,
        raters=raters,
        reference=against,
        rows=[_row(id, rated[id], found, places.get(id), _apart(found, id, against)) for id in order],
        not_ranked=[*others, *unrated],
        published=published(label, raters),
        method=method(found.seed),
    )


def _newest(runs: Iterable[FinishedRun]) -> list[FinishedRun]:
    """Each candidate's first."""
    found: dict[str, FinishedRun] = {}
    for run in runs:
        found.setdefault(run.candidate_name, run)
    return list(found.values())


def _not_ranked(run: FinishedRun, why: Sequence[str]) -> NotRanked:
    return NotRanked(run=encode("run", run.id), candidate=run.candidate_name, differs=list(why))


def _place(found: Table, rated: Mapping[str, Entry], id: str) -> tuple[bool, float, str]:
    mean = found.scores[id].overall.mean
    return mean is None, -(mean or 0.0), rated[id].run.candidate_name


def _row(id: str, entry: Entry, found: Table, place: Standing | None, apart: Differences | None) -> LeaderboardRow:
    return LeaderboardRow(
        run=id,
        candidate=entry.run.candidate_name,
        coverage=entry.coverage,
        rank=place and place.rank,
        last_rank=place and place.last,
        tied_with=list(place.tied) if place else [],
        diversity=entry.diversity,
        difference=apart,
        **dict(scored(found.scores[id])),
    )


def _apart(found: Table, id: str, reference: str | None) -> Differences | None:
    """The row − the reference, paired by the resamples."""
    if reference is None or id == reference:
        return None
    pair = (id, reference) if (id, reference) in found.differences else (reference, id)
    sign = 1 if pair[0] == id else -1
    return _differences(found.differences[pair], sign)


def _differences(found: Found, sign: int) -> Differences:
    def shown(of: DifferenceOut) -> DifferenceOut:
        return of if sign > 0 else _turned(of)

    return Differences(
        overall=shown(difference(found.overall)),
        dimensions={name: shown(difference(of)) for name, of in found.dimensions.items()},
        metrics={name: shown(difference(of)) for name, of in found.metrics.items()},
    )


def _turned(of: DifferenceOut) -> DifferenceOut:
    """b − a of a − b."""
    ci = {name: bounds and (-bounds[1], -bounds[0]) for name, bounds in dict(of.ci).items()}
    turned = None if of.difference is None else -of.difference
    return of.model_copy(update={"difference": turned, "ci": Bounds(**ci)})
