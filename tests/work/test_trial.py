"""Whether refusals fall with the load: worked cases, and how often chance decides."""

from collections.abc import Iterator
from random import Random

import pytest

from services.work.trial import Counts, Verdict, compared, is_unusual


def test_three_refusals_of_twenty_calls_are_unusual_and_five_of_a_hundred_are_not_where_that_is_usual() -> None:
    assert is_unusual(Counts(20, 3), noise=0.0)
    assert not is_unusual(Counts(20, 2), noise=0.0)
    assert not is_unusual(Counts(100, 5), noise=0.05)
    assert is_unusual(Counts(100, 12), noise=0.05)


def test_no_refusals_after_many_show_a_load() -> None:
    assert compared(Counts(32, 12), Counts(20, 0)) == "load"
    assert compared(Counts(60, 4), Counts(20, 0)) is None
    assert compared(Counts(60, 4), Counts(120, 0)) == "load"


def test_as_many_refusals_as_before_show_noise() -> None:
    assert compared(Counts(60, 4), Counts(60, 4)) == "noise"
    assert compared(Counts(60, 4), Counts(130, 5)) == "noise"


def test_who_refuses_more_than_half_is_spared_whatever_the_reason() -> None:
    assert compared(Counts(60, 50), Counts(20, 17)) == "load"


def test_nothing_is_decided_by_nothing() -> None:
    assert compared(Counts(60, 4), Counts()) is None
    assert Counts().share == 0.0
    assert Counts().last(10) == Counts()
    assert Counts(40, 8).last(10) == Counts(10, 2)


def drawn(share: float, dice: Random) -> Iterator[int]:
    """Refused or not, call by call."""
    while True:
        yield dice.random() < share


def verdict(before: float, after: float, seed: int) -> Verdict:
    """Of a trial that begins once refusals are unusual, looked at after every eight calls."""
    dice = Random(seed)
    high = low = Counts()
    while not is_unusual(high, 0.0) or high.tried < 30:
        high += Counts(8, sum(next(drawn(before, dice)) for _ in range(8)))
        if high.tried > 400:
            high = high.last(200)
    while True:
        low += Counts(8, sum(next(drawn(after, dice)) for _ in range(8)))
        if found := compared(high, low):
            return found


@pytest.mark.parametrize(("before", "after", "right"), [(0.05, 0.05, "noise"), (0.2, 0.2, "noise"), (0.3, 0.0, "load")])
def test_chance_decides_wrongly_in_fewer_than_one_trial_in_ten(before: float, after: float, right: Verdict) -> None:
    verdicts = [verdict(before, after, seed) for seed in range(400)]
    assert verdicts.count(right) > 0.9 * len(verdicts)
