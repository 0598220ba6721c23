"""How many calls an endpoint is given: the decisions alone, and simulated endpoints that refuse, each in its way."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from services.work.pace import START, Heard, Pace, adjusted, burst, refilled, shares
from services.work.trial import Counts
from tests.work.simulated import Outcome, Server, simulated


def heard(answered: int = 0, latency: float = 0.2, **fields: Any) -> Heard:
    given = {"begun": answered + fields.get("refused", 0), "saturated": True} | fields
    return Heard(answered=answered, seconds=answered * latency, **given)


def test_each_answer_admits_one_call_more() -> None:
    pace, cause = adjusted(Pace(), heard(5), 0.2, 256)
    assert (pace.limit, cause) == (START + 5, None)
    pace, cause = adjusted(pace, heard(START - 5), 0.21, 256)
    assert (pace.limit, cause) == (2 * START, "doubled")
    pace, cause = adjusted(pace, heard(64), 0.4, 256)
    assert (pace.limit, cause) == (128, "doubled")


def test_it_holds_once_a_doubling_only_made_calls_slower() -> None:
    pace, _ = adjusted(Pace(), heard(START, latency=1.0), 1.0, 256)
    pace, cause = adjusted(pace, heard(2 * START, latency=1.9), 2.0, 256)
    assert (pace.limit, pace.doubling, cause) == (2 * START, False, "held")
    assert adjusted(pace, heard(4 * START, latency=1.9), 60.0, 256)[0].limit == 2 * START


def test_it_does_not_grow_where_nobody_waits() -> None:
    assert adjusted(Pace(), Heard(begun=100, answered=100, seconds=20), 1.0, 256)[0].limit == START


def test_it_never_exceeds_its_cap() -> None:
    assert adjusted(Pace(), heard(30), 1.0, 50)[0].limit == 50
    assert adjusted(Pace(limit=50, mark=50), heard(50), 1.0, 50) == (
        Pace(limit=50, mark=50, answered=50, seconds=10.0, counts=Counts(50, 0), quiet=50, window_at=1.0, **SEEN),
        None,
    )


SEEN: dict[str, Any] = {"per_second": 50.0, "borne_per_second": 50.0}


def test_a_single_refusal_is_no_reason_to_slow_down() -> None:
    pace, cause = adjusted(Pace(), heard(20, refused=1, in_flight=20), 0.2, 256)
    assert (pace.limit, pace.era, cause) == (START + 20, 0, None)


def test_refusals_lower_the_load_to_four_fifths_of_what_was_taken() -> None:
    pace, cause = adjusted(Pace(), heard(0, begun=32, refused=12, in_flight=20), 0.05, 256)
    assert (pace.limit, pace.era, cause) == (16, 1, "refused")


def test_a_refusal_of_a_few_calls_does_not_lower_it_below_two_fifths() -> None:
    pace, _ = adjusted(Pace(limit=64), heard(begun=64, refused=5, in_flight=2), 0.05, 256)
    assert pace.limit == 25


def lowered() -> Pace:
    """From 32 to 24, 6 of 32 refused."""
    pace, cause = adjusted(Pace(), heard(0, begun=32, refused=6, in_flight=30), 0.05, 256)
    assert (pace.limit, cause) == (24, "refused")
    return pace


def test_where_fewer_calls_are_refused_less_the_smaller_load_stays() -> None:
    pace, cause = adjusted(lowered(), heard(70), 1.0, 256)
    assert (pace.trial, pace.doubling, pace.noise, cause) == (None, False, 0.0, "grown")
    assert pace.limit == 24 + (30 - 24) // 2  # half the way back, as a round of calls was answered meanwhile


def test_where_fewer_calls_are_refused_as_often_the_limit_is_what_it_was_and_doubles_on() -> None:
    pace, cause = adjusted(lowered(), heard(35, refused=8), 1.0, 256)
    assert (pace.limit, pace.trial, pace.doubling, cause) == (32, None, True, "grown")
    assert pace.noise == pytest.approx(8 / 43)
    assert adjusted(pace, heard(26, refused=6), 1.2, 256)[0].limit == 58  # as often again: no reason to slow down


def test_nothing_changes_while_a_trial_cannot_be_decided() -> None:
    pace, cause = adjusted(lowered(), heard(10, refused=1), 0.3, 256)
    assert (pace.limit, pace.trial is not None, cause) == (24, True, None)


def test_what_seemed_noise_is_tried_again_after_a_while() -> None:
    pace = Pace(limit=64, mark=64, noise=0.05, counts=Counts(250, 12.5), tested_at=100.0)
    assert adjusted(pace, heard(19, refused=1), 129.0, 64)[1] is None
    again, cause = adjusted(pace, heard(19, refused=1), 131.0, 64)
    assert (again.limit, again.trial is not None, cause) == (51, True, "refused")


def test_an_endpoint_that_refuses_a_few_after_it_bore_many_counts_calls_and_gets_a_rate() -> None:
    pace = Pace(limit=6, doubling=False, borne=20, per_second=21.0, borne_per_second=20.0)
    pace, cause = adjusted(pace, heard(3, refused=4, in_flight=4), 0.5, 64)
    assert (pace.limit, cause) == (20, "refused")
    assert pace.rate == pytest.approx(0.9 * 20 * 60)


def test_what_is_stored_is_read_again_and_what_another_version_stored_is_not() -> None:
    pace = lowered()
    assert Pace.stored(pace.storable(), 9.0) == pace
    assert Pace.stored({"limit": 16, "doubling": False, "met": 3}, 9.0) == Pace(window_at=9.0)
    assert Pace.stored(None, 9.0) == Pace(window_at=9.0)


# --- simulated endpoints ----------------------------------------------------------------------------------------------

Ideal = Callable[[Outcome], float]

SEEDS = (0, 1, 2)


def slow(median: float, sigma: float = 0.5) -> Callable[[Random], float]:
    """Calls as long as a model's: most are short, some are not."""
    return lambda dice: median * dice.lognormvariate(0, sigma)


