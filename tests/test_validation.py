"""A wrong suite is told by line, field and reason; a suite that is only doubtful is warned of."""

import json
from typing import Any

import pytest

from esrp.dialogue import Character, Scenario
from esrp.errors import Fault, InvalidInput
from esrp.suite import BUNDLED, MOST_FAULTS, Suite, bundled, parse, parse_json, parse_yaml
from esrp.validation import MOST_TOKENS, MOST_TOLD, tokens, warnings
from tests.builders import a_suite

GOOD = """\
# made for these tests
name: mine
language: en
characters:
  - id: a
    name: Ann
    profile: |
      Ann keeps bees
      on a roof.
  - {id: b, name: Ben, profile: Ben bakes.}
scenarios:
  - id: s1
    question: What now?
"""


# --- where it is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "wrong", "pointer", "message"),
    [
        ("name: mine", "name: My Bots", "/name", "line 2: String should match pattern '^[a-z0-9][a-z0-9._-]*$'"),
        ("language: en", "language: fr", "/language", "line 3: Input should be 'zh' or 'en'"),
        ("    name: Ann", "    nam: Ann", "/characters/0/nam", "line 6: Extra inputs are not permitted"),
        ("    name: Ann\n", "", "/characters/0/name", "line 5: Field required"),
        ("name: Ben", "name: no", "/characters/1/name", "line 10: Input should be a valid string; put it in quotes"),
        (
            "name: Ben",
            "name: 2020-01-31",
            "/characters/1/name",
            "line 10: Input should be a valid string; put it in quotes",
        ),
        ("id: b", "id: a", "/characters/1/id", "line 10: the id is taken by /characters/0"),
        ("  - id: s1\n    question: What now?", "  []", "/scenarios", "line 11: Tuple should have at least 1 item"),
        ("  - id: s1\n    question: What now?", "  - 7", "/scenarios/0", "line 12: Input should be fields with values"),
        ("question: What now?", 'question: "a\\0b"', "/scenarios/0/question", "line 13: text cannot hold"),
        ("    name: Ann", '    name: Ann\n    "a/~": 1', "/characters/0/a~1~0", "line 7: Extra inputs"),
        (
            "    name: Ann",
            "    name: Ann\n    name: An",
            "/characters/0/name",
            "line 7: the field stands here again, after line 6",
        ),
        ("name: mine", "name: mine: yours", "line 2", "line 2: not YAML or JSON: mapping values are not allowed"),
        ("name: mine", "name: 2020-13-45", "line 2", "line 2: not YAML or JSON: month must be in 1..12"),
        ("What now?", "What\x07now?", "line 13", "line 13: not YAML or JSON: "),
        ("name: mine", "name: !!python/name:os.system", "line 2", "line 2: not YAML or JSON: could not determine"),
    ],
)
def test_a_fault_has_line_field_and_reason(right: str, wrong: str, pointer: str, message: str) -> None:
    assert right in GOOD
    found = faults(GOOD.replace(right, wrong, 1))
    assert found[pointer].startswith(message), found


def test_all_faults_are_told_in_one_answer() -> None:
    wrong = (
        GOOD.replace("mine", "M", 1).replace("Ann\n", "1\n", 1).replace("question", "qestion").replace("id: b", "id: a")
    )
    assert list(faults(wrong)) == [
        "/name",
        "/characters/0/name",
        "/scenarios/0/question",
        "/scenarios/0/qestion",
        "/characters/1/id",
    ]


def test_of_very_many_faults_the_first_are_told() -> None:
    scenarios = "".join(f"  - id: t{n}\n    qestion: Why?\n" for n in range(150))
    with pytest.raises(InvalidInput, match="not valid; these are its first 100 faults") as caught:
        parse_yaml(GOOD + scenarios)
    assert len(caught.value.errors) == MOST_FAULTS


@pytest.mark.parametrize("indent", [1, "\t", None])
def test_json_has_lines_too(indent: int | str | None) -> None:
    document = parse_yaml(GOOD).model_dump(mode="json")
    document["characters"][1]["profile"] = ["[", '"{,:}\\', {"name": []}, 3]
    document["scenarios"][0]["colour"] = 1
    text = json.dumps(document, indent=indent)
    lines = text.split("\n")
    profile = lines.index(next(line for line in lines if '"{' in line)) - 1 if indent else 1
    colour = next(number for number, line in enumerate(lines, 1) if "colour" in line)
    told = {
        "/characters/1/profile": f"line {profile}: Input should be a valid string",
        "/scenarios/0/colour": f"line {colour}: Extra inputs are not permitted",
    }
    for parsed in (parse_json, parse_yaml):
        with pytest.raises(InvalidInput) as caught:
            parsed(text)
        assert {fault.pointer: fault.message for fault in caught.value.errors} == told


