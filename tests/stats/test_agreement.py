"""Agreement: worked numbers, a plain O(n²) version of each coefficient, scipy's weighted tau, what changes nothing."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy.stats import t, weightedtau

from esrp.stats import Interval, Rating, Ratings
from esrp.stats.agreement import AgainstHumans, Agreement, MeanAlpha, against_humans, agreement, icc, icc_of_all
from tests.stats.builders import rating


def sheet(rows: Mapping[str, Sequence[int | None]], *, kind: str = "human") -> list[Rating]:
    """One character, one metric; for each rater its scores of the dialogues."""
    return [
        rating("a", f"s{n:03}", score, rater=rater, kind=kind)
        for rater, scores in rows.items()
        for n, score in enumerate(scores)
        if score is not None
    ]


def study(characters: int = 4, scenarios: int = 15, *, raters: int = 3, seed: int = 3) -> list[Rating]:
    """Raters who agree somewhat; a tenth of the ratings is missing."""
    chance = np.random.default_rng(seed)
    latent = 3.6 + chance.normal(0, 0.8, (characters, scenarios, 1)) + chance.normal(0, 0.7, (1, 1, raters))
    scores = np.clip(np.rint(latent + chance.normal(0, 0.6, (characters, scenarios, raters))), 1, 5).astype(int)
    return [
        rating(f"c{c}", f"s{s:02}", int(scores[c, s, r]), rater=f"r{r}", kind="human", metric=metric)
        for c, s, r in itertools.product(range(characters), range(scenarios), range(raters))
        for metric in ("fluency", "coherence")
        if chance.random() > 0.1
    ]


def pairs(rows: list[Rating]) -> list[tuple[int, int]]:
    cells: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for r in rows:
        cells.setdefault((r.dialogue, r.metric), []).append((r.rater, r.score))
    return [(x, y) for cell in cells.values() for (_, x), (_, y) in itertools.combinations(sorted(cell), 2)]


def plain_alpha(rows: list[Rating]) -> float:
    """Mean squared ordinal distance of two ratings of a cell over that of any two ratings."""
    cells: dict[tuple[str, str], list[int]] = {}
    for r in rows:
        cells.setdefault((r.dialogue, r.metric), []).append(r.score)
    kept = [cell for cell in cells.values() if len(cell) > 1]
    everything = [score for cell in kept for score in cell]
    given = Counter(everything)

    def distance(a: int, b: int) -> float:
        low, high = min(a, b), max(a, b)
        return (sum(given[g] for g in range(low, high + 1)) - (given[low] + given[high]) / 2) ** 2

    inside = sum(distance(a, b) / (len(cell) - 1) for cell in kept for a, b in itertools.permutations(cell, 2))
    anywhere = sum(distance(a, b) for a, b in itertools.permutations(everything, 2))
    return 1 - (inside / len(everything)) / (anywhere / (len(everything) * (len(everything) - 1)))


def plain_kappa(found: list[tuple[int, int]]) -> float:
    seen = sum((x - y) ** 2 for x, y in found) / len(found)
    by_chance = sum((x - y) ** 2 for x, _ in found for _, y in found) / len(found) ** 2
    return 1 - seen / by_chance


def complete(rows: list[Rating]) -> list[tuple[int, ...]]:
    """The scores of the cells that all raters scored, in the order of raters."""
    raters = sorted({r.rater for r in rows})
    cells: dict[tuple[str, str], dict[str, int]] = {}
    for r in rows:
        cells.setdefault((r.dialogue, r.metric), {})[r.rater] = r.score
    return [tuple(given[rater] for rater in raters) for given in cells.values() if len(given) == len(raters)]


def plain_icc(found: Sequence[tuple[int, ...]]) -> float:
    """From the analysis of variance, as a table of subjects × raters."""
    table = np.array(found, dtype=float)
    n, k = table.shape
    rows, columns, grand = table.mean(axis=1), table.mean(axis=0), table.mean()
    msr = k * ((rows - grand) ** 2).sum() / (n - 1)
    msc = n * ((columns - grand) ** 2).sum() / (k - 1)
    mse = ((table - rows[:, None] - columns + grand) ** 2).sum() / ((n - 1) * (k - 1))
    return float((msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n))


def test_alpha_of_the_example_that_its_author_worked_through() -> None:
    """Four observers, twelve units, values missing: Krippendorff gives 0.815 for ordinal data."""
    x = None
    rows = {
        "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, x, x, x],
        "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, x, 3],
        "C": [x, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, x],
        "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, x],
    }
    found = agreement(Ratings.of(sheet(rows)), "human")
    assert found.krippendorff_alpha == pytest.approx(0.815, abs=5e-4)
    assert found.cells == 11  # the last unit has one rating


def test_worked_numbers_of_two_raters() -> None:
    found = agreement(Ratings.of(sheet({"r1": [5, 4, 3, 1], "r2": [5, 3, 3, 4]})), "human")
    assert (found.cells, found.pairs) == (4, 4)
    assert (found.acc, found.acc_soft) == (0.5, 0.75)
    # Squared differences 0 1 0 9; by chance, over all 16 combinations, 50 in sum.
    assert found.qwk == pytest.approx(1 - (10 / 4) / (50 / 16), abs=1e-12)


@pytest.mark.parametrize("raters", [2, 3, 5])
def test_every_coefficient_agrees_with_a_plain_version(raters: int) -> None:
    rows = study(raters=raters)
    found, all_pairs = agreement(Ratings.of(rows), "human", permutations=50), pairs(rows)
    assert found.pairs == len(all_pairs)
    assert found.krippendorff_alpha == pytest.approx(plain_alpha(rows), abs=1e-12)
    assert found.qwk == pytest.approx(plain_kappa(all_pairs), abs=1e-12)
    assert found.icc == pytest.approx(plain_icc(complete(rows) if found.icc_raters > 2 else all_pairs), abs=1e-12)
    assert found.acc == sum(x == y for x, y in all_pairs) / len(all_pairs)
    assert found.acc_soft == sum(abs(x - y) <= 1 for x, y in all_pairs) / len(all_pairs)
    assert found.weighted_tau == pytest.approx(weightedtau(*zip(*all_pairs, strict=True)).statistic, abs=1e-12)


def test_a_crowd_of_raters_is_counted_without_listing_its_pairs() -> None:
    rows = sheet({f"r{n:06}": [1 + n % 5] for n in range(100_000)})  # five thousand million pairs
    found = agreement(Ratings.of(rows), "human")
    assert (found.cells, found.pairs) == (1, 100_000 * 99_999 // 2)
    assert found.acc == (5 * 20_000 * 19_999 // 2) / found.pairs
    assert (found.weighted_tau, found.weighted_tau_null) == (None, None)


def test_the_null_of_the_weighted_tau_is_its_mean_under_permutation() -> None:
    rows = study(6, 40, raters=2)
    found, (x, y) = agreement(Ratings.of(rows), "human", permutations=2000), zip(*pairs(rows), strict=True)
    chance = np.random.default_rng(1)
    permuted = [weightedtau(x, chance.permutation(y)).statistic for _ in range(400)]
    error = float(np.std(permuted)) * math.sqrt(1 / 400 + 1 / 2000)
    assert found.weighted_tau_null == pytest.approx(float(np.mean(permuted)), abs=4 * error)
    assert found.weighted_tau_null is not None and found.weighted_tau_null > 0.3  # ties: far from 0


def test_alpha_by_character_is_their_mean_with_a_t_interval() -> None:
    rows = study(5, 20)
    alphas = [plain_alpha([r for r in rows if r.character == f"c{c}"]) for c in range(5)]
    half = float(t.ppf(0.975, 4)) * float(np.std(alphas, ddof=1)) / math.sqrt(5)
    mean = pytest.approx(np.mean(alphas), abs=1e-12)
    interval = Interval(pytest.approx(np.mean(alphas) - half), pytest.approx(np.mean(alphas) + half))  # type: ignore[arg-type]  # compares as a float
    assert agreement(Ratings.of(rows), "human").alpha_by_character == MeanAlpha(mean, interval, 5)  # type: ignore[arg-type]  # compares as a float


def test_independent_raters_have_an_alpha_of_about_0() -> None:
    chance = np.random.default_rng(8)
    rows = {name: [int(n) for n in chance.integers(1, 6, 3000)] for name in ("r1", "r2")}
    found = agreement(Ratings.of(sheet(rows)), "human", permutations=20)
    assert found.krippendorff_alpha == pytest.approx(0, abs=0.05)
    assert found.qwk == pytest.approx(0, abs=0.05)
    assert found.weighted_tau == pytest.approx(found.weighted_tau_null, abs=0.05)


def test_only_ratings_of_one_kind_make_a_cell() -> None:
    rows = sheet({"r1": [5, 4, 3], "r2": [4, 4, 1]})
    judges = sheet({"j1": [1, 1, 1]}, kind="judge")
    assert agreement(Ratings.of(rows + judges), "human").pairs == 3
    assert agreement(Ratings.of(rows + judges), "judge").pairs == 0


def test_replicates_are_cells_of_their_own() -> None:
    twice = [rating("a", "s1", n, rater=rater, dialogue=d) for d, n in (("1", 5), ("2", 1)) for rater in ("r1", "r2")]
    assert agreement(Ratings.of(twice), "judge").acc == 1


def test_what_cannot_be_known_is_none() -> None:
    nothing = Agreement(0, 0, None, None, None, None, 2, None, None, None, None)
    assert agreement(Ratings.of([]), "human") == nothing
    assert agreement(Ratings.of(sheet({"r1": [5, 4]})), "human") == nothing
    equal = agreement(Ratings.of(sheet({"r1": [4, 4, 4], "r2": [4, 4, 4]})), "human")
    assert equal == Agreement(3, 3, None, None, None, None, 2, 1, 1, None, None)
    constant = agreement(Ratings.of(sheet({"r1": [4, 4, 4], "r2": [4, 3, 5]})), "human")
    assert constant.weighted_tau is None and constant.weighted_tau_null is None
    assert constant.krippendorff_alpha is not None


def test_neither_the_order_of_rows_nor_the_names_of_dialogues_change_a_bit() -> None:
    rows = study()
    first = agreement(Ratings.of(rows), "human")
    names = {name: f"z{999 - n}" for n, name in enumerate(sorted({r.dialogue for r in rows}))}
    renamed = [r._replace(dialogue=names[r.dialogue]) for r in rows]
    random.Random(2).shuffle(renamed)
    assert agreement(Ratings.of(renamed), "human") == first


def test_a_judge_is_held_against_every_human_rating_of_what_it_rated() -> None:
    people = sheet({"r1": [5, 4, 3, 2], "r2": [4, None, 3, None]})
    judge = sheet({"j1": [5, 5, 1, None], "j2": [1, 1, 1, 1]}, kind="judge")
    found = against_humans(Ratings.of(people + judge), "j1")
    # Rows (judge, human): (5, 5) (5, 4) (5, 4) (1, 3) (1, 3).
    assert found["fluency"].n == 5
    assert (found["fluency"].acc, found["fluency"].acc_soft) == (1 / 5, 3 / 5)
    assert found["fluency"].bias == (0 + 1 + 1 - 2 - 2) / 5
    rows = [(5, 5), (5, 4), (5, 4), (1, 3), (1, 3)]
    assert found["fluency"].qwk == pytest.approx(plain_kappa(rows), abs=1e-12)
    assert found["coherence"] == AgainstHumans(0, None, None, None, None)
    assert against_humans(Ratings.of(people), "j1")["fluency"].n == 0


def test_the_icc_of_three_raters_who_rated_everything_is_the_one_of_the_textbook() -> None:
    """Shrout and Fleiss 1979, four judges and six targets, halved onto whole scores; worked by analysis of variance."""
    table = np.array([[5, 1, 3, 4], [4, 1, 2, 1], [4, 2, 3, 3], [4, 1, 2, 3], [5, 1, 3, 4], [3, 1, 2, 3]])
    n, k = table.shape
    grand, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    msr = k * ((rows - grand) ** 2).sum() / (n - 1)
    msc = n * ((columns - grand) ** 2).sum() / (k - 1)
    mse = ((table - rows[:, None] - columns + grand) ** 2).sum() / ((n - 1) * (k - 1))
    wanted = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    cells = [(target, judge) for target in range(n) for judge in range(k)]
    ratings = [rating("a", f"s{target}", int(table[target, judge]), rater=f"r{judge}") for target, judge in cells]
    found = agreement(Ratings.of(ratings), "judge", permutations=2)
    assert found.icc == pytest.approx(wanted) and found.icc_raters == 4
    nested = [r for r in ratings if (r.rater in ("r0", "r1")) == (r.scenario in ("s0", "s1", "s2"))]
    assert agreement(Ratings.of(nested), "judge", permutations=2).icc_raters == 2


def test_the_icc_of_two_raters_is_the_same_from_pairs_and_from_the_table() -> None:
    random = np.random.default_rng(4)
    table = random.integers(0, 5, (40, 2))
    joint = np.zeros((5, 5), dtype=np.int64)
    np.add.at(joint, (table[:, 0], table[:, 1]), 1)
    assert icc(joint) == pytest.approx(icc_of_all(table))
