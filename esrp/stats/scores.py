"""Metric, dimension and overall scores with everything that a mean must carry (STATISTICS 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esrp.metrics import DIMENSIONS, METRIC_IDS, Dimension, columns_of
from esrp.stats.bootstrap import REPLICATES, key, resampled
from esrp.stats.intervals import CONFIDENCE, Interval, Intervals, intervals, mean_of, standard_error
from esrp.stats.ratings import Ratings, Units

VERSION = "esrp-statistics-2"  # changes whenever the same ratings would give other numbers
LOWEST, HIGHEST = 1, 5


@dataclass(frozen=True, slots=True)
class Method:
    """How intervals are computed; it is part of a report's hash."""

    bootstrap: int = REPLICATES
    confidence: float = CONFIDENCE
    version: str = VERSION


METHOD = Method()


@dataclass(frozen=True, slots=True)
class Score:
    """A mean on the 1–5 scale.

    ``n`` dialogues and ``ratings`` ratings enter it; ``se`` is clustered by scenario. ``worst`` is the mean with all
    missing ratings set to 1 and to 5. What cannot be known is ``None``: all of it where a metric has no rating.
    """

    mean: float | None
    n: int
    ratings: int
    se: float | None
    intervals: Intervals
    worst: Interval | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The nine metrics, the three dimensions and overall; ``seed`` is the bootstrap's (STATISTICS 3)."""

    overall: Score
    dimensions: dict[Dimension, Score]
    metrics: dict[str, Score]
    seed: str


def scores(ratings: Ratings, missing: Mapping[str, int] | None = None, method: Method = METHOD) -> Scores:
    """Score a candidate's ratings.

    ``missing`` says for each metric how many ratings should be there and are not; it moves nothing but ``worst``.
    """
    seed = key(ratings.sha256)
    table = _Table(ratings, ratings.units, missing or {}, seed, method)
    return Scores(
        overall=table.score("overall"),
        dimensions={name: table.score(name) for name in DIMENSIONS},
        metrics={name: table.score(name) for name in METRIC_IDS},
        seed=seed,
    )


class _Table:
    """One candidate's ratings, resampled once for all scores."""

    def __init__(self, ratings: Ratings, units: Units, missing: Mapping[str, int], seed: str, method: Method) -> None:
        self._dialogues, self._units = ratings.dialogues, units
        self._missing, self._method = missing, method
        self._resamples = resampled(units, seed, replicates=method.bootstrap)

    def score(self, endpoint: str) -> Score:
        """The unweighted mean of its metrics' scores."""
        columns = columns_of(endpoint)
        rated = self._dialogues[:, columns]
        mean = mean_of(self._units, columns)
        return Score(
            mean=mean,
            n=int(rated.any(axis=1).sum()),
            ratings=int(rated.sum()),
            se=None if mean is None else standard_error(self._units, columns),
            intervals=intervals(self._units, columns, self._resamples, self._method.confidence),
            worst=None if mean is None else Interval(self._filled(columns, LOWEST), self._filled(columns, HIGHEST)),
        )

    def _filled(self, columns: Sequence[int], score: int) -> float:
        """The mean with every missing rating set to ``score``."""
        filled = []
        for column in columns:
            missing = self._missing.get(METRIC_IDS[column], 0)
            total = int(self._units.sums[:, column].sum()) + score * missing
            filled.append(total / (int(self._units.counts[:, column].sum()) + missing))
        return sum(filled) / len(filled)
