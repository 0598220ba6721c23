"""How many calls an endpoint gets at once: more while that pays, fewer when it refuses. Decisions only, no clock.

A refusal (429) may say that too many calls are in flight, that too many came within a time, or nothing about the load
at all. Which it is shows when the load is lowered: see ``adjusted``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from services.work.trial import TOLERATED, Counts, compared, is_unusual

Cause = Literal["started", "doubled", "held", "grown", "refused"]

START = 32
CUT = 0.8
CUT_AGAIN = 0.9  # where that many calls were taken the last time, too
GROWTH = 0.05
# Twice the calls must bring 1.2 times the answers: by Little's law the mean call may take 2 / 1.2 as long.
SLOWER = 5 / 3
# Beyond what was refused it goes after so many answers, or seconds: each try there costs some six refusals.
QUIET, LONGEST_QUIET = 400, 60.0
ROUND = 16  # answers at least before a step beyond that: where bursts are allowed refusals come late
RECENT = 400  # calls; once there are more, they count half
RETRIAL = 150.0  # seconds after which 1 % of refusals that have nothing to do with the load is tried anew; 5 % after 30
WINDOW = 1.0  # seconds over which answers are counted for a rate
FIRST_RATE = 0.9  # of the answers a second, counted while the endpoint refused
# Of the rate, for each call of a second that was answered: 1 % a second, or 5 % while nothing is known.
RATE_GROWTH, FAST_GROWTH = 0.01, 0.05
SLOWEST = 1.0  # calls a minute
NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard of an endpoint since the last look, of calls that began since the pace was last lowered.

    ``begun`` are the calls that began, answered or not: refusals are quick, and alone would look like all that happens.
    ``seconds`` is the sum over the answered calls; ``in_flight`` how many calls the endpoint had when it refused
    others, ``borne`` the most that it had when it answered one; ``saturated`` says that calls waited for a seat,
    ``paced`` that they waited for the rate.
    """

    begun: int = 0
    answered: int = 0
    seconds: float = 0.0
    refused: int = 0
    in_flight: int = 0
    borne: int = 0
    saturated: bool = False
    paced: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """The calls in flight that an endpoint is given, and what was heard at that limit. Times are epoch seconds.

    ``rate``, where it is not ``None``, is a limit of calls a minute beside it. A change of ``era`` means that refusals
    of calls that began before say nothing any more.
    """

    limit: int = START
    rate: float | None = None
    era: int = 0
    doubling: bool = True
    mark: int = START  # the limit that the doubling under way began with
    answered: int = 0
    seconds: float = 0.0
    latency: float | None = None  # mean seconds of a call at the last limit that paid
    counts: Counts = NOTHING  # at this limit
    trial: "Trial | None" = None
    noise: float = 0.0  # the share of calls that is refused whatever the load
    tested_at: float = 0.0
    met: int = 0  # the calls that were taken when others were refused
    borne: int = 0  # the most that was in flight and answered
    cut_at: float = 0.0
    quiet: int = 0  # answers since then
    steps: int = 0  # of growth beyond what was met
    window_at: float = 0.0
    window: int = 0  # answers since then
    per_second: float | None = None  # answers, in the last whole window
    borne_per_second: float | None = None  # in the lesser of the last two: what is more may come of an allowed burst

    @classmethod
    def stored(cls, found: Mapping[str, Any] | None, now: float) -> "Pace":
        """The pace as it was stored with ``asdict``, or a new one. What another version stored is left out."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in (found or {}).items() if name in known}
        if found is None or len(values) < len(known):
            return cls(window_at=now)
        trial = values["trial"]
        values["counts"] = Counts(**values["counts"])
        values["trial"] = trial and Trial(**trial | {"counts": Counts(**trial["counts"])})
        return cls(**values)

    def storable(self) -> dict[str, Any]:
        """For ``stored``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Trial:
    """The load before it was lowered to see whether refusals get fewer, and what was refused at it."""

    limit: int
    rate: float | None
    met: int
    counts: Counts


