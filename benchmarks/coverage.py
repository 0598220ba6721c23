"""Do intervals cover and does the gate err as rarely as they say: ``python -m benchmarks.coverage``.

Studies of 20 characters × 60 scenarios × 9 metrics are drawn from a model with known truth, each interval under the
design it is made for (STATISTICS 2, 5 and 6), and the project's own functions answer. All of a latent score is normal,
so the true means of the rounded, clipped ratings are known exactly. Everything is seeded: the table is always the same.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from benchmarks.spans import CALIBRATED, LEANING, SUITE, Spans
from benchmarks.trials import FALSE, PROMISES, Trial
from esrp.metrics import METRIC_IDS
from esrp.policies import Policy
from esrp.stats import Evidence, decide
from esrp.stats.calibration import calibrations
from esrp.stats.intervals import Interval, intervals
from esrp.stats.paired import paired
from esrp.stats.ratings import Floats, Integers, Ratings

CHARACTERS, SCENARIOS, METRICS = 20, 60, len(METRIC_IDS)
LABELLED = 240
OVERALL = list(range(METRICS))
FLUENCY = [METRIC_IDS.index("fluency")]

# Assumed SDs of a latent score. Differences of two bots then vary about as in `esrp.stats.power`.
BASE = np.array([4.1, 3.9, 4.0, 3.8, 3.7, 3.8, 4.0, 3.5, 3.9])  # a bot's latent means
CHARACTER, CHARACTER_BOT = 0.08, 0.10
SCENARIO, SCENARIO_BOT, PAIR = 0.12, 0.04, 0.20
DIALOGUE, CELL = 0.28, 0.22  # of one bot: shared by the metrics, and of each
JUDGE, HUMAN = 0.35, 0.45  # of a rater
BIAS, BIAS_CHARACTER = -0.15, 0.10  # of the judge against people: on average, and between characters

COVERS = (0.93, 0.97)
ERRS = (0.0, 0.055)


@dataclass(frozen=True)
class Bot:
    """What stays the same in every study of a design: latent means by character and metric."""

    fixed: Floats
    random_characters: bool = False

    def truth(self, rater: float) -> Floats:
        """The true mean of each metric's ratings, by a rater with this SD: exact."""
        squares = [SCENARIO, SCENARIO_BOT, PAIR, DIALOGUE, CELL, rater]
        squares += [CHARACTER, CHARACTER_BOT] if self.random_characters else []
        sd = math.sqrt(sum(part**2 for part in squares))
        above = [ndtr((self.fixed - score - 0.5) / sd) for score in range(1, 5)]
        means: Floats = 1 + np.sum(above, axis=0).mean(axis=0)
        return means


class World:
    """Draws studies; two bots in one study share scenarios and characters."""

    def __init__(self, seed: int) -> None:
        self.chance = np.random.default_rng(seed)

    def normal(self, sd: float, *shape: int) -> Floats:
        """Independent normals."""
        return sd * self.chance.standard_normal(shape)

    def bot(self, shift: Floats | float = 0.0, *, like: "Bot | None" = None) -> Bot:
        """A bot with its own way with each character; or one like another, shifted on some metrics."""
        if like is not None:
            return Bot(like.fixed + shift)
        effects = self.normal(CHARACTER, CHARACTERS, 1) + self.normal(CHARACTER_BOT, CHARACTERS, 1)
        return Bot(BASE + effects + shift)

    def latent(self, *bots: Bot) -> list[Floats]:
        """Each bot's latent scores in one new study: characters × scenarios × metrics."""
        shared = self.normal(SCENARIO, 1, SCENARIOS, 1) + self.normal(PAIR, CHARACTERS, SCENARIOS, 1)
        if any(bot.random_characters for bot in bots):
            shared = shared + self.normal(CHARACTER, CHARACTERS, 1, 1)
        return [shared + self._own(bot) for bot in bots]

    def rated(self, latent: Floats, rater: float, bias: Floats | float = 0.0) -> Integers:
        """The ratings 1 to 5 of one rater."""
        scores = np.rint(latent + bias + self.normal(rater, *latent.shape))
        return np.clip(scores, 1, 5).astype(np.int64)

    def _own(self, bot: Bot) -> Floats:
        own = bot.fixed.reshape(-1, 1, METRICS) + self.normal(SCENARIO_BOT, 1, SCENARIOS, 1)
        own = own + self.normal(DIALOGUE, CHARACTERS, SCENARIOS, 1)
        if bot.random_characters:
            own = own + self.normal(CHARACTER_BOT, CHARACTERS, 1, 1)
        return own + self.normal(CELL, CHARACTERS, SCENARIOS, METRICS)


