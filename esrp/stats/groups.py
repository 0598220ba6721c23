"""Many candidates and many groups at once, all on the same resamples: leaderboards and group-bys (STATISTICS 1–3)."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from esrp.metrics import DIMENSIONS, ENDPOINTS, METRIC_IDS, columns_of
from esrp.stats.bootstrap import key, weights
from esrp.stats.intervals import FEW, NONE, Interval, Intervals
from esrp.stats.paired import Difference, Differences
from esrp.stats.ratings import DIFFERENCES, SCORES, Floats, Integers, Ratings
from esrp.stats.scores import HIGHEST, LOWEST, METHOD, Method, Score, Scores
from esrp.stats.unseen import Seen, Sides, seen, widened

Labels: TypeAlias = Callable[[str, str | None], str | None]
Weights: TypeAlias = NDArray[np.float32] | NDArray[np.float64]

CHUNK = 1100  # replicates at once, over all candidates: what is worked on stays in the cache; it moves no number
HELD = 64 * 2**20  # bytes of weights that are drawn at once, of however many units
KEPT = 256 * 2**20  # bytes of weights: a full study's are 24 MB; more are made anew for as many groups as fit into it
EXACT = 2**24  # below it sums of integers are exact in float32, which multiplies twice as fast
COLUMNS = tuple(map(columns_of, ENDPOINTS))


@dataclass(frozen=True, slots=True)
class Table:
    """Candidates side by side; ``seed`` is that of all bootstraps in it.

    ``differences[a, b]`` is a − b for each pair, a before b. ``groups[by][label][candidate]``; ``worst`` is ``None``
    there: nobody says where what is missing would belong.
    """

    scores: dict[str, Scores]
    differences: dict[tuple[str, str], Differences]
    groups: dict[str, dict[str, dict[str, Scores]]]
    seed: str


def table(
    candidates: Mapping[str, Ratings],
    *,
    groups: Mapping[str, Labels] | None = None,
    missing: Mapping[str, Mapping[str, int]] | None = None,
    method: Method = METHOD,
    paired: bool = True,
    brief: bool = False,
) -> Table:
    """Score all candidates, their differences and their groups on common resamples of (character, scenario) pairs.

    A difference here is one of *scores*, each over all its ratings, paired by the resamples and the clusters; two runs
    are compared on the pairs that both were rated on by ``differences``. A group-by labels (character, scenario) pairs,
    ``None`` for those that are in no group; groups are parts of the same resamples. ``missing`` is by candidate and
    metric, as for ``scores``. Means, standard errors, ``suite`` and ``population`` equal those of ``scores``.
    Of n candidates there are n² / 2 differences: not ``paired``, there is none. ``brief``: of groups the overall score
    alone is resampled, a fifth of the work; the ``dialogue`` intervals of the others are by t.
    """
    frame = _Frame.of(list(candidates.values()))
    seed = key(*sorted(ratings.sha256 for ratings in candidates.values()))
    resamples = _Resamples(frame, seed, method.bootstrap)
    whole = _Part(frame, np.arange(len(frame.pairs)), method)
    resampled = next(resamples.each([whole]))
    lacking = [(missing or {}).get(name, {}) for name in candidates]
    return Table(
        scores=dict(zip(candidates, whole.scores(seed, resampled, lacking), strict=True)),
        differences=dict(zip(itertools.combinations(candidates, 2), whole.differences(seed, resampled), strict=True))
        if paired
        else {},
        groups={
            by: _grouped(frame, labels, resamples, method, seed, candidates, 1 if brief else len(COLUMNS))
            for by, labels in (groups or {}).items()
        },
        seed=seed,
    )


def _grouped(
    frame: "_Frame",
    labels: Labels,
    resamples: "_Resamples",
    method: Method,
    seed: str,
    candidates: Iterable[str],
    detail: int,
) -> dict[str, dict[str, Scores]]:
    parts = {label: _Part(frame, rows, method) for label, rows in frame.labelled(labels)}
    drawn = resamples.each(list(parts.values()), detail)
    return {
        label: dict(zip(candidates, part.scores(seed, resampled), strict=True))
        for (label, part), resampled in zip(parts.items(), drawn, strict=True)
    }


@dataclass(frozen=True, eq=False)
class _Frame:
    """The units of all candidates: sums and counts (units × candidates × metrics), dialogues (units × … × scores).

    Conversations from own logs are units of one candidate.
    """

    pairs: tuple[tuple[str, str | None], ...]
    sums: Integers
    counts: Integers
    dialogues: Integers
    character: Integers
    scenario: Integers

    @classmethod
    def of(cls, candidates: Sequence[Ratings]) -> "_Frame":
        shared = {(character, s) for ratings in candidates for character, s in ratings.units.pairs if s is not None}
        pairs: list[tuple[str, str | None]] = [*sorted(shared)]
        at, rows = {pair: row for row, pair in enumerate(pairs)}, []
        for ratings in candidates:
            own = itertools.count(len(pairs))
            places = [at[pair] if pair[1] is not None else next(own) for pair in ratings.units.pairs]
            rows.append(np.array(places, dtype=np.int64))
            pairs += [pair for pair in ratings.units.pairs if pair[1] is None]
        shape = len(pairs), len(candidates)
        sums, counts = np.zeros((2, *shape, len(METRIC_IDS)), dtype=np.int64)
        dialogues = np.zeros((*shape, len(COLUMNS)), dtype=np.int64)
        for number, (ratings, row) in enumerate(zip(candidates, rows, strict=True)):
            sums[row, number] = ratings.units.sums
            counts[row, number] = ratings.units.counts
            dialogues[row, number] = _dialogues(ratings)
        return cls(tuple(pairs), sums, counts, dialogues, *_clusters(pairs))

    def labelled(self, labels: Labels) -> Iterator[tuple[str, Integers]]:
        """Each label in order, with its units."""
        named = [labels(*pair) for pair in self.pairs]
        for label in sorted({name for name in named if name is not None}):
            yield label, np.array([row for row, name in enumerate(named) if name == label], dtype=np.int64)


def _clusters(pairs: Sequence[tuple[str, str | None]]) -> tuple[Integers, Integers]:
    """Every unit's character and scenario as numbers; each conversation from own logs is its own scenario."""
    characters = {name: code for code, name in enumerate(sorted({character for character, _ in pairs}))}
    scenarios = {name: code for code, name in enumerate(sorted({scenario for _, scenario in pairs if scenario}))}
    return (
        np.array([characters[character] for character, _ in pairs], dtype=np.int64),
        np.array([scenarios[s] if s else len(scenarios) + row for row, (_, s) in enumerate(pairs)], dtype=np.int64),
    )


