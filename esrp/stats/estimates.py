"""An endpoint's estimate as a decision needs it: a mean, its error by scenario, and what it cannot exclude."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from esrp.stats.intervals import cluster_sums, mean_of
from esrp.stats.ratings import Floats, Units
from esrp.stats.unseen import EQUAL, STEP, Seen, chance, lower_bound, seen

USUAL = 0.95  # one-sided confidence at which what raters add is exactly what it should be


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean with what every scenario adds to its error, to first order, and with the ``degrees`` of freedom of that.

    ``errors`` are named by scenario and scaled so that their squares add up to the variance. ``seen``: the dialogues'
    values. ``mean`` is ``None`` where there are none, ``errors`` where there are fewer than two scenarios.
    """

    mean: float | None
    errors: dict[str, float] | None
    degrees: float
    seen: Seen | None

    @property
    def se(self) -> float | None:
        """The standard error."""
        return None if self.errors is None else math.sqrt(sum(error**2 for error in self.errors.values()))

    def bound(self, level: float) -> float | None:
        """The one-sided lower bound, corrected for a lean to below (Johnson 1978).

        A bot that loses where its baseline is all but perfect leans so: t alone passes it at its margin in 6.3 % of
        full runs. A lean to above would make the bound bolder, and is not believed.
        """
        if self.mean is None or self.se is None or self.seen is None:
            return None
        times = float(stdtrit(self.degrees, 1 - level))
        error = (times + self._lean * (1 + 2 * times**2) / 6) * self.se
        return lower_bound(self.mean, error, self.seen, level)

    @property
    def _lean(self) -> float:
        """The skewness of the mean's error, as far as it is to below by more than half of its own chance error."""
        if not self.errors or not self.se or self.se < EQUAL:
            return 0.0
        skewness = sum(error**3 for error in self.errors.values()) / self.se**3
        return max(0.0, -skewness - math.sqrt(6) / (self.degrees + 1) / 2)

    def worse(self, threshold: float) -> float:
        """The one-sided p-value against an estimate that is below the threshold by chance; 1 if nothing is known."""
        if self.mean is None or self.se is None or self.seen is None:
            return 1.0
        distance = self.mean - threshold
        if distance > -EQUAL:
            return 1.0
        by_t = 0.0 if self.se < EQUAL else float(stdtr(self.degrees, distance / self.se))
        return chance(self.mean, threshold, by_t, self.seen)

    def minus(self, shift: "Estimate") -> "Estimate":
        """This with a shift taken out that was measured on some of its dialogues: their errors are subtracted too.

        A scenario's dialogues vary together, so that where all were measured again nothing is counted twice. Degrees
        are those of the fewer scenarios. A shift that is not known, or not its error, leaves nothing known.
        """
        if self.mean is None or shift.mean is None or self.errors is None or shift.errors is None:
            return Estimate(None, None, 0, None)
        errors = {
            name: self.errors.get(name, 0.0) - shift.errors.get(name, 0.0)
            for name in sorted({*self.errors, *shift.errors})
        }
        return Estimate(self.mean - shift.mean, errors, min(self.degrees, shift.degrees), self._moved(shift.mean))

    def _moved(self, by: float) -> Seen | None:
        found = self.seen
        return found and Seen(found.n, found.low - by, found.high - by, found.differing, found.span)

    def of_raters_like(self, shares: Mapping[str, float]) -> "Estimate":
        """This for raters like these and not these: what each adds to the mean is an error too (``severities``).

        Two raters or more. Each part has a Student's t of its own, as in ``severity.half_width``: what raters add is
        stretched so that with the degrees of the scenarios it is that at a one-sided 95 %.
        """
        if self.mean is None or self.errors is None:
            return self
        raters = len(shares)
        stretch = float(stdtrit(raters - 1, USUAL) / stdtrit(self.degrees, USUAL))
        scale = stretch * math.sqrt(raters / (raters - 1))
        added = {f"\0rater {name}": scale * share for name, share in shares.items()}
        return Estimate(self.mean, self.errors | added, self.degrees, self.seen)

    def cautious(self) -> "Estimate":
        """With one dialogue more, a point below the worst that was seen, as a scenario of its own.

        θ′ = (nθ + x) / (n + 1). Of a disaster in a hundred dialogues, 120 hold none in one case of three.
        """
        if self.mean is None or self.errors is None or self.seen is None or not int(self.seen.n):
            return self
        n, worst = int(self.seen.n), max(self.seen.span.low, float(self.seen.low) - STEP)
        mean = (n * self.mean + worst) / (n + 1)
        grown = self.degrees + 1
        scale = n / (n + 1) * math.sqrt((grown + 1) / grown * self.degrees / grown)
        errors = {name: error * scale for name, error in self.errors.items()}
        added = math.sqrt((grown + 1) / grown) * (worst - mean) / (n + 1)
        return Estimate(mean, errors | {"\0worst": added}, grown, self.seen)


UNKNOWN = Estimate(None, None, 0, None)


def estimate(units: Units, columns: Sequence[int]) -> Estimate:
    """The unweighted mean of these metrics' means, clustered by scenario (STATISTICS 2); own logs by themselves."""
    mean = mean_of(units, columns) if len(units) else None
    if mean is None:
        return UNKNOWN
    found = seen(units.values(columns), units.span)
    sums = cluster_sums(units, columns)
    if sums is None:
        return Estimate(mean, None, 0, found)
    names = _names(units)
    clusters = sums.clusters
    scaled = sums.values * math.sqrt(clusters / (clusters - 1))
    return Estimate(mean, dict(zip(names, scaled.tolist(), strict=True)), clusters - 1, found)


def _names(units: Units) -> list[str]:
    """The scenario clusters' names, in the order of their numbers; own logs have none that another run knows."""
    names = [f"\0{number}" for number in range(int(units.scenario.max(initial=-1)) + 1)]
    for number, (_, scenario) in zip(units.scenario.tolist(), units.pairs, strict=True):
        if scenario is not None:
            names[number] = scenario
    return names


def joint(estimates: Iterable[Estimate]) -> Floats:
    """The covariance of estimates over the scenarios that they share; those without an error have none."""
    errors = [found.errors or {} for found in estimates]
    names = sorted({name for each in errors for name in each})
    table = np.array([[each.get(name, 0.0) for name in names] for each in errors]).reshape(len(errors), len(names))
    covariance: Floats = table @ table.T
    return covariance
