"""What a gate knows of one run: its ratings by those who count, its means, and what is missing from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from esrp.metrics import METRIC_IDS, columns_of
from esrp.stats.calibration import Rectified, rectified, rectified_difference
from esrp.stats.diversity import BatchRating, batch_units
from esrp.stats.estimates import UNKNOWN, Estimate, estimate
from esrp.stats.missing import missing_ratings
from esrp.stats.paired import paired
from esrp.stats.ratings import Floats, Ratings, Units
from esrp.stats.scores import LOWEST
from esrp.stats.severity import Severity, severities

Raters: TypeAlias = Literal["calibrated", "human", "judge"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """One run as a gate sees it.

    ``planned`` dialogues, each to be rated by ``judges`` judges on every metric. ``failed`` of them the candidate
    itself lost; where nobody says, all that have no rating. ``unvalidated``: judges that nobody held against people.
    ``corrected``: judges' ratings and those of people who may correct them, a fair sample (STATISTICS 5); none where
    nobody says that theirs are. ``diversity``: the ratings of batches.
    """

    ratings: Ratings
    planned: int
    judges: int = 1
    failed: int | None = None
    unvalidated: tuple[str, ...] = ()
    corrected: Ratings = field(default_factory=lambda: Ratings.of(()))
    diversity: Sequence[BatchRating] = ()

    @cached_property
    def rectified(self) -> Rectified:
        """The calibrated means."""
        return rectified(self.corrected)


class Sheet:
    """One run's ratings by the raters that count, its means, and what is missing from them."""

    def __init__(self, evidence: Evidence, raters: Raters, batches: str) -> None:
        self.evidence = evidence
        self.ratings = of_kind(evidence.ratings, "human" if raters == "human" else "judge")
        self.units = self.ratings.units
        self.batches = batch_units(row for row in evidence.diversity if row.kind == batches)
        self.source = evidence.rectified if raters == "calibrated" else self.units
        per_dialogue = self.ratings.dialogues[self.ratings.dialogues.any(axis=1)]
        self.scored = len(per_dialogue)
        self._failed = max(0, evidence.planned - self.scored) if evidence.failed is None else evidence.failed
        self._given = per_dialogue.sum(axis=0)
        asked = 0 if raters == "human" else evidence.judges
        self._lacking = missing_ratings(per_dialogue, max(self.scored, evidence.planned - self._failed), asked)
        self._lost = missing_ratings(per_dialogue, max(self.scored, evidence.planned), asked)

    @property
    def coverage(self) -> float:
        """The share of planned dialogues that have a rating."""
        return self.scored / self.evidence.planned if self.evidence.planned else 0.0

    def units_of_dialogues(self) -> list[tuple[str, str]]:
        """Each rated dialogue's character and scenario; of own logs, which have no scenario, the latter is empty."""
        _, at = np.unique(self.ratings.codes["dialogue"], return_index=True)
        levels, codes = self.ratings.levels, self.ratings.codes
        return [
            (levels["character"][codes["character"][row]], levels["scenario"][codes["scenario"][row]]) for row in at
        ]

    def estimate(self, name: str) -> Estimate:
        """Of the run's mean."""
        return estimated(self.source, self.batches, name)

    def added_by_judges(self, name: str) -> dict[str, float]:
        """What each judge adds to the mean beside the others; empty where there are not two, or it is not known."""
        found = self._severities
        if found is None or name == "diversity":
            return {}
        added = found.shares[:, columns_of(name)].mean(axis=1)
        return {} if np.isnan(added).any() else dict(zip(found.names, added.tolist(), strict=True))

    @cached_property
    def _severities(self) -> Severity | None:
        return severities(self.ratings, "judge")

    def missing(self, name: str) -> float:
        """The share of the ratings that judges should have given and did not."""
        return self._share(name, self._lacking)

    def missing_in_all(self, name: str) -> float:
        """The share of the ratings that are not there, dialogues that were lost among them."""
        return self._share(name, self._lost)

    def failure_pull(self, name: str) -> float:
        """How far the mean falls if every dialogue that the candidate itself lost had the lowest score."""
        lost = self._failed / max(1, self._failed + self.scored)
        return 0.0 if name == "diversity" or not lost else lost * self._distance(name, LOWEST)

    def pull(self, name: str, score: int, *, lost: bool) -> float:
        """How far the mean moves if every missing rating is ``score``; ``lost``: those of lost dialogues too."""
        if name == "diversity":
            return 0.0
        shares = [self._share(metric, self._lost if lost else self._lacking) for metric in METRIC_IDS]
        moved = [
            shares[column] and shares[column] * self._distance(METRIC_IDS[column], score) for column in columns_of(name)
        ]
        return sum(moved) / len(moved)

    def _distance(self, name: str, score: int) -> float:
        mean = self._means[columns_of(name)].mean()
        return 0.0 if np.isnan(mean) else abs(float(mean) - score)

    @cached_property
    def _means(self) -> Floats:
        means = [self.estimate(name).mean for name in METRIC_IDS]
        return np.array([np.nan if mean is None else mean for mean in means])

    def _share(self, name: str, lacking: np.ndarray) -> float:
        if name == "diversity":
            return 0.0
        missing = lacking[columns_of(name)].sum()
        return float(missing / max(1, missing + self._given[columns_of(name)].sum()))


