"""Several judges: those that say nothing are named, and a claim about judges like these knows how far they differ."""

import numpy as np
import pytest
from numpy.typing import NDArray

from esrp.metrics import METRIC_IDS
from esrp.stats import Rating, Ratings
from esrp.stats.panel import among_judges, panel
from esrp.stats.severity import half_width, severities
from tests.stats.builders import crossed


def as_rated(scores: NDArray[np.int64], judge: str) -> list[Rating]:
    return crossed(6, 12, lambda c, s, m: int(scores[c, s, m]), raters=(judge,))


def judged(seed: int, severity: dict[str, float], *, blind: str = "", flat: str = "") -> list[Rating]:
    """Judges with a severity of their own; one may rate at random, one always the same."""
    random = np.random.default_rng(seed)
    latent = (
        3.4 + random.normal(0, 0.2, (1, 12, 1)) + random.normal(0, 0.8, (6, 12, 1)) + random.normal(0, 0.3, (6, 12, 9))
    )
    rows: list[Rating] = []
    for judge, by in severity.items():
        seen = random.permutation(latent.ravel()).reshape(latent.shape) if judge == blind else latent
        scores = np.clip(np.rint(seen - by + random.normal(0, 0.4, latent.shape)), 1, 5)
        scores = np.full_like(scores, 4) if judge == flat else scores
        rows += as_rated(scores.astype(np.int64), judge)
    return rows


def test_judges_that_see_the_same_agree_and_nobody_is_named() -> None:
    found = panel(Ratings.of(judged(1, {"a": 0.0, "b": 0.1, "c": -0.1})))
    assert (found.judges, found.constant, found.unrelated) == (("a", "b", "c"), (), ())
    assert list(found.alpha) == list(METRIC_IDS)
    assert all(alpha is not None and alpha > 0.5 for alpha in found.alpha.values())


def test_a_judge_whose_scores_are_constant_is_named() -> None:
    assert panel(Ratings.of(judged(1, {"a": 0, "b": 0, "c": 0}, flat="b"))).constant == ("b",)


def test_a_judge_whose_scores_have_nothing_to_do_with_the_others_is_named() -> None:
    found = panel(Ratings.of(judged(2, {"a": 0, "b": 0, "c": 0, "d": 0}, blind="c")))
    assert (found.unrelated, found.constant) == (("c",), ())


def test_one_judge_has_nobody_to_agree_with() -> None:
    found = panel(Ratings.of(judged(1, {"a": 0})))
    assert set(found.alpha.values()) == {None} and found.unrelated == ()
    assert among_judges(Ratings.of(judged(1, {"a": 0})), "overall") is None


def test_severity_is_what_a_judge_adds_to_the_mean() -> None:
    rows = crossed(2, 5, lambda c, s, m: 3, raters=("a",)) + crossed(2, 5, lambda c, s, m: 4, raters=("b",))
    found = severities(Ratings.of(rows), "judge")
    assert found is not None and found.names == ("a", "b")
    assert found.shares[:, 0] == pytest.approx([-0.25, 0.25])
    assert found.variance([0]) == pytest.approx(2 * 2 * 0.0625)


def test_severity_is_not_known_where_judges_share_no_dialogue() -> None:
    rows = crossed(4, 6, lambda c, s, m: 3 + s % 2)
    apart = [r._replace(rater="a" if r.character < "c02" else "b") for r in rows]
    found = severities(Ratings.of(apart), "judge")
    assert found is not None and found.variance([0]) is None


def test_judges_of_other_dialogues_are_compared_on_those_that_they_share() -> None:
    """c rated only good dialogues, and is no milder for it."""
    rows = [r for r in judged(5, {"a": 0.0, "b": 0.0, "c": 0.0}) if r.rater != "c" or r.score >= 3]
    found = severities(Ratings.of(rows), "judge")
    assert found is not None and np.abs(found.shares).max() < 0.1


def test_two_errors_have_students_t_each_and_their_squares_add_up() -> None:
    of_clusters, of_raters = 2.201, 4.303  # t of 11 and 2 degrees
    assert half_width(1.0, 11, 0.0, 3, 0.95) == pytest.approx(of_clusters, abs=1e-3)
    assert half_width(0.0, 11, 1.0, 3, 0.95) == pytest.approx(of_raters, abs=1e-3)
    assert half_width(1.0, 11, 1.0, 3, 0.95) == pytest.approx(np.hypot(of_clusters, of_raters), abs=1e-3)


def test_a_claim_about_judges_like_these_covers_where_one_for_these_does_not() -> None:
    hits = 0
    random = np.random.default_rng(11)
    for seed in range(120):
        by = dict(zip("abcd", random.normal(0, 0.3, 4).tolist(), strict=True))
        found = among_judges(Ratings.of(judged(seed, by)), "overall")
        assert found is not None
        hits += found.low <= 3.395 <= found.high
    assert hits / 120 >= 0.89  # 95 % and three standard errors
