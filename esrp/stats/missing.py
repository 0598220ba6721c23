"""What should have been rated and was not (STATISTICS 1, 6)."""

import numpy as np

from esrp.stats.ratings import Integers


def missing_ratings(per_dialogue: Integers, planned: int, judges: int) -> Integers:
    """How many ratings of each metric should be there and are not; ``per_dialogue``: dialogues × metrics, as given.

    Of ``planned`` dialogues each should have one of every judge; where nobody asked judges (0), as many as a rated one
    has on average.
    """
    wanted = judges or _usual(per_dialogue)
    lacking: Integers = np.maximum(wanted - per_dialogue, 0).sum(axis=0)
    return lacking + wanted * max(0, planned - len(per_dialogue))


def _usual(per_dialogue: Integers) -> int:
    return max(1, round(float(per_dialogue[per_dialogue > 0].mean()))) if per_dialogue.any() else 1
