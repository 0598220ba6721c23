"""Many candidates and groups at once: the same numbers as one by one, on resamples that all share."""

import dataclasses
import random
from collections.abc import Callable

import numpy as np
import pytest

from esrp.metrics import METRIC_IDS
from esrp.stats import Method, Rating, Ratings, Score, Scores, scores
from esrp.stats.bootstrap import key, resampled
from esrp.stats.groups import table
from esrp.stats.intervals import intervals
from tests.stats.builders import noisy, rating

QUICK = Method(bootstrap=400)


def sparse(rows: list[Rating], seed: int = 1) -> list[Rating]:
    """A tenth of the ratings is missing, and a few pairs are there twice."""
    chance = np.random.default_rng(seed)
    kept = [r for r in rows if chance.random() > 0.1]
    return kept + [r._replace(dialogue=f"{r.dialogue} again", score=6 - r.score) for r in kept[:40]]


def log(n: int, score: int) -> list[Rating]:
    return [rating("c00", None, score, metric=metric, dialogue=f"log{n}") for metric in METRIC_IDS]


def assert_same(found: Score, wanted: Score, *, dialogue: bool) -> None:
    """All but the bootstrapped interval, which has another seed."""
    assert (found.n, found.ratings) == (wanted.n, wanted.ratings)
    assert (found.mean, found.se) == pytest.approx((wanted.mean, wanted.se), abs=1e-12)
    pairs = [(found.worst, wanted.worst)]
    for name in ("suite", "population", *(["dialogue"] if dialogue else [])):
        pairs.append((getattr(found.intervals, name), getattr(wanted.intervals, name)))
    for ours, theirs in pairs:
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def all_of(found: Scores) -> list[Score]:
    return [found.overall, *found.dimensions.values(), *found.metrics.values()]


def test_every_candidate_has_the_scores_that_it_has_alone() -> None:
    candidates = {
        "a": Ratings.of(sparse(noisy(6, 10))),
        "b": Ratings.of(noisy(5, 8, seed=2)),
        "c": Ratings.of([r for r in noisy(2, 3, seed=3) if r.metric != "fluency"]),
        "d": Ratings.of(log(1, 4) + log(2, 5) + log(3, 1)),
        "nobody": Ratings.of([]),
    }
    missing = {"a": dict.fromkeys(METRIC_IDS, 3)}
    found = table(candidates, missing=missing, method=QUICK)
    for name, ratings in candidates.items():
        alone = scores(ratings, missing.get(name), QUICK)
        for ours, theirs in zip(all_of(found.scores[name]), all_of(alone), strict=True):
            assert_same(ours, theirs, dialogue=name not in "ab")


def test_one_candidate_has_the_very_interval_of_the_bootstrap() -> None:
    ratings = Ratings.of(noisy(6, 10))
    alone, found = scores(ratings, method=QUICK), table({"a": ratings}, method=QUICK).scores["a"]
    assert found.seed == alone.seed
    for ours, theirs in zip(all_of(found), all_of(alone), strict=True):
        assert_same(ours, theirs, dialogue=True)


def test_a_group_is_scored_by_the_rules_for_the_whole() -> None:
    rows = sparse(noisy(6, 10))
    persona = {f"s{s:02}": f"p{s % 3}" for s in range(9)}  # the tenth scenario has none
    found = table(
        {"a": Ratings.of(rows)},
        groups={"character": lambda c, s: c, "persona": lambda c, s: persona.get(s or "")},
        method=QUICK,
    ).groups
    assert list(found["character"]) == [f"c{c:02}" for c in range(6)]
    assert list(found["persona"]) == ["p0", "p1", "p2"]
    parts = {("character", f"c{c:02}"): [r for r in rows if r.character == f"c{c:02}"] for c in range(6)}
    parts |= {("persona", p): [r for r in rows if persona.get(r.scenario or "") == p] for p in ("p0", "p1", "p2")}
    for (by, label), part in parts.items():
        alone = scores(Ratings.of(part), method=QUICK)
        for ours, theirs in zip(all_of(found[by][label]["a"]), all_of(alone), strict=True):
            assert_same(ours, dataclasses.replace(theirs, worst=None), dialogue=True)  # under 30 units: analytic


