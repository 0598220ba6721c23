"""Ratings as arrays, their hash, and the units that intervals resample or cluster."""

import hashlib
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from esrp.metrics import METRIC_IDS

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

OWN_LOG = ""  # stands for "no scenario"; no scenario's id is empty


class Rating(NamedTuple):
    """One score: a dialogue × metric × rater (STATISTICS 1).

    ``dialogue`` is any identity of the dialogue; it tells dialogues apart and enters no hash. ``scenario`` is ``None``
    for own logs. There is no rating without a score: missing is missing.
    """

    dialogue: str
    character: str
    scenario: str | None
    metric: str
    rater: str
    kind: str
    score: int


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings in columns: ``levels[name]`` sorted, ``codes[name]`` an index into them a rating; ``score`` 1 to 5."""

    levels: dict[str, tuple[str, ...]]
    codes: dict[str, Integers]
    score: Integers

    @classmethod
    def of(cls, ratings: Iterable[Rating]) -> "Ratings":
        """The ratings in columns, in any order; raises ``ValueError`` for a metric that is not one of the nine."""
        rows = list(ratings)
        columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(Rating._fields)
        named = dict(zip(Rating._fields, columns, strict=True))
        named["scenario"] = [scenario or OWN_LOG for scenario in named["scenario"]]
        levels = {name: tuple(sorted(set(column))) for name, column in named.items() if name != "score"}
        if unknown := set(levels["metric"]) - set(METRIC_IDS):
            raise ValueError(f"not a metric: {', '.join(sorted(unknown))}")
        levels["metric"] = METRIC_IDS
        codes = {name: _codes(column, levels[name]) for name, column in named.items() if name != "score"}
        return cls(levels, codes, np.array(named["score"], dtype=np.int64))

    @classmethod
    def of_table(
        cls, levels: Mapping[str, Sequence[str]], codes: Mapping[str, NDArray[Any]], scores: NDArray[Any]
    ) -> "Ratings":
        """The ratings of a table: ``scores`` rows × the nine metrics, 0 where there is none.

        ``levels`` and ``codes`` say of each row whose it is, as in the result, which has no name that is in no rating.
        """
        rated = scores.any(axis=1)
        row, metric = np.nonzero(scores[rated])
        used = {name: _used(levels[name], code[rated].astype(np.int64)) for name, code in codes.items()}
        return cls(
            {**{name: level for name, (level, _) in used.items()}, "metric": METRIC_IDS},
            {**{name: code[row] for name, (_, code) in used.items()}, "metric": metric.astype(np.int64)},
            scores[rated][row, metric].astype(np.int64),
        )

    @classmethod
    def joined(cls, *parts: "Ratings") -> "Ratings":
        """All ratings of one or more."""
        levels: dict[str, tuple[str, ...]] = {
            name: tuple(sorted({level for part in parts for level in part.levels[name]})) for name in parts[0].levels
        }
        levels["metric"] = METRIC_IDS
        codes = {
            name: np.concatenate([_codes(part.levels[name], levels[name])[part.codes[name]] for part in parts])
            for name in levels
        }
        return cls(levels, codes, np.concatenate([part.score for part in parts]))

    def __len__(self) -> int:
        """How many ratings."""
        return len(self.score)

    def among(self, column: str, names: Collection[str]) -> NDArray[np.bool_]:
        """Of each rating whether what it has in the column is one of the names."""
        chosen = np.array([level in names for level in self.levels[column]], dtype=bool)
        return chosen[self.codes[column]]

    def only(self, chosen: NDArray[np.bool_]) -> "Ratings":
        """Some of the ratings, with the names that are in them alone."""
        used = {name: _used(self.levels[name], code[chosen]) for name, code in self.codes.items() if name != "metric"}
        return Ratings(
            {**{name: level for name, (level, _) in used.items()}, "metric": METRIC_IDS},
            {**{name: code for name, (_, code) in used.items()}, "metric": self.codes["metric"][chosen]},
            self.score[chosen],
        )

    @cached_property
    def sha256(self) -> str:
        """The hash of the canonically sorted (character, scenario, metric, rater, kind, score) (STATISTICS 3).

        The sorted rows are written as their sorted names and, for each row, the indices into them.
        """
        columns = ("character", "scenario", "metric", "rater", "kind")
        ordered = _sorted_rows([*(self.codes[name] for name in columns), self.score])
        names = json.dumps([self.levels[name] for name in columns], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(names.encode() + b"\n" + ordered.astype("<i4").tobytes()).hexdigest()

    @cached_property
    def dialogues(self) -> Integers:
        """How many ratings each dialogue (row, in the order of ``levels["dialogue"]``) has for each metric."""
        shape = len(self.levels["dialogue"]), len(METRIC_IDS)
        return _table(self.codes["dialogue"], self.codes["metric"], shape, np.ones_like(self.score))

    @cached_property
    def units(self) -> "Units":
        """The ratings' sums and counts by (character, scenario) pair; a dialogue from own logs is a unit by itself.

        Replicates belong to their pair (STATISTICS 2). The order of the units depends on nothing but the ratings: own
        logs, which have no name that two runs share, are ordered by their counts and sums, and where those are equal
        the order changes nothing.
        """
        character, scenario = self.codes["character"], self.codes["scenario"]
        own = self._is_own_log
        pair = character * len(self.levels["scenario"]) + scenario
        alone = len(self.levels["character"]) * len(self.levels["scenario"]) + self.codes["dialogue"]
        _, first, unit = np.unique(np.where(own, alone, pair), return_index=True, return_inverse=True)
        shape = len(first), len(METRIC_IDS)
        sums = _table(unit, self.codes["metric"], shape, self.score)
        counts = _table(unit, self.codes["metric"], shape, np.ones_like(self.score))
        keys = np.column_stack([character[first], scenario[first], counts, sums])
        order = np.lexsort(keys.T[::-1])
        return Units(
            sums=sums[order],
            counts=counts[order],
            character=character[first][order],
            scenario=_scenarios(scenario[first][order], own[first][order]),
            pairs=self._pairs(first[order]),
        )

    @property
    def _is_own_log(self) -> NDArray[np.bool_]:
        names = np.array([name == OWN_LOG for name in self.levels["scenario"]], dtype=bool)
        return names[self.codes["scenario"]]

    def _pairs(self, rows: Integers) -> tuple[tuple[str, str | None], ...]:
        codes = (self.codes[name][rows].tolist() for name in ("character", "scenario"))
        characters, scenarios = self.levels["character"], [name or None for name in self.levels["scenario"]]
        return tuple((characters[one], scenarios[other]) for one, other in zip(*codes, strict=True))


class Span(NamedTuple):
    """The least and the largest value that there can be."""

    low: float
    high: float


SCORES = Span(1.0, 5.0)
DIFFERENCES = Span(-4.0, 4.0)


@dataclass(frozen=True, eq=False)
class Units:
    """What is resampled or clustered: for each unit (row) and metric (column) a sum and a count, both integers.

    ``character`` and ``scenario`` number the clusters that a unit is in; ``pairs`` names them. A sum in the scale of
    the ratings is ``sums / scale``; a mean lies in ``span``.
    """

    sums: Integers
    counts: Integers
    character: Integers
    scenario: Integers
    pairs: tuple[tuple[str, str | None], ...]
    scale: float = 1.0
    span: Span = SCORES

    def __len__(self) -> int:
        """How many units."""
        return len(self.pairs)

    @property
    def itself(self) -> Integers:
        """Every unit its own cluster."""
        return np.arange(len(self), dtype=np.int64)

    def values(self, columns: Sequence[int]) -> Floats:
        """Each unit's own mean of these metrics' means; ``nan`` where it lacks one of them."""
        sums, counts = self.sums[:, columns], self.counts[:, columns]
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        values: Floats = means.mean(axis=1) / self.scale
        return values


def pooled(runs: Sequence[Ratings]) -> Ratings:
    """The ratings of several runs of one release as those of one: pair by pair, each dialogue of a run its own."""
    levels = {name: tuple(sorted({level for run in runs for level in run.levels[name]})) for name in runs[0].levels}
    levels["metric"] = METRIC_IDS
    levels["dialogue"] = tuple(
        f"{number:04} {name}" for number, run in enumerate(runs) for name in run.levels["dialogue"]
    )
    starts = np.cumsum([0, *(len(run.levels["dialogue"]) for run in runs)])
    codes = {name: np.concatenate([_recoded(run, name, levels[name]) for run in runs]) for name in levels}
    codes["dialogue"] = np.concatenate(
        [run.codes["dialogue"] + start for run, start in zip(runs, starts[:-1], strict=True)]
    )
    return Ratings(levels, codes, np.concatenate([run.score for run in runs]))


def rows_of(ratings: Ratings) -> list[Rating]:
    """The ratings one by one, in the order in which they are held."""
    names = Rating._fields[:-1]
    columns = [[ratings.levels[name][code] for code in ratings.codes[name].tolist()] for name in names]
    columns[names.index("scenario")] = [name or None for name in columns[names.index("scenario")]]
    return [Rating(*row) for row in zip(*columns, ratings.score.tolist(), strict=True)]


def _recoded(run: Ratings, name: str, levels: tuple[str, ...]) -> Integers:
    """The run's codes as indices into the levels of all."""
    if name == "dialogue":
        return run.codes[name]
    return _codes(run.levels[name], levels)[run.codes[name]]


