"""How many calls an endpoint gets at once: more while that pays, fewer when it refuses. Decisions only, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

Cause = Literal["started", "doubled", "held", "grown", "refused"]

START = 16
CUT = 0.8
DEBOUNCE = 15.0  # seconds after a cut in which further refusals change nothing: they are of the same jam
STEP = 3.0  # seconds between the small steps back up
GROWTH = 0.05
# Twice the calls must bring 1.2 times the answers: by Little's law the mean call may take 2 / 1.2 as long.
SLOWER = 5 / 3


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of an endpoint since the last look.

    ``seconds`` is the sum over the answered calls; ``in_flight`` how many calls the endpoint took when it refused
    others; ``saturated`` says that calls waited for a seat.
    """

    answered: int = 0
    seconds: float = 0.0
    refused: int = 0
    in_flight: int = 0
    saturated: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """The calls in flight that an endpoint is given, and what was heard at that limit. Times are epoch seconds."""

    limit: int = START
    doubling: bool = True
    changed_at: float = 0.0
    cut_at: float | None = None
    answered: int = 0
    seconds: float = 0.0
    latency: float | None = None  # mean seconds of a call at the last limit that paid
    met: int = 0  # the calls that were taken when others were refused
    steps: int = 0  # of growth beyond that


def adjusted(pace: Pace, heard: Heard, now: float, cap: int) -> tuple[Pace, Cause | None]:
    """The pace after what was heard, and why it changed; ``None`` where it did not.

    A refusal (429) cuts to 0.8 of the calls that were taken, at most once in ``DEBOUNCE`` seconds. Without one the
    limit doubles, up to ``cap``, as long as calls wait for a seat and each doubling brings more answers; after the
    first cut, or the first doubling that brought none, it grows every ``STEP`` seconds while that pays: half the way
    back to what was taken at the refusal, there more slowly until the debounce is over, and then by a twentieth and
    twice as much at each further step, for the jam may be over.
    Errors other than a refusal say nothing about the limit.
    """
    pace = replace(pace, answered=pace.answered + heard.answered, seconds=pace.seconds + heard.seconds)
    if heard.refused:
        return _cut(replace(pace, steps=0), heard, now)
    if not heard.saturated or pace.limit >= cap or pace.answered < pace.limit:
        return pace, None
    latency = pace.seconds / pace.answered
    if pace.latency is not None and latency > pace.latency * SLOWER:
        held = replace(pace, doubling=False, answered=0, seconds=0.0)
        return held, "held" if pace.doubling else None
    if pace.doubling:
        return _at(pace, min(2 * pace.limit, cap), now, latency), "doubled"
    if now - pace.changed_at < STEP:
        return pace, None
    more = _step(pace, now)
    if not more:
        return pace, None
    beyond = pace.limit >= pace.met
    grown = _at(pace, min(pace.limit + more, cap), now, latency)
    return replace(grown, steps=pace.steps + beyond), "grown"


def shares(limit: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """The seats divided among workers: nobody gets more than it wants while another has less than its part.

    What nobody wants is spread evenly, so that a worker need not ask for every call. The sum never exceeds ``limit``.
    """
    given, left = {}, limit
    for place, worker in enumerate(sorted(wanted, key=lambda worker: (wanted[worker], worker))):
        given[worker] = min(wanted[worker], left // (len(wanted) - place))
        left -= given[worker]
    return {worker: seats + left // len(wanted) for worker, seats in given.items()}


def refilled(left: float, per_minute: int, seconds: float) -> float:
    """A bucket after ``seconds``: no minute sees more than ``per_minute`` leave it, and little more than it fills in a
    quarter of a second leaves it at once."""
    most = burst(per_minute)
    return min(most, left + seconds * (per_minute - most + 1) / 60)


def burst(per_minute: int) -> float:
    """What a full bucket holds."""
    return 1.0 + (per_minute - 1) / 240


def _cut(pace: Pace, heard: Heard, now: float) -> tuple[Pace, Cause | None]:
    if pace.cut_at is not None and now - pace.cut_at < DEBOUNCE:
        return pace, None
    met = max(min(heard.in_flight, pace.limit), pace.limit / 2)
    limit = max(1, int(met * CUT))
    cut = replace(_at(pace, limit, now, pace.latency), doubling=False, cut_at=now, met=int(met))
    return cut, "refused"


def _at(pace: Pace, limit: int, now: float, latency: float | None) -> Pace:
    return replace(pace, limit=limit, changed_at=now, answered=0, seconds=0.0, latency=latency)


def _step(pace: Pace, now: float) -> int:
    if pace.limit < pace.met - 1:
        return (pace.met - pace.limit) // 2
    if pace.cut_at is not None and now - pace.cut_at < DEBOUNCE:
        return int(now - pace.changed_at >= 2 * STEP)
    return max(1, round(pace.limit * GROWTH)) << min(pace.steps, 8)
