"""The dialogues with the best and the worst ratings, for whoever wants to read why."""

from uuid import UUID

import numpy as np

from esrp.api import Example, Examples
from esrp.metrics import METRIC_IDS
from esrp.stats import Ratings
from esrp.stats.ratings import OWN_LOG, Floats, Integers
from services.kit.ids import encode

SHOWN = 3  # of the best and of the worst


def examples(ratings: Ratings) -> dict[str, Examples]:
    """By overall (the mean over the metrics) and by metric; only what was rated."""
    if not len(ratings.score):
        return {}
    means = means_of(ratings)
    with np.errstate(invalid="ignore"):
        overall = np.where(
            np.isnan(means).all(axis=1), np.nan, np.nansum(means, axis=1) / (~np.isnan(means)).sum(axis=1)
        )
    first = first_rows(ratings)
    columns = {"overall": overall, **{name: means[:, column] for column, name in enumerate(METRIC_IDS)}}
    return {name: _extremes(ratings, first, values) for name, values in columns.items() if not np.isnan(values).all()}


def _extremes(ratings: Ratings, first: Integers, values: Floats) -> Examples:
    rated = np.flatnonzero(~np.isnan(values))
    place = [ratings.codes[name][first[rated]] for name in ("scenario", "character")]  # the last key decides first
    best = rated[np.lexsort((*place, -values[rated]))][:SHOWN]
    worst = rated[np.lexsort((*place, values[rated]))][:SHOWN]
    return Examples(
        best=[_example(ratings, first, values, int(row)) for row in best],
        worst=[_example(ratings, first, values, int(row)) for row in worst],
    )


def _example(ratings: Ratings, first: Integers, values: Floats, row: int) -> Example:
    id = encode("dlg", UUID(ratings.levels["dialogue"][row]))
    scenario = ratings.levels["scenario"][ratings.codes["scenario"][first[row]]]
    return Example(
        dialogue=id,
        character=ratings.levels["character"][ratings.codes["character"][first[row]]],
        scenario=None if scenario == OWN_LOG else scenario,
        mean=round(float(values[row]), 10),
        link=f"/v1/dialogues/{id}",
    )


def means_of(ratings: Ratings) -> Floats:
    """Each dialogue's mean rating of each metric; ``nan`` where there is none."""
    counts = ratings.dialogues
    place = ratings.codes["dialogue"] * len(METRIC_IDS) + ratings.codes["metric"]
    sums = np.bincount(place, weights=ratings.score, minlength=counts.size).reshape(counts.shape)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def first_rows(ratings: Ratings) -> Integers:
    """A rating of each dialogue, by the number of the dialogue."""
    first = np.zeros(len(ratings.levels["dialogue"]), dtype=np.int64)
    first[ratings.codes["dialogue"][::-1]] = np.arange(len(ratings.score))[::-1]
    return first
