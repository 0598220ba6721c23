"""Has a judge moved: the same dialogues rated now and before (STATISTICS 6, the sentinel of a gate)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scipy.special import stdtr, stdtrit

from esrp.metrics import ENDPOINTS, METRIC_IDS, columns_of
from esrp.stats.estimates import Estimate, estimate
from esrp.stats.holm import holm
from esrp.stats.intervals import CONFIDENCE, Interval, mean_of, standard_error
from esrp.stats.paired import paired
from esrp.stats.ratings import Ratings, Units, rows_of

EQUAL = 1e-9  # a mean as near as that to 0 is 0: differences are kept in units of 2⁻³²


@dataclass(frozen=True, slots=True)
class Shift:
    """New − stored score over the nine metrics, of ``pairs`` dialogues; ``shifted`` names what moved beyond chance."""

    difference: float | None
    interval: Interval | None
    pairs: int
    shifted: tuple[str, ...]


def shift(fresh: Ratings, stored: Ratings, *, confidence: float = CONFIDENCE) -> Shift:
    """Compare one judge's ratings of the same (character, scenario): clustered by scenario, t with G − 1.

    ``shifted``: the metrics and ``overall`` that are not 0, two-sided, with Holm over all that were measured. The
    interval is that of the overall difference alone. Fewer than two scenarios show nothing.
    """
    units = paired(fresh.units, stored.units)
    scenarios = len(set(units.scenario.tolist()))
    p_values = dict(_p_values(units, scenarios))
    moved = dict(zip(p_values, holm(list(p_values.values()), 1 - confidence), strict=True))
    columns = columns_of("overall")
    difference = mean_of(units, columns) if len(units) else None
    return Shift(
        difference=difference,
        interval=_interval(units, columns, difference, scenarios, confidence),
        pairs=int(units.counts.any(axis=1).sum()),
        shifted=tuple(name for name, beyond_chance in moved.items() if beyond_chance),
    )


def drift(heard: Ratings, stored: Ratings) -> dict[str, Estimate]:
    """By endpoint how far judges' scores moved since the baseline was rated, to be taken out of a difference from it.

    ``heard`` are scores of ``stored`` dialogues as they are given now; a judge that was not asked again has not moved.
    An endpoint of which a metric was not rated again is not known.
    """
    now = {(r.dialogue, r.metric, r.rater): r.score for r in rows_of(heard)}
    asked = {(dialogue, metric) for dialogue, metric, _ in now}
    before = [r for r in rows_of(stored) if r.kind == "judge" and (r.dialogue, r.metric) in asked]
    after = [r._replace(score=now.get((r.dialogue, r.metric, r.rater), r.score)) for r in before]
    units = paired(Ratings.of(after).units, Ratings.of(before).units)
    return {name: estimate(units, columns_of(name)) for name in ENDPOINTS}


def _p_values(units: Units, scenarios: int) -> Iterator[tuple[str, float]]:
    for name in ("overall", *METRIC_IDS):
        columns = columns_of(name)
        mean = mean_of(units, columns) if len(units) else None
        se = None if mean is None else standard_error(units, columns)
        if mean is not None and se is not None:
            yield name, _two_sided(mean, se, scenarios)


def _two_sided(mean: float, se: float, clusters: int) -> float:
    if abs(mean) < EQUAL:
        return 1.0
    return 0.0 if se < EQUAL else 2 * float(stdtr(clusters - 1, -abs(mean) / se))


def _interval(
    units: Units, columns: list[int], mean: float | None, scenarios: int, confidence: float
) -> Interval | None:
    se = None if mean is None else standard_error(units, columns)
    if mean is None or se is None or math.isnan(mean):
        return None
    half = float(stdtrit(scenarios - 1, (1 + confidence) / 2)) * se
    return Interval(mean - half, mean + half)
