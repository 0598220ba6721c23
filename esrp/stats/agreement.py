"""Do raters agree: alpha to decide on, the paper's coefficients beside it, and a judge against people (STATISTICS 4).

Everything follows from how often each pair of scores occurs, so each coefficient is computed from a 5 × 5 table.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from esrp.metrics import METRIC_IDS, SCORES
from esrp.stats.intervals import CONFIDENCE, Interval
from esrp.stats.ratings import Floats, Integers, Ratings

VERSION = "esrp-agreement-2"  # changes whenever the same ratings would give another number
PERMUTATIONS = 400  # the null mean's Monte Carlo error is a twentieth of the spread of one permutation
MOST_PAIRS = 500_000  # a full study by ten raters; 400 permutations of so many take some 10 s and of more only longer
LEVELS = len(SCORES)
HIGHER = np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS))  # x − y
APART = np.abs(HIGHER)


@dataclass(frozen=True, slots=True)
class MeanAlpha:
    """The mean of the characters' alphas, with a t interval over them: raters are often nested in characters."""

    mean: float
    interval: Interval | None
    characters: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """How much raters of one kind agree; ``None`` is what cannot be known from so few or such equal ratings.

    ``krippendorff_alpha`` is ordinal, over all raters of all cells, pooled; ``alpha_by_character`` its mean over
    characters. The others are over the ``pairs`` of raters of a cell, pooled. ``weighted_tau`` is not 0 where raters
    are independent: read it beside ``weighted_tau_null``, its mean under permutation. ``icc`` is ICC(2,1) of
    ``icc_raters``: of all, over the cells that all rated, where those are half of the cells or more; else of two, over
    pooled pairs.
    """

    cells: int
    pairs: int
    krippendorff_alpha: float | None
    alpha_by_character: MeanAlpha | None
    qwk: float | None
    icc: float | None
    icc_raters: int
    acc: float | None
    acc_soft: float | None
    weighted_tau: float | None
    weighted_tau_null: float | None


@dataclass(frozen=True, slots=True)
class AgainstHumans:
    """A judge against people on one metric: one row per human rating that the judge rated too (the paper's Table 3).

    ``bias`` is judge − human.
    """

    n: int
    acc: float | None
    acc_soft: float | None
    bias: float | None
    qwk: float | None


def agreement(ratings: Ratings, kind: str, *, permutations: int = PERMUTATIONS) -> Agreement:
    """Agreement of the raters of one kind, ``judge`` or ``human``.

    A cell is a dialogue × metric with at least two ratings of the kind: a (candidate, character, scenario, metric), one
    for each replicate. In a pair, x is the rater whose id sorts first. The order of rows and the dialogues' names
    change nothing. Of more than ``MOST_PAIRS`` pairs there is no weighted tau: its null would take too long.
    """
    cells = _cells(ratings, kind)
    joint = _joint(cells)
    pairs = int(joint.sum())
    tau = _weighted_tau(joint[None])[0] if pairs <= MOST_PAIRS else math.nan
    known, whole = not math.isnan(tau), _complete(cells)
    return Agreement(
        cells=len(cells.counts),
        pairs=pairs,
        krippendorff_alpha=ordinal_alpha(cells.counts),
        alpha_by_character=_by_character(cells),
        qwk=quadratic_kappa(joint),
        icc=icc(joint) if whole is None else icc_of_all(whole),
        icc_raters=2 if whole is None else whole.shape[1],
        acc=_share(joint, within=0),
        acc_soft=_share(joint, within=1),
        weighted_tau=float(tau) if known else None,
        weighted_tau_null=_null(joint, _seed(ratings, kind), permutations) if known else None,
    )


def against_humans(ratings: Ratings, judge: str) -> dict[str, AgainstHumans]:
    """The judge with that rater id against every human rating of the same dialogue and metric, metric by metric."""
    return dict(zip(METRIC_IDS, map(compared, _judge_and_human(ratings, judge)), strict=True))


