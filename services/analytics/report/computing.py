"""What is computed of ratings in a process aside: what Postgres copied goes in, the bytes of an answer come out.

Every function here is pure. Whoever calls them ships bytes; ratings are objects in here only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel

from esrp import diversity
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
from esrp.metrics import Language
from esrp.render import tables
from esrp.render.leaderboard import markdown
from esrp.stats import Agreement, Ratings, agreement
from esrp.stats.diversity import BatchRating
from esrp.stats.paired import paired
from esrp.stats.power import observed
from esrp.text import bounds, rounded
from services.analytics.exports import TYPES, whole
from services.analytics.figures.breakdown import Asked, Page, breakdown
from services.analytics.figures.compare import Side, compare
from services.analytics.figures.leaderboard import Entry, leaderboard
from services.analytics.report.agreements import Agreed
from services.analytics.report.build import build
from services.analytics.report.material import Material
from services.analytics.report.packed import Packed
from services.analytics.report.packing import of_kind
from services.analytics.report.played import Dialogue, Scenario
from services.analytics.report.replies import wording_of
from services.analytics.runs import FinishedRun, Run
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

    ``complete``: all replies are there.
    """

    run: Run
    dialogues: Rows
    scenarios: Rows
    ratings: Packed
    batches: Sequence[BatchRating]
    raters: Choice
    complete: bool
    changes: int


@dataclass(frozen=True, slots=True)
class Written:
    """A report as it is stored."""

    document: bytes
    limits: bytes
    sha256: str
    ratings_sha256: str
    agreed: Agreed | None


def prepare(language: Language) -> None:
    """Load all that a report of the language needs."""
    diversity.prepare(language)


def report(given: Given) -> Written:
    """The report of what is given. Of an open run's replies their form alone is looked at."""
    run, dialogues, scenarios = given.run, given.dialogues.of(Dialogue), given.scenarios.of(Scenario)
    rated = given.ratings.unpacked()
    material = Material(
        run=run,
        dialogues=dialogues,
        scenarios=scenarios,
        ratings=rated.ratings,
        wording=wording_of(dialogues, scenarios, complete=given.complete),
        raters=given.raters,
        sampling=rated.sampling,
        batches=given.batches,
    )
    made = build(material)
    document, limits = made.report.model_dump_json().encode(), dumped(made.limits)
    return Written(document, limits, made.report.sha256, made.ratings_sha256, made.agreed)


def spread(newer: Packed, older: Packed) -> dict[str, Any] | None:
    """How two runs differ, as judges rated them; ``None`` where they share too few pairs to tell."""
    ours, theirs = (of_kind(packed.unpacked().ratings, "judge") for packed in (newer, older))
    found = observed(paired(ours.units, theirs.units))
    if found is None:
        return None
    arrays = {name: getattr(found, name).tolist() for name in ("among", "within", "low")}
    return {**arrays, "pairs": found.pairs, "scenarios": found.scenarios}


def agreements(ratings: Packed) -> dict[Agreed, dict[str, Any]]:
    """The agreement of each kind of raters."""
    found = {}
    for kind, of in ratings.unpacked().ratings.items():
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


def metrics(run: Run, ratings: Packed, scenarios: Rows, by: GroupBy, asked: Asked, page: Page, format: Format) -> Body:
    """The run's scores by group."""
    found = breakdown(run, ratings.unpacked().ratings, scenarios.of(Scenario), by, asked, page)
    if format == "json":
        return replace(_json(found), count=found.count)
    return Body(whole(tables.metrics_rows(found), tables.METRICS, format), TYPES[format], found.count)


@dataclass(frozen=True, slots=True)
class PackedSide:
    """A run to compare, as it was read."""

    run: Run
    ratings: Packed

    def side(self) -> Side:
        """With its ratings."""
        rated = self.ratings.unpacked()
        return Side(self.run, rated.ratings, rated.sampling)


def comparison(candidate: PackedSide, baseline: PackedSide, asked: Choice) -> Body:
    """Paired differences; ``NotComparable`` says in what the runs differ."""
    return _json(compare(candidate.side(), baseline.side(), asked))


def series(runs: Sequence[FinishedRun], reports: Mapping[UUID, str], format: Format) -> Body:
    """A point for each run that has a report."""
    found = Series(data=[_point(run, reports[run.id]) for run in runs if run.id in reports])
    if format == "json":
        return _json(found)
    return Body(whole(tables.series_rows(found), tables.SERIES, format), TYPES[format])


def _point(run: FinishedRun, document: str) -> SeriesPoint:
    report = Report.model_validate_json(document)
    return SeriesPoint(
        run=report.run,
        name=run.name,
        suite=report.suite,
        candidate=report.candidate,
        judges=run.judges,
        raters=report.raters,
        status=run.status,
        labels=run.labels,
        created_at=run.created_at,
        overall=report.overall,
        dimensions=report.dimensions,
        metrics=report.metrics,
    )


@dataclass(frozen=True, slots=True)
class Contender:
    """A run that is to be ranked, as it was read, and its report by the raters that count."""

    run: FinishedRun
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
        return Entry(one.run, Ratings.of(()), Coverage(dialogues=0, scored=0, missing={}), None)
    report = Report.model_validate_json(one.report)
    ratings = of_kind(one.ratings.unpacked().ratings, kind)
    return Entry(one.run, ratings, report.coverage, report.diversity)


def _json(found: BaseModel) -> Body:
    return Body(found.model_dump_json().encode(), JSON)
