"""Counts: what the reference packages say of the same, and what always holds."""

import pytest
from scipy.stats import binomtest, fisher_exact

from esrp.stats.exact import clean_dialogues, exact_share, held_to_ceiling, standing_out, upper_limit


@pytest.mark.parametrize(("count", "n"), [(0, 24), (1, 120), (7, 60), (60, 60)])
def test_a_share_has_the_interval_of_clopper_and_pearson(count: int, n: int) -> None:
    exact = binomtest(count, n).proportion_ci(0.95, method="exact")
    found = exact_share(count, n)
    assert found.interval is not None and found.share == count / n
    assert (found.interval.low, found.interval.high) == pytest.approx((exact.low, exact.high))


def test_of_nothing_nothing_is_known() -> None:
    assert exact_share(0, 0).share is None and exact_share(0, 0).interval is None
    assert held_to_ceiling(0, 0, 0.01) == "inconclusive"


def test_one_in_a_hundred_takes_299_clean_dialogues() -> None:
    assert clean_dialogues(0.01) == 299
    assert [held_to_ceiling(0, n, 0.01) for n in (298, 299)] == ["inconclusive", "pass"]
    assert clean_dialogues(0.0) is None and clean_dialogues(1.0) == 1


def test_many_disasters_fail_and_a_few_are_open() -> None:
    assert [held_to_ceiling(count, 300, 0.01) for count in (3, 6, 7, 8)] == ["inconclusive"] * 2 + ["fail"] * 2
    assert upper_limit(1, 300, 0.05) > 0.01


def test_a_group_that_lacks_more_than_others_is_named_with_holm_over_all() -> None:
    counts = {"a": (9, 60), "b": (1, 60), "c": (0, 60), "d": (4, 60)}
    found = {
        name: fisher_exact([[few, of - few], [14 - few, 180 - 14 + few]], alternative="greater").pvalue
        for name, (few, of) in counts.items()
    }
    assert found["a"] < 0.05 / 4 < found["d"]
    assert standing_out(counts) == ("a",)


def test_where_all_lack_alike_none_is_named() -> None:
    assert standing_out(dict.fromkeys("abcd", (2, 60))) == ()
    assert standing_out(dict.fromkeys("abcd", (0, 60))) == ()
    assert standing_out({"a": (30, 30)}) == ()
    assert standing_out({}) == ()
