from collections import Counter

import pytest

from tests.chaos.schedule import TARGETS, Action, schedule


def test_a_seed_is_a_schedule_and_another_seed_another_one() -> None:
    assert schedule(1, kills=20, flushes=3, stops=2) == schedule(1, kills=20, flushes=3, stops=2)
    assert schedule(1, kills=20, flushes=3, stops=2) != schedule(2, kills=20, flushes=3, stops=2)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_in_order_and_spreads_kills_over_all_and_stops_over_those_who_call_models(seed: int) -> None:
    actions = schedule(seed, kills=20, flushes=3, stops=2)
    kinds = Counter(action.kind for action in actions)
    killed = Counter(action.target for action in actions if action.kind == "kill")
    assert actions == sorted(actions, key=lambda action: action.at)
    assert all(0 < action.at < 0.9 for action in actions)
    assert kinds == {"kill": 20, "flush": 3, "stop": 2}
    assert set(killed) == set(TARGETS)
    assert set(killed.values()) == {3, 4}
    assert {action.target for action in actions if action.kind == "stop"} == {"generator", "judge"}


def test_an_action_says_when_what_and_whom() -> None:
    assert schedule(1, kills=0, flushes=1, stops=0) == [Action(0.1575, "flush", "valkey")]
