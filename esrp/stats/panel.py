"""Several judges: whether they agree, who of them says nothing, and claims about judges like these."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from esrp.metrics import METRIC_IDS, columns_of
from esrp.stats.agreement import LEVELS, ordinal_alpha
from esrp.stats.estimates import estimate
from esrp.stats.intervals import CONFIDENCE, Interval
from esrp.stats.ratings import Floats, Ratings
from esrp.stats.severity import half_width, severities
from esrp.stats.unseen import Sides, widened

FEWEST = 10  # scores of a judge: one that gave fewer may well have given the same
RELATED = 0.3  # correlation with the others: a judge that is surely below it follows something else


@dataclass(frozen=True, slots=True)
class Panel:
    """Of judges that rated the same dialogues.

    ``alpha``: Krippendorff's ordinal alpha by metric, to stand beside its mean; ``None`` where too few or too equal
    ratings tell. ``constant``: judges that gave one score to everything. ``unrelated``: those whose scores are surely
    not those of the others, correlation below 0.3 with 95 % confidence; of two judges that is both or none.
    """

    judges: tuple[str, ...]
    alpha: dict[str, float | None]
    constant: tuple[str, ...]
    unrelated: tuple[str, ...]


def panel(ratings: Ratings) -> Panel:
    """What is to be said of the judges of one run, whose ratings alone are given."""
    names = ratings.levels["rater"]
    present = [code for code in range(len(names)) if (ratings.codes["rater"] == code).any()]
    table = _table(ratings, present)
    constant = [place for place in range(len(present)) if _constant(table[place])]
    unrelated = [place for place in range(len(present)) if place not in constant and _unrelated(table, place)]
    return Panel(
        judges=tuple(names[code] for code in present),
        alpha={name: _alpha(table[:, :, column]) for column, name in enumerate(METRIC_IDS)},
        constant=tuple(names[present[place]] for place in constant),
        unrelated=tuple(names[present[place]] for place in unrelated),
    )


def among_judges(ratings: Ratings, endpoint: str, *, confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of a mean for judges like these and new scenarios: judges are clusters too, crossed with dialogues.

    ``None`` for fewer than two judges, where they share no dialogues, and below two scenarios. Two leave it wide.
    """
    columns = columns_of(endpoint)
    found, severity = estimate(ratings.units, columns), severities(ratings, "judge")
    among = None if severity is None else severity.variance(columns)
    if found.mean is None or found.se is None or found.seen is None or severity is None or among is None:
        return None
    half = half_width(found.se**2, found.degrees, among, severity.raters, confidence)
    bounds = Sides(np.array(found.mean - half), np.array(found.mean + half))
    low, high = widened(np.array(found.mean), bounds, found.seen, confidence)
    return Interval(float(low), float(high))


def _table(ratings: Ratings, present: list[int]) -> Floats:
    """Judges × dialogues × metrics, ``nan`` where there is no score."""
    table = np.full((len(present), len(ratings.levels["dialogue"]), len(METRIC_IDS)), np.nan)
    place = {code: number for number, code in enumerate(present)}
    judges = [place[code] for code in ratings.codes["rater"].tolist()]
    table[judges, ratings.codes["dialogue"], ratings.codes["metric"]] = ratings.score
    return table


def _constant(scores: Floats) -> bool:
    given = scores[~np.isnan(scores)]
    return len(given) >= FEWEST and bool((given == given[0]).all())


def _alpha(scores: Floats) -> float | None:
    counts = np.stack([(scores == level).sum(axis=0) for level in range(1, LEVELS + 1)], axis=1)
    return ordinal_alpha(counts.astype(np.int64))


def _unrelated(table: Floats, place: int) -> bool:
    """Over dialogues, the means of what stands out from each metric's mean; Fisher's z."""
    others = np.delete(table, place, axis=0)
    shared = ~np.isnan(table[place]) & ~np.isnan(others).all(axis=0)
    count = shared.sum(axis=1)
    rows = count > 0
    if rows.sum() < FEWEST:
        return False
    apart = [_standing(scores, shared)[rows] / count[rows] for scores in (table[place], _mean(others))]
    if min(part.std() for part in apart) < 1e-9:
        return False
    correlation = float(np.clip(np.corrcoef(*apart)[0, 1], -0.999999, 0.999999))
    limit = math.tanh(math.atanh(correlation) + float(ndtri(CONFIDENCE)) / math.sqrt(int(rows.sum()) - 3))
    return limit < RELATED


def _mean(scores: Floats) -> Floats:
    given = ~np.isnan(scores)
    sums = np.where(given, scores, 0.0).sum(axis=0)
    mean: Floats = sums / np.maximum(given.sum(axis=0), 1)
    return mean


def _standing(scores: Floats, shared: np.ndarray) -> Floats:
    """Each dialogue's sum of what its shared scores are above their metric's mean."""
    kept = np.where(shared, scores, 0.0)
    means = kept.sum(axis=0) / np.maximum(shared.sum(axis=0), 1)
    above: Floats = np.where(shared, kept - means, 0.0).sum(axis=1)
    return above
