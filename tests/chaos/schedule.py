"""What is broken, and when: a pure function of a seed."""

import random
from dataclasses import dataclass
from typing import Literal

CALLERS = ("generator", "judge")  # only they call models, under a lease
TARGETS = (*CALLERS, "analytics", "gateway", "postgres", "valkey")
FIRST, LAST = 0.05, 0.85  # of the run's calls: it has begun, and there is something left to lose
EARLY, LATE = 0.2, 0.6  # a worker is stopped where the others have something left to take over


@dataclass(frozen=True, slots=True, order=True)
class Action:
    """Something done to ``target`` once the share ``at`` of the run's calls was answered.

    ``kill`` is SIGKILL; ``flush`` empties Valkey; ``stop`` is SIGSTOP until the lease is over and others have taken
    what it held, then SIGCONT.
    """

    at: float
    kind: Literal["kill", "flush", "stop"]
    target: str


def schedule(seed: int, *, kills: int, flushes: int, stops: int) -> list[Action]:
    """The actions in order. Kills are spread over ``TARGETS``, what does not divide at random; stops over callers."""
    chance = random.Random(seed)
    rounds, rest = divmod(kills, len(TARGETS))
    killed = [*TARGETS * rounds, *chance.sample(TARGETS, rest)]
    stopped = [CALLERS[n % len(CALLERS)] for n in range(stops)]
    return sorted(
        [
            *(Action(_share(chance, FIRST, LAST), "kill", target) for target in killed),
            *(Action(_share(chance, FIRST, LAST), "flush", "valkey") for _ in range(flushes)),
            *(Action(_share(chance, EARLY, LATE), "stop", target) for target in stopped),
        ]
    )


def _share(chance: random.Random, low: float, high: float) -> float:
    return round(chance.uniform(low, high), 4)