def _dialogues(ratings: Ratings) -> Integers:
    """How many dialogues of each unit have a rating of any metric of each score: units × scores."""
    units = ratings.units
    rated = _any(ratings.dialogues > 0).astype(np.int64)
    character, scenario = np.zeros((2, len(rated)), dtype=np.int64)
    character[ratings.codes["dialogue"]] = ratings.codes["character"]
    scenario[ratings.codes["dialogue"]] = ratings.codes["scenario"]
    names = ratings.levels["character"], ratings.levels["scenario"]
    at = {pair: row for row, pair in enumerate(units.pairs) if pair[1] is not None}
    found = _any(units.counts > 0).astype(np.int64)  # right for own logs, where a unit is a dialogue
    found[list(at.values())] = 0
    there = [at.get((names[0][c], names[1][s]), -1) for c, s in zip(character.tolist(), scenario.tolist(), strict=True)]
    unit = np.array(there, dtype=np.int64)
    np.add.at(found, unit[unit >= 0], rated[unit >= 0])
    return found


def _any(given: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether any metric of each score is given: … × metrics becomes … × scores."""
    return np.stack([given[..., columns].any(axis=-1) for columns in COLUMNS], axis=-1)


def _means(metrics: Floats, axis: int, scores: int = len(COLUMNS)) -> Floats:
    """The first ``scores``, means of metrics, ``nan`` where a metric is; the axis of metrics becomes one of scores."""
    return np.stack([metrics.take(columns, axis=axis).mean(axis=axis) for columns in COLUMNS[:scores]], axis=axis)


# --- resampling -------------------------------------------------------------------------------------------------------


class _Resamples:
    """How often each unit is drawn, the same for all candidates and groups."""

    def __init__(self, frame: _Frame, seed: str, replicates: int) -> None:
        self._seed, self._units, self._replicates = seed, len(frame.pairs), replicates
        largest = max(int(frame.sums.max(initial=0)), int(frame.counts.max(initial=0)))
        self._type: type[Any] = np.float32 if self._units * largest < EXACT else np.float64
        self._both = np.concatenate([frame.sums, frame.counts], axis=1).astype(self._type)
        fitting = HELD // (8 * max(1, self._units))
        self._chunk = max(1, min(fitting, max(100, CHUNK // max(1, frame.sums.shape[1]))))
        keeps = self._units * replicates * self._both.itemsize <= KEPT
        self._kept = list(self._drawn()) if keeps else None

    def each(self, parts: "Sequence[_Part]", scores: int = len(COLUMNS)) -> Iterator[Floats | None]:
        """The first scores of each candidate over each part's units in each resample: candidates × scores × replicates.

        ``None`` for a part of too few units. What is not kept is drawn once for many parts, not once for each.
        """
        size = 8 * self._both.shape[1] // 2 * scores * self._replicates
        together = 1 if self._kept is not None else max(1, KEPT // max(1, size))
        for start in range(0, len(parts), together):
            yield from self._resampled(parts[start : start + together], scores)

    def _resampled(self, parts: "Sequence[_Part]", scores: int) -> list[Floats | None]:
        """Integer weights times integer sums: exact, whatever the BLAS does."""
        wanted = [part for part in parts if part.many]
        flat = [np.ascontiguousarray(self._both[part.rows].reshape(len(part.rows), -1).T) for part in wanted]
        shape = self._both.shape[1] // 2, scores, self._replicates
        found = [np.empty(shape) for _ in wanted]
        start = 0
        for drawn in (self._kept if self._kept is not None else self._drawn()) if wanted else ():
            for part, sums, values in zip(wanted, flat, found, strict=True):
                whole = len(part.rows) == self._units
                totals = sums @ (drawn if whole else drawn[part.rows])
                values[:, :, start : start + drawn.shape[1]] = self._means(totals, scores)
            start += drawn.shape[1]
        there = iter(found)
        return [next(there) if part.many else None for part in parts]

    def _means(self, totals: NDArray[Any], scores: int) -> Floats:
        sums, counts = totals.reshape(2, *(self._both.shape[1] // 2, self._both.shape[2], -1)).astype(np.float64)
        return _means(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0), 1, scores)

    def _drawn(self) -> Iterator[Weights]:
        """Chunks of the weights, units × replicates."""
        for start in range(0, self._replicates, self._chunk):
            stop = min(start + self._chunk, self._replicates)
            yield np.ascontiguousarray(weights(self._seed, self._units, start, stop).T, dtype=self._type)


def _percentiles(resamples: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Lower and upper quantile over the last axis, linear (type 7). Sorting is vectorised, selecting is not."""
    ordered = np.sort(resamples, axis=-1)
    tail = (1 - confidence) / 2
    return _quantile(ordered, tail), _quantile(ordered, 1 - tail)


def _quantile(ordered: Floats, share: float) -> Floats:
    place = share * (ordered.shape[-1] - 1)
    below = min(int(place), ordered.shape[-1] - 2) if ordered.shape[-1] > 1 else 0
    low, high = ordered[..., below], ordered[..., min(below + 1, ordered.shape[-1] - 1)]
    part = place - below
    between: Floats = low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)
    return between


