"""The heart: the ESRP report of a run, from its dialogues and its ratings."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
from esrp.limits import NOT_TESTED, Limit
from esrp.metrics import METRIC_IDS
from esrp.paper_tables import published
from esrp.stats import METHOD, Ratings, Score, Scores, table
from esrp.stats.disasters import disasters
from esrp.stats.diversity import DiversityScore, diversity_sha256, rated_diversity
from esrp.stats.missing import missing_ratings
from esrp.stats.panel import panel
from esrp.text import bounds, rounded
from services.analytics.gates.examples import examples
from services.analytics.report.agreements import Agreed
from services.analytics.report.calibration import Calibration, calibrated
from services.analytics.report.groups import groups
from services.analytics.report.limits import limits
from services.analytics.report.material import Found, Material
from services.analytics.report.packing import of_kind
from services.analytics.report.played import Dialogue
from services.analytics.report.rare import has_panel, low_shares, panel_out, worst_dialogues
from services.analytics.report.replies import Wording
from services.kit.ids import encode


@dataclass(frozen=True, slots=True)
class Made:
    """A report whose ``limits`` are still facts, the hash of the ratings in it, and whose agreement belongs to it."""

    report: Report
    limits: tuple[Limit, ...]
    ratings_sha256: str
    agreed: Agreed | None


def build(material: Material) -> Made:
    """The report."""
    found = _found(material)
    report = _report(material, found)
    sha256 = _sha256(material, found.ratings, report, found.calibration)
    report = report.model_copy(update={"sha256": sha256})
    return Made(report, limits(material, found), found.ratings.sha256, found.agreed)


def _found(material: Material) -> Found:
    of = material.ratings
    calibration = calibrated(of, material.sampling)
    raters = _chosen(material.raters, of, calibration)
    kind: RaterKind | None = "judge" if raters == "calibrated" else raters
    ratings = of_kind(of, kind)
    planned = max(material.run.dialogues, len(material.dialogues))
    lacking = _missing_ratings(material, kind, ratings, planned)
    return Found(
        raters=raters,
        ratings=ratings,
        table=table({"": ratings}, groups=groups(ratings, material.scenarios), missing={"": lacking}, brief=True),
        coverage=_coverage(material, kind, ratings, planned),
        calibration=calibration,
        diversity=_diversity(material),
        disasters=disasters(ratings),
        panel=panel(of["judge"]) if kind == "judge" and "judge" in of and has_panel(of["judge"]) else None,
        agreed=_agreed(raters, of),
    )


def _report(material: Material, found: Found) -> Report:
    run, calibration, form = material.run, found.calibration, material.wording.form
    return Report(
        run=encode("run", run.id),
        suite=run.suite_label,
        candidate=run.candidate_name,
        status=run.status,
        judges=[
            ReportJudge(id=f"jdg_{name}", validated=False, card=f"/v1/judges/jdg_{name}/card") for name in run.judges
        ],
        coverage=found.coverage,
        raters=found.raters,
        diversity=found.diversity,
        calibrated=calibration and calibration.out(),
        judges_against_humans=calibration and calibration.against_humans(),
        groups={by: {label: _group(of[""]) for label, of in parts.items()} for by, parts in found.table.groups.items()},
        examples=examples(found.ratings),
        disaster=low_shares(found.disasters) if found.rated else {},
        worst=worst_dialogues(found.disasters),
        panel=panel_out(found.panel),
        not_tested=list(NOT_TESTED),
        published=published(run.suite_label, found.raters),
        lengths=Lengths(replies=form.replies, inside=form.inside, median=form.median),
        form=_form(material.wording),
        manifest=run.manifest,
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
            "suite": run.suite_sha256,
            "manifest": run.manifest_sha256,
            "ratings": ratings.sha256,
            **report.model_dump(include={"method", "coverage", "overall", "dimensions", "metrics", "groups", "raters"}),
            **further,
        }
    )


# --- numbers ----------------------------------------------------------------------------------------------------------


def _numbers(found: Found) -> dict[str, Any]:
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
    asked = len(material.run.judges) if kind == "judge" else 0
    return dict(zip(METRIC_IDS, map(int, missing_ratings(ratings.dialogues, planned, asked)), strict=True))


# --- coverage ---------------------------------------------------------------------------------------------------------


def _coverage(material: Material, kind: RaterKind | None, ratings: Ratings, planned: int) -> Coverage:
    """How many dialogues have a rating of the kind, and why the others have none: one reason each."""
    rated = set(ratings.levels["dialogue"])
    reasons = Counter(_reason(dialogue, kind) for dialogue in material.dialogues if dialogue.id not in rated)
    reasons["not_played"] += planned - len(material.dialogues)
    missing = {reason: times for reason, times in sorted(reasons.items()) if times}
    return Coverage(dialogues=planned, scored=len(rated), missing=missing)


def _reason(dialogue: Dialogue, kind: RaterKind | None) -> str:
    if dialogue.state == "failed":
        return str(dialogue.error or "generator_error")
    if dialogue.state != "done":
        return "not_played"
    verdicts = set(dialogue.verdicts or ()) if kind != "human" else set()
    if not verdicts or verdicts & {"waiting", "rating"}:
        return "not_rated"
    return "no_valid_score" if verdicts <= {"no_valid_score", "done"} else "judge_error"
