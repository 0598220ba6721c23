import json
from pathlib import Path
from typing import Any

import pytest

from esrp.api import RecordedDialogue
from esrp.chatanime import DIALOGUES, Labels, is_published, parse_jsonl, published_labels, read
from esrp.dialogue import Character, Scenario, Turn
from esrp.errors import Fault, InvalidInput
from esrp.suite import Suite, bundled

DATA = Path(__file__).parents[2] / "shared" / "data" / "chatanime"
FILES = sorted(DATA.glob("*.json"))
PROFILES = Suite(
    name="stand-in",
    language="zh",
    characters=(
        Character(id="saber", name="Saber（阿尔托莉雅）", work="Fate Zero", profile="王。"),
        Character(id="gojo", name="五条悟", work="咒术回战", profile="老师。"),
    ),
    scenarios=(Scenario(id="s01", question="?"),),
)
SABER, GOJO = "《Fate Zero》的Saber（阿尔托莉雅）", "《咒术回战》的五条悟"
LABELS = {3: Labels(persona="student", emotion="anger", location="classroom")}

published = pytest.mark.skipif(not FILES, reason="the published dataset is not beside the repository")


def records(answer: str = "好", tilde: str = "~") -> list[dict[str, Any]]:
    """One character's dialogues."""
    return [
        {
            "dialog_id": number,
            "question_r1": f"第{number}问{tilde}",
            "answer_r1": answer,
            "question_r2": "然后呢？",
            "answer_r2": f"{answer}{number}",
        }
        for number in range(1, DIALOGUES + 1)
    ]


def text(**changes: Any) -> str:
    """A file of two characters, in an order that is not the suite's."""
    return json.dumps({GOJO: records("gojo"), SABER: records("saber")} | changes, ensure_ascii=False)


def fault(document: str | bytes) -> InvalidInput:
    """What is said against the file."""
    with pytest.raises(InvalidInput) as caught:
        read(document, PROFILES, {})
    return caught.value


def test_a_file_becomes_a_suite_and_its_dialogues() -> None:
    suite, dialogues = read(text(), PROFILES, LABELS)

    assert (suite.name, suite.language, suite.characters) == ("chatanime", "zh", PROFILES.characters)
    assert suite.scenarios[0] == Scenario(id="q01", question="第1问~")
    assert suite.scenario("q03").model_dump() == {
        "id": "q03",
        "persona": "student",
        "emotion": "anger",
        "location": "classroom",
        "event": None,
        "question": "第3问~",
    }
    assert len(dialogues) == 120
    turns = [Turn(user="第1问~", assistant="saber"), Turn(user="然后呢？", assistant="saber1")]
    assert dialogues[0] == RecordedDialogue(character="saber", scenario="q01", turns=turns)


def test_order_and_tildes_do_not_change_the_suite_and_replies_stay_as_they_are() -> None:
    other = {SABER: records("其他", "～"), GOJO: list(reversed(records("别的", "～")))}

    one, two = read(text(), PROFILES, {}), read(json.dumps(other), PROFILES, {})

    assert one.suite == two.suite
    assert one.suite.sha256 == two.suite.sha256
    assert two.dialogues[0].turns[0] == Turn(user="第1问～", assistant="其他")


def test_what_is_not_json_is_said_with_its_line() -> None:
    broken = '{\n"《咒术回战》的五条悟": [\n{"dialog_id": 1,\n'

    assert fault(broken).errors[0].pointer == "line 4"
    assert "not JSON" in fault(broken).detail
    assert "not UTF-8 at byte 5" in fault(text().encode()[:5] + b"\xff").detail
    assert "nested too deeply" in fault("[" * 200_000).detail


