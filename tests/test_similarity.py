"""Near-duplicates by shared characters."""

import json
import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from esrp.similarity import NEAR, Likeness, grams, likenesses, similarities, similarity
from esrp.suite import BUNDLED, bundled

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "scenarios.json"
SAID = "我们组今天的展示居然被老师留作范本了！熬了三个晚上画的那张图，她足足夸了两分钟。"
REWORDED = "我们小组今天的展示居然被老师当成范本了！熬了三个晚上画的图，她夸了足足两分钟。"


def test_the_worked_example_of_four_and_three_grams() -> None:
    # abcdef: abc bcd cde def; abcdx: abc bcd cdx; two shared of five
    assert similarity("abcdef", "abcdx") == pytest.approx(2 / 5)


def test_a_text_is_like_itself_and_like_its_other_widths() -> None:
    assert similarity("今天好累啊~", "今天好累啊～") == 1.0
    assert similarity(" ＡＢＣ１ ", "ABC1") == 1.0


@pytest.mark.parametrize(
    ("first", "second", "alike"), [("", "", 0.0), ("", "abc", 0.0), ("啊", "啊", 1.0), ("a", "b", 0.0)]
)
def test_texts_too_short_for_a_gram_are_compared_whole(first: str, second: str, alike: float) -> None:
    assert similarity(first, second) == alike


def test_the_matrix_is_the_similarity_of_every_two() -> None:
    texts = ["", "啊", SAID, REWORDED, "Three weeks at this new uni", "three weeks at that new uni", SAID]
    expected = np.array([[similarity(one, other) for other in texts] for one in texts])
    assert np.allclose(similarities(texts), expected)
    assert similarities([]).shape == (0, 0)
    assert similarities(["", ""]).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_shuffling_the_characters_of_the_alphabet_changes_nothing() -> None:
    swap = str.maketrans("abcdefgh", "hgfedcba")
    texts = ["".join(random.Random(n).choices("abcdefgh", k=30)) for n in range(10)]
    assert np.array_equal(similarities(texts), similarities([text.translate(swap) for text in texts]))


def test_each_item_names_the_first_earlier_one_that_it_is_most_like() -> None:
    items = [("e1", SAID), ("e2", "完全不同的一句话，说的是别的事情。"), ("e3", REWORDED), ("e4", SAID), ("e5", SAID)]
    found = likenesses(items)
    assert [one.of for one in found] == [None, None, 0, 0, 0]
    assert found[0] == Likeness(None, 0.0)
    assert NEAR < found[2].similarity < 1.0 == found[3].similarity
    assert likenesses([]) == []


def test_one_text_in_common_is_enough() -> None:
    [_, second] = likenesses([("He lost his umbrella on the bus.", "Same words."), ("She won a prize.", "Same words.")])
    assert second == Likeness(0, 1.0)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_scenarios_that_people_kept_as_different_are_no_near_duplicates(name: str) -> None:
    scenarios = bundled(name).scenarios
    assert all(one.of is None for one in likenesses([(s.event or "", s.question) for s in scenarios]))


def test_the_published_questions_are_no_near_duplicates() -> None:
    if not PUBLISHED.exists():
        pytest.skip("the published scenarios are not on this machine")
    questions = [one["question_r1"] for one in json.loads(PUBLISHED.read_text("utf-8"))]
    assert max(similarity(one, other) for one, other in combinations(questions, 2)) < NEAR / 3


def test_the_largest_grid_is_compared_at_once() -> None:
    made = random.Random(7)
    characters = [chr(0x4E00 + n) for n in range(2000)]
    items = [("".join(made.choices(characters, k=50)), "".join(made.choices(characters, k=50))) for _ in range(2000)]
    assert likenesses([*items, items[5]])[-1] == Likeness(5, 1.0)


def test_grams_are_three_characters() -> None:
    assert grams("abcd") == {"abc", "bcd"}
    assert grams("") == frozenset()
