import random

import pytest

from esrp.stats.diversity import BatchRating, counted_diversity, diversity_sha256, rated_diversity


def ratings(characters: int = 4, batches: int = 12) -> list[BatchRating]:
    chance = random.Random(1)
    return [
        BatchRating(f"c{c}", b, rater, "human", chance.randint(1, 5))
        for c in range(characters)
        for b in range(1, batches + 1)
        for rater in ("ann", "bob")
    ]


def test_a_mean_over_all_ratings_with_errors_clustered_by_batch() -> None:
    rows = [BatchRating("a", n, "r", "human", score) for n, score in enumerate((2, 3, 4, 5), start=1)]
    found = rated_diversity(rows)
    assert (found.mean, found.n, found.ratings) == (3.5, 4, 4)
    assert found.se == pytest.approx((4 / 3 * (2 * 1.5**2 + 2 * 0.5**2) / 16) ** 0.5)
    assert found.population is None  # one character says nothing of others
    assert found.batch is not None and found.batch.low < 3.5 < found.batch.high


def test_the_order_of_ratings_changes_nothing() -> None:
    rows, shuffled = ratings(), ratings()
    random.Random(2).shuffle(shuffled)
    assert rated_diversity(shuffled) == rated_diversity(rows)
    assert diversity_sha256(shuffled) == diversity_sha256(rows)


def test_one_other_rating_is_another_hash_and_other_bounds() -> None:
    rows = ratings()
    other = [rows[0]._replace(score=6 - rows[0].score if rows[0].score != 3 else 5), *rows[1:]]
    assert diversity_sha256(other) != diversity_sha256(rows)
    assert rated_diversity(other).batch != rated_diversity(rows).batch


def test_raters_of_a_batch_are_no_batches_of_their_own() -> None:
    twice = [row._replace(rater=name) for row in ratings() for name in (row.rater, row.rater + "-again")]
    assert rated_diversity(twice).n == 48
    assert rated_diversity(twice).se == pytest.approx(rated_diversity(ratings()).se)


def test_nothing_rated_is_unknown() -> None:
    found = rated_diversity([])
    assert (found.mean, found.n, found.se, found.batch) == (None, 0, None, None)


def test_a_counted_number_keeps_its_scale() -> None:
    found = counted_diversity({("a", n): 0.5 + 0.01 * n for n in range(40)} | {("b", n): 0.7 for n in range(40)})
    assert found.mean == pytest.approx((0.5 + 0.195 + 0.7) / 2, abs=1e-9)
    assert found.batch is not None and 0 < found.batch.low < found.batch.high < 1