@pytest.mark.parametrize(
    ("change", "pointer", "says"),
    [
        ({"dialog_id": "x"}, f"/{GOJO}/4/dialog_id", "valid integer"),
        ({"answer_r1": None}, f"/{GOJO}/4/answer_r1", "valid string"),
        ({"question_r1": ""}, f"/{GOJO}/4/question_r1", "at least 1 character"),
        ({"note": "?"}, f"/{GOJO}/4/note", "Extra inputs"),
        ({"dialog_id": 4}, "/gojo/dialog_id", "gojo must have the dialogues 1 to 60, each once; look at 5."),
        ({"question_r1": "另一问"}, "/gojo/5/question_r1", "Dialogue 5 of gojo opens with another question"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], pointer: str, says: str) -> None:
    changed = records("gojo")
    changed[4] |= change

    error = fault(text(**{GOJO: changed}))

    assert error.errors[0].pointer == pointer
    assert says in error.detail


def test_a_character_nobody_knows_one_who_is_missing_and_one_who_stands_twice_are_named() -> None:
    unknown = fault(text(**{"《某作》的某人": records()}))
    missing = fault(json.dumps({SABER: records()}))
    twice = fault(f'{{"{SABER}": [], "{SABER}": []}}')

    assert unknown.errors == (Fault("/《某作》的某人", "'《某作》的某人' is no character of the published dataset."),)
    assert missing.errors == (Fault(f"/{GOJO}", f"There are no dialogues of {GOJO}."),)
    assert "stands twice" in twice.detail


@pytest.mark.parametrize("document", ["[]", "3", "null", '{"dialogues": 1}'])
def test_another_shape_is_no_published_file(document: str) -> None:
    assert "Not a published ChatAnime file" in fault(document).detail
    assert not is_published(json.loads(document))
    assert is_published(json.loads(text()))


def test_own_logs_are_read_line_by_line() -> None:
    log = (
        '\ufeff{"character": "saber", "turns": [{"user": "a\u2028b", "assistant": ""}]}\r\n'
        "\n"
        '{"character": "saber", "scenario": "s01", "turns": [{"user": "1", "assistant": "2"}], "replicate": 2}'
    )

    first, second = parse_jsonl(log)

    assert first == RecordedDialogue(character="saber", turns=[Turn(user="a\u2028b", assistant="")])
    assert (second.scenario, second.replicate) == ("s01", 2)


def test_wrong_lines_are_all_named_with_their_numbers() -> None:
    log = '{"character": "saber", "turns": [{"user": "1", "assistant": "2"}]}\nnonsense\n{"character": "saber"}\n[]\n'

    with pytest.raises(InvalidInput) as caught:
        parse_jsonl(log)

    assert [fault.pointer for fault in caught.value.errors] == ["line 2", "line 3", "line 4"]
    assert caught.value.detail == "line 2, column 1: not JSON: Expecting value (and 2 more)"
    assert caught.value.errors[1].message == "line 3, /turns: Field required"


@pytest.mark.parametrize("log", ["", "\n\n", "\ufeff"])
def test_logs_without_a_dialogue_are_refused(log: str) -> None:
    with pytest.raises(InvalidInput, match="no dialogue"):
        parse_jsonl(log)


@published
def test_labels_are_those_that_the_paper_gives_and_no_others() -> None:
    scenarios = json.loads((DATA.parent / "scenarios.json").read_text("utf-8"))

    papers = {item["dialog_id"] for item in scenarios if item["label_status"].startswith("paper")}
    assert set(published_labels()) == papers


@published
def test_every_published_file_makes_the_same_suite() -> None:
    made = [read(file.read_bytes()) for file in FILES]

    assert len({item.suite.model_dump_json() for item in made}) == 1
    assert made[0].suite.counts == {"characters": 20, "scenarios": 60, "dialogues": 1200}
    assert made[0].suite.characters == bundled("esrp-zh").characters
    assert {len(item.dialogues) for item in made} == {1200}


@published
def test_every_published_turn_is_kept_to_the_byte() -> None:
    for file in FILES:
        document = json.loads(file.read_text("utf-8"))
        pairs = sorted(
            (r["question_r1"], r["answer_r1"], r["question_r2"], r["answer_r2"]) for c in document.values() for r in c
        )

        kept = [
            [part for turn in d.turns for part in (turn.user, turn.assistant)]
            for d in read(file.read_bytes()).dialogues
        ]

        assert sorted(map(tuple, kept)) == pairs
