"""A measured mean and how sure it is."""

from typing import Literal

from pydantic import Field

from esrp.api.common import Answer, Bounds


class Intervals(Answer):
    """Which question each answers: STATISTICS 2. ``None`` where there are too few units."""

    suite: Bounds | None
    dialogue: Bounds | None
    population: Bounds | None


class Estimate(Answer):
    """A mean on the 1–5 scale; all ``None`` where nothing was scored. ``worst`` sets the missing to 1 and to 5."""

    mean: float | None
    n: int = Field(description="dialogues scored")
    ratings: int
    se: float | None
    ci: Intervals
    worst: Bounds | None


class Coverage(Answer):
    dialogues: int
    scored: int
    missing: dict[str, int]


class DiversityIntervals(Answer):
    """``batch``: other replies of these characters; ``population``: other characters too."""

    batch: Bounds | None
    population: Bounds | None


class Diversity(Answer):
    """How much replies differ (STATISTICS 7), over ``n`` batches of ten replies.

    Of ``judge`` and ``human`` the mean rating, ``scale`` 1 to 5. ``automatic``: opening diversity, ``scale`` 0 to 1, a
    count that no rating can be held against.
    """

    kind: Literal["judge", "human", "automatic"]
    scale: tuple[int, int]
    mean: float | None
    n: int
    ratings: int
    se: float | None
    ci: DiversityIntervals