# --- scores and differences of a part of the units --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Bounds:
    """The three intervals' bounds and the standard errors, ``nan`` where there are none; all of one shape."""

    se: Floats
    suite: Sides
    dialogue: Sides
    population: Sides

    def at(self, *place: int) -> tuple[float | None, Intervals]:
        """Of one score."""
        se = float(self.se[place])
        named = {name: _interval(getattr(self, name), place) for name in ("suite", "dialogue", "population")}
        return None if np.isnan(se) else se, Intervals(**named) if any(named.values()) else NONE


class _Part:
    """Some of the units, all candidates."""

    def __init__(self, frame: _Frame, rows: Integers, method: Method) -> None:
        self.rows = rows
        whole = len(rows) == len(frame.pairs)
        self._sums, self._counts, self._dialogues = (
            values if whole else values[rows] for values in (frame.sums, frame.counts, frame.dialogues)
        )
        self._confidence = method.confidence
        self._groupings = [
            _Grouping(cluster) for cluster in (frame.scenario[rows], frame.character[rows], np.arange(len(rows)))
        ]
        totals = self._counts.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._values = _means(self._sums / self._counts, axis=2)
            metrics = self._sums.sum(axis=0) / totals
            self._influence = _means((self._sums - metrics * self._counts) / totals, axis=2)
        self._mean = _means(metrics, axis=1)
        self._clusters = [
            np.stack([held[:, columns].min(axis=1) for columns in COLUMNS], axis=1)
            for held in (grouping.holding(self._counts) for grouping in self._groupings)
        ]
        self.many = bool((self._clusters[2] >= FEW).any())  # enough units for the bootstrap

    def scores(
        self, seed: str, resampled: Floats | None, missing: Sequence[Mapping[str, int]] | None = None
    ) -> Iterator[Scores]:
        """Of every candidate."""
        there = seen(self._values, SCORES)
        bounds = self._bounds(self._mean, self._influence, self._clusters, resampled, there)
        ratings = np.stack([self._counts.sum(axis=0)[:, columns].sum(axis=1) for columns in COLUMNS], axis=1)
        n = self._dialogues.sum(axis=0)
        for candidate in range(len(self._mean)):
            lacking = None if missing is None else missing[candidate]
            found = []
            for score, columns in enumerate(COLUMNS):
                se, intervals = bounds.at(candidate, score)
                mean = _known(self._mean[candidate, score])
                worst = None if mean is None or lacking is None else self._worst(candidate, columns, lacking)
                counts = int(n[candidate, score]), int(ratings[candidate, score])
                found.append(Score(mean, *counts, se, intervals, worst))
            yield Scores(*_named(found), seed=seed)

    def differences(self, seed: str, resampled: Floats | None) -> Iterator[Differences]:
        """Of every candidate and every later one."""
        there = _any(self._counts > 0)
        for first in range(len(self._mean) - 1):
            rest = slice(first + 1, None)
            mean = self._mean[first] - self._mean[rest]
            bounds = self._bounds(
                mean,
                self._influence[:, [first]] - self._influence[:, rest],
                [np.minimum(clusters[first], clusters[rest]) for clusters in self._clusters],
                None if resampled is None else resampled[first] - resampled[rest],
                seen(self._values[:, [first]] - self._values[:, rest], DIFFERENCES),
            )
            pairs = (there[:, [first]] & there[:, rest]).sum(axis=0)
            for other in range(len(mean)):
                found = [
                    Difference(_known(mean[other, score]), int(pairs[other, score]), *bounds.at(other, score))
                    for score in range(len(COLUMNS))
                ]
                yield Differences(*_named(found), seed=seed)

    def _bounds(
        self, mean: Floats, influence: Floats, clusters: Sequence[Integers], resamples: Floats | None, there: Seen
    ) -> _Bounds:
        """``mean`` (… × scores) with the ``influence`` of every unit on it; ``clusters`` as ``_groupings``."""
        by_scenario, by_character, by_unit = (
            _variance(grouping, influence, held) for grouping, held in zip(self._groupings, clusters, strict=True)
        )
        two_way = by_character + by_scenario - by_unit
        two_way = np.where(two_way > 0, two_way, np.maximum(by_character, by_scenario))
        dialogue = self._t(mean, by_unit, clusters[2])
        if resamples is not None:
            drawn = slice(resamples.shape[-2])
            many = clusters[2][..., drawn] >= FEW
            for ends, t in zip(_percentiles(resamples, self._confidence), dialogue, strict=True):
                t[..., drawn] = np.where(many, ends, t[..., drawn])
        suite = self._t(mean, by_scenario, clusters[0])
        population = self._t(mean, two_way, np.minimum(clusters[0], clusters[1]))
        held = [widened(mean, bounds, there, self._confidence) for bounds in (suite, dialogue, population)]
        return _Bounds(np.sqrt(by_scenario), *held)

    def _t(self, mean: Floats, variance: Floats, clusters: Integers) -> Sides:
        half = stdtrit(np.maximum(clusters - 1, 1), (1 + self._confidence) / 2) * np.sqrt(variance)
        return Sides(mean - half, mean + half)

    def _worst(self, candidate: int, columns: Sequence[int], missing: Mapping[str, int]) -> Interval:
        """The mean with all missing ratings the lowest, and the highest."""
        sums, counts = self._sums[:, candidate, columns].sum(axis=0), self._counts[:, candidate, columns].sum(axis=0)
        lacking = np.array([missing.get(METRIC_IDS[column], 0) for column in columns])
        low, high = (((sums + score * lacking) / (counts + lacking)).mean() for score in (LOWEST, HIGHEST))
        return Interval(float(low), float(high))


