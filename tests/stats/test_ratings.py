"""Ratings in columns: their hash does not depend on how it is computed."""

import numpy as np
import pytest

from esrp.stats import Ratings
from esrp.stats.ratings import _sorted_rows, pooled
from tests.stats.builders import crossed


@pytest.mark.parametrize("largest", [1, 7, 2**20, 2**40])
def test_rows_are_sorted_in_lexical_order_whether_or_not_they_fit_one_number(largest: int) -> None:
    columns = list(np.random.default_rng(1).integers(0, largest, (4, 500)))
    rows = np.column_stack(columns)
    assert (_sorted_rows(columns) == rows[np.lexsort(rows.T[::-1])]).all()


def test_the_hash_of_ratings_is_the_one_that_was_published_with_the_method() -> None:
    """It is part of reports that were made before."""
    rows = crossed(3, 4, lambda c, s, m: 1 + (c + 2 * s + m) % 5)
    assert Ratings.of(rows).sha256 == "a84854d26751d39568d730c664e2c1ca17e8ade2982a57d5c73be385ca663c55"
    assert Ratings.of([]).sha256 == "cbe93dd6f31d987d0a15b29f96bfbc713b927a919cd375b61267823d8dbd7d21"


def test_runs_are_pooled_pair_by_pair_and_their_dialogues_stay_apart() -> None:
    first, again = crossed(2, 3, lambda c, s, m: 4), crossed(2, 2, lambda c, s, m: 1 + s)
    both = pooled([Ratings.of(first), Ratings.of(again)])
    apart = [r._replace(dialogue=f"again {r.dialogue}") for r in again]
    assert both.sha256 == Ratings.of(first + apart).sha256
    assert len(both.levels["dialogue"]) == 10 and len(both.units) == 6
    assert both.units.sums.tolist() == Ratings.of(first + apart).units.sums.tolist()
    assert pooled([Ratings.of([]), Ratings.of(first)]).sha256 == Ratings.of(first).sha256
