"""A client that keeps to a pace, and endpoints that refuse for reasons of their own, in simulated time."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from services.work.pace import Heard, Pace, adjusted, refilled

LOOK = 0.25  # seconds between looks; as in ``Seats``
SOONEST = 0.05
QUICK = 0.1


@dataclass
class Server:
    """Refuses over ``at_once`` calls in flight, over ``per_second`` (a bucket of one second), and at random."""

    at_once: Callable[[float], float] = lambda _: float("inf")
    per_second: float = 0.0
    random: float = 0.0
    latency: Callable[[Random], float] = lambda _: 0.2
    busy: int = 0
    peak: int = 0
    left: float = field(default=0.0, init=False)
    at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.left = self.per_second

    def takes(self, now: float, dice: Random) -> bool:
        """Whether it takes a call now."""
        if self.busy >= self.at_once(now):
            return False
        if self.per_second:
            self.left = min(self.per_second, self.left + (now - self.at) * self.per_second)
            self.at = now
            if self.left < 1:
                return False
            self.left -= 1
        return dice.random() >= self.random


@dataclass
class Outcome:
    """What became of it."""

    seconds: float
    answered: int
    refused: int
    pace: Pace

    @property
    def share(self) -> float:
        """Refused of all calls."""
        return self.refused / (self.answered + self.refused)


def simulated(server: Server, calls: int, cap: int = 64, seed: int = 0, wait: float = 1.0) -> Outcome:
    """``calls`` that are there from the beginning, each refused one again after ``wait`` and a little."""
    return _Client(server, calls, cap, Random(seed), wait).run()


class _Client:
    def __init__(self, server: Server, calls: int, cap: int, dice: Random, wait: float) -> None:
        self.server, self.cap, self.dice, self.wait = server, cap, dice, wait
        self.waiting, self.left = calls, calls
        self.pace, self.busy, self.held = Pace(), 0, 0
        self.answered = self.refused = 0
        self.news, self.begun, self.taken, self.borne = [0, 0.0, 0], 0, 0, 0
        self.saturated = self.paced = False
        self.calls, self.typical, self.looked, self.due = 0.0, 0.0, -1.0, 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order, self.now = count(), 0.0
        self.looks = 0

    def run(self) -> Outcome:
        self.after(0.0, self.look)
        while self.left:
            self.now, _, event = heapq.heappop(self.events)
            event()
        return Outcome(self.now, self.answered, self.refused, self.pace)

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now + seconds, next(self.order), event))

    def look(self) -> None:
        if self.looked >= 0 and self.now < self.due - 1e-9:
            return
        self.looks += 1
        answered, seconds, refused = self.news
        saturated = self.saturated and self.busy + self.held + self.waiting >= self.pace.limit
        heard = Heard(self.begun, int(answered), seconds, int(refused), self.taken, self.borne, saturated, self.paced)
        before = self.pace
        self.pace, _ = adjusted(self.pace, heard, self.now, self.cap)
        self.news, self.begun, self.borne, self.paced = [0, 0.0, 0], 0, 0, False
        self.saturated = self.waiting > 0
        if before.era != self.pace.era:
            self.held = 0
        if self.pace.rate is None:
            self.calls = 0.0
        else:
            passed = self.now - self.looked if before.rate is not None else 0.0
            self.calls = refilled(self.calls, self.pace.rate, passed)
        self.looked = self.now
        self.let_in()
        self.next_look(LOOK if self.pace.rate is None else QUICK)

    def next_look(self, seconds: float) -> None:
        self.due = max(self.looked + SOONEST, self.now + seconds)
        self.after(self.due - self.now, self.look)

    def stir(self) -> None:
        if self.due > max(self.looked + SOONEST, self.now + 0.01):
            self.next_look(0.01)

    def let_in(self) -> None:
        while self.waiting and self.busy + self.held < min(self.pace.limit, self.cap):
            if self.pace.rate is not None:
                if self.calls < 1:
                    self.paced = True
                    return
                self.calls -= 1
            self.begin()
        self.saturated |= self.waiting > 0

    def begin(self) -> None:
        self.waiting -= 1
        self.busy += 1
        self.begun += 1
        era = self.pace.era
        if self.server.takes(self.now, self.dice):
            self.server.busy += 1
            self.server.peak = max(self.server.peak, self.server.busy)
            seconds = self.server.latency(self.dice)
            self.after(seconds, lambda: self.answer(seconds, era))
        else:
            self.after(0.005, lambda: self.refuse(era))

    def answer(self, seconds: float, era: int) -> None:
        self.server.busy -= 1
        self.answered += 1
        self.left -= 1
        if era == self.pace.era:
            self.news[0] += 1
            self.news[1] += seconds
        self.borne = max(self.borne, self.busy)
        self.typical += (seconds - self.typical) / (20 if self.typical else 1)
        self.busy -= 1
        self.let_in()
        heard = self.news[0] + self.news[2]
        ramping = self.pace.doubling and self.pace.trial is None
        if self.waiting and heard >= (1 if ramping else max(8, self.pace.limit / 2)):
            self.stir()

    def refuse(self, era: int) -> None:
        self.refused += 1
        self.busy -= 1
        self.after(self.wait * (1 + self.dice.random() / 8), self.again)
        if era != self.pace.era:
            return self.let_in()
        self.news[2] += 1
        self.taken = self.busy
        self.held += 1
        self.after(self.typical or 1.0, lambda: self.release(era))
        if self.news[2] > 1 + 2 * self.pace.noise * (self.news[0] + self.news[2]):
            self.stir()
        return None

    def release(self, era: int) -> None:
        if era == self.pace.era:
            self.held -= 1
            self.let_in()

    def again(self) -> None:
        self.waiting += 1
        self.let_in()
