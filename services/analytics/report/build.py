"""The heart: the ESRP report of a run, from its dialogues and its ratings."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

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
from esrp.families import warnings_in
from esrp.metrics import METRIC_IDS
from esrp.reference import published
from esrp.stats import METHOD, Interval, Labels, Rating, Ratings, Score, Scores, table
from esrp.stats.diversity import BatchRating, DiversityScore, diversity_sha256, rated_diversity
from services.analytics.gates.examples import examples
from services.analytics.report.calibration import Calibration, calibrated
from services.analytics.report.replies import Wording
from services.analytics.store import Agreed, Fields
from services.kit.ids import encode

DIGITS = 10  # of every number in a report (STATISTICS 3)
UNMEASURED = "How well the judge agrees with people has not been measured here"
MOST_GROUPS = 100  # by one thing, in a report or an answer: a second and 60 MB
MOST_NAMED = 20
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
    """A report, the hash of the ratings in it, and whose agreement belongs to it."""

    report: Report
    ratings_sha256: str
    agreed: Agreed | None


def build(material: Material) -> Made:
    """The report."""
    run = material.run
    of = {kind: Ratings.of(rows) for kind, rows in material.ratings.items() if rows}
    calibration = calibrated(of, material.ratings, material.sampling)
    raters = _chosen(material.raters, of, calibration)
    kind: RaterKind | None = "judge" if raters == "calibrated" else raters
    ratings = of[kind] if kind in of else Ratings.of([])
    planned = max(run["plan"]["dialogues"], len(material.dialogues))
    lacking = _missing_ratings(material, kind, ratings, planned)
    labelled, more = _groups(ratings, material.scenarios)
    tabled = table({"": ratings}, groups=labelled, missing={"": lacking})
    found = tabled.scores[""]
    coverage = _coverage(material, kind, ratings, planned)
    numbers = _estimates(found)
    if raters == "calibrated":
        numbers = calibration.estimates() if calibration else _estimates(table({"": Ratings.of([])}).scores[""])
    method = dict(sorted({**asdict(METHOD), "seed": found.seed}.items()))
    diversity = _diversity(material)
    report = Report(
        run=encode("run", run["id"]),
        suite=run["suite_label"],
        candidate=run["candidate_name"],
        status=run["status"],
        judges=[
            ReportJudge(id=f"jdg_{name}", validated=False, card=f"/v1/judges/jdg_{name}/card") for name in run["judges"]
        ],
        coverage=coverage,
        raters=raters,
        diversity=diversity,
        calibrated=calibration and calibration.out(),
        judges_against_humans=calibration and calibration.against_humans(),
        groups={by: {label: _group(of[""]) for label, of in parts.items()} for by, parts in tabled.groups.items()},
        examples=examples(ratings),
        published=published(run["suite_label"], raters),
        lengths=Lengths(**{name: getattr(material.wording.form, name) for name in ("replies", "inside", "median")}),
        form=_form(material.wording),
        manifest=run["manifest"],
        method=method,
        limits=[*_limits(material, raters, ratings, coverage, found, calibration, diversity), *more],
        sha256="",
        **numbers,
    )
    sha256 = _sha256(material, ratings, report, calibration)
    return Made(report.model_copy(update={"sha256": sha256}), ratings.sha256, _agreed(raters, of))


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


def rounded(number: float | None) -> float | None:
    """To the digits of a report."""
    return None if number is None else round(number, DIGITS)


def bounds(interval: Interval | None) -> tuple[float, float] | None:
    """To the digits of a report."""
    return None if interval is None else (round(interval.low, DIGITS), round(interval.high, DIGITS))


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


def _groups(ratings: Ratings, scenarios: Sequence[Fields]) -> tuple[dict[str, Labels], list[str]]:
    """The groupings of a report, each of so many groups, and what is said of the rest."""
    shown, more = {}, []
    for by in GROUPS:
        of = labels(by, scenarios)
        names = names_of(ratings, of)
        shown[by] = only(of, {*names[:MOST_GROUPS]})
        if len(names) > MOST_GROUPS:
            rest = f"/metrics?group_by={by} has the others"
            more.append(f"Of {len(names):,} groups by {by} the first {MOST_GROUPS} are here; {rest}.")
    return shown, more


def few(names: Sequence[str]) -> str:
    """So many names as a person reads, and how many others there are."""
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


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
    """How many ratings of each metric should be there and are not.

    A dialogue should have one of every judge that was asked; of people, as many as a rated one has on average.
    """
    per_cell = ratings.dialogues
    asked = len(material.run["judges"]) if kind == "judge" else 0
    wanted = asked or (max(1, round(float(per_cell[per_cell > 0].mean()))) if per_cell.any() else 1)
    lacking = np.maximum(wanted - per_cell, 0).sum(axis=0) + wanted * (planned - len(per_cell))
    return dict(zip(METRIC_IDS, map(int, lacking), strict=True))


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


# --- words ------------------------------------------------------------------------------------------------------------


def _lacking_judges(material: Material, coverage: Coverage) -> Iterable[str]:
    """Judges that scored fewer dialogues than have a score: the others' scores stand for theirs."""
    scored: dict[str, set[str]] = {}
    for rating in material.ratings.get("judge", []):
        scored.setdefault(rating.rater, set()).add(rating.dialogue)
    for judge in material.run["judges"]:
        if (given := len(scored.get(judge, ()))) < coverage.scored:
            yield f"Judge {judge} scored {given} of {coverage.dialogues} dialogues; elsewhere the others' scores stand."


