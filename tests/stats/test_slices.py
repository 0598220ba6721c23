"""Groups: which broke, by hand, and how often one of equal groups is accused."""

import numpy as np
import pytest
from scipy.stats import t

from esrp.stats import Rating, Ratings
from esrp.stats.slices import slices
from tests.stats.builders import crossed, noisy

ROWS = crossed(4, 12, lambda c, s, m: 3 + (c + s + m) % 2)


def worse(rows: list[Rating], character: str, by: int, every: int = 1) -> list[Rating]:
    return [
        r._replace(score=r.score - by) if r.character == character and int((r.scenario or "s0")[1:]) % every == 0 else r
        for r in rows
    ]


def by_character(character: str, scenario: str | None) -> str | None:
    return character if character != "c03" else None


def test_the_group_that_is_worse_is_named_and_the_others_held() -> None:
    found = slices(Ratings.of(worse(ROWS, "c01", 1)), Ratings.of(ROWS), by_character, 0.3)
    assert [(item.label, item.outcome) for item in found] == [("c00", "held"), ("c01", "broken"), ("c02", "held")]
    assert found[1].n == 12 and found[1].difference == pytest.approx(-1)


def test_a_group_of_fewer_than_ten_shared_dialogues_is_not_measured() -> None:
    part = [r for r in ROWS if r.character != "c01" or (r.scenario or "") < "s09"]
    found = slices(Ratings.of(worse(part, "c01", 1)), Ratings.of(ROWS), by_character, 0.3)
    assert (found[1].n, found[1].outcome, found[1].chance) == (9, "not_measured", None)


def test_the_chance_is_that_of_students_t_over_the_groups_scenarios() -> None:
    ours, theirs = noisy(3, 12, seed=1), noisy(3, 12, seed=2)
    found = slices(Ratings.of(ours), Ratings.of(theirs), lambda c, s: "all", -0.15)[0]
    apart = np.array([r.score for r in ours]) - np.array([r.score for r in theirs])
    means = apart.reshape(3, 12, 9).mean(axis=(0, 2))
    se = means.std(ddof=1) / np.sqrt(12)
    assert found.chance == pytest.approx(float(t.cdf((means.mean() - 0.15) / se, 11)))


def test_equal_groups_are_seldom_accused() -> None:
    accused = 0
    for seed in range(60):
        ours, theirs = noisy(4, 12, seed=seed), noisy(4, 12, seed=1000 + seed)
        found = slices(Ratings.of(ours), Ratings.of(theirs), lambda c, s: c, 0.0)
        accused += any(item.outcome == "broken" for item in found)
    assert accused / 60 <= 0.14  # 5 % and three standard errors