def raters_that_count(asked: str, candidate: Evidence, baseline: Evidence | None) -> Raters:
    """Whose ratings count: calibrated if there, else people's if no judge rated, else judges'."""
    if asked in ("calibrated", "human", "judge"):
        return asked  # type: ignore[return-value]  # one of the three, as was just asked
    if calibrates(candidate, baseline):
        return "calibrated"
    kinds = candidate.ratings.levels["kind"]
    return "human" if "human" in kinds and "judge" not in kinds else "judge"


def calibrates(candidate: Evidence, baseline: Evidence | None) -> bool:
    """Whether there are calibrated means, of both and of their difference, from random samples."""
    runs = [candidate] if baseline is None else [candidate, baseline]
    if not all(run.rectified.estimate(columns_of("overall")) for run in runs):
        return False
    if baseline is None:
        return True
    apart = rectified_difference(candidate.corrected, baseline.corrected)
    return apart.estimate(columns_of("overall")) is not None


def raters_of_batches(raters: str, candidate: Evidence, baseline: Evidence | None) -> str:
    """Whose ratings of diversity count: judges' if they rated each run's batches, else people's."""
    if raters == "human":
        return "human"
    ours, *others = [{row.kind for row in run.diversity} for run in (candidate, baseline) if run is not None]
    return "judge" if "judge" in (ours.intersection(*others) or ours) else "human"


@dataclass(frozen=True, eq=False)
class Apart:
    """Candidate − baseline on the same (character, scenario), and on the same batches."""

    source: Rectified | Units
    batches: Units
    shared: Units

    @classmethod
    def of(cls, ours: Sheet, theirs: Sheet) -> "Apart":
        """Of two runs."""
        batches, shared = paired(ours.batches, theirs.batches), paired(ours.units, theirs.units)
        if isinstance(ours.source, Rectified):
            difference = rectified_difference(ours.evidence.corrected, theirs.evidence.corrected)
            return cls(difference, batches, shared)
        return cls(shared, batches, shared)

    def estimate(self, name: str) -> Estimate:
        """Of the difference."""
        return estimated(self.source, self.batches, name)


def estimated(source: Rectified | Units, batches: Units, name: str) -> Estimate:
    """Of an endpoint: clustered by scenario, diversity by batch."""
    if name == "diversity":
        return estimate(batches, [0])
    if isinstance(source, Units):
        return estimate(source, columns_of(name))
    return source.as_estimate(columns_of(name)) or UNKNOWN


def of_kind(ratings: Ratings, kind: str) -> Ratings:
    """The ratings of one kind; the levels stay."""
    chosen = np.array([name == kind for name in ratings.levels["kind"]], dtype=bool)[ratings.codes["kind"]]
    return Ratings(ratings.levels, {name: code[chosen] for name, code in ratings.codes.items()}, ratings.score[chosen])