class _Grouping:
    """Units in clusters; sums over them in a fixed order, so that threads change no bit."""

    def __init__(self, cluster: Integers) -> None:
        self._order = np.argsort(cluster, kind="stable")
        ordered = cluster[self._order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=-1)) if len(ordered) else np.zeros(0, dtype=np.int64)
        self._alone = len(self._starts) == len(ordered)

    def sums(self, values: NDArray[Any]) -> NDArray[Any]:
        """Clusters × …"""
        if self._alone:
            return values
        return np.add.reduceat(values[self._order], self._starts, axis=0)

    def holding(self, counts: Integers) -> Integers:
        """How many clusters hold ratings: candidates × metrics."""
        held: Integers = (self.sums(counts) > 0).sum(axis=0)
        return held


def _variance(grouping: _Grouping, influence: Floats, clusters: Integers) -> Floats:
    """Linearised ratio, cluster sums, factor G / (G − 1); ``nan`` below two clusters."""
    sums = grouping.sums(influence)
    factor = np.divide(clusters, clusters - 1, out=np.full(clusters.shape, np.nan), where=clusters >= 2)
    variance: Floats = factor * np.einsum("u...,u...->...", sums, sums)
    return variance


def _named(found: Sequence[Any]) -> tuple[Any, dict[Any, Any], dict[str, Any]]:
    """Overall, dimensions and metrics from the order of ``ENDPOINTS``."""
    dimensions = dict(zip(DIMENSIONS, found[1:], strict=False))
    return found[0], dimensions, dict(zip(METRIC_IDS, found[1 + len(DIMENSIONS) :], strict=True))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _interval(bounds: Sides, place: tuple[int, ...]) -> Interval | None:
    low, high = float(bounds[0][place]), float(bounds[1][place])
    return None if np.isnan(low) else Interval(low, high)
