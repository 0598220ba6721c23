"""Few human ratings correct many judge ratings: prediction-powered means (STATISTICS 5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from esrp.metrics import DIMENSIONS, METRIC_IDS, Dimension, columns_of
from esrp.stats.intervals import CONFIDENCE, Interval
from esrp.stats.ratings import OWN_LOG, Floats, Integers, Ratings

FEWEST = 60  # dialogues with a human rating: below it only agreement is shown


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A mean on the human scale. ``lambda_`` is how far the judge is trusted, 0 to 1; of several metrics the mean.

    ``n_human`` dialogues carry a human rating, of several metrics the least; they lie in ``clusters`` scenarios. Below
    two there is no interval.
    """

    mean: float
    se: float | None
    interval: Interval | None
    n_human: int
    lambda_: float
    clusters: int


@dataclass(frozen=True, slots=True)
class Calibrations:
    """The nine metrics, the three dimensions and overall; ``None`` where people rated fewer than 60 dialogues."""

    overall: Calibrated | None
    dimensions: dict[Dimension, Calibrated | None]
    metrics: dict[str, Calibrated | None]


@dataclass(frozen=True, eq=False)
class Rectified:
    """Each metric's estimate and what every scenario adds to its error, to first order.

    By metric (column): ``mean`` (``nan`` where there is none), ``n`` dialogues with a human rating, ``lambdas``. By
    scenario (row, named) and metric: ``influence``, whose sum of squares is the variance but for G / (G − 1), and
    whether a human rating lies in it.
    """

    scenarios: tuple[str, ...]
    mean: Floats
    influence: Floats
    labelled: NDArray[np.bool_]
    n: Integers
    lambdas: Floats

    def estimate(
        self, columns: Sequence[int], *, confidence: float = CONFIDENCE, fewest: int = FEWEST
    ) -> Calibrated | None:
        """The unweighted mean of these metrics, with the variance of their combined influence per scenario."""
        n_human = int(self.n[columns].min())
        mean = float(self.mean[columns].mean())
        if n_human < fewest or math.isnan(mean):
            return None
        clusters = int(self.labelled[:, columns].sum(axis=0).min())
        se, interval = None, None
        if clusters >= 2:
            squares = float((self.influence[:, columns].mean(axis=1) ** 2).sum())
            se = math.sqrt(clusters / (clusters - 1) * squares)
            half = float(stdtrit(clusters - 1, (1 + confidence) / 2)) * se
            interval = Interval(mean - half, mean + half)
        return Calibrated(mean, se, interval, n_human, float(self.lambdas[columns].mean()), clusters)


def calibrations(ratings: Ratings, *, confidence: float = CONFIDENCE) -> Calibrations:
    """Calibrated means of one candidate from its judge and human ratings.

    The dialogues that people rated must be a random sample of those that judges rated; the ratings cannot tell. A human
    rating of a dialogue without a judge's does not enter. Own logs are clusters by themselves.
    """
    found = rectified(ratings)

    def estimate(endpoint: str) -> Calibrated | None:
        return found.estimate(columns_of(endpoint), confidence=confidence)

    return Calibrations(
        overall=estimate("overall"),
        dimensions={name: estimate(name) for name in DIMENSIONS},
        metrics={name: estimate(name) for name in METRIC_IDS},
    )


def rectified(ratings: Ratings) -> Rectified:
    """The estimates behind ``calibrations``, which combine and subtract."""
    return _of(_sheet(ratings))


def rectified_difference(candidate: Ratings, baseline: Ratings) -> Rectified:
    """Candidate − baseline on the (character, scenario) pairs that judges rated of both, paired by scenario.

    ``n`` and ``labelled`` are those that both have, ``lambdas`` the means of both. Own logs have no pair.
    """
    ours, theirs = _sheet(candidate), _sheet(baseline)
    shared = {pair for pair in ours.judged if pair[1] != OWN_LOG} & theirs.judged
    a, b = _of(ours.only(shared)), _of(theirs.only(shared))
    scenarios = tuple(sorted(set(a.scenarios) | set(b.scenarios)))
    return Rectified(
        scenarios=scenarios,
        mean=a.mean - b.mean,
        influence=_spread(a, a.influence, scenarios) - _spread(b, b.influence, scenarios),
        labelled=(_spread(a, a.labelled, scenarios) > 0) & (_spread(b, b.labelled, scenarios) > 0),
        n=np.minimum(a.n, b.n),
        lambdas=(a.lambdas + b.lambdas) / 2,
    )


