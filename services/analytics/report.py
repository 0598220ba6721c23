"""The heart: the ESRP report of a run, from its dialogues and its ratings of one kind."""

import asyncio
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import FINAL, Choice, Coverage, Estimate, Lengths, RaterKind, Report, ReportJudge
from esrp.api import Intervals as Bounds
from esrp.canonical import digest
from esrp.dialogue import normalise
from esrp.metrics import DIMENSIONS, METRIC_IDS
from esrp.stats import METHOD, Interval, Rating, Ratings, Score, Scores, scores
from services.analytics import store
from services.kit.ids import encode

SHORTEST, LONGEST = 50, 150  # of a reply: code points in Chinese, words in English (STATISTICS 7)
DIGITS = 10  # of every number in a report (STATISTICS 3)

Fields: TypeAlias = RowMapping | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that a report is made of. ``kind`` is ``None`` where nobody has rated."""

    run: Fields
    dialogues: Sequence[Fields]
    ratings: Sequence[Rating]
    kind: RaterKind | None


async def read(tx: AsyncConnection, run: RowMapping, raters: Choice) -> Report:
    """The report as things stand; that of a final run is kept, and made again when its ratings change."""
    if raters != "auto" or run["status"] not in FINAL:
        return (await _made(tx, run, raters))[0]
    if (document := await store.report(tx, run)) is None:
        await store.lock(tx, run["id"])
        document = await store.report(tx, run)
    return await summarise(tx, run) if document is None else _loaded(document, run)


async def summarise(tx: AsyncConnection, run: RowMapping) -> Report:
    """Take over what the judges said and keep the report of the run, which is locked."""
    await store.add_from_verdicts(tx, run["id"])
    report, ratings_sha256 = await _made(tx, run, "auto")
    await store.save_report(tx, run, report.model_dump(mode="json"), ratings_sha256)
    return report


async def _made(tx: AsyncConnection, run: RowMapping, raters: Choice) -> tuple[Report, str]:
    kind = raters if raters != "auto" else _automatic(await store.kinds(tx, run["id"]))
    material = Material(
        run=run,
        dialogues=await store.dialogues(tx, run["id"]),
        ratings=await store.ratings(tx, run["id"], kind) if kind else [],
        kind=kind,
    )
    return await asyncio.to_thread(build, material)


def _automatic(kinds: set[str]) -> RaterKind | None:
    """Judges if any rated, else people (STATISTICS 6; calibrated scores come before both once there are any)."""
    if "judge" in kinds:
        return "judge"
    return "human" if "human" in kinds else None


def _loaded(document: dict[str, Any], run: RowMapping) -> Report:
    """A stored report, with the status that the run has now; jsonb does not keep the order of keys."""
    report = Report.model_validate(document | {"status": run["status"]})
    return report.model_copy(
        update={
            "dimensions": {name: report.dimensions[name] for name in DIMENSIONS},
            "metrics": {name: report.metrics[name] for name in METRIC_IDS},
            "method": dict(sorted(report.method.items())),
            "coverage": report.coverage.model_copy(update={"missing": dict(sorted(report.coverage.missing.items()))}),
        }
    )


def build(material: Material) -> tuple[Report, str]:
    """The report, and the hash of the ratings in it."""
    run, ratings = material.run, Ratings.of(material.ratings)
    planned = max(run["plan"]["dialogues"], len(material.dialogues))
    found = scores(ratings, _missing_ratings(material, ratings, planned))
    coverage = _coverage(material, ratings, planned)
    numbers = {
        "overall": _estimate(found.overall),
        "dimensions": {name: _estimate(score) for name, score in found.dimensions.items()},
        "metrics": {name: _estimate(score) for name, score in found.metrics.items()},
    }
    method = dict(sorted({**asdict(METHOD), "seed": found.seed}.items()))
    report = Report(
        run=encode("run", run["id"]),
        suite=run["suite_label"],
        candidate=run["candidate_name"],
        status=run["status"],
        judges=[
            ReportJudge(id=f"jdg_{name}", validated=False, card=f"/v1/judges/jdg_{name}/card") for name in run["judges"]
        ],
        coverage=coverage,
        raters=material.kind,
        lengths=_lengths(material.dialogues, run["language"]),
        method=method,
        limits=list(_limits(material, ratings, coverage, found)),
        sha256="",
        **numbers,
    )
    return report.model_copy(update={"sha256": _sha256(run, ratings, report)}), ratings.sha256


def _sha256(run: Fields, ratings: Ratings, report: Report) -> str:
    """What the report rests on and every number in it (STATISTICS 3).

    Not the replies' lengths: they are no part of the ratings or the manifest, and the same ratings and manifest always
    give the same hash.
    """
    return digest(
        {
            "suite": run["suite_sha256"],
            "manifest": run["manifest_sha256"],
            "ratings": ratings.sha256,
            **report.model_dump(include={"method", "coverage", "overall", "dimensions", "metrics", "raters"}),
        }
    )


# --- numbers ----------------------------------------------------------------------------------------------------------


def _estimate(score: Score) -> Estimate:
    ci = {name: _bounds(getattr(score.intervals, name)) for name in ("suite", "dialogue", "population")}
    return Estimate(
        mean=_rounded(score.mean),
        n=score.n,
        ratings=score.ratings,
        se=_rounded(score.se),
        ci=Bounds(**ci),
        worst=_bounds(score.worst),
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DIGITS)


def _bounds(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (round(interval.low, DIGITS), round(interval.high, DIGITS))


def _missing_ratings(material: Material, ratings: Ratings, planned: int) -> dict[str, int]:
    """How many ratings of each metric should be there and are not.

    A dialogue should have one of every judge that was asked; of people, as many as a rated one has on average.
    """
    per_cell = ratings.dialogues
    asked = len(material.run["judges"]) if material.kind == "judge" else 0
    wanted = asked or (max(1, round(float(per_cell[per_cell > 0].mean()))) if per_cell.any() else 1)
    lacking = np.maximum(wanted - per_cell, 0).sum(axis=0) + wanted * (planned - len(per_cell))
    return dict(zip(METRIC_IDS, map(int, lacking), strict=True))


# --- coverage ---------------------------------------------------------------------------------------------------------


def _coverage(material: Material, ratings: Ratings, planned: int) -> Coverage:
    """How many dialogues have a rating of the kind, and why the others have none: one reason each."""
    rated = set(ratings.levels["dialogue"])
    reasons = Counter(
        _reason(dialogue, material.kind) for dialogue in material.dialogues if dialogue["id"] not in rated
    )
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


def _lengths(dialogues: Iterable[Fields], language: str) -> Lengths:
    """Of the candidate's replies; the text is NFKC, as everywhere where text is counted (STATISTICS 7)."""
    replies = [normalise(reply) for dialogue in dialogues for reply in dialogue["replies"] if reply is not None]
    sizes = [len(reply.split()) if language == "en" else len(reply) for reply in replies]
    if not sizes:
        return Lengths(replies=0, inside=None, median=None)
    inside = sum(SHORTEST <= size <= LONGEST for size in sizes) / len(sizes)
    return Lengths(replies=len(sizes), inside=round(inside, DIGITS), median=statistics.median(sizes))


