"""What a gate is put to: bots at their margin near the end of the scale, looks, lost dialogues, judges that drift.

Each trial draws studies whose truth is known and says of each whether the verdict was the wrong one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from benchmarks.worlds import FLUENCY, FULL, HIGH, METRICS, MIDDLE, PANEL, SAMPLE, Bot, Design, Kind, World, ratings
from esrp.policies import Policy
from esrp.stats import Evidence, Ratings, Terms, Verdict, decide
from esrp.stats.looks import Look, charged
from esrp.stats.paired import paired
from esrp.stats.power import detectable, observed
from esrp.stats.ratings import Integers, pooled

Trial: TypeAlias = Callable[[int], Iterator[float]]
Scores: TypeAlias = Sequence[Integers]  # of the candidate and of the baseline

CEILING = Kind("ceiling", (4.98,) * METRICS)
ONE = [FLUENCY]
FOUR, TWENTY = (120, 240, 480, 1200), tuple(range(60, 1201, 60))
EVERYWHERE = Policy(margins={"*": 0.10})


def on_fluency(margin: float) -> Policy:
    """A margin on one metric."""
    return Policy(margins={"fluency": margin})


@dataclass(frozen=True, eq=False)
class Pair:
    """A candidate whose fluency is worse by exactly so much, and its baseline."""

    world: World
    candidate: Bot
    baseline: Bot

    @classmethod
    def of(cls, seed: int, kind: Kind, design: Design, loss: float) -> "Pair":
        """In a new world."""
        world = World(seed, design)
        baseline = world.bot(kind)
        return cls(world, baseline.worse(loss * np.eye(METRICS)[FLUENCY]), baseline)

    def study(self) -> Scores:
        """Both bots' scores."""
        return self.world.scores(self.candidate, self.baseline)


def held(policy: Policy, scores: Scores, pairs: Integers, terms: Terms, metrics: Sequence[int] = ONE) -> Verdict:
    """The gate's verdict on these pairs."""
    ours, theirs = (Evidence(ratings(each, pairs, metrics), len(pairs)) for each in scores)
    return decide(policy, ours, theirs, terms=terms)


def one_look(kind: Kind, design: Design, margin: float, *, cautious: bool = False) -> Trial:
    """A bot at its margin, looked at once."""

    def studies(seed: int) -> Iterator[float]:
        pair = Pair.of(seed, kind, design, margin)
        terms = Terms(cautious=cautious, most=len(design.pairs))
        while True:
            yield held(on_fluency(margin), pair.study(), design.pairs, terms).verdict == "pass"

    return studies


def looks(kind: Kind, counts: tuple[int, ...], *, loss: float = 0.10) -> Trial:
    """Looked at as it grows, until it passes."""

    def studies(seed: int) -> Iterator[float]:
        pair = Pair.of(seed, kind, FULL, loss)
        fractions = tuple(count / counts[-1] for count in counts)
        while True:
            scores = pair.study()
            yield any(
                held(
                    on_fluency(0.10),
                    scores,
                    FULL.pairs[:count],
                    Terms(fractions=fractions[: place + 1], most=count),
                ).verdict
                == "pass"
                for place, count in enumerate(counts)
            )

    return studies


def advised(kind: Kind, *, loss: float = 0.10) -> Trial:
    """Looked at with 120 dialogues, then each time with as many as the verdict names, at most 1,200."""

    def studies(seed: int) -> Iterator[float]:
        pair = Pair.of(seed, kind, FULL, loss)
        while True:
            yield _followed(pair.study()) == "pass"

    return studies


def _followed(scores: Scores) -> str:
    counts = [120]
    while True:
        fractions = tuple(count / FOUR[-1] for count in counts)
        verdict = held(
            EVERYWHERE,
            scores,
            FULL.pairs[: counts[-1]],
            Terms(fractions=fractions, most=FOUR[-1]),
            [*range(METRICS)],
        )
        if verdict.verdict != "inconclusive" or counts[-1] == FOUR[-1]:
            return verdict.verdict
        counts.append(verdict.needed_dialogues or FOUR[-1])


