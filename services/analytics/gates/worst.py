"""Where a failed metric is worst: the dialogues that a reader of a verdict looks at first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esrp.api import RaterKind
from esrp.metrics import METRIC_IDS, metrics_of
from esrp.stats import Rule, Verdict
from esrp.stats.ratings import OWN_LOG
from services.analytics.gates.examples import first_rows, means_of
from services.analytics.gates.given import Seen
from services.analytics.report.packing import of_kind

WORST = 3  # dialogues shown of each failed metric


def worst_of(verdict: Verdict, ours: Seen, theirs: Seen | None) -> list["Pair"]:
    """The worst dialogues of every metric that failed."""
    failed = [rule for rule in verdict.rules if rule.outcome == "fail" and rule.metric != "diversity"]
    mine = _by_pair(ours, kind_of(verdict)) if failed else {}
    yours = _by_pair(theirs, kind_of(verdict)) if failed and theirs else {}
    return [pair for rule in failed for pair in _worst(rule, mine, yours)]


def kind_of(verdict: Verdict) -> RaterKind:
    """Whose scores and reasons are shown: calibrated means stand on the judges' scores of every dialogue."""
    return "human" if verdict.raters == "human" else "judge"


@dataclass(frozen=True, slots=True)
class Played:
    """A dialogue and its mean rating on each metric that was rated."""

    id: str
    character: str
    scenario: str | None
    scores: Mapping[str, float]

    def on(self, metrics: Sequence[str]) -> float | None:
        """Its score on an endpoint; ``None`` where a metric of it has no rating."""
        found = [self.scores[metric] for metric in metrics if metric in self.scores]
        return sum(found) / len(found) if len(found) == len(metrics) else None


@dataclass(frozen=True, slots=True)
class Pair:
    """What was said in one scenario with either bot; of several replicates, the lowest of ours, the highest of theirs.

    ``difference`` is that of the means over replicates.
    """

    metric: str
    difference: float | None
    ours: Played
    score: float
    theirs: Played | None
    their_score: float | None


ByPair = Mapping[tuple[str, str], Sequence[Played]]


def _by_pair(seen: Seen, kind: RaterKind) -> dict[tuple[str, str], list[Played]]:
    """The run's rated dialogues by character and scenario; one from own logs stands alone."""
    ratings = of_kind(seen.rated.ratings, kind)
    means, first, levels = means_of(ratings).tolist(), first_rows(ratings), ratings.levels
    pairs: dict[tuple[str, str], list[Played]] = {}
    for row, id in enumerate(levels["dialogue"]):
        character = levels["character"][ratings.codes["character"][first[row]]]
        scenario = levels["scenario"][ratings.codes["scenario"][first[row]]]
        scores = {metric: mean for metric, mean in zip(METRIC_IDS, means[row], strict=True) if not math.isnan(mean)}
        own = scenario == OWN_LOG
        played = Played(id, character, None if own else scenario, scores)
        pairs.setdefault((character, f"\0{id}" if own else scenario), []).append(played)
    return pairs


def _worst(rule: Rule, ours: ByPair, theirs: ByPair) -> list[Pair]:
    """Where the difference is lowest, or of a floor the score itself."""
    metrics = metrics_of(rule.metric)
    pairs = [_pair(rule.metric, metrics, ours[key], theirs.get(key, ())) for key in sorted(ours)]
    found = [pair for pair in pairs if pair is not None and (rule.kind == "floor" or pair.difference is not None)]

    def badness(pair: Pair) -> tuple[float, float]:
        return (pair.score, 0.0) if rule.kind == "floor" or pair.difference is None else (pair.difference, pair.score)

    return sorted(found, key=badness)[:WORST]


def _pair(metric: str, metrics: Sequence[str], ours: Sequence[Played], theirs: Sequence[Played]) -> Pair | None:
    mine = [(score, played) for played in ours if (score := played.on(metrics)) is not None]
    yours = [(score, played) for played in theirs if (score := played.on(metrics)) is not None]
    if not mine:
        return None
    score, lowest = min(mine, key=lambda one: (one[0], one[1].id))
    if not yours:
        return Pair(metric, None, lowest, score, None, None)
    their_score, highest = max(yours, key=lambda one: (one[0], one[1].id))
    difference = sum(s for s, _ in mine) / len(mine) - sum(s for s, _ in yours) / len(yours)
    return Pair(metric, difference, lowest, score, highest, their_score)