def test_a_repeated_field_of_json_is_told_once_and_not_with_all_below_it() -> None:
    text = '{"name": "x",\n "characters": [{"id": "a"}],\n "characters": [\n {"id": "a", "id": "b"}]}'
    with pytest.raises(InvalidInput) as caught:
        parse_json(text)
    repeated = [fault for fault in caught.value.errors if "again" in fault.message]
    assert repeated == [Fault("/characters", "line 3: the field stands here again, after line 2")]
    with pytest.raises(InvalidInput, match="not valid") as caught:
        parse_json('{"name": "x", "scenarios": [\n {"id": "a",\n "id": "b"}]}')
    assert caught.value.errors[0] == Fault("/scenarios/0/id", "line 3: the field stands here again, after line 2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name":\n "x",}', "line 2: not JSON: trailing comma"),
        ('{"name":\n NaN}', "line 2: not JSON: expected value"),
        ('{"name":\n "\\ud83d"}', "line 2: not JSON: unexpected end of hex escape"),
        ('{"name": "a\nb"}', "line 1: not JSON: control character"),
        ("", "line 1: not JSON: EOF"),
        ('{"a": ' + "[" * 100_000, "line 1: not JSON: recursion limit exceeded"),
    ],
)
def test_what_is_no_json_is_told_by_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_json(text)
    assert caught.value.errors[0].message.startswith(message)


def test_json_is_taken_wherever_yaml_is_tabs_and_pairs_of_surrogates_included() -> None:
    suite = a_suite().model_copy(update={"scenarios": (Scenario(id="s", question="Why 😀?"),)})
    text = json.dumps(suite.model_dump(mode="json"), indent="\t")
    assert "\\ud83d" in text
    assert parse_yaml("\ufeff" + text) == parse_json("\ufeff" + text) == suite
    assert parse_yaml(
        "{name: m, language: en, characters: [{id: a, name: A, profile: P}], scenarios: [{id: s, question: Q}]}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 200_000,
        "- " * 200_000,
        "a: &a [*a]",
        "a0: &a0 [0]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)),
        GOOD + "provenance: &loop {again: *loop}",
        GOOD + "provenance: {a: " + "[" * 150 + "]" * 150 + "}",
        GOOD + "provenance:\n  a0: &a0 [0]\n" + "\n".join(f"  a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2_000)),
    ],
    ids=["deep", "deep lines", "endless", "huge", "endless provenance", "deep provenance", "deep by aliases"],
)
def test_a_text_made_to_exhaust_a_parser_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_yaml(text)


def test_what_a_merge_brings_may_be_said_anew() -> None:
    text = GOOD.replace("  - {id: b, name: Ben", "  - &ben {id: b, name: Ben")
    suite = parse_yaml(text.replace("scenarios:", "  - {<<: *ben, id: c}\nscenarios:"))
    assert (suite.characters[2].id, suite.characters[2].name) == ("c", "Ben")


def test_aliases_may_save_an_author_from_repeating_texts() -> None:
    text = GOOD.replace("profile: |", "profile: &same |").replace("profile: Ben bakes.", "profile: *same")
    assert (
        parse_yaml(text).characters[1].profile
        == parse_yaml(text).characters[0].profile
        == "Ann keeps bees\non a roof.\n"
    )


@pytest.mark.parametrize("name", BUNDLED)
def test_a_suite_comes_back_from_yaml_json_and_memory_as_it_was(name: str) -> None:
    suite = bundled(name)
    document = suite.model_dump(mode="json")
    assert parse(document) == parse_json(json.dumps(document)) == parse_yaml(json.dumps(document, indent=2)) == suite


def faults(text: str) -> dict[str, str]:
    """What is said against the text, by pointer."""
    with pytest.raises(InvalidInput) as caught:
        parse_yaml(text)
    return {fault.pointer: fault.message for fault in caught.value.errors}


# --- what is doubtful -------------------------------------------------------------------------------------------------

PROFILE = "{} grew up in a house where {} were kept, and speaks of little else when {} is asked about the old days."
QUESTIONS = (
    "My flat is empty since Sunday, what would you do with such an evening?",
    "They promoted Kim and not me. How do I look anybody in the face tomorrow?",
    "A stranger paid for my coffee today! Has that ever happened to you?",
    "Tomorrow is the driving test and I cannot remember which pedal is which.",
)


def a_sound_suite(**changes: Any) -> Suite:
    """Two characters and four scenarios of which there is nothing to say."""
    return Suite(
        name="sound",
        language=changes.get("language", "en"),
        characters=changes.get(
            "characters",
            (
                Character(id="a", name="Ann", profile=PROFILE.format("Ann", "four hundred bees", "she") * 2),
                Character(id="b", name="Ben", profile="Ben bakes bread at night and sings to the dough. " * 8),
            ),
        ),
        scenarios=changes.get("scenarios", tuple(scenario(n, q) for n, q in enumerate(QUESTIONS))),
    )