def submitted_again(kind: Kind) -> Trial:
    """One labelled release, played five times on the same 240 pairs: pooled, and each time charged."""

    def studies(seed: int) -> Iterator[float]:
        pair = Pair.of(seed, kind, Design(20, 60, 240), 0.10)
        while True:
            yield _any_passes(pair)

    return studies


def _any_passes(pair: Pair) -> bool:
    design = pair.world.design
    shared = pair.world.shared()
    theirs = Evidence(ratings(pair.world.again(pair.baseline, shared), design.pairs, ONE), len(design.pairs))
    runs: list[Ratings] = []
    earlier: list[Look] = []
    for _ in range(5):
        runs.append(ratings(pair.world.again(pair.candidate, shared), design.pairs, ONE))
        whole = pooled(runs)
        charge = charged(earlier, len(runs) * len(design.pairs), whole.sha256, FOUR[-1])
        assert charge is not None
        earlier.append(Look(len(runs) * len(design.pairs), whole.sha256))
        terms = Terms(fractions=charge.fractions, most=1)
        if decide(on_fluency(0.10), Evidence(whole, earlier[-1].dialogues), theirs, terms=terms).verdict == "pass":
            return True
    return False


def lost(kind: Kind, share: float) -> Trial:
    """An equal bot that loses dialogues which would have scored 1: with them it is at its margin."""

    def studies(seed: int) -> Iterator[float]:
        pair = Pair.of(seed, kind, FULL, 0.0)
        margin = share * float(pair.baseline.truth[FLUENCY] - 1)
        while True:
            mine, yours = pair.study()
            kept = FULL.pairs[pair.world.random.permutation(1200)[int(share * 1200) :]]
            ours, theirs = Evidence(ratings(mine, kept, ONE), 1200), Evidence(ratings(yours, FULL.pairs, ONE), 1200)
            yield decide(on_fluency(margin), ours, theirs, terms=Terms(most=1200)).verdict == "pass"

    return studies


def drifted(kind: Kind, again: int, *, loss: float = 0.10) -> Trial:
    """A judge that is 0.05 milder now; so many of the baseline's dialogues are rated again."""

    def studies(seed: int) -> Iterator[float]:
        pair = Pair.of(seed, kind, FULL, loss)
        milder = [pair.world.moved(bot, 0.05) for bot in (pair.candidate, pair.baseline)]
        while True:
            shared = pair.world.shared()
            heard, stored = pair.world.twice(pair.baseline, milder[1], shared)
            ours = pair.world.again(milder[0], shared)
            terms = Terms(
                most=1,
                heard=ratings(heard, FULL.pairs[:again], ONE),
                stored=ratings(stored, FULL.pairs, ONE),
            )
            yield held(on_fluency(0.10), (ours, stored), FULL.pairs, terms).verdict == "pass"

    return studies


def nothing_passes(design: Design) -> Trial:
    """All fives, of both."""

    def studies(seed: int) -> Iterator[float]:
        fives = np.full((design.characters, design.scenarios, METRICS), 5, dtype=np.int64)
        while True:
            yield held(on_fluency(4.0), (fives, fives), design.pairs, Terms()).verdict == "pass"

    return studies


# --- what is promised: the chance that was said, less what came of it -------------------------------------------------


def promised(kind: Kind, *, first: int = 240) -> Trial:
    """What is said of a decision, less whether there was one, after the first look; bots differ as releases do."""

    def studies(seed: int) -> Iterator[float]:
        world = World(seed, FULL)
        baseline = world.bot(kind)
        while True:
            loss = world.normal(0.03, 1) + world.normal(0.03, METRICS)
            candidate = baseline.worse(np.maximum(loss, baseline.truth - 4.99))
            found = _promise(Pair(world, candidate, baseline).study(), first)
            if found is not None:
                yield found

    return studies


def _promise(scores: Scores, first: int) -> float | None:
    at, everything = (first / FOUR[-1],), [*range(METRICS)]
    early = held(EVERYWHERE, scores, FULL.pairs[:first], Terms(fractions=at, most=FOUR[-1]), everything)
    if early.verdict != "inconclusive" or early.chance is None:
        return None
    count = early.needed_dialogues or FOUR[-1]
    terms = Terms(fractions=(*at, count / FOUR[-1]), most=1)
    late = held(EVERYWHERE, scores, FULL.pairs[:count], terms, everything)
    return early.chance - (late.verdict in ("pass", "fail"))