def ratings(judge: Integers, human: Integers | None = None, labelled: Integers | None = None) -> Ratings:
    """A judge's ratings of every dialogue, and a person's of the labelled ones."""
    character, scenario, metric = (axis.ravel() for axis in np.indices(judge.shape))
    dialogue = character * SCENARIOS + scenario
    rows, kind, score = np.arange(judge.size), np.zeros(judge.size, dtype=np.int64), judge.ravel()
    if human is not None and labelled is not None:
        people = np.flatnonzero(np.isin(dialogue, labelled))
        rows, score = np.concatenate([rows, people]), np.concatenate([score, human.ravel()[people]])
        kind = np.concatenate([kind, np.ones(len(people), dtype=np.int64)])
    codes = {"dialogue": dialogue[rows], "character": character[rows], "scenario": scenario[rows]}
    return Ratings(LEVELS, codes | {"metric": metric[rows], "rater": kind, "kind": kind}, score)


LEVELS = {
    "dialogue": tuple(f"{number:04}" for number in range(CHARACTERS * SCENARIOS)),
    "character": tuple(f"c{number:02}" for number in range(CHARACTERS)),
    "scenario": tuple(f"s{number:02}" for number in range(SCENARIOS)),
    "metric": METRIC_IDS,
    "rater": ("judge", "person"),
    "kind": ("judge", "human"),
}


# --- intervals: whether each study's covers ---------------------------------------------------------------------------

Case = Callable[[int], Iterator[bool]]


def hit(interval: Interval | None, truth: float) -> bool:
    """Whether the truth is inside."""
    return interval is not None and interval.low <= truth <= interval.high


def suite(columns: list[int]) -> Case:
    """Scores: the same characters, new scenarios."""

    def studies(seed: int) -> Iterator[bool]:
        world = World(seed)
        bot = world.bot()
        truth = float(bot.truth(JUDGE)[columns].mean())
        while True:
            units = ratings(world.rated(world.latent(bot)[0], JUDGE)).units
            yield hit(intervals(units, columns, np.zeros((1, METRICS))).suite, truth)

    return studies


def suite_of_a_difference(columns: list[int]) -> Case:
    """Paired differences: the same characters, new scenarios."""

    def studies(seed: int) -> Iterator[bool]:
        world = World(seed)
        bots = world.bot(), world.bot(0.1)
        truth = float((bots[0].truth(JUDGE) - bots[1].truth(JUDGE))[columns].mean())
        while True:
            ours, theirs = (ratings(world.rated(latent, JUDGE)).units for latent in world.latent(*bots))
            yield hit(intervals(paired(ours, theirs), columns, np.zeros((1, METRICS))).suite, truth)

    return studies


def population(columns: list[int]) -> Case:
    """Scores: new characters and new scenarios."""

    def studies(seed: int) -> Iterator[bool]:
        world = World(seed)
        bot = Bot(BASE.reshape(1, -1), random_characters=True)
        truth = float(bot.truth(JUDGE)[columns].mean())
        while True:
            units = ratings(world.rated(world.latent(bot)[0], JUDGE)).units
            yield hit(intervals(units, columns, np.zeros((1, METRICS))).population, truth)

    return studies


def calibrated(metric: str | None) -> Case:
    """Means on the human scale: a biased judge rates all, people 240 dialogues drawn at random."""

    def studies(seed: int) -> Iterator[bool]:
        world = World(seed)
        bot = world.bot()
        bias = BIAS + world.normal(BIAS_CHARACTER, CHARACTERS, 1, 1)
        truths = bot.truth(HUMAN)
        truth = float(truths.mean() if metric is None else truths[METRIC_IDS.index(metric)])
        while True:
            latent = world.latent(bot)[0]
            labelled = world.chance.permutation(CHARACTERS * SCENARIOS)[:LABELLED]
            rows = ratings(world.rated(latent, JUDGE, bias), world.rated(latent, HUMAN), labelled)
            found = calibrations(rows)
            score = found.overall if metric is None else found.metrics[metric]
            yield score is not None and hit(score.interval, truth)

    return studies


# --- the gate: whether each study's verdict is wrong ------------------------------------------------------------------

DROP = 0.12  # latent


def gate(wrong: str, metrics: tuple[str, ...], others: float) -> Case:
    """A candidate that is worse on these metrics by exactly its margin there, so that ``wrong`` is a false verdict.

    The other endpoints have the margin ``others``; if all nine metrics are worse, overall is held to its own.
    """

    def studies(seed: int) -> Iterator[bool]:
        world = World(seed)
        baseline = world.bot()
        candidate = world.bot(np.where(np.isin(METRIC_IDS, metrics), -DROP, 0.0), like=baseline)
        loss = baseline.truth(JUDGE) - candidate.truth(JUDGE)
        margins = {"*": others} | {metric: float(loss[METRIC_IDS.index(metric)]) for metric in metrics}
        if len(metrics) == METRICS:
            margins["overall"] = float(loss.mean())
        policy = Policy(margins=margins)
        while True:
            ours, theirs = (
                Evidence(ratings(world.rated(latent, JUDGE)), planned=CHARACTERS * SCENARIOS)
                for latent in world.latent(candidate, baseline)
            )
            yield decide(policy, ours, theirs).verdict == wrong

    return studies


