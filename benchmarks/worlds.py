"""Simulated studies whose truth is known: scores 1 to 5 in the middle of the scale and near its end, with rare ones.

All of a latent score is normal, so the true means of the rounded, clipped ratings are known exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from esrp.metrics import METRIC_IDS
from esrp.stats.ratings import Floats, Integers, Ratings

METRICS = len(METRIC_IDS)
FLUENCY = METRIC_IDS.index("fluency")

# Assumed SDs of a latent score. Differences of two bots then vary about as in `esrp.stats.power`.
CHARACTER, CHARACTER_BOT = 0.08, 0.10
SCENARIO, SCENARIO_BOT, PAIR = 0.12, 0.04, 0.20
DIALOGUE, CELL, RATER = 0.28, 0.22, 0.35  # of one bot: shared by the metrics, and of each; of one judge
PARTS = (SCENARIO, SCENARIO_BOT, PAIR, DIALOGUE, CELL, RATER)


@dataclass(frozen=True)
class Kind:
    """How good a bot is on each metric, on average, and how often a dialogue is a disaster: 1 on all of them."""

    name: str
    means: tuple[float, ...]
    ones: float = 0.0

    def with_ones(self, share: float) -> "Kind":
        """The same with disasters."""
        return replace(self, ones=share, name=f"{self.name}, {share:.0%} ones") if share else self


MIDDLE = Kind("middle", (4.1, 3.9, 4.0, 3.8, 3.7, 3.8, 4.0, 3.5, 3.9))  # as people rate
HIGH = Kind("high", (4.65, 4.6, 4.65, 4.6, 4.55, 4.6, 4.65, 4.5, 4.6))
PANEL = Kind("panel", (4.95, 4.98, 4.97, 4.8, 4.75, 4.7, 4.9, 4.6, 4.85))  # as panels of models rate


@dataclass(frozen=True)
class Design:
    """Characters × scenarios, or a sample of their pairs that is balanced over both."""

    characters: int
    scenarios: int
    sample: int | None = None

    @property
    def name(self) -> str:
        """As it is written in tables."""
        return f"{self.characters}×{self.scenarios}" + (f", {self.sample} of them" if self.sample else "")

    @property
    def pairs(self) -> Integers:
        """The pairs that are played, as numbers of a character × scenario table."""
        return balanced(self.characters, self.scenarios)[: self.sample]


FULL, SAMPLE = Design(20, 60), Design(20, 60, 120)
DESIGNS = (FULL, Design(20, 10), Design(4, 6), Design(3, 10), Design(2, 6), SAMPLE)


def balanced(characters: int, scenarios: int) -> Integers:
    """All pairs, any first part of them balanced over scenarios and characters."""
    rounds = range(characters)
    return np.array(
        [((s * 7 + r) % characters) * scenarios + s for r in rounds for s in range(scenarios)], dtype=np.int64
    )


@dataclass(frozen=True, eq=False)
class Bot:
    """Latent means by character and metric: the same in all studies."""

    fixed: Floats
    ones: float

    @property
    def truth(self) -> Floats:
        """The true mean of each metric."""
        means = _mean(self.fixed).mean(axis=0)
        truth: Floats = means * (1 - self.ones) + self.ones
        return truth

    def worse(self, loss: Floats) -> "Bot":
        """A bot whose true means are lower by this."""
        wanted = self.truth - loss
        shifts = [
            brentq(lambda by, c=column, to=to: float(Bot(self.fixed + by, self.ones).truth[c]) - to, -4, 1)
            if loss[column]
            else 0.0
            for column, to in enumerate(wanted)
        ]
        return Bot(self.fixed + np.array(shifts), self.ones)


class World:
    """Draws studies of one design; bots in one study share scenarios and pairs."""

    def __init__(self, seed: int, design: Design) -> None:
        self.random, self.design = np.random.default_rng(seed), design

    def bot(self, kind: Kind) -> Bot:
        """A bot with its own way with each character."""
        ways = np.hypot(CHARACTER, CHARACTER_BOT) * self.random.standard_normal((self.design.characters, 1))
        latent = np.array([_latent(mean) for mean in kind.means])
        return Bot(latent + (ways - ways.mean()), kind.ones)

    def scores(self, *bots: Bot) -> list[Integers]:
        """Each bot's ratings in one new study: characters × scenarios × metrics."""
        shared = self.shared()
        return [self.again(bot, shared) for bot in bots]

    def shared(self) -> Floats:
        """What the scenarios and pairs of a study are like, for all bots."""
        characters, scenarios = self.design.characters, self.design.scenarios
        return self.normal(SCENARIO, 1, scenarios, 1) + self.normal(PAIR, characters, scenarios, 1)

    def again(self, bot: Bot, shared: Floats) -> Integers:
        """A bot's ratings where scenarios and pairs are as they were."""
        replies = self._replies(shared)
        return self._rated(bot, replies)

    def twice(self, bot: Bot, moved: Bot, shared: Floats) -> tuple[Integers, Integers]:
        """The same replies rated now, by a judge to whom the bot is ``moved``, and before."""
        replies = self._replies(shared)
        return self._rated(moved, replies), self._rated(bot, replies)

    def moved(self, bot: Bot, by: float) -> Bot:
        """What a bot is to a judge that gives every metric so much more on average."""
        return bot.worse(np.full(METRICS, -by))

    def _replies(self, shared: Floats) -> Floats:
        characters, scenarios = self.design.characters, self.design.scenarios
        own = self.normal(SCENARIO_BOT, 1, scenarios, 1) + self.normal(DIALOGUE, characters, scenarios, 1)
        return shared + own + self.normal(CELL, characters, scenarios, METRICS)

    def _rated(self, bot: Bot, replies: Floats) -> Integers:
        latent = bot.fixed[:, None, :] + replies + self.normal(RATER, *replies.shape)
        scores = np.clip(np.rint(latent), 1, 5).astype(np.int64)
        scores[self.random.random(replies.shape[:2]) < bot.ones] = 1
        return scores

    def normal(self, sd: float, *shape: int) -> Floats:
        """Independent normals."""
        return sd * self.random.standard_normal(shape)