def advice(kind: Kind) -> Trial:
    """How many dialogues the first look names where bots are equal; 1,200 where it names none."""

    def studies(seed: int) -> Iterator[float]:
        pair = Pair.of(seed, kind, FULL, 0.0)
        while True:
            early = held(
                EVERYWHERE,
                pair.study(),
                FULL.pairs[:120],
                Terms(most=FOUR[-1], fractions=(0.1,)),
                [*range(METRICS)],
            )
            if early.verdict == "inconclusive":
                yield early.needed_dialogues or FOUR[-1]

    return studies


def power(kind: Kind, design: Design) -> Trial:
    """Whether an equal bot passes all ten endpoints at the margin that the study before it named, less 0.8."""

    def studies(seed: int) -> Iterator[float]:
        pair = Pair.of(seed, kind, design, 0.0)
        pairs = design.pairs
        while True:
            first, then = ([ratings(scores, pairs) for scores in pair.study()] for _ in range(2))
            spread = observed(paired(first[0].units, first[1].units))
            margin = detectable(len(pairs), scenarios=design.scenarios, spread=spread).metrics
            ours, theirs = (Evidence(run, len(pairs)) for run in then)
            policy = Policy(margins={"*": min(4.0, margin)})
            yield (decide(policy, ours, theirs, terms=Terms(most=1)).verdict == "pass") - 0.8

    return studies


PROMISES: dict[str, Trial] = {
    **{f"chance that was said, less what came, {kind.name}": promised(kind) for kind in (MIDDLE, HIGH, PANEL)},
    **{
        f"power at the detectable margin, less 80 %, {kind.name}, {design.name}": power(kind, design)
        for kind in (MIDDLE, PANEL)
        for design in (Design(20, 60, 240), Design(20, 10), SAMPLE)
    },
}
SMALL = Design(4, 6)
FALSE: dict[str, tuple[Trial, float]] = {
    **{
        f"one look, {kind.name}, {design.name}, δ {margin}": (one_look(kind, design, margin), limit)
        for kind, limit in ((MIDDLE, 0.055), (CEILING, 0.06))
        for design, margin in ((FULL, 0.1), (SAMPLE, 0.1), (Design(20, 10), 0.3))
    },
    **{
        f"one look, {kind.name}, {design.name}, δ 0.3": (one_look(kind, design, 0.3), 0.055)
        for kind in (MIDDLE, CEILING)
        for design in (SMALL, Design(3, 10), Design(2, 6))
    },
    **{
        f"cautious, {kind.name}, 1% ones, {design.name}, δ {margin}": (
            one_look(kind.with_ones(0.01), design, margin, cautious=True),
            0.055,
        )
        for kind in (HIGH, CEILING)
        for design, margin in ((Design(20, 12), 0.1), (SAMPLE, 0.3), (SMALL, 0.3))
    },
    "looks at 120, 240, 480, 1,200, middle": (looks(MIDDLE, FOUR), 0.055),
    "looks at 120, 240, 480, 1,200, ceiling": (looks(CEILING, FOUR), 0.06),
    "a look every 60, middle": (looks(MIDDLE, TWENTY), 0.055),
    "looks as advised, middle": (advised(MIDDLE), 0.055),
    "looks as advised, panel": (advised(PANEL), 0.055),
    "one release five times, middle": (submitted_again(MIDDLE), 0.055),
    "lost dialogues that were ones, middle": (lost(MIDDLE, 0.019), 0.055),
    "judge drifts by 0.05, all rated again": (drifted(MIDDLE, 1200), 0.06),
    "judge drifts by 0.05, 240 rated again": (drifted(MIDDLE, 240), 0.06),
    "judge drifts by 0.05, 40 rated again": (drifted(MIDDLE, 40), 0.06),
    "two dialogues of all fives": (nothing_passes(Design(1, 2)), 0.0),
}
