"""The bundled suites are what they promise, and a suite's hash follows its content."""

from collections import Counter

import pytest

from esrp.errors import InvalidInput
from esrp.suite import BUNDLED, bundled, parse_yaml
from tests.builders import a_suite

PERSONAS = {
    "student": {"classroom", "library", "canteen", "campus"},
    "employee": {"office", "meeting-room", "restaurant", "home"},
    "freelancer": {"home", "cafe", "park", "bar"},
    "self-employed": {"shop", "wholesale-market", "trade-fair", "car"},
}
EMOTIONS = {"angry", "happy", "depressed", "anxious", "lonely", "thoughtful", "surprised", "sad", "touched"}


@pytest.mark.parametrize(("name", "characters", "scenarios"), [("esrp-zh", 20, 60), ("esrp-en", 6, 20)])
def test_a_bundled_suite_spans_personas_places_and_emotions(name: str, characters: int, scenarios: int) -> None:
    suite = bundled(name)
    assert (len(suite.characters), len(suite.scenarios)) == (characters, scenarios)
    assert Counter(s.persona for s in suite.scenarios) == dict.fromkeys(PERSONAS, scenarios // 4)
    assert {s.emotion for s in suite.scenarios} == EMOTIONS
    for persona, places in PERSONAS.items():
        assert {s.location for s in suite.scenarios if s.persona == persona} == places
    assert all(s.event for s in suite.scenarios)


@pytest.mark.parametrize("name", BUNDLED)
def test_no_two_questions_are_alike(name: str) -> None:
    questions = [scenario.question for scenario in bundled(name).scenarios]
    for place, one in enumerate(questions):
        for other in questions[:place]:
            assert likeness(one, other) < 0.3, (one, other)


def test_every_chinese_profile_has_600_to_1000_characters_in_six_parts() -> None:
    for character in bundled("esrp-zh").characters:
        length = len("".join(character.profile.split()))
        assert 600 <= length <= 1000, (character.id, length)
        for part in ("背景：", "人物关系：", "真实经历：", "说话方式：", "习惯：", "绝不会做："):
            assert part in character.profile, (character.id, part)


def test_only_the_english_suite_is_experimental() -> None:
    assert [bundled(name).experimental for name in BUNDLED] == [False, True]


def test_the_hash_follows_the_content_and_not_the_name_or_the_width_of_letters() -> None:
    suite = a_suite()
    other = suite.model_copy(update={"scenarios": (*suite.scenarios[:-1], suite.scenarios[0])})
    wide = suite.model_copy(
        update={"characters": tuple(c.model_copy(update={"work": c.work.replace("W", "Ｗ")}) for c in suite.characters)}
    )
    assert a_suite(name="other").sha256 == suite.sha256 == wide.sha256 != other.sha256


@pytest.mark.parametrize(
    ("text", "pointer"),
    [("name: [", "line 2"), ("name: x\n  bad: - y", "line 2"), ("[]", "/"), ("name: x\nlanguage: fr", "/language")],
)
def test_a_broken_document_is_told_by_line_or_field(text: str, pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_yaml(text)
    assert pointer in [fault.pointer for fault in caught.value.errors]


def likeness(one: str, other: str) -> float:
    """Jaccard similarity of the texts' three-letter pieces (three words in a row would miss Chinese)."""
    first, second = ({text[n : n + 3] for n in range(len(text) - 2)} for text in (one, other))
    return len(first & second) / len(first | second)