def ratings(scores: Integers, pairs: Integers, metrics: Sequence[int] = range(METRICS)) -> Ratings:
    """A judge's ratings of the dialogues of these pairs, on these metrics."""
    characters, scenarios, _ = scores.shape
    dialogue = np.repeat(pairs, len(metrics))
    metric = np.tile(np.array(metrics), len(pairs))
    codes = {"dialogue": dialogue, "character": dialogue // scenarios, "scenario": dialogue % scenarios}
    nothing = np.zeros_like(dialogue)
    codes |= {"metric": metric, "rater": nothing, "kind": nothing}
    return Ratings(_levels(characters, scenarios), codes, scores.reshape(-1, METRICS)[pairs][:, metrics].ravel())


def _levels(characters: int, scenarios: int) -> dict[str, tuple[str, ...]]:
    return {
        "dialogue": tuple(f"{number:05}" for number in range(characters * scenarios)),
        "character": tuple(f"c{number:02}" for number in range(characters)),
        "scenario": tuple(f"s{number:02}" for number in range(scenarios)),
        "metric": METRIC_IDS,
        "rater": ("judge",),
        "kind": ("judge",),
    }


def _mean(latent: Floats | float) -> Floats:
    sd = float(np.sqrt(np.sum(np.square(PARTS))))
    above = [ndtr((np.asarray(latent) - score - 0.5) / sd) for score in range(1, 5)]
    means: Floats = 1 + np.sum(above, axis=0)
    return means


def _latent(mean: float) -> float:
    return float(brentq(lambda latent: float(_mean(latent)) - mean, 0, 9))
