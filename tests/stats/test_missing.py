import numpy as np

from esrp.stats.missing import missing_ratings

GIVEN = np.array([[2, 1], [2, 0]])  # two dialogues, two metrics


def test_every_dialogue_should_have_a_rating_of_every_judge() -> None:
    assert missing_ratings(GIVEN, 2, 2).tolist() == [0, 3]
    assert missing_ratings(GIVEN, 2, 3).tolist() == [2, 5]


def test_a_planned_dialogue_that_nobody_rated_lacks_all_of_them() -> None:
    assert missing_ratings(GIVEN, 4, 2).tolist() == [4, 7]
    assert missing_ratings(GIVEN[:0], 4, 0).tolist() == [4, 4]


def test_of_people_as_many_are_missing_as_a_rated_dialogue_has_on_average() -> None:
    assert missing_ratings(GIVEN, 3, 0).tolist() == [2, 5]  # 5 ratings of 3 cells: 2 each


def test_more_ratings_than_were_asked_for_make_up_for_none_elsewhere() -> None:
    assert missing_ratings(np.array([[3, 0]]), 1, 1).tolist() == [0, 1]
    assert missing_ratings(GIVEN, 1, 1).tolist() == [0, 1]