def adjusted(pace: Pace, heard: Heard, now: float, cap: int) -> tuple[Pace, Cause | None]:
    """The pace after what was heard, and why it changed; ``None`` where it did not.

    Up to the first refusal each answer admits one call more, as long as calls wait for a seat and each doubling brings
    more answers. More refusals than are usual lower the load, to 0.8 of the calls that were taken, and start a trial:
    if their share falls with the load, the endpoint was full, and the limit goes half the way back with each round of
    calls, and after ``QUIET`` answers beyond it, in steps that double. If it does not fall, the limit is what it was
    before, that share is the usual one from then on, and every ``RETRIAL`` seconds it is tried anew.

    An endpoint that refuses with half as many calls in flight as it has borne before, or a single one, counts calls
    and not those in flight: it gets a rate, a little below the answers a second that it gave.
    Errors other than a refusal say nothing about the load.
    """
    pace = _counted(pace, heard, now)
    if pace.trial is not None:
        match compared(pace.trial.counts, pace.counts):
            case None:
                return pace, None
            case "noise":
                return _as_before(pace, pace.trial, now), "grown"
            case "load":
                pace = _was_full(pace, pace.trial)
    if is_unusual(pace.counts, pace.noise):
        return _lowered(pace, _met(pace, heard), now)
    if _is_due_again(pace, now):
        return _lowered(pace, pace.limit, now)
    if pace.rate is not None and heard.paced:
        more = FAST_GROWTH if pace.doubling or pace.quiet > 3 * QUIET else RATE_GROWTH
        return replace(pace, rate=pace.rate + 60 * more * heard.answered), None
    if not heard.saturated or pace.limit >= cap:
        return pace, None
    return _doubled(pace, cap) if pace.doubling else _grown(pace, now, cap)


# --- what was heard ---------------------------------------------------------------------------------------------------


def _counted(pace: Pace, heard: Heard, now: float) -> Pace:
    counts = pace.counts + Counts(heard.begun, heard.refused)
    # A rate grows all the time: the calls at lower ones would hide that the present one is too high.
    recent = RECENT / 4 if pace.rate is not None and pace.noise <= TOLERATED else RECENT
    if counts.tried >= recent and pace.trial is None:
        counts = counts.last(recent / 2)
    if counts.tried >= RECENT / 2 and pace.trial is None:
        pace = replace(pace, noise=min(pace.noise, counts.share))
    pace = replace(
        pace,
        answered=pace.answered + heard.answered,
        seconds=pace.seconds + heard.seconds,
        counts=counts,
        borne=max(pace.borne, heard.borne),
        quiet=pace.quiet + heard.answered,
        window=pace.window + heard.answered,
    )
    if (passed := now - pace.window_at) < WINDOW:
        return pace
    seen = pace.window / passed
    lesser = seen if pace.per_second is None else min(seen, pace.per_second)
    return replace(pace, window_at=now, window=0, per_second=seen, borne_per_second=lesser)


# --- down, and whether that was right ---------------------------------------------------------------------------------


def _lowered(pace: Pace, met: int, now: float) -> tuple[Pace, Cause | None]:
    """A smaller load than the calls ``met``, on trial."""
    by_rate = pace.rate is not None or (pace.borne_per_second is not None and _is_rate(pace, met))
    if pace.limit == 1 and not by_rate:
        return pace, None  # until it is known how many a second it answers
    trial = Trial(pace.limit, pace.rate, met, pace.counts)
    lower = _rated(pace) if by_rate else _at(pace, max(1, int(met * _cut(pace, met))))
    # What was answered before may have been a burst that the endpoint allows, so answers are counted anew.
    lower = replace(
        lower, window_at=now, window=0, per_second=None, borne_per_second=None, cut_at=now, quiet=0, steps=0
    )
    return replace(lower, era=pace.era + 1, trial=trial, counts=NOTHING), "refused"


def _met(pace: Pace, heard: Heard) -> int:
    """The calls that were taken: those in flight at a refusal, but no fewer than half, or than were not refused."""
    if not heard.refused:
        return pace.limit
    least = min(0.5, 1 - pace.counts.share) * pace.limit
    return int(max(min(heard.in_flight, pace.limit), least))


def _cut(pace: Pace, met: int) -> float:
    return CUT_AGAIN if abs(met - pace.met) <= 0.1 * met else CUT


def _is_rate(pace: Pace, met: int) -> bool:
    """Whether the endpoint cannot be counting the calls in flight."""
    return pace.limit == 1 or met < pace.borne / 2 * (1 - pace.noise)


