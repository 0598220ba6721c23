"""How varied a candidate's replies are: means over batches of ten, as rated or as counted (STATISTICS 7)."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from esrp.stats.bootstrap import key, resampled
from esrp.stats.intervals import Interval, intervals, mean_of, standard_error
from esrp.stats.paired import SCALE
from esrp.stats.ratings import SCORES, Span, Units
from esrp.stats.scores import METHOD, Method

SHARES = Span(0.0, 1.0)


class BatchRating(NamedTuple):
    """One rater's score, 1 to 5, of one of a character's batches."""

    character: str
    batch: int
    rater: str
    kind: str
    score: int


@dataclass(frozen=True, slots=True)
class DiversityScore:
    """A mean over ``n`` batches with ``ratings`` ratings; ``se`` is clustered by batch.

    ``batch``: other replies of these characters, resampled by batch; ``population``: other characters too, clustered by
    character. ``None`` is what cannot be known.
    """

    mean: float | None
    n: int
    ratings: int
    se: float | None
    batch: Interval | None
    population: Interval | None


def rated_diversity(ratings: Iterable[BatchRating], method: Method = METHOD) -> DiversityScore:
    """Sum ÷ count of all ratings; a resampled batch brings all its ratings."""
    rows = list(ratings)
    return _score(batch_units(rows), diversity_sha256(rows), method)


def batch_units(ratings: Iterable[BatchRating]) -> Units:
    """Every batch a unit and a cluster by itself: the sum and the count of its ratings, in its only column."""
    given: dict[tuple[str, int], list[int]] = {}
    for row in ratings:
        given.setdefault((row.character, row.batch), []).append(row.score)
    return _units({batch: (sum(scores), len(scores)) for batch, scores in given.items()})


def counted_diversity(values: Mapping[tuple[str, int], float], method: Method = METHOD) -> DiversityScore:
    """The mean of a number that was counted of each batch, by character and number, such as opening diversity."""
    rounded = {batch: (round(value * SCALE), 1) for batch, value in sorted(values.items())}
    seed = hashlib.sha256(json.dumps([[*batch, total] for batch, (total, _) in rounded.items()]).encode()).hexdigest()
    return _score(_units(rounded, SCALE, SHARES), seed, method)


def diversity_sha256(ratings: Iterable[BatchRating]) -> str:
    """The hash of the ratings; their order changes nothing."""
    return hashlib.sha256(json.dumps(sorted(ratings), ensure_ascii=False).encode()).hexdigest()


def _score(units: Units, sha256: str, method: Method) -> DiversityScore:
    if not len(units):
        return DiversityScore(None, 0, 0, None, None, None)
    resamples = resampled(units, key(sha256), replicates=method.bootstrap)
    found = intervals(units, [0], resamples, method.confidence)
    return DiversityScore(
        mean=mean_of(units, [0]),
        n=len(units),
        ratings=int(units.counts.sum()),
        se=standard_error(units, [0]),
        batch=found.dialogue,
        population=found.population,
    )


def _units(totals: Mapping[tuple[str, int], tuple[int, int]], scale: float = 1.0, span: Span = SCORES) -> Units:
    """Every batch a unit; it is nested in its character, so that two-way clusters are those of characters."""
    order: Sequence[tuple[str, int]] = sorted(totals)
    characters = {name: code for code, name in enumerate(sorted({character for character, _ in order}))}
    return Units(
        sums=np.array([totals[batch][0] for batch in order], dtype=np.int64).reshape(-1, 1),
        counts=np.array([totals[batch][1] for batch in order], dtype=np.int64).reshape(-1, 1),
        character=np.array([characters[character] for character, _ in order], dtype=np.int64),
        scenario=np.arange(len(order), dtype=np.int64),
        pairs=tuple((character, str(number)) for character, number in order),
        scale=scale,
        span=span,
    )