# --- cells and pairs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Cells:
    """For each cell its scores' counts (cells × 5) and its character; and all its ratings, sorted by cell and rater.

    What has one rating is no cell, but ``start``, ``size`` and ``score`` have it too.
    """

    counts: Integers
    character: Integers
    start: Integers
    size: Integers
    score: Integers
    rater: Integers


def _cells(ratings: Ratings, kind: str) -> _Cells:
    chosen = np.flatnonzero(_of_kind(ratings, kind))
    cell = ratings.codes["dialogue"][chosen] * len(METRIC_IDS) + ratings.codes["metric"][chosen]
    order = np.lexsort((ratings.codes["rater"][chosen], cell))
    rows, cell = chosen[order], cell[order]
    _, start, number, size = np.unique(cell, return_index=True, return_inverse=True, return_counts=True)
    enough = size >= 2
    score = ratings.score[rows] - 1
    counts = np.bincount(number * LEVELS + score, minlength=len(size) * LEVELS).reshape(-1, LEVELS)
    return _Cells(
        counts=counts[enough].astype(np.int64),
        character=ratings.codes["character"][rows][start[enough]],
        start=start,
        size=size,
        score=score,
        rater=ratings.codes["rater"][rows],
    )


def _complete(cells: _Cells) -> Integers | None:
    """The scores of three raters or more where each rated: cells × raters; ``None`` if that is under half of the cells.

    A rater that scored a cell twice makes it no complete one.
    """
    raters, number = np.unique(cells.rater, return_inverse=True)
    full = cells.start[cells.size == len(raters)]
    if len(raters) < 3 or not len(full):
        return None
    at = full[:, None] + np.arange(len(raters))
    each = (number[at] == np.arange(len(raters))).all(axis=1)
    table = cells.score[at[each]]
    return table[np.lexsort(table.T)] if len(table) * 2 >= len(cells.counts) else None


def _joint(cells: _Cells) -> Integers:
    """How often each (x, y) occurs over all pairs of raters of a cell: x the rater whose id sorts first.

    Each rating as y meets, as x, what was given before it in its cell; the pairs themselves may be too many to list.
    """
    given = np.eye(LEVELS, dtype=np.int64)[cells.score]
    before = np.cumsum(given, axis=0) - given
    joint: Integers = (before - np.repeat(before[cells.start], cells.size, axis=0)).T @ given
    return joint


def _judge_and_human(ratings: Ratings, judge: str) -> Integers:
    """Each metric's table (judge, human), one for each human rating of what the judge rated."""
    names = np.array([name == judge for name in ratings.levels["rater"]], dtype=bool)
    cell = ratings.codes["dialogue"] * len(METRIC_IDS) + ratings.codes["metric"]
    judged = np.flatnonzero(names[ratings.codes["rater"]] & _of_kind(ratings, "judge"))
    said = np.full(len(ratings.levels["dialogue"]) * len(METRIC_IDS), -1, dtype=np.int64)
    said[cell[judged]] = ratings.score[judged] - 1
    people = np.flatnonzero(_of_kind(ratings, "human"))
    people = people[said[cell[people]] >= 0]
    place = (ratings.codes["metric"][people] * LEVELS + said[cell[people]]) * LEVELS + ratings.score[people] - 1
    return np.bincount(place, minlength=len(METRIC_IDS) * LEVELS**2).reshape(-1, LEVELS, LEVELS)


def _of_kind(ratings: Ratings, kind: str) -> NDArray[np.bool_]:
    names = np.array([name == kind for name in ratings.levels["kind"]], dtype=bool)
    return names[ratings.codes["kind"]]


def compared(joint: Integers) -> AgainstHumans:
    """A table (5 × 5) of how often each (judge, other) pair of scores occurs, in the coefficients of the card."""
    n = int(joint.sum())
    return AgainstHumans(
        n=n,
        acc=_share(joint, within=0),
        acc_soft=_share(joint, within=1),
        bias=int((joint * HIGHER).sum()) / n if n else None,
        qwk=quadratic_kappa(joint),
    )


