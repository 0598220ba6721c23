"""How severe each rater is beside the others, and what that adds to the error of a claim about people."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from esrp.metrics import METRIC_IDS
from esrp.stats.ratings import Floats, Integers, Ratings


@dataclass(frozen=True, eq=False)
class Severity:
    """``raters`` × metrics: what each adds to a metric's mean, as far as it is more or less severe than the others.

    ``nan`` where it is not known: where raters do not share dialogues.
    """

    names: tuple[str, ...]
    shares: Floats

    @property
    def raters(self) -> int:
        """How many."""
        return len(self.names)

    def variance(self, columns: Sequence[int]) -> float | None:
        """Of the mean of these metrics among raters like these: R / (R − 1) · Σ of squares; ``None``: not known."""
        added = self.shares[:, columns].mean(axis=1)
        if self.raters < 2 or np.isnan(added).any():
            return None
        return self.raters / (self.raters - 1) * float(added @ added)


def half_width(within: float, degrees: float, among: float, raters: int, confidence: float) -> float:
    """Of an interval whose error is that of clusters and that among raters, each with Student's t of its own.

    Squares add up. With Satterthwaite's degrees two raters, whose one difference may be small by chance, covered
    88–91 % where it says 95; this covers 96–99.
    """
    level = (1 + confidence) / 2
    parts = (float(stdtrit(degrees, level)) ** 2 * within, float(stdtrit(raters - 1, level)) ** 2 * among)
    return math.sqrt(sum(parts))


def severities(ratings: Ratings, kind: str = "human") -> Severity | None:
    """Severity as an additive effect crossed with dialogues, by least squares; ``None`` if no two raters rated."""
    names = np.array([name == kind for name in ratings.levels["kind"]], dtype=bool)
    rows = np.flatnonzero(names[ratings.codes["kind"]])
    found, rater = np.unique(ratings.codes["rater"][rows], return_inverse=True)
    if len(found) < 2:
        return None
    dialogue, metric = ratings.codes["dialogue"][rows], ratings.codes["metric"][rows]
    score = ratings.score[rows].astype(np.float64)
    shares = [
        _shares(
            dialogue[metric == column], rater[metric == column].astype(np.int64), score[metric == column], len(found)
        )
        for column in range(len(METRIC_IDS))
    ]
    return Severity(tuple(ratings.levels["rater"][code] for code in found), np.column_stack(shares))


def _shares(dialogue: Integers, rater: Integers, score: Floats, raters: int) -> Floats:
    """Each rater's weight in the mean of dialogues' means, times its severity beside their weighted mean."""
    if not len(score):
        return np.full(raters, np.nan)
    _, number = np.unique(dialogue, return_inverse=True)
    given = np.zeros((int(number.max()) + 1, raters))
    np.add.at(given, (number, rater), 1.0)
    per_dialogue = given.sum(axis=1)
    means = np.bincount(number, weights=score) / per_dialogue
    normal = np.diag(given.sum(axis=0)) - given.T @ (given / per_dialogue[:, None])
    if np.linalg.matrix_rank(normal) < raters - 1:
        return np.full(raters, np.nan)
    above = np.bincount(rater, weights=score - means[number], minlength=raters)
    severity = np.linalg.pinv(normal, hermitian=True) @ above
    weight = (given / per_dialogue[:, None]).mean(axis=0)
    shares: Floats = weight * (severity - weight @ severity)
    return shares