def _codes(column: Sequence[str], levels: tuple[str, ...]) -> Integers:
    number: Callable[[str], int] = {name: code for code, name in enumerate(levels)}.__getitem__
    return np.fromiter(map(number, column), dtype=np.int64, count=len(column))


def _used(levels: Sequence[str], codes: Integers) -> tuple[tuple[str, ...], Integers]:
    """The levels that some code names, and the codes as indices into these."""
    there = np.bincount(codes, minlength=len(levels)) > 0
    number: Integers = np.cumsum(there) - 1
    return tuple(itertools.compress(levels, there.tolist())), number[codes]


def _sorted_rows(columns: Sequence[Integers]) -> Integers:
    """Rows × columns in lexical order; none is negative. A row packed into one number is sorted ten times as fast."""
    bits = [int(column.max(initial=0)).bit_length() for column in columns]
    if sum(bits) > 63:
        rows = np.column_stack(columns)
        return rows[np.lexsort(rows.T[::-1])]
    packed = np.zeros(len(columns[0]), dtype=np.int64)
    for column, width in zip(columns, bits, strict=True):
        packed = packed << width | column
    packed.sort()
    ordered = np.empty((len(packed), len(columns)), dtype=np.int64)
    for place in range(len(columns) - 1, -1, -1):
        ordered[:, place] = packed & ((1 << bits[place]) - 1)
        packed >>= bits[place]
    return ordered


def _table(rows: Integers, columns: Integers, shape: tuple[int, int], values: Integers) -> Integers:
    """``values`` summed by row and column. bincount adds in float64, exact for integers below 2⁵³."""
    flat = np.bincount(rows * shape[1] + columns, weights=values, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.int64)


def _scenarios(scenario: Integers, own: NDArray[np.bool_]) -> Integers:
    """The scenario clusters: each conversation from own logs is its own."""
    beyond = int(scenario.max(initial=0)) + 1
    return np.where(own, beyond + np.arange(len(scenario)), scenario)
