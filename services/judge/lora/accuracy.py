"""Judges against people, as in the paper's Table 3: how often a judge hits a human rating or is at most one off."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from esrp.metrics import METRIC_IDS, SCORES
from esrp.stats import Interval, Rating, Ratings
from esrp.stats.agreement import quadratic_kappa
from esrp.stats.bootstrap import key, resampled
from esrp.stats.intervals import intervals, mean_of
from esrp.stats.ratings import DIFFERENCES, Floats, Span, Units
from esrp.text import NONE, number

AVERAGE = "average"
HITS = Span(0.0, 1.0)


class Row(NamedTuple):
    """One human rating. ``scenario`` is ``None`` for own logs."""

    dialogue: str
    character: str
    scenario: str | None
    metric: str
    rater: str
    score: int


@dataclass(frozen=True, slots=True)
class Share:
    """A mean over human ratings, with the interval that clusters them by dialogue (STATISTICS 2)."""

    mean: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """``acc``: same score; ``acc_soft``: at most one apart; ``bias``: judge − human; ``qwk``: see ``quadratic_kappa``.

    ``ratings`` human ratings of ``dialogues`` dialogues enter; ``missing`` had no score from the judge and do not.
    """

    acc: Share
    acc_soft: Share
    bias: Share
    qwk: float | None
    ratings: int
    dialogues: int
    missing: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One judge's row of Table 3; ``average`` is the plain mean of the nine metrics."""

    judge: str
    metrics: Mapping[str, Accuracy]
    average: Accuracy


def accuracy(judge: str, rows: Iterable[Row], given: Mapping[tuple[str, str], int]) -> Judged:
    """Compare a judge's scores, by dialogue and metric, with each human rating (STATISTICS 4)."""
    everything = sorted(rows)
    seen = [row for row in everything if (row.dialogue, row.metric) in given]
    missing = [row for row in everything if (row.dialogue, row.metric) not in given]

    def measured(of: Callable[[int], int], span: Span) -> _Measured:
        return _Measured([row._replace(score=of(given[row.dialogue, row.metric] - row.score)) for row in seen], span)

    kappas = {
        metric: _kappa([(given[row.dialogue, metric], row.score) for row in seen if row.metric == metric])
        for metric in METRIC_IDS
    }
    acc, soft = measured(lambda by: int(by == 0), HITS), measured(lambda by: int(abs(by) <= 1), HITS)
    bias = measured(int, DIFFERENCES)

    def of(metrics: Sequence[str]) -> Accuracy:
        mine = [row for row in seen if row.metric in metrics]
        return Accuracy(
            acc=acc.mean(metrics),
            acc_soft=soft.mean(metrics),
            bias=bias.mean(metrics),
            qwk=_mean([kappas[metric] for metric in metrics]),
            ratings=len(mine),
            dialogues=len({row.dialogue for row in mine}),
            missing=sum(row.metric in metrics for row in missing),
        )

    return Judged(judge, {metric: of([metric]) for metric in METRIC_IDS}, of(METRIC_IDS))


def _kappa(pairs: Sequence[tuple[int, int]]) -> float | None:
    joint = np.zeros((len(SCORES), len(SCORES)), dtype=np.int64)
    for judge, human in pairs:
        joint[judge - 1, human - 1] += 1
    return quadratic_kappa(joint)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


class _Measured:
    """Whole numbers inside a span, of which means are taken: their units, resampled once for all metrics."""

    def __init__(self, rows: Sequence[Row], span: Span) -> None:
        ratings = Ratings.of(Rating(*row[:5], "human", row.score) for row in rows)
        self._units: Units = replace(ratings.units, span=span)
        self._resamples: Floats = resampled(self._units, key(ratings.sha256))

    def mean(self, metrics: Sequence[str]) -> Share:
        """The mean of the metrics' means. All hit or all missed is no certainty: no interval is without width."""
        columns = _columns(metrics)
        return Share(mean_of(self._units, columns), intervals(self._units, columns, self._resamples).dialogue)


def _columns(metrics: Sequence[str]) -> list[int]:
    return [METRIC_IDS.index(metric) for metric in metrics]


# --- what is known beforehand -----------------------------------------------------------------------------------------


def most_frequent(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The score that each metric was given most often, the lower of equals: what a judge must beat to have learned."""
    return {
        metric: int(max(sorted(of), key=lambda score: of[score])) for metric, of in counts.items() if any(of.values())
    }


class Printed(BaseModel):
    """A cell of the paper's table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    acc: float
    acc_soft: float


@cache
def published() -> Mapping[str, Mapping[str, Printed]]:
    """The paper's Table 3: by judge and by metric or ``average``."""
    text = files("esrp").joinpath("published/table3.yaml").read_text("utf-8")
    return TypeAdapter(dict[str, dict[str, Printed]]).validate_python(yaml.safe_load(text))


# --- to read ----------------------------------------------------------------------------------------------------------


def table(judged: Sequence[Judged]) -> str:
    """The first judge with its intervals, then all of them beside the paper's: metrics by their ids, one a line."""
    return "\n".join([*_first(judged[0]), "", *_beside(judged)])


def _first(judged: Judged) -> list[str]:
    shares = f"{'acc':<22}{'acc_soft':<22}{'bias':<24}"
    header = f"{judged.judge:<24}{shares}{'qwk':>7}{'ratings':>9}{'dialogues':>11}{'missing':>9}"
    return [header, *(_line(metric, judged.metrics[metric]) for metric in METRIC_IDS), _line(AVERAGE, judged.average)]


def _line(name: str, of: Accuracy) -> str:
    shares = f"{_share(of.acc):<22}{_share(of.acc_soft):<22}{_share(of.bias, sign='+'):<24}"
    qwk = "–" if of.qwk is None else f"{of.qwk:.3f}"
    return f"{name:<24}{shares}{qwk:>7}{of.ratings:>9}{of.dialogues:>11}{of.missing:>9}"


def _share(share: Share, sign: str = "") -> str:
    if share.mean is None:
        return "–"
    found = share.interval
    return f"{share.mean:{sign}.3f}" + (f" [{found.low:{sign}.3f}, {found.high:{sign}.3f}]" if found else "")


def _beside(judged: Sequence[Judged]) -> list[str]:
    columns = [
        (one.judge, [_both(one.metrics[metric]) for metric in METRIC_IDS] + [_both(one.average)]) for one in judged
    ]
    for judge, cells in published().items():
        said = [f"{number(cells[name].acc)}/{number(cells[name].acc_soft)}" for name in (*METRIC_IDS, AVERAGE)]
        columns.append((f"paper: {judge}", said))
    widths = [max(len(name), 11) + 2 for name, _ in columns]
    lines = [f"{'acc/acc_soft':<24}" + "".join(f"{name:<{w}}" for (name, _), w in zip(columns, widths, strict=True))]
    for at, name in enumerate((*METRIC_IDS, AVERAGE)):
        values = (f"{said[at]:<{w}}" for (_, said), w in zip(columns, widths, strict=True))
        lines.append(f"{name:<24}" + "".join(values))
    return [line.rstrip() for line in lines]


def _both(of: Accuracy) -> str:
    return NONE if of.acc.mean is None else f"{number(of.acc.mean)}/{number(of.acc_soft.mean)}"