def scenario(number: int, question: str, **labels: str) -> Scenario:
    """Its labels occur in every second one."""
    given = {"persona": f"p{number % 2}", "emotion": f"e{number % 2}", "location": f"l{number % 2}"}
    return Scenario(id=f"s{number}", question=question, **{**given, **labels})


def test_of_a_sound_suite_there_is_nothing_to_say() -> None:
    assert warnings(a_sound_suite()) == []


def test_a_profile_may_be_too_long_or_nearly_empty() -> None:
    long, short = "He walked on. " * (MOST_TOKENS // 3), "A cook."
    characters = (Character(id="a", name="A", profile=long), Character(id="b", name="B", profile=short))
    first, second = warnings(a_sound_suite(characters=characters))
    assert first.startswith("character a: the profile has about 2,331 tokens; over 2,000 ")
    assert second.startswith("character b: the profile has only about 2 tokens; ")


def test_tokens_are_letters_in_chinese_and_fourths_in_english() -> None:
    assert (tokens("今天很开心"), tokens("abcdefgh"), tokens("今天ab"), tokens("")) == (5, 2, 3, 0)


def test_what_is_asked_twice_is_told_in_whatever_width_and_spacing_and_if_a_word_was_changed() -> None:
    same = "  My  flat is empty since Ｓunday, what would you do with such an evening? "
    near = "They promoted Kim and not me. How do I look anyone in the face tomorrow?"
    scenarios = [*a_sound_suite().scenarios, scenario(4, same), scenario(5, near)]
    assert warnings(a_sound_suite(scenarios=tuple(scenarios))) == [
        "scenarios s0 and s4: the same question",
        "scenarios s1 and s5: nearly the same question",
    ]


def test_events_and_profiles_are_compared_too() -> None:
    suite = a_sound_suite()
    event = "The last train left without them."
    scenarios = tuple(s.model_copy(update={"event": event if s.id in ("s0", "s3") else None}) for s in suite.scenarios)
    twin = suite.characters[0].model_copy(update={"id": "twin", "name": "Twin"})
    assert warnings(a_sound_suite(scenarios=scenarios, characters=(*suite.characters, twin))) == [
        "characters a and twin: the same profile",
        "scenarios s0 and s3: the same event",
    ]


def test_labels_out_of_balance_and_labels_that_stand_alone_are_named() -> None:
    scenarios = [
        *a_sound_suite().scenarios,
        scenario(5, "Who stole the moon from my window tonight?", persona="p0", emotion="e0", location="\x1b[2J"),
        scenario(6, "Do you also forget every name at parties?", persona="p0", emotion="e0", location="l0"),
        scenario(7, "Which song would calm a crying baby next door?", persona="p0", emotion="e1", location="l1"),
    ]
    assert warnings(a_sound_suite(scenarios=tuple(scenarios))) == [
        "persona: 'p0' has over twice the scenarios of 'p1' (5 to 2)",
        "location: 'l0' has over twice the scenarios of '\\x1b[2J' (3 to 1)",
        "location: one scenario alone stands for '\\x1b[2J'",
    ]


@pytest.mark.parametrize(
    ("language", "question", "foreign"),
    [
        ("zh", "我在玩 Minecraft 和 Stardew Valley，你呢？", False),
        ("zh", "Why does nobody call?", True),
        ("zh", "今日はとても寂しいです。", True),
        ("zh", "？？！", False),
        ("en", "Pourquoi personne n'appelle?", False),
        ("en", "为什么没有人打电话给我？", True),
        ("en", "Почему никто не звонит?", True),
        ("en", "What does 江湖 mean to you?", False),
    ],
)
def test_a_question_in_another_script_is_told(language: str, question: str, foreign: bool) -> None:
    suite = a_sound_suite(language=language, scenarios=(Scenario(id="s1", question=question),))
    assert [w for w in warnings(suite) if "script" in w] == (
        [f"scenario s1: the question is in another script than the language {language!r}"] if foreign else []
    )


def test_of_many_like_warnings_the_first_are_told() -> None:
    scenarios = tuple(Scenario(id=f"s{n}", question="Why?") for n in range(100))
    told = warnings(a_sound_suite(scenarios=scenarios))
    assert (len(told), told[-1]) == (MOST_TOLD + 1, f"… and {99 - MOST_TOLD} more like the last")


def test_of_very_many_scenarios_only_equal_ones_are_found() -> None:
    scenarios = [Scenario(id=f"s{n}", question=f"Question number {n}?") for n in range(1_100)]
    scenarios.append(Scenario(id="again", question="Question number 7?"))
    assert warnings(a_sound_suite(scenarios=tuple(scenarios))) == ["scenarios s7 and again: the same question"]