# --- coefficients -----------------------------------------------------------------------------------------------------


def ordinal_alpha(counts: Integers) -> float | None:
    """Krippendorff's alpha with the ordinal metric; ``counts``: cells × 5, how often each score was given.

    Cells with fewer than two ratings do not count. ``None`` where there are none, or all scores are equal.
    """
    counts = counts[counts.sum(axis=1) >= 2].astype(np.float64)
    given = counts.sum(axis=0)
    squared = _ordinal_distances(given)
    expected = float(given @ squared @ given)
    if expected == 0:
        return None
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    observed = float(((weighted.T @ counts) * squared).sum())  # pairs of equal scores are no distance apart
    return 1 - (float(given.sum()) - 1) * observed / expected


def _ordinal_distances(given: Floats) -> Floats:
    """Squared: how many ratings lie between two scores, half of those at either end counted."""
    middle = np.cumsum(given) - given / 2
    squared: Floats = np.subtract.outer(middle, middle) ** 2
    return squared


def quadratic_kappa(joint: Integers) -> float | None:
    """Cohen's kappa with quadratic weights over the labels 1 to 5; ``None`` if both raters never vary."""
    weights = APART**2
    by_chance = float((weights * np.outer(joint.sum(axis=1), joint.sum(axis=0))).sum())
    return 1 - float((weights * joint).sum()) * float(joint.sum()) / by_chance if by_chance else None


def icc_of_all(scores: Integers) -> float | None:
    """ICC(2,1) of a complete table, cells × raters: two-way random effects, absolute agreement, a single rater."""
    n, k = scores.shape
    if n < 2:
        return None
    values = scores.astype(np.float64)
    grand, cell, rater = values.mean(), values.mean(axis=1), values.mean(axis=0)
    cells = k * float(((cell - grand) ** 2).sum()) / (n - 1)
    raters = n * float(((rater - grand) ** 2).sum()) / (k - 1)
    rest = values - cell[:, None] - rater + grand
    error = float((rest**2).sum()) / ((n - 1) * (k - 1))
    total = cells + (k - 1) * error + k * (raters - error) / n
    return (cells - error) / total if total else None


def icc(joint: Integers) -> float | None:
    """ICC(2,1): two-way random effects, absolute agreement; ``None`` below two pairs or where nothing varies."""
    n = float(joint.sum())
    if n < 2:
        return None
    level = np.arange(LEVELS)
    x, y = np.meshgrid(level, level, indexing="ij")
    grand = float((joint * (x + y)).sum()) / (2 * n)
    between_pairs = float((joint * ((x + y) / 2 - grand) ** 2).sum()) * 2 / (n - 1)
    columns = [float((joint * values).sum()) / n for values in (x, y)]
    between_raters = n * sum((mean - grand) ** 2 for mean in columns)
    residual = (
        float((joint * (x - (x + y) / 2 - columns[0] + grand) ** 2).sum())
        + float((joint * (y - (x + y) / 2 - columns[1] + grand) ** 2).sum())
    ) / (n - 1)
    total = between_pairs + residual + 2 * (between_raters - residual) / n
    return (between_pairs - residual) / total if total else None


def _share(joint: Integers, *, within: int) -> float | None:
    """The share of pairs that are at most ``within`` apart."""
    n = int(joint.sum())
    return int(joint[within >= APART].sum()) / n if n else None


def _by_character(cells: _Cells) -> MeanAlpha | None:
    alphas = [ordinal_alpha(cells.counts[cells.character == number]) for number in np.unique(cells.character)]
    known = np.array([alpha for alpha in alphas if alpha is not None])
    if not len(known):
        return None
    mean = float(known.mean())
    if len(known) < 2:
        return MeanAlpha(mean, None, len(known))
    half = float(stdtrit(len(known) - 1, (1 + CONFIDENCE) / 2) * known.std(ddof=1) / math.sqrt(len(known)))
    return MeanAlpha(mean, Interval(mean - half, mean + half), len(known))


