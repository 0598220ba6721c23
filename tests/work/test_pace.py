"""How many calls an endpoint is given: the decisions alone, and a simulated endpoint that allows only so many."""

import pytest

from services.work.pace import START, Heard, Pace, adjusted, burst, refilled, shares


def heard(answered: int = 0, latency: float = 0.2, **fields: int) -> Heard:
    return Heard(answered=answered, seconds=answered * latency, saturated=True, **fields)


def test_it_doubles_while_that_brings_more_answers() -> None:
    pace, cause = adjusted(Pace(), heard(16), 1.0, 256)
    assert (pace.limit, cause) == (32, "doubled")
    pace, cause = adjusted(pace, heard(32), 2.0, 256)
    assert (pace.limit, cause) == (64, "doubled")


def test_it_holds_once_a_doubling_only_made_calls_slower() -> None:
    pace, _ = adjusted(Pace(), heard(16, latency=1.0), 1.0, 256)
    pace, cause = adjusted(pace, heard(32, latency=1.9), 2.0, 256)
    assert (pace.limit, pace.doubling, cause) == (32, False, "held")
    assert adjusted(pace, heard(64, latency=1.9), 60.0, 256)[0].limit == 32


def test_it_does_not_grow_where_nobody_waits_nor_before_a_full_round() -> None:
    assert adjusted(Pace(), Heard(answered=100, seconds=20), 1.0, 256)[1] is None
    assert adjusted(Pace(), heard(15), 1.0, 256)[1] is None


def test_it_never_exceeds_its_cap() -> None:
    assert adjusted(Pace(limit=40), heard(40), 1.0, 50)[0].limit == 50
    assert adjusted(Pace(limit=50), heard(50), 1.0, 50)[1] is None


def test_a_refusal_cuts_to_four_fifths_of_what_was_in_flight() -> None:
    pace, cause = adjusted(Pace(limit=32), heard(8, refused=3, in_flight=21), 1.0, 256)
    assert (pace.limit, pace.doubling, cause) == (16, False, "refused")


def test_a_refusal_of_a_few_calls_does_not_cut_below_two_fifths() -> None:
    assert adjusted(Pace(limit=64), heard(refused=1, in_flight=2), 1.0, 256)[0].limit == 25


def test_further_refusals_within_fifteen_seconds_are_of_the_same_jam() -> None:
    pace, _ = adjusted(Pace(limit=100), heard(refused=1, in_flight=100), 10.0, 256)
    assert adjusted(pace, heard(refused=9, in_flight=80), 24.9, 256) == (pace, None)
    assert adjusted(pace, heard(refused=1, in_flight=80), 25.0, 256)[0].limit == 64


def grown(pace: Pace, seconds: tuple[float, ...]) -> list[int]:
    """The limits of a busy endpoint that refuses nothing, at these times."""
    limits = []
    for second in seconds:
        pace, _ = adjusted(pace, heard(500), second, 256)
        limits.append(pace.limit)
    return limits


def test_after_a_cut_it_goes_half_the_way_back_at_each_step() -> None:
    pace, _ = adjusted(Pace(limit=100), heard(refused=1, in_flight=100), 10.0, 256)
    assert grown(pace, (12.9, 13.0, 16.0, 19.0, 22.0)) == [80, 90, 95, 97, 98]


def test_near_what_was_refused_it_is_slow_until_the_jam_may_be_over_and_then_faster_and_faster() -> None:
    pace, _ = adjusted(Pace(limit=20, doubling=False), heard(refused=1, in_flight=20), 0.0, 256)
    assert grown(pace, (3.0, 6.0, 9.0, 12.0, 14.9)) == [18, 19, 19, 20, 20]
    assert grown(pace, (3.0, 6.0, 15.0, 18.0, 21.0, 24.0, 27.0)) == [18, 19, 20, 21, 23, 27, 35]


def test_an_endpoint_of_twenty_is_used_well_and_seldom_refuses() -> None:
    """Two minutes in steps of 50 ms against an endpoint that takes 20 calls of 200 ms at once."""
    pace, busy, answered, refused = Pace(), [0] * 0, 0, 0
    for step in range(2400):
        done = [end for end in busy if end <= step]
        busy = [end for end in busy if end > step]
        begun = max(0, pace.limit - len(busy))
        taken = min(begun, 20 - len(busy))
        busy += [step + 4] * taken
        news = heard(len(done), refused=begun - taken, in_flight=len(busy))
        answered, refused = answered + len(done), refused + begun - taken
        pace, _ = adjusted(pace, news, step * 0.05, 256)
    assert answered >= 120 / 0.2 * 20 / 1.25
    assert refused / (answered + refused) < 0.03


def test_seats_are_divided_so_that_nobody_has_more_than_it_wants_while_another_lacks() -> None:
    assert shares(64, {"a": 200, "b": 200}) == {"a": 32, "b": 32}
    assert shares(64, {"a": 10, "b": 200}) == {"a": 10, "b": 54}
    assert shares(64, {"a": 200}) == {"a": 64}
    assert shares(64, {"a": 0, "b": 0}) == {"a": 32, "b": 32}
    assert sum(shares(7, {"a": 9, "b": 9, "c": 9}).values()) == 7


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600, 6000])
def test_no_minute_sees_more_calls_than_its_rate(per_minute: int) -> None:
    left, taken = burst(per_minute), []
    for step in range(4 * 180):
        left = refilled(left, per_minute, 0.25) if step else left
        taken.append(int(left))
        left -= int(left)
    assert max(sum(taken[start : start + 240]) for start in range(len(taken) - 240)) <= per_minute
    assert sum(taken) >= 0.95 * 3 * per_minute - 2


def test_it_starts_at_sixteen() -> None:
    assert Pace().limit == START == 16
