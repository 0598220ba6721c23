"""What reports and figures say of a table of ratings, computed by hand: nothing of ``esrp.stats`` is in it."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.stats import t as student

from esrp.api import Estimate
from esrp.metrics import DIMENSIONS, METRIC_IDS, metrics_of
from tests.pipeline.unseen_by_hand import interval

CANDIDATES = ("wren", "finch", "lark")
CHARACTERS = [f"c{n}" for n in range(4)]
SCENARIOS = [
    {
        "id": f"s{n}",
        "persona": f"persona {n % 3}",
        "emotion": f"emotion {n % 4}",
        "location": f"place {n % 2}",
        "event": "Something happened.",
        "question": f"Question number {n}?",
    }
    for n in range(10)
]
SCORES: dict[str, Sequence[str]] = {
    "overall": METRIC_IDS,
    **{str(dimension): metrics_of(dimension) for dimension in DIMENSIONS},
    **{metric: (metric,) for metric in METRIC_IDS},
}


class Row(NamedTuple):
    """A line of the table; there is none where a rating is missing."""

    candidate: str
    character: str
    scenario: str
    metric: str
    rater: str
    score: int


@dataclass(frozen=True)
class Expected:
    mean: float | None
    n: int
    ratings: int
    se: float | None
    suite: tuple[float, float] | None
    population: tuple[float, float] | None
    dialogue: tuple[float, float] | None
    resampled: bool


def by_hand(rows: Sequence[Row], metrics: Sequence[str]) -> Expected:
    """Sum ÷ count of each metric, the mean over metrics, clustered errors and what was not seen, one by one."""
    mine = [row for row in rows if row.metric in metrics]
    given: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in mine:
        given[row.character, row.scenario][row.metric].append(row.score)
    counts = Counter(row.metric for row in mine)
    n, total = len(given), sum(counts.values())
    if any(counts[metric] == 0 for metric in metrics):
        return Expected(None, n, total, None, None, None, None, False)
    score = {metric: sum(r.score for r in mine if r.metric == metric) / counts[metric] for metric in metrics}
    mean = sum(score.values()) / len(metrics)
    error = {
        unit: sum((sum(of[m]) - score[m] * len(of[m])) / counts[m] for m in metrics) / len(metrics)
        for unit, of in given.items()
    }

    def variance(cluster: Callable[[tuple[str, str]], Any]) -> tuple[float, int] | None:
        held = min(len({cluster((r.character, r.scenario)) for r in mine if r.metric == m}) for m in metrics)
        if held < 2:
            return None
        sums: dict[Any, float] = defaultdict(float)
        for unit, value in error.items():
            sums[cluster(unit)] += value
        return held / (held - 1) * math.fsum(value**2 for value in sums.values()), held

    complete = [of for of in given.values() if all(of[m] for m in metrics)]
    values = [sum(sum(of[m]) / len(of[m]) for m in metrics) / len(metrics) for of in complete]

    def around(found: tuple[float, int] | None) -> tuple[float, float] | None:
        if found is None:
            return None
        half = float(student.ppf(0.975, found[1] - 1)) * math.sqrt(found[0])
        return interval(mean, mean - half, mean + half, values)

    scenario, character, unit = variance(lambda u: u[1]), variance(lambda u: u[0]), variance(lambda u: u)
    both = None
    if scenario and character and unit:
        value = scenario[0] + character[0] - unit[0]
        both = (value if value > 0 else max(scenario[0], character[0])), min(scenario[1], character[1])
    resampled = unit is not None and unit[1] >= 30
    return Expected(
        mean=mean,
        n=n,
        ratings=total,
        se=math.sqrt(scenario[0]) if scenario else None,
        suite=around(scenario),
        population=around(both),
        dialogue=interval(mean, *percentiles(list(given.values()), metrics), values) if resampled else around(unit),
        resampled=resampled,
    )


def percentiles(units: Sequence[Mapping[str, Sequence[int]]], metrics: Sequence[str]) -> tuple[float, float]:
    """The percentile bootstrap over dialogues, with a generator of numpy's own."""
    sums = np.array([[sum(unit.get(metric, ())) for metric in metrics] for unit in units])
    counts = np.array([[len(unit.get(metric, ())) for metric in metrics] for unit in units])
    drawn = np.random.default_rng(5).integers(len(units), size=(5000, len(units)))
    means = (sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def assert_same(found: Estimate, expected: Expected) -> None:
    assert (found.n, found.ratings) == (expected.n, expected.ratings)
    for value, wanted in ((found.mean, expected.mean), (found.se, expected.se)):
        assert value == (None if wanted is None else pytest.approx(wanted, abs=1e-9))
    for name in ("suite", "population"):
        assert_bounds(getattr(found.ci, name), getattr(expected, name), 1e-9)
    within = (expected.se or 0) / 4 if expected.resampled else 1e-9
    assert_bounds(found.ci.dialogue, expected.dialogue, within)


def assert_bounds(found: Sequence[float] | None, expected: Sequence[float] | None, within: float) -> None:
    if expected is None:
        assert found is None
    else:
        assert found is not None and list(found) == pytest.approx(list(expected), abs=within)


def groups_by_hand(rows: Iterable[Row], by: str) -> dict[str, list[Row]]:
    labels = {str(scenario["id"]): scenario for scenario in SCENARIOS}
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        own = by in ("character", "scenario", "rater")
        found[getattr(row, by) if own else str(labels[row.scenario][by])].append(row)
    return dict(found)


def alpha_by_hand(pairs: Sequence[tuple[int, int]]) -> float:
    """Krippendorff's alpha of pairs with the ordinal metric, from its definition."""
    given = Counter(score for pair in pairs for score in pair)

    def apart(a: int, b: int) -> float:
        low, high = min(a, b), max(a, b)
        return (sum(given[level] for level in range(low, high + 1)) - (given[a] + given[b]) / 2) ** 2

    total = 2 * len(pairs)
    observed = sum(2 * apart(a, b) for a, b in pairs) / total
    levels = list(given)
    expected = sum(given[a] * given[b] * apart(a, b) for a in levels for b in levels) / (total * (total - 1))
    return 1 - observed / expected


def kappa_by_hand(pairs: Sequence[tuple[int, int]]) -> float:
    ours, theirs = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    seen = sum((a - b) ** 2 for a, b in pairs) / len(pairs)
    by_chance = sum((a - b) ** 2 * ours[a] * theirs[b] for a in ours for b in theirs) / len(pairs) ** 2
    return 1 - seen / by_chance


def icc_by_hand(x: Any, y: Any) -> float:
    """ICC(2,1) from the mean squares of a two-way analysis of variance."""
    table = np.column_stack([x, y])
    n, k = table.shape
    grand = table.mean()
    rows = k * ((table.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    columns = n * ((table.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + grand
    error = (rest**2).sum() / ((n - 1) * (k - 1))
    return float((rows - error) / (rows + (k - 1) * error + k * (columns - error) / n))
