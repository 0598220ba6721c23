"""Rating sets for tests of the statistics."""

from collections.abc import Callable, Sequence

import numpy as np

from esrp.metrics import METRIC_IDS
from esrp.stats import Rating

Score = Callable[[int, int, int], int]


def rating(
    character: str,
    scenario: str | None,
    score: int,
    *,
    metric: str = "fluency",
    rater: str = "r1",
    kind: str = "judge",
    dialogue: str | None = None,
) -> Rating:
    return Rating(dialogue or f"{character}/{scenario}", character, scenario, metric, rater, kind, score)


def crossed(characters: int, scenarios: int, score: Score, *, raters: Sequence[str] = ("r1",)) -> list[Rating]:
    """Every character in every scenario, nine metrics; ``score`` takes their numbers and the metric's."""
    return [
        rating(f"c{c:02}", f"s{s:02}", score(c, s, m), metric=metric, rater=rater)
        for c in range(characters)
        for s in range(scenarios)
        for m, metric in enumerate(METRIC_IDS)
        for rater in raters
    ]


def noisy(characters: int, scenarios: int, seed: int = 1) -> list[Rating]:
    """A study with scenarios and dialogues that differ."""
    chance = np.random.default_rng(seed)
    latent = 3.8 + chance.normal(0, 0.3, (1, scenarios, 1)) + chance.normal(0, 0.7, (characters, scenarios, 9))
    table = np.clip(np.rint(latent), 1, 5).astype(int)
    return crossed(characters, scenarios, lambda c, s, m: int(table[c, s, m]))