def _limits(
    material: Material,
    raters: Raters | None,
    ratings: Ratings,
    coverage: Coverage,
    found: Scores,
    calibration: Calibration | None,
    diversity: Diversity | None,
) -> Iterable[str]:
    """What the report does not show, in words."""
    run, rated = material.run, len(ratings.score) > 0
    if not rated:
        yield "Nothing is rated yet: there are no scores."
    elif lacking := [name for name, score in found.metrics.items() if score.mean is None]:
        yield f"Nobody rated {', '.join(lacking)}: what they are part of has no score."
    if rated and coverage.scored < coverage.dialogues:
        yield (
            f"{coverage.dialogues - coverage.scored} of {coverage.dialogues} dialogues have no score; `worst` says what"
            " the means would be if all their ratings were 1, or all 5."
        )
    if raters != "human" and rated:
        yield from _lacking_judges(material, coverage)
    if raters == "judge" and rated:
        yield f"{UNMEASURED} ({few(ratings.levels['rater'])}): its scores may be biased."
    if calibration is not None and raters != "human":
        yield calibration.limit
    if raters == "calibrated" and rated:
        yield "Groups and examples are as judges rated them; people correct overall, dimensions and metrics alone."
    if found.overall.mean is not None and found.overall.intervals.population is None:
        yield "There are too few characters or scenarios for every interval; those that are missing are empty."
    if any(dialogue["own_log"] for dialogue in material.dialogues):
        yield "Conversations from own logs have no scenario: each is its own cluster; `suite` speaks of more of them."
    if run["experimental"]:
        yield f"The suite {run['suite_label']} is experimental."
    yield from warnings_in(dict(run))
    yield f"It speaks of the characters and situations of {run['suite_label']}; other cultures may differ."
    # What another run has played, judged anew, has that run's simulator in its manifest.
    if run["transcript_id"] is not None and run["manifest"].get("simulator", "imported") == "imported":
        yield "The conversations were recorded elsewhere; how they came about is not known here."
    else:
        yield f"Conversations longer than {run['rounds']} rounds are not measured."
    if diversity is None:
        yield "How much replies differ from one another (diversity) is not measured."
    elif diversity.kind == "automatic":
        yield "Diversity is counted from how replies open, 0 to 1; nobody rated it, and it is no score from 1 to 5."
    yield "Safety is not measured."
