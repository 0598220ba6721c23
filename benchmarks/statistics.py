"""How fast a leaderboard of a full study is computed: ``python -m benchmarks.statistics``.

Eleven candidates, 20 × 60 dialogues, nine metrics, two raters, 2 % missing: about 233,000 of 237,600 ratings. Scores,
paired differences and group-bys on B = 5,000 resamples, from ratings in columns on: their hashes are part of it.
CPU seconds with one BLAS thread, best of several. Beside it ``scipy.stats.bootstrap`` on the 99 metric means alone: as
its documentation has it (paired, vectorised columns), and with a statistic tuned by hand that gathers whole rows.

Then the same table is computed in other processes, with one and with two BLAS threads and from shuffled rows.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from esrp.metrics import METRIC_IDS
from esrp.stats.agreement import agreement
from esrp.stats.groups import Labels, Table, table
from esrp.stats.ratings import Rating, Ratings

CANDIDATES, CHARACTERS, SCENARIOS, RATERS = 11, 20, 60, 2
REPLICATES = 5000
MISSING = 0.02
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
GROUPS: dict[str, Labels] = {
    "character": lambda character, scenario: character,
    "persona": lambda character, scenario: f"persona {int((scenario or 's0')[1:]) % 4}",
    "emotion": lambda character, scenario: f"emotion {int((scenario or 's0')[1:]) % 9}",
}


def main() -> None:
    """Measure, compare, print, and exit with 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["measure", "digest", "shuffled"], help="what this process does by itself")
    match parser.parse_args().only:
        case "measure":
            print(json.dumps(measured()))
        case "digest":
            print(digest(study(shuffled=False)))
        case "shuffled":
            print(digest(study(shuffled=True)))
        case _:
            report()


def report() -> None:
    """Every process of its own, so that the number of threads is set before numpy starts."""
    seconds = json.loads(alone("measure", threads=1))
    digests = {
        "one BLAS thread": alone("digest", threads=1),
        "two BLAS threads": alone("digest", threads=2),
        "shuffled rows": alone("shuffled", threads=1),
    }
    faster = seconds["scipy"] / seconds["table"]
    checks = [
        (f"{seconds['scores']} scores, {seconds['differences']} differences", seconds["table"], "≤", 0.25),
        (f"with {seconds['group_scores']} group scores", seconds["groups"], "≤", 1.5),
        ("times faster than scipy.stats.bootstrap", faster, "≥", 20),
    ]
    print(f"{seconds['ratings']} ratings, B = {REPLICATES}, CPU seconds")
    broken = 0
    for name, value, sign, limit in checks:
        holds = value <= limit if sign == "≤" else value >= limit
        broken += not holds
        print(f"  {name:45} {value:8.3f}   {sign} {limit}{'' if holds else '  BROKEN'}")
    print(f"  {'scipy.stats.bootstrap, 99 metric means':45} {seconds['scipy']:8.3f}")
    print(f"  {'scipy.stats.bootstrap, tuned by hand':45} {seconds['scipy_tuned']:8.3f}")
    print(f"  {'largest difference of a bound from it':45} {seconds['apart']:8.4f}")
    print(f"  {'rows to columns, one candidate':45} {seconds['columns']:8.3f}")
    print(f"  {'agreement with its null, one candidate':45} {seconds['agreement']:8.3f}")
    for name, found in digests.items():
        same = found == digests["one BLAS thread"]
        broken += not same
        print(f"  {name:45} {found[:16]}{'' if same else '  BROKEN'}")
    sys.exit(1 if broken else 0)


def alone(what: str, *, threads: int) -> str:
    """What this module prints in a process of its own."""
    environment = os.environ | dict.fromkeys(THREADS, str(threads))
    command = [sys.executable, "-m", "benchmarks.statistics", "--only", what]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def measured() -> dict[str, Any]:
    """CPU seconds of everything, and how much of it there was."""
    candidates = study(shuffled=False)
    whole = table(candidates, groups=GROUPS)
    first = candidates["k00"]
    by_columns, by_rows, apart = by_scipy(list(candidates.values()), whole)
    return {
        "ratings": sum(len(ratings.score) for ratings in candidates.values()),
        "scores": 13 * len(whole.scores),
        "differences": 13 * len(whole.differences),
        "group_scores": 13 * CANDIDATES * sum(len(labels) for labels in whole.groups.values()),
        "table": best(lambda: table(fresh(candidates)), 7),
        "groups": best(lambda: table(fresh(candidates), groups=GROUPS), 3),
        "scipy": by_columns,
        "scipy_tuned": by_rows,
        "apart": apart,
        "columns": columns(first),
        "agreement": best(lambda: agreement(first, "human"), 3),
    }