# --- words ------------------------------------------------------------------------------------------------------------


def _limits(material: Material, ratings: Ratings, coverage: Coverage, found: Scores) -> Iterable[str]:
    """What the report does not show, in words."""
    run = material.run
    if material.kind is None or not material.ratings:
        yield "Nothing is rated yet: there are no scores."
    elif lacking := [name for name, score in found.metrics.items() if score.mean is None]:
        yield f"Nobody rated {', '.join(lacking)}: what they are part of has no score."
    if material.ratings and coverage.scored < coverage.dialogues:
        yield (
            f"{coverage.dialogues - coverage.scored} of {coverage.dialogues} dialogues have no score; `worst` says what"
            " the means would be if all their ratings were 1, or all 5."
        )
    if material.kind == "judge":
        names = ", ".join(ratings.levels["rater"])
        yield f"How well the judge agrees with people has not been measured here ({names}): its scores may be biased."
    if found.overall.mean is not None and found.overall.intervals.population is None:
        yield "There are too few characters or scenarios for every interval; those that are missing are empty."
    if any(dialogue["own_log"] for dialogue in material.dialogues):
        yield "Conversations from own logs have no scenario: each is its own cluster; `suite` speaks of more of them."
    if run["experimental"]:
        yield f"The suite {run['suite_label']} is experimental."
    yield f"It speaks of the characters and situations of {run['suite_label']}; other cultures may differ."
    if run["transcript_id"] is not None:
        yield "The conversations were recorded elsewhere; how they came about is not known here."
    else:
        yield f"Conversations longer than {run['rounds']} rounds are not measured."
    yield "Safety is not measured, nor how much replies differ from one another (diversity)."
