"""Bounds that hold what n dialogues cannot exclude, one number after another, with nothing of ``esrp.stats``."""

from collections.abc import Sequence

from scipy.stats import beta


def unseen(n: int, error: float) -> float:
    """The exact upper limit of a share of which n dialogues hold none (Clopper and Pearson 1934)."""
    return float(beta.ppf(1 - error, 1, n)) if n else 1.0


def interval(
    mean: float, low: float, high: float, values: Sequence[float], scale: tuple[float, float] = (1, 5)
) -> tuple[float, float]:
    """A two-sided 95 % interval, widened; ``values``: of the dialogues that have all metrics."""
    a, b = scale
    least, most = min(values, default=a), max(values, default=b)
    alike, share = _alike(values), unseen(len(values), 0.025)
    below = _half(mean - low, mean - a, mean - least, b - mean, share, alike)
    above = _half(high - mean, b - mean, most - mean, mean - a, share, alike)
    return max(a, mean - below), min(b, mean + above)


def _alike(values: Sequence[float]) -> bool:
    """Fewer than ten dialogues, and than a quarter of them, are not as the (lower) median is."""
    if not values:
        return False
    median = sorted(values)[(len(values) - 1) // 2]
    differing = sum(abs(value - median) > 1e-9 for value in values)
    return differing < 10 and differing < len(values) / 4


def _half(half: float, room: float, reach: float, opposite: float, share: float, alike: bool) -> float:
    """One side's: ``room`` and ``opposite`` to the scale's two ends, ``reach`` to the dialogue furthest on this side.

    Where dialogues are alike the unseen lie up to two points beyond them. Else up to the scale's end, but for no more
    than 0.18 of the half width times this side's part of the scale; and if the half width is above 0.55 of the way to
    the opposite end, one point beyond at least.
    """
    if alike:
        return max(half, share * min(room, reach + 2))
    found = max(half, min(share * room, half * (1 + 0.18 * room / (room + opposite))))
    return max(found, share * min(room, reach + 1)) if half > 0.55 * opposite else found


def lower_bound(mean: float, half: float, values: Sequence[float], scale: tuple[float, float] = (-4, 4)) -> float:
    """A one-sided 95 % bound, ``half`` below the mean, with as much room and the unseen one point beyond the worst."""
    a, b = scale
    share, room = unseen(len(values), 0.05), mean - a
    reach = mean - max(a, min(values, default=a) - 1)
    trusted = min(share * room, half * (1 + 0.18 * room / (b - a)))
    return max(a, mean - max(half, trusted, share * reach))
