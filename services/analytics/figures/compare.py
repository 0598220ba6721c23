"""Two runs side by side: paired differences on the same dialogues, if both were measured alike (STATISTICS 6)."""

from collections.abc import Mapping
from dataclasses import dataclass

from esrp.api import Choice, Comparison, DifferenceOut, RaterKind, Raters
from esrp.api import Intervals as Bounds
from esrp.comparable import differs
from esrp.errors import NotComparable
from esrp.metrics import DIMENSIONS, ENDPOINTS, METRIC_IDS, columns_of
from esrp.stats import Difference, Ratings, differences
from esrp.stats.calibration import Rectified, rectified_difference
from esrp.text import bounds, rounded
from services.analytics.figures.breakdown import method
from services.analytics.report.calibration import calibrated
from services.analytics.report.packing import of_kind
from services.analytics.runs import Run
from services.kit.ids import encode


@dataclass(frozen=True, slots=True)
class Side:
    """A run with its ratings by kind; ``sampling`` says of dialogues that people rated how they were chosen."""

    run: Run
    ratings: Mapping[RaterKind, Ratings]
    sampling: Mapping[str, str]


def compare(candidate: Side, baseline: Side, asked: Choice) -> Comparison:
    """Candidate − baseline; ``NotComparable`` says in what the runs differ.

    By ``auto`` calibrated if both can be and what they share can too, else judges' ratings if both have them, else
    people's.
    """
    if different := differs(candidate.run.manifest, baseline.run.manifest):
        raise NotComparable(different)
    rectified = _rectified(candidate, baseline) if asked in ("auto", "calibrated") else None
    if rectified is not None or asked == "calibrated":
        return _out(candidate, baseline, "calibrated", _calibrated(rectified), "")
    kind = asked if asked != "auto" else _shared(candidate, baseline)
    ours, theirs = (of_kind(side.ratings, kind) for side in (candidate, baseline))
    found = differences(ours, theirs)
    numbers: dict[str, DifferenceOut] = {
        "overall": difference(found.overall),
        **{str(name): difference(of) for name, of in found.dimensions.items()},
        **{name: difference(of) for name, of in found.metrics.items()},
    }
    return _out(candidate, baseline, kind, numbers, found.seed)


def difference(found: Difference) -> DifferenceOut:
    """As clients see it."""
    ci = {name: bounds(getattr(found.intervals, name)) for name in ("suite", "dialogue", "population")}
    return DifferenceOut(difference=rounded(found.difference), n=found.n, se=rounded(found.se), ci=Bounds(**ci))


def _shared(candidate: Side, baseline: Side) -> RaterKind | None:
    kinds = candidate.ratings.keys() & baseline.ratings.keys()
    if "judge" in kinds:
        return "judge"
    return "human" if "human" in kinds else None


def _rectified(candidate: Side, baseline: Side) -> Rectified | None:
    """The calibrated difference, if both runs have calibrated means and so have the dialogues that they share."""
    sides = [calibrated(side.ratings, side.sampling) for side in (candidate, baseline)]
    if any(side is None or side.overall is None for side in sides):
        return None
    ours, theirs = (side.both for side in sides if side is not None)
    found = rectified_difference(ours, theirs)
    return found if found.estimate(columns_of("overall")) is not None else None


def _calibrated(found: Rectified | None) -> dict[str, DifferenceOut]:
    return {endpoint: _rectified_out(found, endpoint) for endpoint in ENDPOINTS}


def _rectified_out(found: Rectified | None, endpoint: str) -> DifferenceOut:
    known = found.estimate(columns_of(endpoint)) if found else None
    if known is None:
        return DifferenceOut(difference=None, n=0, se=None, ci=Bounds(suite=None, dialogue=None, population=None))
    ci = Bounds(suite=bounds(known.interval), dialogue=None, population=None)
    return DifferenceOut(difference=rounded(known.mean), n=known.n_human, se=rounded(known.se), ci=ci)


def _out(
    candidate: Side, baseline: Side, raters: Raters | None, numbers: Mapping[str, DifferenceOut], seed: str
) -> Comparison:
    return Comparison(
        baseline=encode("run", baseline.run.id),
        candidate=encode("run", candidate.run.id),
        suite=candidate.run.suite_label,
        raters=raters,
        overall=numbers["overall"],
        dimensions={name: numbers[name] for name in DIMENSIONS},
        metrics={name: numbers[name] for name in METRIC_IDS},
        method=method(seed),
    )