def _rated(pace: Pace) -> Pace:
    """Slower, by the rate; as many in flight as it has borne."""
    seen = pace.rate if pace.borne_per_second is None else 60 * pace.borne_per_second
    assert seen is not None  # or there would be no rate yet
    slower = seen * FIRST_RATE if pace.rate is None else max(min(seen, pace.rate) * CUT, pace.rate / 2)
    limit = max(pace.borne, pace.limit)
    return replace(_at(pace, limit), mark=limit, rate=max(slower, SLOWEST))


def _as_before(pace: Pace, trial: Trial, now: float) -> Pace:
    """Refusals have nothing to do with the load."""
    noise = pace.counts.share  # that of before is the higher by chance, or there would have been no trial
    pace = replace(pace, era=pace.era + 1, trial=None, counts=NOTHING, noise=noise, tested_at=now, rate=trial.rate)
    return replace(_at(pace, max(trial.limit, pace.limit)), mark=trial.limit)


def _was_full(pace: Pace, trial: Trial) -> Pace:
    """The smaller load stays. A rate that is new may be far too low, and grows fast until it is refused."""
    return replace(pace, trial=None, doubling=pace.rate is not None and trial.rate is None, met=trial.met)


def _is_due_again(pace: Pace, now: float) -> bool:
    """Time to see whether what seemed noise is due to the load by now."""
    if pace.noise <= TOLERATED or now - pace.tested_at < RETRIAL * min(1, TOLERATED / pace.noise):
        return False
    return pace.counts.tried >= RECENT / 2 and pace.counts.share > TOLERATED


# --- up ---------------------------------------------------------------------------------------------------------------


def _doubled(pace: Pace, cap: int) -> tuple[Pace, Cause | None]:
    """One more for each answer; a whole doubling must have paid before the next begins."""
    if pace.answered < pace.mark:
        return replace(pace, limit=max(pace.limit, min(pace.mark + pace.answered, cap))), None
    latency = pace.seconds / pace.answered
    if not _pays(pace, latency):
        return replace(_at(pace, pace.mark), doubling=False), "held"
    limit = min(max(2 * pace.mark, pace.limit), cap)
    return replace(_at(pace, limit), mark=limit, latency=latency, counts=pace.counts.last(limit)), "doubled"


def _grown(pace: Pace, now: float, cap: int) -> tuple[Pace, Cause | None]:
    """A step, after a full round of calls at this limit."""
    if pace.answered < max(pace.limit, ROUND if pace.limit >= pace.met else 0):
        return pace, None
    latency = pace.seconds / pace.answered
    more = _step(pace, now)
    if not more or not _pays(pace, latency):
        return replace(pace, answered=0, seconds=0.0), None
    beyond = pace.limit >= pace.met
    grown = _at(pace, min(pace.limit + more, cap))
    return replace(grown, latency=latency, counts=pace.counts.last(pace.limit), steps=pace.steps + beyond), "grown"


def _pays(pace: Pace, latency: float) -> bool:
    return pace.latency is None or latency <= pace.latency * SLOWER


def _step(pace: Pace, now: float) -> int:
    if pace.limit < pace.met:
        return max(1, (pace.met - pace.limit) // 2)
    if pace.quiet < QUIET and now - pace.cut_at < LONGEST_QUIET:
        return 0
    return max(1, round(pace.limit * GROWTH)) << min(pace.steps // 2, 8)


def _at(pace: Pace, limit: int) -> Pace:
    return replace(pace, limit=limit, answered=0, seconds=0.0)


# --- shares and rates -------------------------------------------------------------------------------------------------


def shares(limit: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """The seats divided among workers: nobody gets more than it wants while another has less than its part.

    What nobody wants is spread evenly, so that a worker need not ask for every call. The sum never exceeds ``limit``.
    """
    given, left = {}, limit
    for place, worker in enumerate(sorted(wanted, key=lambda worker: (wanted[worker], worker))):
        given[worker] = min(wanted[worker], left // (len(wanted) - place))
        left -= given[worker]
    return {worker: seats + left // len(wanted) for worker, seats in given.items()}


def refilled(left: float, per_minute: float, seconds: float) -> float:
    """A bucket after ``seconds``: no minute sees more than ``per_minute`` leave it, and little more than it fills in a
    quarter of a second leaves it at once."""
    most = burst(per_minute)
    return min(most, left + seconds * (per_minute - most + 1) / 60)


def burst(per_minute: float) -> float:
    """What a full bucket holds."""
    return 1.0 + max(0.0, per_minute - 1) / 240
