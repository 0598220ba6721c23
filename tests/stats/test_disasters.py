"""Disasters: counted by hand, with a panel's mean rounded down, and the worst dialogues by name."""

from esrp.metrics import METRIC_IDS
from esrp.stats import Rating, Ratings
from esrp.stats.disasters import disasters, held_to
from tests.stats.builders import crossed

ROWS = crossed(4, 10, lambda c, s, m: 4)


def with_score(rows: list[Rating], dialogue: str, metric: str, score: int) -> list[Rating]:
    return [r._replace(score=score) if (r.dialogue, r.metric) == (dialogue, metric) else r for r in rows]


def test_a_dialogue_with_one_metric_at_1_is_a_disaster() -> None:
    rows = with_score(with_score(ROWS, "c01/s03", "fluency", 1), "c02/s00", "coherence", 2)
    found = disasters(Ratings.of(rows))
    assert (found.any.lowest.count, found.any.lowest.n) == (1, 40)
    fluency, coherence = found.metrics["fluency"], found.metrics["coherence"]
    assert (fluency.lowest.count, fluency.low.count) == (1, 1)
    assert (coherence.lowest.count, coherence.low.count) == (0, 1)
    assert found.worst[:2] == ("c01/s03", "c02/s00") and len(found.worst) == 5


def test_a_panels_mean_is_rounded_down() -> None:
    panel = [r._replace(rater=rater) for r in ROWS for rater in ("a", "b")]
    one = [r._replace(score=1) if (r.dialogue, r.rater) == ("c00/s00", "a") else r for r in panel]
    assert disasters(Ratings.of(one)).metrics["fluency"].low.count == 1  # (1 + 4) / 2 = 2.5
    assert disasters(Ratings.of(one)).any.lowest.count == 0
    mostly = [r._replace(score=2) if (r.dialogue, r.rater) == ("c00/s00", "b") else r for r in one]
    assert disasters(Ratings.of(mostly)).any.lowest.count == 1  # 1.5


def test_a_dialogue_that_nobody_rated_on_a_metric_is_in_none_of_its_shares() -> None:
    rows = [r for r in ROWS if (r.dialogue, r.metric) != ("c00/s00", "fluency")]
    found = disasters(Ratings.of(rows))
    assert (found.metrics["fluency"].lowest.n, found.metrics["coherence"].lowest.n, found.any.lowest.n) == (39, 40, 40)


def test_nothing_rated_is_no_disaster_and_no_proof() -> None:
    found = disasters(Ratings.of([]))
    assert found.any.lowest.share is None and found.worst == ()
    assert held_to(0.01, found.any.lowest).outcome == "inconclusive"


def test_a_ceiling_says_what_it_would_take() -> None:
    clean = disasters(Ratings.of(ROWS)).any.lowest
    assert (held_to(0.01, clean).outcome, held_to(0.01, clean).needed) == ("inconclusive", 299)
    assert held_to(0.08, clean).outcome == "pass"
    open_or_not = [held_to(ceiling, clean).outcome for ceiling in (0.072, 0.073)]  # 1 − 0.05^(1/40) = 0.0722
    assert open_or_not == ["inconclusive", "pass"]
    bad = [r._replace(score=1) if r.character == "c00" else r for r in ROWS]
    assert held_to(0.1, disasters(Ratings.of(bad)).any.lowest).outcome == "fail"


def test_the_order_of_rows_changes_nothing() -> None:
    rows = [r._replace(score=1 + METRIC_IDS.index(r.metric) % 5) for r in ROWS]
    assert disasters(Ratings.of(rows[::-1])) == disasters(Ratings.of(rows))
