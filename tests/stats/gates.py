"""Runs as a gate sees them, and a rule of its verdict."""

from collections.abc import Callable
from typing import Any

from esrp.stats import Rating, Ratings
from esrp.stats.diversity import BatchRating
from esrp.stats.evidence import Evidence
from esrp.stats.gate import Rule, Verdict
from tests.stats.builders import crossed

C, S = 6, 10


def evidence(rows: list[Rating], **facts: Any) -> Evidence:
    return Evidence(Ratings.of(rows), **{"planned": len({r.dialogue for r in rows}), **facts})


def flat(score: Callable[[int, int, int], int] = lambda c, s, m: 3 + (c + s + m) % 2) -> list[Rating]:
    return crossed(C, S, score)


def batches(score: Callable[[int], int], rater: str = "j", kind: str = "judge") -> list[BatchRating]:
    return [BatchRating("a", n, rater, kind, score(n)) for n in range(12)]


def moved(rows: list[Rating], metric: str, by: Callable[[int], int]) -> list[Rating]:
    """The metric's ratings changed by a number that depends on the scenario's."""
    return [r._replace(score=r.score + by(int((r.scenario or "s0")[1:]))) if r.metric == metric else r for r in rows]


def rule(verdict: Verdict, metric: str, kind: str = "margin") -> Rule:
    return next(r for r in verdict.rules if (r.metric, r.kind) == (metric, kind))