def answers(lines: float, seconds: float = 0.2) -> Ideal:
    """All answers in so many lines."""
    return lambda outcome: outcome.answered * seconds / lines


def calls(lines: float) -> Ideal:
    """All calls, refused ones too, as long as answers."""
    return lambda outcome: (outcome.answered + outcome.refused) * 0.2 / lines


SIMULATED: dict[str, tuple[Callable[[], Server], int, Ideal, float, float]] = {
    "no limit": (lambda: Server(), 2400, answers(64), 1.03, 0.001),
    "5 % at random": (lambda: Server(random=0.05), 2400, calls(64), 1.5, 0.065),
    "20 % at random": (lambda: Server(random=0.2), 4800, calls(64), 1.5, 0.22),
    "20 in flight": (lambda: Server(at_once=lambda _: 20), 2400, answers(20), 1.15, 0.02),
    "20 in flight, calls of all lengths": (
        lambda: Server(at_once=lambda _: 20, latency=slow(0.2)),
        2400,
        answers(20, 0.2266),
        1.15,
        0.025,
    ),
    "50 in flight": (lambda: Server(at_once=lambda _: 50), 4800, answers(50), 1.15, 0.02),
    "5 in flight": (lambda: Server(at_once=lambda _: 5), 1200, answers(5), 1.1, 0.03),
    "20 a second": (lambda: Server(per_second=20), 2400, answers(20, 1.0), 1.1, 0.03),
    "20 a second, calls of all lengths": (
        lambda: Server(per_second=20, latency=slow(0.2)),
        2400,
        answers(20, 1.0),
        1.2,
        0.04,
    ),
    "100 a second": (lambda: Server(per_second=100), 4800, answers(100, 1.0), 1.1, 0.03),
    "20 in flight and 5 % at random": (
        lambda: Server(at_once=lambda _: 20, random=0.05),
        2400,
        lambda outcome: outcome.answered / 0.95 * 0.2 / 20,
        1.25,
        0.12,
    ),
    "40 in flight, and 10 after ten seconds": (
        lambda: Server(at_once=lambda now: 40 if now < 10 else 10),
        4000,
        lambda _: 10 + 2000 * 0.2 / 10,
        1.2,
        0.06,
    ),
    "10 in flight, and 40 after twenty seconds": (
        lambda: Server(at_once=lambda now: 10 if now < 20 else 40),
        5000,
        lambda _: 20 + 4000 * 0.2 / 40,
        1.25,
        0.025,
    ),
}


@pytest.mark.parametrize("name", SIMULATED)
@pytest.mark.parametrize("seed", SEEDS)
def test_an_endpoint_is_used_well_and_seldom_refuses_whatever_it_refuses_for(name: str, seed: int) -> None:
    server, wanted, ideal, slowest, refused = SIMULATED[name]
    outcome = simulated(server(), wanted, seed=seed)
    assert outcome.answered == wanted
    assert outcome.seconds <= slowest * ideal(outcome)
    assert outcome.share <= refused


def test_no_more_are_in_flight_than_the_cap_allows() -> None:
    server = Server(random=0.05)
    simulated(server, 1000, cap=40)
    assert server.peak == 40


# --- shares and rates -------------------------------------------------------------------------------------------------


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
