"""Which dialogues a run plays: all of them, or a balanced part."""

import math
import random
from collections.abc import Sequence

from esrp.api import Sample
from esrp.suite import Suite


def sampled(suite: Suite, sample: Sample | None) -> list[tuple[str, str]]:
    """The (character, scenario) pairs of a run, in the order of play: the sample's, or all of the suite."""
    characters, scenarios = [c.id for c in suite.characters], [s.id for s in suite.scenarios]
    if sample is None:
        return balanced(characters, scenarios, seed=None)
    return balanced(characters, scenarios, seed=sample.seed, most=sample.dialogues)


def balanced(
    characters: Sequence[str], scenarios: Sequence[str], *, seed: int | None, most: int | None = None
) -> list[tuple[str, str]]:
    """All (character, scenario) pairs, or the first ``most``, in an order whose every beginning is balanced.

    However many of the pairs are taken from the front, the characters' counts differ by at most one, and so do the
    scenarios'. With a ``seed`` both are shuffled first: same seed, same order; a longer beginning holds the shorter.

    The k-th pair is (k mod C, (k + ⌊k / lcm⌋) mod S): within a block of lcm(C, S) pairs each index runs in step, and
    the shift by one between blocks reaches the pairs that the block before has missed.
    """
    first, second = list(characters), list(scenarios)
    if seed is not None:
        generator = random.Random(seed)  # noqa: S311 - a sample, not a secret
        generator.shuffle(first)
        generator.shuffle(second)
    block, all_ = math.lcm(len(first), len(second)), len(first) * len(second)
    places = range(all_ if most is None else min(most, all_))
    return [(first[k % len(first)], second[(k + k // block) % len(second)]) for k in places]