def test_a_large_group_is_a_part_of_the_resamples_of_the_whole() -> None:
    ratings = Ratings.of(noisy(8, 10))
    found = table({"a": ratings}, groups={"half": lambda c, s: "first" if c < "c04" else "second"}, method=QUICK)
    units = ratings.units
    seed, rows = key(ratings.sha256), np.flatnonzero(units.character < 4)
    kept = np.where(np.isin(np.arange(len(units)), rows)[:, None], 1, 0)
    part = dataclasses.replace(units, sums=units.sums * kept, counts=units.counts * kept)
    wanted = intervals(part, range(9), resampled(part, seed, replicates=QUICK.bootstrap)).dialogue
    assert wanted is not None
    ours = found.groups["half"]["first"]["a"].overall.intervals.dialogue
    assert ours is not None and (ours.low, ours.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_a_difference_is_one_of_scores_and_paired_by_scenario() -> None:
    rows = noisy(6, 10)
    better = [r._replace(score=min(5, r.score + (n % 5 == 0))) for n, r in enumerate(rows)]
    found = table({"new": Ratings.of(better), "old": Ratings.of(rows), "other": Ratings.of(noisy(6, 10, seed=4))})
    assert list(found.differences) == [("new", "old"), ("new", "other"), ("old", "other")]
    near, far = (found.differences["new", other].overall for other in ("old", "other"))
    assert near.difference == pytest.approx(
        (found.scores["new"].overall.mean or 0) - (found.scores["old"].overall.mean or 0), abs=1e-12
    )
    assert near.n == 60 and near.se is not None and far.se is not None and near.se < far.se / 2
    assert near.intervals.dialogue is not None and near.intervals.dialogue.low > 0


def test_a_difference_from_oneself_is_0_and_no_certainty() -> None:
    ratings = Ratings.of(noisy(6, 10))
    found = table({"a": ratings, "same": ratings}, method=QUICK).differences["a", "same"].overall
    assert found.difference == found.se == 0
    wide = 2 * (1 - 0.025 ** (1 / 60))  # of 60 equal dialogues; the unseen may lie two points beyond
    assert found.intervals.suite == found.intervals.dialogue
    assert found.intervals.suite is not None
    assert (found.intervals.suite.low, found.intervals.suite.high) == pytest.approx((-wide, wide))


def test_neither_the_order_of_rows_nor_of_candidates_changes_a_bit() -> None:
    first, second = noisy(6, 10), sparse(noisy(6, 10, seed=2))
    found = table({"a": Ratings.of(first), "b": Ratings.of(second)}, method=QUICK)
    random.Random(3).shuffle(first)
    random.Random(4).shuffle(second)
    again = table({"b": Ratings.of(second), "a": Ratings.of(first)}, method=QUICK)
    assert again.scores == found.scores and again.seed == found.seed


def test_nothing_makes_an_empty_table() -> None:
    assert table({}).scores == {}
    assert table({"a": Ratings.of([])}, groups={"character": lambda c, s: c}).groups == {"character": {}}


def test_weights_that_are_not_kept_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = {"a": Ratings.of(noisy(6, 10))}
    groups = {"half": lambda c, s: "first" if c < "c04" else None}
    kept = table(ratings, groups=groups, method=QUICK)
    monkeypatch.setattr("esrp.stats.groups.KEPT", 0)
    monkeypatch.setattr("esrp.stats.groups.EXACT", 0)
    assert table(ratings, groups=groups, method=QUICK) == kept


def test_nobody_is_held_against_another_where_that_is_not_asked() -> None:
    candidates = {name: Ratings.of(noisy(3, 4, seed=n)) for n, name in enumerate("abc")}
    alone = table(candidates, method=QUICK, paired=False)
    assert alone.differences == {}
    assert alone.scores == table(candidates, method=QUICK).scores


def only(name: str) -> Callable[[str, str | None], str | None]:
    return lambda character, _: name if character == name else None


def test_groups_on_resamples_that_are_too_many_to_be_kept_are_those_of_each_alone() -> None:
    many = Method(bootstrap=40_000)  # times 2,000 pairs: 320 MB of weights
    ratings = Ratings.of(
        rating(f"c{c:02}", f"s{s:02}", 1 + (c * s + len(metric)) % 5, metric=metric)
        for c in range(40)
        for s in range(50)
        for metric in METRIC_IDS[:2]
    )
    together = table({"": ratings}, groups={"by": lambda c, _: c if c < "c03" else None}, method=many).groups["by"]
    for name in ("c00", "c02"):
        one = table({"": ratings}, groups={"by": only(name)}, method=many)
        assert one.groups["by"][name] == together[name]


def test_in_brief_groups_have_the_same_overall_score_and_the_same_means() -> None:
    ratings, groups = Ratings.of(sparse(noisy(6, 10))), {"character": lambda c, s: c}
    whole = table({"": ratings}, groups=groups, method=QUICK)
    brief = table({"": ratings}, groups=groups, method=QUICK, brief=True)
    assert brief.scores == whole.scores
    for label, of in whole.groups["character"].items():
        found = brief.groups["character"][label][""]
        assert found.overall == of[""].overall
        for ours, theirs in zip(all_of(found), all_of(of[""]), strict=True):
            assert_same(ours, theirs, dialogue=False)