def floor(wrong: str) -> Case:
    """A floor under overall that is exactly its true mean."""

    def studies(seed: int) -> Iterator[bool]:
        world = World(seed)
        bot = world.bot()
        policy = Policy(floors={"overall": float(bot.truth(JUDGE).mean())})
        while True:
            run = ratings(world.rated(world.latent(bot)[0], JUDGE))
            yield decide(policy, Evidence(run, planned=CHARACTERS * SCENARIOS)).verdict == wrong

    return studies


INTERVALS: dict[str, Case] = {
    "suite, overall": suite(OVERALL),
    "suite, one metric": suite(FLUENCY),
    "suite, difference in overall": suite_of_a_difference(OVERALL),
    "suite, difference in one metric": suite_of_a_difference(FLUENCY),
    "population, overall": population(OVERALL),
    "population, one metric": population(FLUENCY),
    f"calibrated with {LABELLED} labels, overall": calibrated(None),
    f"calibrated with {LABELLED} labels, one metric": calibrated("fluency"),
}
VERDICTS: dict[str, Case] = {
    "false pass, one metric at −δ, the others equal": gate("pass", ("fluency",), 0.10),
    "false pass, one metric at −δ, the others safe": gate("pass", ("fluency",), 4.0),
    "false fail, all ten endpoints at −δ": gate("fail", METRIC_IDS, 4.0),
    "false pass, overall at its floor": floor("pass"),
    "false fail, overall at its floor": floor("fail"),
}


TOLERANCE = 2.5  # Monte Carlo errors beyond a limit before it counts as broken
WIDER, TRUSTED = 1.1, 0.94  # where t alone covers that, the median width may grow by that
CI, NIGHTLY = (100, 150), (2000, 4000)  # studies of an interval and of a verdict


@dataclass(frozen=True, slots=True)
class Found:
    """What a case came to in so many studies, and between which numbers it should be; ``note`` stands beside it."""

    name: str
    share: float
    studies: int
    low: float
    high: float
    error: float = 0.0
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is where it should be."""
        return self.low <= self.share <= self.high

    @property
    def stands(self) -> bool:
        """Whether chance can explain where it is."""
        return self.low - TOLERANCE * self.error <= self.share <= self.high + TOLERANCE * self.error

    @property
    def line(self) -> str:
        """As it is printed."""
        broken = "" if self.stands else "  BROKEN"
        return (
            f"{self.name:75} {self.share:8.2%} {self.error:7.2%} {self.studies:7}"
            f"   {self.low:.1%}–{self.high:.1%}{self.note}{broken}"
        )


def measure(name: str, case: Case | Trial, studies: int, limits: tuple[float, float], seed: int = 20) -> Found:
    """Draw the studies of one case."""
    drawn = case(seed)
    values = np.array([next(drawn) for _ in range(studies)], dtype=float)
    return Found(name, float(values.mean()), studies, *limits, error=float(values.std()) / math.sqrt(studies))


def measure_span(name: str, case: Spans, studies: int, seed: int = 20) -> Found:
    """An interval's coverage beside that of t alone, and how much wider it is."""
    drawn = case(seed)
    spans = [next(drawn) for _ in range(studies)]
    share, plain = (
        float(np.mean(covers)) for covers in zip(*((span.holds, span.plain) for span in spans), strict=True)
    )
    width, before = (float(np.median(w)) for w in zip(*((span.width, span.plain_width) for span in spans), strict=True))
    wider = f"{width / before:5.2f} times as wide" if before > 0 else f" [{width:.2f} wide]"
    wide = "  WIDE" if plain >= TRUSTED and width > WIDER * before else ""
    note = f"   t alone {plain:.1%}, {wider}{wide}"
    return Found(name, share, studies, 0.93, 1.0, math.sqrt(share * (1 - share) / studies), note)


def everything(intervals: int, verdicts: int) -> Iterator[Found]:
    """Every case, one after the other."""
    for name, case in INTERVALS.items():
        yield measure(name, case, intervals, COVERS)
    for name, span in SUITE.items():
        yield measure_span(name, span, intervals)
    for name, calibrating in CALIBRATED.items():
        yield measure(name, calibrating, intervals, (0.93, 0.98))
    for name, case in VERDICTS.items():
        yield measure(name, case, verdicts, ERRS)
    for name, (trial, limit) in FALSE.items():
        yield measure(name, trial, verdicts, (0.0, limit))
    for name, trial in PROMISES.items():
        yield measure(name, trial, verdicts, (-0.05, 0.05))
    for name, span in LEANING.items():
        found = measure_span(name, span, intervals)
        yield replace(found, low=0.0, note=f"{found.note}   shown, not held to it")


def main() -> None:
    """Measure all, print, and exit with 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ci", action="store_true", help="few studies, in minutes; else as many as a night allows")
    intervals, verdicts = CI if parser.parse_args().ci else NIGHTLY
    print(f"{'':75} {'share':>8} {'± MC':>7} {'studies':>7}   allowed")
    broken = 0
    for found in everything(intervals, verdicts):
        print(found.line, flush=True)
        broken += not found.stands
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