# --- the weighted tau and its null ------------------------------------------------------------------------------------


def _weighted_tau(joint: Integers) -> Floats:
    """``scipy.stats.weightedtau`` with its defaults, of each table (tables × 5 × 5); ``nan`` if a rater is constant.

    The defaults rank by (x, y) and by (y, x), highest first, weigh a pair by the sum of 1 / rank of its two items and
    take the mean of both. Items with the same (x, y) are neighbours in either ranking: their weights are a difference
    of harmonic numbers, and the sum over pairs of items is one over pairs of table cells.
    """
    cells = joint.reshape(-1, LEVELS * LEVELS)
    x, y = np.divmod(np.arange(LEVELS * LEVELS), LEVELS)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(cells.sum(axis=1).max(initial=0)) + 1))])
    by_x = np.arange(LEVELS * LEVELS)[::-1]
    by_y = np.lexsort((x, y))[::-1]
    return (_ranked_tau(cells, by_x, harmonic, x, y) + _ranked_tau(cells, by_y, harmonic, x, y)) / 2


def _ranked_tau(cells: Integers, ranking: Integers, harmonic: Floats, x: Integers, y: Integers) -> Floats:
    weights = np.empty(cells.shape)
    last = np.cumsum(cells[:, ranking], axis=1)
    weights[:, ranking] = harmonic[last] - harmonic[last - cells[:, ranking]]
    sign_x, sign_y = np.sign(np.subtract.outer(x, x)), np.sign(np.subtract.outer(y, y))
    concordant = (weights * (cells @ (sign_x * sign_y))).sum(axis=1)
    untied_x = (weights * (cells @ np.abs(sign_x))).sum(axis=1)
    untied_y = (weights * (cells @ np.abs(sign_y))).sum(axis=1)
    scale = np.sqrt(untied_x * untied_y)
    tau: Floats = np.divide(concordant, scale, out=np.full_like(scale, np.nan), where=scale > 0)
    return tau


def _null(joint: Integers, seed: str, permutations: int) -> float:
    """The mean of the weighted tau over permutations of y: tables with the same margins."""
    return float(_weighted_tau(_permuted(joint, seed, permutations)).mean())


def _permuted(joint: Integers, seed: str, permutations: int) -> Integers:
    """Tables of x against a permuted y, exactly distributed, from raw Philox words (STATISTICS 3).

    Each pair draws a word; the pairs with the smallest words take the lowest score of y, and so on. Only how many of
    each x are among them counts, so a selection of four order statistics replaces a sort.
    """
    rows, columns = joint.sum(axis=1), joint.sum(axis=0)
    n = int(joint.sum())
    words = np.random.Philox(key=int(seed[:32], 16))
    cuts, ends = np.cumsum(columns)[:-1], np.concatenate([[0], np.cumsum(rows)])
    below = np.zeros((permutations, LEVELS, LEVELS + 1), dtype=np.int64)
    below[:, :, LEVELS] = rows
    inner = np.flatnonzero((cuts > 0) & (cuts < n))
    for permutation in below:
        drawn = words.random_raw(n)
        limits = np.partition(drawn, cuts[inner])[cuts[inner]]
        for x in range(LEVELS):
            among = drawn[ends[x] : ends[x + 1]]
            permutation[x, 1 + inner] = [np.count_nonzero(among < limit) for limit in limits]
        permutation[:, 1 + np.flatnonzero(cuts == n)] = rows[:, None]
    return np.diff(below, axis=2)


def _seed(ratings: Ratings, kind: str) -> str:
    return hashlib.sha256("\n".join((VERSION, kind, ratings.sha256)).encode()).hexdigest()
