from esrp.metrics import METRIC_IDS
from esrp.stats import Rating, Ratings, table
from esrp.stats.ranking import holm, standings


def rated(level: int, scenarios: int = 8, wobble: bool = True) -> Ratings:
    """A candidate at a level, a point up or down by scenario."""
    return Ratings.of(
        Rating(f"{c}{s}", c, f"s{s}", metric, "r", "human", level + (s % 2 if wobble else 0))
        for c in ("a", "b")
        for s in range(scenarios)
        for metric in METRIC_IDS
    )


def test_holm_rejects_from_the_smallest_until_one_holds() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == [True, False, False, True]
    assert holm([0.02, 0.03], 0.05) == [True, True]
    assert holm([], 0.05) == []


def test_candidates_that_are_apart_everywhere_are_ranked_and_equal_ones_share_a_rank() -> None:
    candidates = {"low": rated(2), "high": rated(4), "same": rated(4)}
    found = standings(table(candidates), candidates)
    assert {name: (place.rank, place.last) for name, place in found.items()} == {
        "low": (3, 3),
        "high": (1, 2),
        "same": (1, 2),
    }
    assert (found["high"].tied, found["same"].tied, found["low"].tied) == (("same",), ("high",), ())


def test_a_difference_that_chance_explains_is_a_tie() -> None:
    chance = {
        name: Ratings.of(
            Rating(f"{c}{s}", c, f"s{s}", metric, "r", "human", 1 + (s * step + n) % 5)
            for c in ("a", "b")
            for s in range(8)
            for n, metric in enumerate(METRIC_IDS)
        )
        for name, step in (("one", 1), ("two", 3))
    }
    found = standings(table(chance), chance)
    assert found["one"].tied == ("two",) and (found["one"].rank, found["two"].rank) == (1, 1)


def test_a_candidate_without_an_overall_score_has_no_standing() -> None:
    some = Ratings.of([Rating("d", "a", "s1", "fluency", "r", "human", 5)])
    candidates = {"whole": rated(3), "part": some}
    assert list(standings(table(candidates), candidates)) == ["whole"]


def test_one_scenario_decides_nothing() -> None:
    candidates = {"low": rated(1, scenarios=1), "high": rated(5, scenarios=1, wobble=False)}
    assert {place.rank for place in standings(table(candidates), candidates).values()} == {1}
