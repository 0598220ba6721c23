"""What is computed of ratings in a process aside: what Postgres copied goes in, the bytes of an answer come out.

Every function here is pure. Whoever calls them ships bytes; ratings are objects in here only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel

from esrp.api import (
    AgreementOut,
    AlphaByCharacter,
    Choice,
    Coverage,
    GroupBy,
    NotRanked,
    RaterKind,
    Report,
    Series,
    SeriesPoint,
)
from esrp.limits import dumped
from esrp.render import tables
from esrp.render.leaderboard import markdown
from esrp.stats import Agreement, Ratings, agreement
from esrp.stats.diversity import BatchRating
from esrp.text import bounds, rounded
from services.analytics.exports import TYPES, whole
from services.analytics.figures.breakdown import Asked, Page, breakdown
from services.analytics.figures.compare import Side, compare
from services.analytics.figures.leaderboard import Entry, leaderboard
from services.analytics.report import replies
from services.analytics.report.build import Material, build
from services.analytics.report.packed import Packed
from services.analytics.store import Agreed, Fields
from services.kit.bulk import Rows

JSON = "application/json"
Format: TypeAlias = Any  # json, csv, parquet, of a leaderboard md: the paths have checked it


@dataclass(frozen=True, slots=True)
class Body:
    """An answer as it is sent; of a breakdown, how many groups there are in all."""

    content: bytes
    media_type: str
    count: int = 0


# --- reports ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Given:
    """What a report is made of, as it was read at once; ``changes`` says how often its ratings had changed then.

    ``wording`` is what was counted of its replies before, as it is stored; ``complete``: all replies are there.
    """

    run: Mapping[str, Any]
    dialogues: Rows
    scenarios: Rows
    ratings: Packed
    sampling: Rows
    batches: Sequence[BatchRating]
    wording: Mapping[str, Any] | None
    raters: Choice
    complete: bool
    changes: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of replies, to be kept with their hash."""

    texts_sha256: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """A report as it is stored; ``counted`` is there if it is new."""

    document: bytes
    limits: bytes
    sha256: str
    ratings_sha256: str
    agreed: Agreed | None
    counted: Counted | None


def report(given: Given) -> Written:
    """The report of what is given. Of an open run's replies their form alone is looked at."""
    run, dialogues, scenarios = given.run, list(given.dialogues), list(given.scenarios)
    of, new = replies.NOTHING, None
    if not given.complete:
        of = replies.form_of(dialogues, run["language"])
    else:
        sha256 = replies.texts_sha256(dialogues, run["language"])
        if given.wording is not None and given.wording["texts_sha256"] == sha256:
            of = replies.loaded(given.wording["document"])
        else:
            of = replies.counted(dialogues, scenarios, run["language"])
            new = Counted(sha256, of.document())
    material = Material(
        run=run,
        dialogues=dialogues,
        scenarios=scenarios,
        ratings=given.ratings.by_kind(),
        wording=of,
        raters=given.raters,
        sampling=dict(given.sampling),
        batches=given.batches,
    )
    made = build(material)
    document, limits = made.report.model_dump_json().encode(), dumped(made.limits)
    return Written(document, limits, made.report.sha256, made.ratings_sha256, made.agreed, new)


def words(dialogues: Rows, scenarios: Rows, run: Fields) -> Counted:
    """What is counted of a run's replies."""
    played = list(dialogues)
    found = replies.counted(played, list(scenarios), run["language"])
    return Counted(replies.texts_sha256(played, run["language"]), found.document())


def agreements(ratings: Packed) -> dict[Agreed, dict[str, Any]]:
    """The agreement of each kind of raters."""
    found = {}
    for kind, rows in ratings.by_kind().items():
        of = Ratings.of(rows)
        found[Agreed(kind, of.sha256)] = _agreement(kind, agreement(of, kind)).model_dump(mode="json")
    return found


def _agreement(kind: RaterKind, found: Agreement) -> AgreementOut:
    by_character = found.alpha_by_character
    apart = "alpha_by_character", "icc_raters"
    numbers = {name: rounded(value) for name, value in asdict(found).items() if name not in apart}
    return AgreementOut(
        kind=kind,
        alpha_by_character=by_character
        and AlphaByCharacter(
            mean=rounded(by_character.mean),
            ci=bounds(by_character.interval),
            characters=by_character.characters,
        ),
        **numbers,
    )


# --- figures ----------------------------------------------------------------------------------------------------------


def metrics(
    run: Fields, ratings: Packed, scenarios: Rows, by: GroupBy, asked: Asked, page: Page, format: Format
) -> Body:
    """The run's scores by group."""
    found = breakdown(run, ratings.by_kind(), list(scenarios), by, asked, page)
    if format == "json":
        return replace(_json(found), count=found.count)
    return Body(whole(tables.metrics_rows(found), tables.METRICS, format), TYPES[format], found.count)


@dataclass(frozen=True, slots=True)
class PackedSide:
    """A run to compare, as it was read."""

    run: Mapping[str, Any]
    ratings: Packed
    sampling: Rows

    def side(self) -> Side:
        """With its ratings."""
        return Side(self.run, self.ratings.by_kind(), dict(self.sampling))


def comparison(candidate: PackedSide, baseline: PackedSide, asked: Choice) -> Body:
    """Paired differences; ``NotComparable`` says in what the runs differ."""
    return _json(compare(candidate.side(), baseline.side(), asked))


def series(runs: Sequence[Fields], reports: Mapping[UUID, str], format: Format) -> Body:
    """A point for each run that has a report."""
    found = Series(data=[_point(run, reports[run["id"]]) for run in runs if run["id"] in reports])
    if format == "json":
        return _json(found)
    return Body(whole(tables.series_rows(found), tables.SERIES, format), TYPES[format])


def _point(run: Fields, document: str) -> SeriesPoint:
    report = Report.model_validate_json(document)
    return SeriesPoint(
        run=report.run,
        name=run["name"],
        suite=report.suite,
        candidate=report.candidate,
        judges=run["judges"],
        raters=report.raters,
        status=run["status"],
        labels=run["labels"],
        created_at=run["created_at"],
        overall=report.overall,
        dimensions=report.dimensions,
        metrics=report.metrics,
    )


@dataclass(frozen=True, slots=True)
class Contender:
    """A run that is to be ranked, as it was read, and its report by the raters that count."""

    run: Mapping[str, Any]
    ratings: Packed
    report: str | None


def board(
    suite: str,
    contenders: Sequence[Contender],
    others: Sequence[NotRanked],
    kind: RaterKind | None,
    reference: str | None,
    format: Format,
) -> Body:
    """The candidates, best first."""
    found = leaderboard(suite, [_entry(one, kind) for one in contenders], others, kind, reference)
    if format == "json":
        return _json(found)
    if format == "md":
        return Body(markdown(found).encode(), "text/markdown")
    return Body(whole(tables.leaderboard_rows(found), tables.LEADERBOARD, format), TYPES[format])


def _entry(one: Contender, kind: RaterKind | None) -> Entry:
    if one.report is None:
        return Entry(one.run, (), Coverage(dialogues=0, scored=0, missing={}), None)
    report = Report.model_validate_json(one.report)
    ratings = one.ratings.by_kind().get(kind, ()) if kind else ()
    return Entry(one.run, ratings, report.coverage, report.diversity)


def _json(found: BaseModel) -> Body:
    return Body(found.model_dump_json().encode(), JSON)