def prediction_powered(
    human: Floats, judge: Floats, cluster: Integers, clusters: int
) -> tuple[float, Floats, NDArray[np.bool_], int, float]:
    """One metric: θ, each cluster's influence, whether it holds labels, n and λ (the formulas of STATISTICS 5).

    ``human`` and ``judge``: a mean rating for each dialogue, ``nan`` where there is none; ``cluster`` its number. Where
    all judged dialogues are labelled, θ is the human mean and λ is 0.
    """
    labelled = ~np.isnan(human) & ~np.isnan(judge)
    unlabelled = np.isnan(human) & ~np.isnan(judge)
    n, others = int(labelled.sum()), int(unlabelled.sum())
    holds = np.bincount(cluster[labelled], minlength=clusters) > 0
    if n == 0:
        return math.nan, np.zeros(clusters), holds, 0, 0.0
    y, f = human[labelled], judge[labelled]
    a = np.bincount(cluster[labelled], weights=y - y.mean(), minlength=clusters) / n
    if others == 0:
        return float(y.mean()), a, holds, n, 0.0
    g = judge[unlabelled]
    d = np.bincount(cluster[labelled], weights=f - f.mean(), minlength=clusters) / n
    d -= np.bincount(cluster[unlabelled], weights=g - g.mean(), minlength=clusters) / others
    varies = float(d @ d)
    trust = min(max(float(a @ d) / varies, 0.0), 1.0) if varies > 0 else 0.0
    theta = trust * float(g.mean()) + float((y - trust * f).mean())
    return theta, a - trust * d, holds, n, trust


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Mean human and judge ratings, dialogues × metrics, ``nan`` where there is none; ``pairs`` names the rows."""

    pairs: tuple[tuple[str, str], ...]
    cluster: tuple[str, ...]
    human: Floats
    judge: Floats

    @property
    def judged(self) -> set[tuple[str, str]]:
        """The pairs with a judge's rating of any metric."""
        return {pair for pair, judge in zip(self.pairs, self.judge, strict=True) if not np.isnan(judge).all()}

    def only(self, pairs: set[tuple[str, str]]) -> "_Sheet":
        """The dialogues of these pairs."""
        rows = [row for row, pair in enumerate(self.pairs) if pair in pairs]
        return _Sheet(
            pairs=tuple(self.pairs[row] for row in rows),
            cluster=tuple(self.cluster[row] for row in rows),
            human=self.human[rows],
            judge=self.judge[rows],
        )


def _sheet(ratings: Ratings) -> _Sheet:
    """Rows ordered by pair and content, so that the dialogues' names do not decide the last bit."""
    dialogues = len(ratings.levels["dialogue"])
    character, scenario = np.zeros(dialogues, dtype=np.int64), np.zeros(dialogues, dtype=np.int64)
    character[ratings.codes["dialogue"]] = ratings.codes["character"]
    scenario[ratings.codes["dialogue"]] = ratings.codes["scenario"]
    human, judge = _means(ratings, "human"), _means(ratings, "judge")
    keys = np.column_stack([character, scenario, np.nan_to_num(human), np.nan_to_num(judge)])
    order = np.lexsort(keys.T[::-1])
    names = ratings.levels["character"], ratings.levels["scenario"]
    pairs = tuple((names[0][character[row]], names[1][scenario[row]]) for row in order)
    own = (f"\0{row}" for row in range(dialogues))  # no scenario's name begins so
    return _Sheet(
        pairs=pairs,
        cluster=tuple(scenario if scenario != OWN_LOG else next(own) for _, scenario in pairs),
        human=human[order],
        judge=judge[order],
    )


def _means(ratings: Ratings, kind: str) -> Floats:
    """Each dialogue's mean rating of each metric by raters of a kind; ``nan`` where there is none."""
    names = np.array([name == kind for name in ratings.levels["kind"]], dtype=bool)
    rows = np.flatnonzero(names[ratings.codes["kind"]])
    shape = len(ratings.levels["dialogue"]), len(METRIC_IDS)
    place = ratings.codes["dialogue"][rows] * shape[1] + ratings.codes["metric"][rows]
    counts = np.bincount(place, minlength=shape[0] * shape[1])
    sums = np.bincount(place, weights=ratings.score[rows], minlength=shape[0] * shape[1])
    means: Floats = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return means.reshape(shape)


def _of(sheet: _Sheet) -> Rectified:
    scenarios = tuple(sorted(set(sheet.cluster)))
    number = {name: code for code, name in enumerate(scenarios)}
    cluster = np.array([number[name] for name in sheet.cluster], dtype=np.int64)
    found = [
        prediction_powered(sheet.human[:, column], sheet.judge[:, column], cluster, len(scenarios))
        for column in range(len(METRIC_IDS))
    ]
    mean, influence, labelled, n, lambdas = zip(*found, strict=True)
    return Rectified(
        scenarios=scenarios,
        mean=np.array(mean),
        influence=np.column_stack(influence),
        labelled=np.column_stack(labelled),
        n=np.array(n, dtype=np.int64),
        lambdas=np.array(lambdas),
    )


def _spread(found: Rectified, values: NDArray[np.float64] | NDArray[np.bool_], scenarios: tuple[str, ...]) -> Floats:
    """Rows by these scenarios, 0 for those that ``found`` does not have."""
    at = {name: row for row, name in enumerate(scenarios)}
    spread = np.zeros((len(scenarios), values.shape[1]))
    spread[[at[name] for name in found.scenarios]] = values
    return spread
