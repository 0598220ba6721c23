"""How judges compare with real people, and whether calibration mends it: ``python -m benchmarks.people``.

The folder ``--data`` holds ``mentalbench-align.csv.gz``: 600 accounts of what troubles people, ten replies to each,
seven attributes, one clinician's rating and those of four judges, 1 to 5. For every judge and attribute: bias, accuracy
and quadratic kappa with their intervals, whether the judge's own interval of a mean holds the clinician's, and whether
the calibrated one does where the clinician's ratings of 60, 100 or 200 of a system's 600 replies are known. Everything
is seeded.
"""

import argparse
import csv
import gzip
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.people_figure import Line, figure
from esrp.metrics import METRIC_IDS
from esrp.stats.agreement import LEVELS, compared
from esrp.stats.calibration import rectified
from esrp.stats.intervals import Interval, intervals
from esrp.stats.ratings import Integers, Ratings

EXPERT = "expert"
LABELLED = (60, 100, 200)
METRIC = 0  # the attribute of a cell is put in the first metric's place: what it is called changes nothing
DATA = Path(__file__).parents[2] / "shared" / "data" / "people"
COVERS, AT_LEAST = (0.93, 0.98), 0.90
RESAMPLES = 400


@dataclass(frozen=True)
class People:
    """Scores by (system, attribute, rater): of the contexts in order, 0 where there is none."""

    scores: Mapping[tuple[str, str, str], Integers]
    systems: tuple[str, ...]
    attributes: tuple[str, ...]
    judges: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> "People":
        """From the table of the data set."""
        with gzip.open(folder / "mentalbench-align.csv.gz", "rt", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        contexts = {name: place for place, name in enumerate(sorted({row["context"] for row in rows}, key=int))}
        scores: dict[tuple[str, str, str], Integers] = defaultdict(lambda: np.zeros(len(contexts), dtype=np.int64))
        for row in rows:
            scores[row["system"], row["attribute"], row["rater"]][contexts[row["context"]]] = int(row["score"])
        systems, attributes, raters = (tuple(sorted({key[place] for key in scores})) for place in range(3))
        return cls(dict(scores), systems, attributes, tuple(rater for rater in raters if rater != EXPERT))


@dataclass(frozen=True, slots=True)
class Row:
    """One judge on one attribute, all systems; ``own``: the share of systems whose truth its interval holds."""

    judge: str
    attribute: str
    bias: float
    bias_interval: Interval
    acc: float
    acc_soft: float
    qwk: float | None
    qwk_interval: Interval | None
    own: float
    calibrated: dict[int, float]


def measured(people: People, repetitions: int) -> Iterator[Row]:
    """Every judge and attribute."""
    for judge in people.judges:
        for attribute in people.attributes:
            pairs = [people.scores[system, attribute, judge] for system in people.systems]
            truths = [people.scores[system, attribute, EXPERT] for system in people.systems]
            yield _row(judge, attribute, pairs, truths, repetitions)


def _row(judge: str, attribute: str, scores: list[Integers], truths: list[Integers], repetitions: int) -> Row:
    both = [(f > 0) & (y > 0) for f, y in zip(scores, truths, strict=True)]
    table = np.stack([_joint(f[kept], y[kept]) for f, y, kept in zip(scores, truths, both, strict=True)])
    found = compared(table.sum(axis=0))
    assert found.bias is not None and found.acc is not None and found.acc_soft is not None
    random = np.random.default_rng(17)
    cells = list(zip(scores, truths, strict=True))
    return Row(
        judge,
        attribute,
        found.bias,
        _bias_interval(scores, truths),
        found.acc,
        found.acc_soft,
        found.qwk,
        _qwk_interval(scores, truths, random),
        own=float(np.mean([_own(f, y) for f, y in cells])),
        calibrated={
            n: float(np.mean([_covered(*cell, n, random) for cell in cells for _ in range(repetitions)]))
            for n in LABELLED
        },
    )


def _joint(judge: Integers, human: Integers) -> Integers:
    place = (judge - 1) * LEVELS + human - 1
    return np.bincount(place, minlength=LEVELS**2).reshape(LEVELS, LEVELS).astype(np.int64)


def _bias_interval(scores: list[Integers], truths: list[Integers]) -> Interval:
    """Clustered by context, which all systems answer."""
    kept = np.array([(f > 0) & (y > 0) for f, y in zip(scores, truths, strict=True)])
    apart = np.where(kept, np.array(scores) - np.array(truths), 0)
    mean = apart.sum() / kept.sum()
    sums = (apart - mean * kept).sum(axis=0) / kept.sum()
    half = 1.964 * math.sqrt(float(sums @ sums) * len(sums) / (len(sums) - 1))
    return Interval(float(mean) - half, float(mean) + half)


def _qwk_interval(scores: list[Integers], truths: list[Integers], random: np.random.Generator) -> Interval | None:
    """Percentiles over resampled contexts."""
    tables = np.zeros((len(scores[0]), LEVELS, LEVELS), dtype=np.int64)
    for f, y in zip(scores, truths, strict=True):
        at = np.flatnonzero((f > 0) & (y > 0))
        np.add.at(tables, (at, f[at] - 1, y[at] - 1), 1)
    drawn = random.multinomial(len(tables), np.full(len(tables), 1 / len(tables)), size=RESAMPLES)
    kappas = [compared(np.tensordot(weights, tables, axes=1)).qwk for weights in drawn]
    known = [kappa for kappa in kappas if kappa is not None]
    return Interval(*(float(end) for end in np.quantile(known, [0.025, 0.975]))) if known else None


def _own(judge: Integers, human: Integers) -> bool:
    """Whether the judge's interval of a system's mean holds the clinician's mean of the same replies."""
    found = judges_interval(judge, human)
    return found.low <= float(human[(judge > 0) & (human > 0)].mean()) <= found.high


def judges_interval(judge: Integers, human: Integers) -> Interval:
    """The judge's interval of a system's mean, over the replies that both rated."""
    both = (judge > 0) & (human > 0)
    units = _ratings(judge[both], None, np.arange(int(both.sum()))).units
    found = intervals(units, [METRIC], np.zeros((1, len(METRIC_IDS)))).suite
    assert found is not None
    _inside(found)
    return found


def _covered(judge: Integers, human: Integers, n: int, random: np.random.Generator) -> bool:
    """Whether the calibrated interval from so many labels drawn at random holds the mean of all that were rated.

    They are the population, and a study is drawn from it with replacement: of the same 600, 200 labels leave a third
    less error than of new ones, and every interval would cover too often.
    """
    both = np.flatnonzero((judge > 0) & (human > 0))
    found = corrected_interval(judge, human, both[random.integers(len(both), size=len(both))], n)
    return found.low <= float(human[both].mean()) <= found.high


def corrected_interval(judge: Integers, human: Integers, study: Integers, n: int) -> Interval:
    """The calibrated interval over the replies of a study, of which people rated the first ``n``."""
    found = rectified(_ratings(judge[study], human[study], np.arange(n))).estimate([METRIC])
    assert found is not None and found.interval is not None
    _inside(found.interval)
    return found.interval


def _inside(found: Interval) -> None:
    if not 1 <= found.low < found.high <= 5:
        raise SystemExit(f"{found} is not inside the scale")


def _ratings(judge: Integers, human: Integers | None, chosen: Integers) -> Ratings:
    """A judge's ratings of replies, one a scenario, and a person's of those that are chosen."""
    people = np.zeros(0, dtype=np.int64) if human is None else chosen
    dialogue = np.concatenate([np.arange(len(judge)), people])
    kind = np.concatenate([np.zeros(len(judge), dtype=np.int64), np.ones(len(people), dtype=np.int64)])
    score = judge if human is None else np.concatenate([judge, human[people]])
    names = tuple(f"{number:04}" for number in range(len(judge)))
    levels = {"dialogue": names, "character": ("c",), "scenario": names, "metric": METRIC_IDS}
    levels |= {"rater": ("judge", "person"), "kind": ("judge", "human")}
    nothing = np.zeros_like(dialogue)
    codes = {"dialogue": dialogue, "character": nothing, "scenario": dialogue, "metric": nothing + METRIC}
    return Ratings(levels, codes | {"rater": kind, "kind": kind}, score)


def main() -> None:
    """Measure all, print, and exit with 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the data set")
    parser.add_argument(
        "--figure", type=Path, help="write the figure of docs/judge-validity.md there, and nothing else"
    )
    parser.add_argument("--repetitions", type=int, default=10, help="random choices of labels for each cell")
    options = parser.parse_args()
    if not options.data.exists():
        sys.exit(f"{options.data} is not here: --data names the folder of the data set")
    if options.figure:
        options.figure.write_text(figure(*widest(People.read(options.data))), "utf-8")
        sys.exit()
    rows = []
    counts = " ".join(f"{n:>6}" for n in LABELLED)
    print(f"{'judge':20} {'attribute':17} {'bias':>21} {'acc':>6} {'soft':>6} {'QWK':>17} {'own':>6} {counts}")
    for row in measured(People.read(options.data), options.repetitions):
        rows.append(row)
        print(_line(row), flush=True)
    sys.exit(_summed(rows))


def widest(people: People) -> tuple[str, list[Line]]:
    """The attribute and the system on which judges miss most, and each judge there: alone, and corrected by 100 people.

    One random choice of labels, the same for all.
    """

    def miss(system: str, attribute: str, judge: str) -> float:
        scores, truth = people.scores[system, attribute, judge], people.scores[system, attribute, EXPERT]
        both = (scores > 0) & (truth > 0)
        return abs(float(scores[both].mean() - truth[both].mean()))

    places = [(system, attribute) for system in people.systems for attribute in people.attributes]
    system, attribute = max(places, key=lambda place: max(miss(place[0], place[1], judge) for judge in people.judges))
    truth, lines = people.scores[system, attribute, EXPERT], []
    for judge in people.judges:
        scores = people.scores[system, attribute, judge]
        both = np.flatnonzero((scores > 0) & (truth > 0))
        study = np.random.default_rng(1).permutation(both)
        own, corrected = judges_interval(scores, truth), corrected_interval(scores, truth, study, 100)
        lines.append(Line(judge, float(truth[both].mean()), float(scores[both].mean()), own, corrected))
    return attribute, lines


def _line(row: Row) -> str:
    kappa = "" if row.qwk is None or row.qwk_interval is None else f"{row.qwk:.2f} {_shown(row.qwk_interval)}"
    covers = " ".join(f"{share:6.1%}" for share in row.calibrated.values())
    return (
        f"{row.judge:20} {row.attribute:17} {row.bias:+.2f} {_shown(row.bias_interval):>15} {row.acc:6.1%} "
        f"{row.acc_soft:6.1%} {kappa:>17} {row.own:6.0%} {covers}"
    )


def _shown(found: Interval) -> str:
    return f"[{found.low:.2f}, {found.high:.2f}]"


def _summed(rows: list[Row]) -> int:
    """Over all cells and for the worst attribute; 1 if a limit is broken."""
    broken = 0
    for n in LABELLED:
        over_all = float(np.mean([row.calibrated[n] for row in rows]))
        attributes = {row.attribute for row in rows}
        by = {name: float(np.mean([row.calibrated[n] for row in rows if row.attribute == name])) for name in attributes}
        worst = min(by, key=lambda name: by[name])
        holds = COVERS[0] <= over_all <= COVERS[1] and by[worst] >= AT_LEAST
        broken |= not holds
        print(f"{n} labels: {over_all:.1%} over all cells, {by[worst]:.1%} in {worst}{'' if holds else '  BROKEN'}")
    return int(broken)


if __name__ == "__main__":
    main()
