"""Few human ratings correct many judge ratings: prediction-powered means (STATISTICS 5, F)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from esrp.metrics import DIMENSIONS, METRIC_IDS, Dimension, columns_of
from esrp.stats.estimates import Estimate
from esrp.stats.intervals import CONFIDENCE, Interval
from esrp.stats.ratings import DIFFERENCES, OWN_LOG, SCORES, Floats, Integers, Ratings, Span
from esrp.stats.severity import Severity, half_width, severities
from esrp.stats.unseen import Seen, Sides, seen, widened

FEWEST = 60  # dialogues with a human rating: below it only agreement is shown


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A mean on the human scale. ``lambda_`` is how far the judge is trusted, 0 to 1; of several metrics the mean.

    ``n_human`` dialogues carry a human rating, of several metrics the least; they lie in ``clusters`` scenarios.
    ``interval`` is for these raters. ``people`` is for people like them, with raters as clusters too; there is none
    where nobody knows how severe each is, since they share no dialogues. ``raters`` rated: two leave that interval
    wide, for their one difference has to tell how far people differ.
    """

    mean: float
    se: float | None
    interval: Interval | None
    n_human: int
    lambda_: float
    clusters: int
    degrees: float = 0.0
    people: Interval | None = None
    raters: int = 0


@dataclass(frozen=True, slots=True)
class Calibrations:
    """The nine metrics, the three dimensions and overall; ``None`` where people rated fewer than 60 dialogues.

    ``unrated``: metrics that judges rated and too few people, if there are others that enough of them did.
    """

    overall: Calibrated | None
    dimensions: dict[Dimension, Calibrated | None]
    metrics: dict[str, Calibrated | None]
    unrated: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Rectified:
    """Each metric's estimate and what every scenario adds to its error, to first order.

    By metric (column): ``mean`` (``nan`` where there is none), ``n`` dialogues with a human rating, ``lambdas``, and
    whether λ was ``fitted``. By scenario (row, named) and metric: ``influence``, whose sum of squares is the variance
    but for a factor, and whether a human rating lies in it. ``values``: dialogues × metrics, what extremes were seen.
    ``judged``: metrics that judges rated. ``severity``: what each rater adds, where that is known.
    """

    scenarios: tuple[str, ...]
    mean: Floats
    influence: Floats
    labelled: NDArray[np.bool_]
    n: Integers
    lambdas: Floats
    fitted: NDArray[np.bool_]
    values: Floats
    judged: NDArray[np.bool_]
    span: Span = SCORES
    severity: Severity | None = None

    def as_estimate(self, columns: Sequence[int], *, fewest: int = FEWEST) -> Estimate | None:
        """The unweighted mean of these metrics, with their combined influence per scenario; ``None`` if too few rated.

        Where λ was fitted, G / (G − 2) and G − 2 degrees: it took one, and each scenario's influence has the λ of the
        others. With G / (G − 1), 4 to 10 scenarios covered 88–92 %.
        """
        mean = float(self.mean[columns].mean())
        if int(self.n[columns].min()) < fewest or math.isnan(mean):
            return None
        degrees = self._clusters(columns) - (2 if self.fitted[columns].any() else 1)
        there = self._seen(columns)
        if degrees < 1:
            return Estimate(mean, None, 0, there)
        scaled = self.influence[:, columns].mean(axis=1) * math.sqrt(self._clusters(columns) / degrees)
        return Estimate(mean, dict(zip(self.scenarios, scaled.tolist(), strict=True)), degrees, there)

    def estimate(
        self, columns: Sequence[int], *, confidence: float = CONFIDENCE, fewest: int = FEWEST
    ) -> Calibrated | None:
        """As ``as_estimate``, with the intervals."""
        found = self.as_estimate(columns, fewest=fewest)
        if found is None or found.mean is None:
            return None
        return Calibrated(
            mean=found.mean,
            se=found.se,
            interval=_interval(found, confidence),
            n_human=int(self.n[columns].min()),
            lambda_=float(self.lambdas[columns].mean()),
            clusters=self._clusters(columns),
            degrees=found.degrees,
            people=self._people(found, columns, confidence),
            raters=self.severity.raters if self.severity else 0,
        )

    def _people(self, found: Estimate, columns: Sequence[int], confidence: float) -> Interval | None:
        """Raters as clusters beside scenarios."""
        if self.severity is None or found.se is None:
            return None
        among = self.severity.variance(columns)
        if among is None:
            return None
        return _held(found, half_width(found.se**2, found.degrees, among, self.severity.raters, confidence), confidence)

    def _clusters(self, columns: Sequence[int]) -> int:
        return int(self.labelled[:, columns].sum(axis=0).min())

    def _seen(self, columns: Sequence[int]) -> Seen:
        """What the dialogues that people rated can exclude."""
        found = seen(self.values[:, columns].mean(axis=1), self.span)
        n = np.minimum(self.n[columns].min(), found.n)
        alike = found.differing * n // np.maximum(found.n, 1)
        return Seen(n, found.low, found.high, alike, found.span)


def _interval(found: Estimate, confidence: float) -> Interval | None:
    """Student's."""
    if found.se is None:
        return None
    return _held(found, float(stdtrit(found.degrees, (1 + confidence) / 2)) * found.se, confidence)


def _held(found: Estimate, half: float, confidence: float) -> Interval | None:
    """With what so few labels cannot exclude."""
    if found.mean is None or found.seen is None:
        return None
    bounds = Sides(np.array(found.mean - half), np.array(found.mean + half))
    low, high = widened(np.array(found.mean), bounds, found.seen, confidence)
    return Interval(float(low), float(high))


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
        unrated=unrated(found),
    )


