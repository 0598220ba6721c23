"""Who waits for a seat is called in turn."""

import time

import pytest

from services.work.turns import Turns


def order(turns: Turns[str]) -> list[str]:
    return [turns.next() for _ in range(len(turns))]


def test_one_of_each_side_after_the_other_and_on_each_side_in_order() -> None:
    turns: Turns[str] = Turns()
    for who in ("a1", "a2", "a3", "b1", "c1", "c2"):
        turns.join(who[0], who)
    assert order(turns) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_side_that_comes_back_waits_for_its_turn() -> None:
    turns: Turns[str] = Turns()
    turns.join("a", "a1")
    turns.join("b", "b1")
    assert turns.next() == "a1"
    turns.join("a", "a2")
    assert order(turns) == ["b1", "a2"]


def test_who_leaves_does_not_change_the_turns_of_the_others() -> None:
    turns: Turns[str] = Turns()
    for who in ("a1", "a2", "b1", "c1", "c2"):
        turns.join(who[0], who)
    turns.keep(lambda who: who not in ("b1", "c1"))
    assert len(turns) == 3
    assert order(turns) == ["a1", "c2", "a2"]


def test_nobody_is_called_where_nobody_waits() -> None:
    with pytest.raises(KeyError):
        Turns().next()


def test_to_be_called_takes_no_longer_where_many_wait() -> None:
    def seconds(waiting: int) -> float:
        turns: Turns[int] = Turns()
        for who in range(waiting):
            turns.join(who % 100, who)
        started = time.perf_counter()
        for who in range(5_000):
            turns.join(who % 100, turns.next())
        return time.perf_counter() - started

    # A thousand times as many; memory that is no longer in a cache takes some five times as long.
    assert min(seconds(200_000) for _ in range(3)) < 50 * min(seconds(200) for _ in range(3))