def best(work: Callable[[], object], times: int) -> float:
    """The least CPU seconds of several runs."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def study(*, shuffled: bool) -> dict[str, Ratings]:
    """The candidates' ratings, always the same but for the order of their rows."""
    chance, order = np.random.default_rng(11), np.random.default_rng(12)
    return {f"k{number:02}": candidate(chance, order if shuffled else None) for number in range(CANDIDATES)}


def candidate(chance: np.random.Generator, order: np.random.Generator | None) -> Ratings:
    """One candidate's ratings in columns."""
    shape = (CHARACTERS, SCENARIOS, len(METRIC_IDS), RATERS)
    latent = chance.normal(3.8, 0.2) + chance.normal(0, 0.6, (*shape[:3], 1))
    latent = latent + chance.normal(0, 0.2, (1, SCENARIOS, 1, 1))
    scores = np.clip(np.rint(latent + chance.normal(0, 0.5, shape)), 1, 5).astype(np.int64)
    rows = np.flatnonzero(chance.random(scores.size) >= MISSING)
    if order is not None:
        order.shuffle(rows)
    character, scenario, metric, rater = (axis.ravel()[rows] for axis in np.indices(shape))
    levels = {
        "dialogue": tuple(f"{number:04}" for number in range(CHARACTERS * SCENARIOS)),
        "character": tuple(f"c{number:02}" for number in range(CHARACTERS)),
        "scenario": tuple(f"s{number:02}" for number in range(SCENARIOS)),
        "metric": METRIC_IDS,
        "rater": tuple(f"r{number}" for number in range(RATERS)),
        "kind": ("human",),
    }
    codes = {"dialogue": character * SCENARIOS + scenario, "character": character, "scenario": scenario}
    codes |= {"metric": metric, "rater": rater, "kind": np.zeros_like(metric)}
    return Ratings(levels, codes, scores.ravel()[rows])


def fresh(candidates: dict[str, Ratings]) -> dict[str, Ratings]:
    """The same ratings with nothing computed of them yet."""
    return {name: Ratings(ratings.levels, ratings.codes, ratings.score) for name, ratings in candidates.items()}


def columns(ratings: Ratings) -> float:
    """From a list of ratings to columns."""
    names = [ratings.levels[name] for name in Rating._fields[:-1]]
    codes = [ratings.codes[name].tolist() for name in Rating._fields[:-1]]
    rows = [
        Rating._make([*(levels[code] for levels, code in zip(names, row, strict=True)), score])
        for *row, score in zip(*codes, ratings.score.tolist(), strict=True)
    ]
    return best(lambda: Ratings.of(rows), 3)


def by_scipy(candidates: list[Ratings], ours: Table) -> tuple[float, float, float]:
    """CPU seconds of the percentile bootstrap of the 99 metric means, twice, and how far its bounds are from ours."""
    sums = np.hstack([ratings.units.sums for ratings in candidates]).astype(np.float64)
    counts = np.hstack([ratings.units.counts for ratings in candidates]).astype(np.float64)

    def of_columns(*drawn: Any, axis: int = -1) -> Any:
        totals = np.stack([column.sum(axis=axis) for column in drawn])
        return totals[: sums.shape[1]] / totals[sums.shape[1] :]

    def of_rows(units: Any, axis: int = -1) -> Any:
        drawn = np.moveaxis(units, axis, -1)
        return np.moveaxis(sums[drawn].sum(axis=-2) / counts[drawn].sum(axis=-2), -1, 0)

    columns = tuple(np.ascontiguousarray(np.hstack([sums, counts]).T))
    slow, found = by_bootstrap(columns, of_columns, batch=50, paired=True)
    quick, _ = by_bootstrap((np.arange(len(sums)),), of_rows, batch=10, paired=False)
    mine = np.array(list(bounds(ours)))
    return slow, quick, float(np.abs(mine - np.column_stack([found.low, found.high])).max())


def by_bootstrap(data: Any, statistic: Callable[..., Any], *, batch: int, paired: bool) -> tuple[float, Any]:
    """CPU seconds and the confidence interval."""
    chance = np.random.default_rng(1)
    start = time.process_time()
    found = bootstrap(
        data,
        statistic,
        n_resamples=REPLICATES,
        batch=batch,
        paired=paired,
        vectorized=True,
        method="percentile",
        rng=chance,
    )
    return time.process_time() - start, found.confidence_interval


def bounds(ours: Table) -> Iterator[tuple[float, float]]:
    """The dialogue interval of each metric of each candidate."""
    for scores in ours.scores.values():
        for score in scores.metrics.values():
            assert score.intervals.dialogue is not None
            yield score.intervals.dialogue.low, score.intervals.dialogue.high


def digest(candidates: dict[str, Ratings]) -> str:
    """The hash of every number, to the last bit."""
    return hashlib.sha256(repr(table(candidates, groups=GROUPS)).encode()).hexdigest()


if __name__ == "__main__":
    main()