def unrated(found: Rectified, *, fewest: int = FEWEST) -> tuple[str, ...]:
    """The metrics that judges rated and too few people, where enough of them rated others."""
    enough = found.n >= fewest
    if not enough.any():
        return ()
    return tuple(
        name for name, given, known in zip(METRIC_IDS, found.judged, enough, strict=True) if given and not known
    )


def rectified(ratings: Ratings) -> Rectified:
    """The estimates behind ``calibrations``, which combine and subtract."""
    return _of(_sheet(ratings), severities(ratings))


def rectified_difference(candidate: Ratings, baseline: Ratings) -> Rectified:
    """Candidate − baseline on the (character, scenario) pairs that judges rated of both, paired by scenario.

    ``n`` and ``labelled`` are those that both have, ``lambdas`` the means of both. Own logs have no pair.
    """
    ours, theirs = _sheet(candidate), _sheet(baseline)
    shared = {pair for pair in ours.judged if pair[1] != OWN_LOG} & theirs.judged
    mine, yours = ours.only(shared), theirs.only(shared)
    a, b = _of(mine, None), _of(yours, None)
    scenarios = tuple(sorted(set(a.scenarios) | set(b.scenarios)))
    return Rectified(
        scenarios=scenarios,
        mean=a.mean - b.mean,
        influence=_spread(a, a.influence, scenarios) - _spread(b, b.influence, scenarios),
        labelled=(_spread(a, a.labelled, scenarios) > 0) & (_spread(b, b.labelled, scenarios) > 0),
        n=np.minimum(a.n, b.n),
        lambdas=(a.lambdas + b.lambdas) / 2,
        fitted=a.fitted | b.fitted,
        values=_judges_apart(mine, yours),
        judged=a.judged & b.judged,
        span=DIFFERENCES,
    )


def _judges_apart(mine: "_Sheet", yours: "_Sheet") -> Floats:
    """The differences that judges saw, pair by pair; of replicates the first."""
    at = {pair: row for row, pair in reversed(list(enumerate(yours.pairs)))}
    return mine.judge - yours.judge[[at[pair] for pair in mine.pairs]]


@dataclass(frozen=True, eq=False)
class Powered:
    """One metric: θ, each cluster's influence, whether it holds labels, n and λ, and whether λ was fitted."""

    theta: float
    influence: Floats
    labelled: NDArray[np.bool_]
    n: int
    lambda_: float
    fitted: bool


def prediction_powered(human: Floats, judge: Floats, cluster: Integers, clusters: int) -> Powered:
    """The formulas of STATISTICS 5 and F.

    ``human`` and ``judge``: a mean rating for each dialogue, ``nan`` where there is none; ``cluster`` its number. Where
    all judged dialogues are labelled, θ is the human mean and λ is 0.
    """
    labelled = ~np.isnan(human) & ~np.isnan(judge)
    unlabelled = np.isnan(human) & ~np.isnan(judge)
    n, others = int(labelled.sum()), int(unlabelled.sum())
    holds = np.bincount(cluster[labelled], minlength=clusters) > 0
    if n == 0:
        return Powered(math.nan, np.zeros(clusters), holds, 0, 0.0, fitted=False)
    y, f = human[labelled], judge[labelled]
    a = np.bincount(cluster[labelled], weights=y - y.mean(), minlength=clusters) / n
    if others == 0:
        return Powered(float(y.mean()), a, holds, n, 0.0, fitted=False)
    g = judge[unlabelled]
    d = np.bincount(cluster[labelled], weights=f - f.mean(), minlength=clusters) / n
    d -= np.bincount(cluster[unlabelled], weights=g - g.mean(), minlength=clusters) / others
    together, varies = float(a @ d), float(d @ d)
    trust = float(_trust(np.array(together), np.array(varies)))
    theta = trust * float(g.mean()) + float((y - trust * f).mean())
    left_out = _trust(together - a * d, varies - d * d)
    return Powered(theta, a - left_out * d, holds, n, trust, fitted=varies > 0)


def _trust(together: Floats, varies: Floats) -> Floats:
    """λ: the slope, between 0 and 1; 0 where the judge does not vary."""
    slope = np.divide(together, varies, out=np.zeros_like(together), where=varies > 1e-15)
    trust: Floats = np.clip(slope, 0.0, 1.0)
    return trust


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


def _of(sheet: _Sheet, severity: Severity | None) -> Rectified:
    scenarios = tuple(sorted(set(sheet.cluster)))
    number = {name: code for code, name in enumerate(scenarios)}
    cluster = np.array([number[name] for name in sheet.cluster], dtype=np.int64)
    found = [
        prediction_powered(sheet.human[:, column], sheet.judge[:, column], cluster, len(scenarios))
        for column in range(len(METRIC_IDS))
    ]
    return Rectified(
        scenarios=scenarios,
        mean=np.array([metric.theta for metric in found]),
        influence=np.column_stack([metric.influence for metric in found]),
        labelled=np.column_stack([metric.labelled for metric in found]),
        n=np.array([metric.n for metric in found], dtype=np.int64),
        lambdas=np.array([metric.lambda_ for metric in found]),
        fitted=np.array([metric.fitted for metric in found]),
        values=np.where(np.isnan(sheet.judge), np.nan, sheet.human),
        judged=np.array([not np.isnan(column).all() for column in sheet.judge.T], dtype=bool),
        severity=severity,
    )


def _spread(found: Rectified, values: NDArray[np.float64] | NDArray[np.bool_], scenarios: tuple[str, ...]) -> Floats:
    """Rows by these scenarios, 0 for those that ``found`` does not have."""
    at = {name: row for row, name in enumerate(scenarios)}
    spread = np.zeros((len(scenarios), values.shape[1]))
    spread[[at[name] for name in found.scenarios]] = values
    return spread
