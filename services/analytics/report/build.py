"""The heart: the ESRP report of a run, from its dialogues and its ratings."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from esrp.api import (
    Choice,
    Coverage,
    Diversity,
    DiversityIntervals,
    Estimate,
    GroupRow,
    Lengths,
    RaterKind,
    Raters,
    Report,
    ReportJudge,
)
from esrp.api import Form as FormOut
from esrp.api import Intervals as Bounds
from esrp.canonical import digest
from esrp.families import Relative, relatives_in
from esrp.limits import Limit, limit
from esrp.metrics import METRIC_IDS
from esrp.paper_tables import published
from esrp.stats import METHOD, Labels, Rating, Ratings, Score, Scores, Table, table
from esrp.stats.diversity import BatchRating, DiversityScore, diversity_sha256, rated_diversity
from esrp.stats.missing import missing_ratings
from esrp.text import bounds, rounded
from services.analytics.gates.examples import examples
from services.analytics.report.calibration import Calibration, calibrated
from services.analytics.report.replies import Wording
from services.analytics.store import Agreed, Fields
from services.kit.ids import encode

MOST_GROUPS = 100  # by one thing, in a report or an answer: a second and 60 MB
GROUPS = ("character", "persona", "emotion", "location")


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that a report is made of.

    ``ratings`` by the kind of rater; ``sampling`` says of dialogues that people rated how they were chosen; ``batches``
    are ratings of diversity; ``scenarios`` are the suite's, with their labels; ``wording`` is what was counted of the
    replies. ``raters`` is what was asked for.
    """

    run: Fields
    dialogues: Sequence[Fields]
    scenarios: Sequence[Fields]
    ratings: Mapping[RaterKind, Sequence[Rating]]
    wording: Wording
    raters: Choice = "auto"
    sampling: Mapping[str, str] = field(default_factory=dict)
    batches: Sequence[BatchRating] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A report whose ``limits`` are still facts, the hash of the ratings in it, and whose agreement belongs to it."""

    report: Report
    limits: tuple[Limit, ...]
    ratings_sha256: str
    agreed: Agreed | None


@dataclass(frozen=True, eq=False)
class _Found:
    """What was computed of the material."""

    raters: Raters | None
    ratings: Ratings
    table: Table
    coverage: Coverage
    calibration: Calibration | None
    diversity: Diversity | None
    agreed: Agreed | None

    @property
    def scores(self) -> Scores:
        """As the raters of one kind scored it."""
        return self.table.scores[""]

    @property
    def rated(self) -> bool:
        """Whether there is any rating."""
        return len(self.ratings.score) > 0


def build(material: Material) -> Made:
    """The report."""
    found = _found(material)
    report = _report(material, found)
    sha256 = _sha256(material, found.ratings, report, found.calibration)
    limits = (
        *_limits_of_ratings(material, found),
        *_limits_of_run(material, found),
        *_left_out(found.ratings, material.scenarios),
    )
    return Made(report.model_copy(update={"sha256": sha256}), limits, found.ratings.sha256, found.agreed)


def _found(material: Material) -> _Found:
    of = {kind: Ratings.of(rows) for kind, rows in material.ratings.items() if rows}
    calibration = calibrated(of, material.ratings, material.sampling)
    raters = _chosen(material.raters, of, calibration)
    kind: RaterKind | None = "judge" if raters == "calibrated" else raters
    ratings = of[kind] if kind in of else Ratings.of([])
    planned = max(material.run["plan"]["dialogues"], len(material.dialogues))
    lacking = _missing_ratings(material, kind, ratings, planned)
    return _Found(
        raters=raters,
        ratings=ratings,
        table=table({"": ratings}, groups=_groups(ratings, material.scenarios), missing={"": lacking}),
        coverage=_coverage(material, kind, ratings, planned),
        calibration=calibration,
        diversity=_diversity(material),
        agreed=_agreed(raters, of),
    )


def _report(material: Material, found: _Found) -> Report:
    run, calibration, form = material.run, found.calibration, material.wording.form
    groups = found.table.groups.items()
    return Report(
        run=encode("run", run["id"]),
        suite=run["suite_label"],
        candidate=run["candidate_name"],
        status=run["status"],
        judges=[
            ReportJudge(id=f"jdg_{name}", validated=False, card=f"/v1/judges/jdg_{name}/card") for name in run["judges"]
        ],
        coverage=found.coverage,
        raters=found.raters,
        diversity=found.diversity,
        calibrated=calibration and calibration.out(),
        judges_against_humans=calibration and calibration.against_humans(),
        groups={by: {label: _group(of[""]) for label, of in parts.items()} for by, parts in groups},
        examples=examples(found.ratings),
        published=published(run["suite_label"], found.raters),
        lengths=Lengths(replies=form.replies, inside=form.inside, median=form.median),
        form=_form(material.wording),
        manifest=run["manifest"],
        method=dict(sorted({**asdict(METHOD), "seed": found.scores.seed}.items())),
        limits=[],
        sha256="",
        **_numbers(found),
    )


def _chosen(asked: Choice, of: Mapping[RaterKind, Ratings], calibration: Calibration | None) -> Raters | None:
    """Calibrated scores if there are any, else judges' if any rated, else people's (STATISTICS 6)."""
    if asked != "auto":
        return asked
    if calibration is not None and calibration.overall is not None:
        return "calibrated"
    if "judge" in of:
        return "judge"
    return "human" if "human" in of else None


def _agreed(raters: Raters | None, of: Mapping[RaterKind, Ratings]) -> Agreed | None:
    """Of the raters whose scores the report shows; where people correct judges, of these people."""
    kind: RaterKind | None = "human" if raters == "calibrated" else raters
    return Agreed(kind, of[kind].sha256) if kind is not None and kind in of else None


def _sha256(material: Material, ratings: Ratings, report: Report, calibration: Calibration | None) -> str:
    """What the report rests on and every number in it (STATISTICS 3).

    Only what follows from ratings and manifest: not the counts of the replies' texts, nor agreement, which is computed
    later from the same ratings.
    """
    run, further = material.run, {}
    if calibration is not None:
        names = {"calibrated", "judges_against_humans"}
        further = {"human_ratings": calibration.human_sha256, **report.model_dump(include=names)}
    if report.diversity is not None and report.diversity.kind != "automatic":
        further["diversity"] = report.diversity.model_dump()
        further["diversity_ratings"] = diversity_sha256(material.batches)
    return digest(
        {
            "suite": run["suite_sha256"],
            "manifest": run["manifest_sha256"],
            "ratings": ratings.sha256,
            **report.model_dump(include={"method", "coverage", "overall", "dimensions", "metrics", "groups", "raters"}),
            **further,
        }
    )


# --- numbers ----------------------------------------------------------------------------------------------------------


def _numbers(found: _Found) -> dict[str, Any]:
    """Overall, dimensions and metrics; where calibrated ones were asked for and there are none, nothing."""
    if found.raters != "calibrated":
        return _estimates(found.scores)
    if found.calibration is not None:
        return found.calibration.estimates()
    return _estimates(table({"": Ratings.of([])}).scores[""])


def _estimates(found: Scores) -> dict[str, Any]:
    return {
        "overall": estimate(found.overall),
        "dimensions": {name: estimate(score) for name, score in found.dimensions.items()},
        "metrics": {name: estimate(score) for name, score in found.metrics.items()},
    }


def estimate(score: Score) -> Estimate:
    """As clients see it."""
    ci = {name: bounds(getattr(score.intervals, name)) for name in ("suite", "dialogue", "population")}
    return Estimate(
        mean=rounded(score.mean),
        n=score.n,
        ratings=score.ratings,
        se=rounded(score.se),
        ci=Bounds(**ci),
        worst=bounds(score.worst),
    )


def _diversity(material: Material) -> Diversity | None:
    """As judges rated it, else as people did, else as it was counted (STATISTICS 7)."""
    for kind in ("human",) if material.raters == "human" else ("judge", "human"):
        if rows := [row for row in material.batches if row.kind == kind]:
            return diversity_out(kind, rated_diversity(rows))
    opening = material.wording.opening
    return diversity_out("automatic", opening) if opening is not None and opening.mean is not None else None


def diversity_out(kind: str, found: DiversityScore) -> Diversity:
    """As clients see it."""
    return Diversity.model_validate(
        {
            "kind": kind,
            "scale": (0, 1) if kind == "automatic" else (1, 5),
            "mean": rounded(found.mean),
            "n": found.n,
            "ratings": 0 if kind == "automatic" else found.ratings,
            "se": rounded(found.se),
            "ci": DiversityIntervals(batch=bounds(found.batch), population=bounds(found.population)),
        }
    )


def labels(by: str, scenarios: Sequence[Fields]) -> Labels:
    """What groups (character, scenario) pairs: themselves, or what the suite says of the scenario."""
    if by == "character":
        return lambda character, _: character
    if by == "scenario":
        return lambda _, scenario: scenario
    known = {scenario["id"]: scenario[by] for scenario in scenarios}
    return lambda _, scenario: known.get(scenario)


def names_of(ratings: Ratings, of: Labels) -> list[str]:
    """What there is of a grouping, in its order."""
    return sorted({name for pair in ratings.units.pairs if (name := of(*pair)) is not None})


def only(of: Labels, names: Collection[str]) -> Labels:
    """The grouping without what is not among the names."""

    def named(character: str, scenario: str | None) -> str | None:
        name = of(character, scenario)
        return name if name in names else None

    return named


def _groups(ratings: Ratings, scenarios: Sequence[Fields]) -> dict[str, Labels]:
    """The groupings of a report, each of so many groups."""
    shown = {}
    for by in GROUPS:
        of = labels(by, scenarios)
        shown[by] = only(of, {*names_of(ratings, of)[:MOST_GROUPS]})
    return shown


def _group(found: Scores) -> GroupRow:
    return GroupRow(
        overall=estimate(found.overall),
        dimensions={name: rounded(score.mean) for name, score in found.dimensions.items()},
        metrics={name: rounded(score.mean) for name, score in found.metrics.items()},
    )


def _form(wording: Wording) -> FormOut:
    return FormOut(
        emoji=rounded(wording.form.emoji),
        stage_directions=rounded(wording.form.stage_directions),
        repeated_openings=rounded(wording.repeated),
        opening_diversity=rounded(wording.opening.mean) if wording.opening else None,
    )


def _missing_ratings(material: Material, kind: RaterKind | None, ratings: Ratings, planned: int) -> dict[str, int]:
    """By metric."""
    asked = len(material.run["judges"]) if kind == "judge" else 0
    return dict(zip(METRIC_IDS, map(int, missing_ratings(ratings.dialogues, planned, asked)), strict=True))


# --- coverage ---------------------------------------------------------------------------------------------------------


def _coverage(material: Material, kind: RaterKind | None, ratings: Ratings, planned: int) -> Coverage:
    """How many dialogues have a rating of the kind, and why the others have none: one reason each."""
    rated = set(ratings.levels["dialogue"])
    reasons = Counter(_reason(dialogue, kind) for dialogue in material.dialogues if dialogue["id"] not in rated)
    reasons["not_played"] += planned - len(material.dialogues)
    missing = {reason: times for reason, times in sorted(reasons.items()) if times}
    return Coverage(dialogues=planned, scored=len(rated), missing=missing)


def _reason(dialogue: Fields, kind: RaterKind | None) -> str:
    if dialogue["state"] == "failed":
        return str(dialogue["error"] or "generator_error")
    if dialogue["state"] != "done":
        return "not_played"
    verdicts = set(dialogue["verdicts"] or ()) if kind != "human" else set()
    if not verdicts or verdicts & {"waiting", "rating"}:
        return "not_rated"
    return "no_valid_score" if verdicts <= {"no_valid_score", "done"} else "judge_error"


# --- limits -----------------------------------------------------------------------------------------------------------


def _limits_of_ratings(material: Material, found: _Found) -> Iterable[Limit]:
    """What the report does not show because of who rated what."""
    coverage, by = found.coverage, found.raters
    if not found.rated:
        yield limit("nothing_rated")
    elif unrated := [name for name, score in found.scores.metrics.items() if score.mean is None]:
        yield limit("metrics_not_rated", metrics=tuple(unrated))
    if found.rated and coverage.scored < coverage.dialogues:
        missing = coverage.dialogues - coverage.scored
        yield limit("dialogues_not_scored", missing=missing, dialogues=coverage.dialogues)
    if found.rated and by != "human":
        yield from _lacking_judges(material, coverage)
    if found.rated and by == "judge":
        yield limit("judges_not_validated", judges=tuple(found.ratings.levels["rater"]))
    if found.calibration is not None and by != "human":
        yield found.calibration.limit
    if found.rated and by == "calibrated":
        yield limit("parts_as_judged")
    overall = found.scores.overall
    if overall.mean is not None and overall.intervals.population is None:
        yield limit("intervals_missing")


def _lacking_judges(material: Material, coverage: Coverage) -> Iterable[Limit]:
    """Judges that scored fewer dialogues than have a score: the others' scores stand for theirs."""
    scored: dict[str, set[str]] = {}
    for rating in material.ratings.get("judge", []):
        scored.setdefault(rating.rater, set()).add(rating.dialogue)
    for judge in material.run["judges"]:
        if (given := len(scored.get(judge, ()))) < coverage.scored:
            yield limit("judge_scored_fewer", judge=judge, scored=given, dialogues=coverage.dialogues)


