"""Many tests at once, and the chance of any false rejection held (Holm 1979)."""

from collections.abc import Callable, Sequence

import numpy as np


def holm(p_values: Sequence[float], alpha: float, level: Callable[[float], float] = float) -> list[bool]:
    """Which hypotheses fall, all at once at ``alpha``.

    The smallest p value is held against α / m, the next against α / (m − 1), and so on until one holds. ``level`` says
    what a look may use of an error that is spent over several: each intersection of m hypotheses is then a Bonferroni
    test with bounds that spend α / m, so that the closed test holds over all looks together.
    """
    rejected = [False] * len(p_values)
    for left, number in zip(range(len(p_values), 0, -1), np.argsort(p_values, kind="stable"), strict=True):
        if p_values[number] > level(alpha / left):
            break
        rejected[number] = True
    return rejected