def _left_out(ratings: Ratings, scenarios: Sequence[Fields]) -> Iterable[Limit]:
    """Groupings of which not every group is in the report."""
    for by in GROUPS:
        groups = len(names_of(ratings, labels(by, scenarios)))
        if groups > MOST_GROUPS:
            yield limit("groups_left_out", by=by, groups=groups, shown=MOST_GROUPS)


def _limits_of_run(material: Material, found: _Found) -> Iterable[Limit]:
    """What the report does not show because of what was played, and how."""
    run, suite = material.run, material.run["suite_label"]
    if any(dialogue["own_log"] for dialogue in material.dialogues):
        yield limit("own_logs")
    if run["experimental"]:
        yield limit("suite_experimental", suite=suite)
    yield from map(_of_family, relatives_in(dict(run)))
    yield limit("suite_alone", suite=suite)
    # What another run has played, judged anew, has that run's simulator in its manifest.
    if run["transcript_id"] is not None and run["manifest"].get("simulator", "imported") == "imported":
        yield limit("recorded_elsewhere")
    else:
        yield limit("rounds", rounds=run["rounds"])
    if found.diversity is None:
        yield limit("diversity_not_measured")
    elif found.diversity.kind == "automatic":
        yield limit("diversity_counted")
    yield limit("safety_not_measured")


def _of_family(found: Relative) -> Limit:
    if found.judge is None:
        return limit("simulator_of_family", model=found.model, family=found.family)
    return limit("judge_of_family", judge=found.judge, model=found.model, family=found.family)
