"""The published ChatAnime files, and own logs as JSONL: recorded dialogues, read and checked."""

import io
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from esrp.api import MOST_RECORDED, RecordedDialogue
from esrp.dialogue import Character, Label, Scenario, Text, Turn, normalise
from esrp.errors import Fault, InvalidInput
from esrp.suite import Suite, bundled, faults

SUITE = "chatanime"
DIALOGUES = 60  # per character, numbered from 1
MOST_FAULTS = 50  # as many as a person will read
MOST_COUNTED = 1000  # a file with more is read no further


class Labels(BaseModel):
    """What the paper says of one of its scenarios."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    persona: Label | None = None
    emotion: Label | None = None
    location: Label | None = None


class Published(NamedTuple):
    """A published file: the suite that every such file shares, and this file's dialogues."""

    suite: Suite
    dialogues: list[RecordedDialogue]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    dialog_id: int
    question_r1: Text
    answer_r1: str
    question_r2: Text
    answer_r2: str

    @property
    def scenario(self) -> str:
        return f"q{self.dialog_id:02}"


_File = dict[str, list[_Record]]
_FILE = TypeAdapter(_File)


def read(text: str | bytes, profiles: Suite | None = None, labels: Mapping[int, Labels] | None = None) -> Published:
    """The suite and the dialogues of a published file; ``InvalidInput`` names the line or the field.

    Characters come from ``profiles`` (``esrp-zh``) in its order, whatever the order in the file, so that
    every file makes the same suite. ``labels`` by dialogue number: only what the paper published.
    """
    try:
        document = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise InvalidInput.at(f"line {error.lineno}", f"line {error.lineno}: not JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput.at(f"byte {error.start}", f"not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise InvalidInput.at("line 1", "nested too deeply for any published file") from error
    return parse(document, profiles, labels)


def parse(document: Any, profiles: Suite | None = None, labels: Mapping[int, Labels] | None = None) -> Published:
    """As ``read``, of parsed JSON."""
    profiles = bundled("esrp-zh") if profiles is None else profiles
    spoken = _by_character(_validated(document), profiles)
    _require_every_dialogue(spoken)
    questions = _questions(spoken)
    known = published_labels() if labels is None else labels
    scenarios = [_scenario(number, question, known.get(number)) for number, question in questions.items()]
    suite = Suite(name=SUITE, language=profiles.language, characters=profiles.characters, scenarios=tuple(scenarios))
    return Published(suite, [_dialogue(id, record) for id, records in spoken.items() for record in records])


def is_published(document: Any) -> bool:
    """Whether parsed JSON has the shape of a published file: an object whose keys name a work and a character."""
    return isinstance(document, dict) and any(key.startswith("《") for key in document)


@cache
def published_labels() -> Mapping[int, Labels]:
    """The labels that the paper gives, by dialogue number; most dialogues have none."""
    text = files("esrp.suites").joinpath("chatanime-labels.yaml").read_text("utf-8")
    return TypeAdapter(dict[int, Labels]).validate_python(yaml.safe_load(text))


def parse_jsonl(text: str) -> list[RecordedDialogue]:
    """Own logs, one dialogue a line: ``{"character", "scenario"?, "turns": [{"user", "assistant"}]}``."""
    dialogues: list[RecordedDialogue] = []
    wrong: list[Fault] = []
    count = 0
    # Not splitlines: JSON strings may hold U+2028 and others that it takes for the end of a line.
    for number, line in enumerate(io.StringIO(text.removeprefix("\ufeff"), newline="\n"), start=1):
        if not line.strip():
            continue
        try:
            dialogues.append(_line(line))
        except InvalidInput as error:
            count += len(error.errors)
            wrong += [_on_line(number, fault) for fault in error.errors[: MOST_FAULTS - len(wrong)]]
        if count >= MOST_COUNTED:
            break
        if len(dialogues) > MOST_RECORDED:
            raise InvalidInput.at(f"line {number}", f"There are over {MOST_RECORDED:,} dialogues; send them in parts.")
    if wrong:
        raise InvalidInput(f"{wrong[0].message}{_and_more(count - 1)}", errors=wrong)
    if not dialogues:
        raise InvalidInput.at("line 1", "There is no dialogue in it; one JSON object a line is expected.")
    return dialogues


def _line(line: str) -> RecordedDialogue:
    try:
        return RecordedDialogue.model_validate(json.loads(line, object_pairs_hook=_object))
    except json.JSONDecodeError as error:
        raise InvalidInput.at(f"column {error.colno}", f"not JSON: {error.msg}") from error
    except RecursionError as error:
        raise InvalidInput.at("column 1", "nested too deeply for a dialogue") from error
    except ValidationError as error:
        raise InvalidInput("The dialogue is not valid.", errors=list(faults(error.errors()))) from error


def _on_line(number: int, fault: Fault) -> Fault:
    return Fault(f"line {number}", f"line {number}, {fault.pointer}: {fault.message}")


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object in which no name stands twice; of two, ``json`` would silently drop one."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput.at(_pointer(twice), f"{twice!r} stands twice in one object.")
    return result


def _validated(document: Any) -> _File:
    try:
        return _FILE.validate_python(document)
    except ValidationError as error:
        found = list(faults(error.errors()))
        message = f"Not a published ChatAnime file: {found[0].pointer}: {found[0].message}{_and_more(len(found) - 1)}"
        raise InvalidInput(message, errors=found[:MOST_FAULTS]) from error


def _by_character(document: _File, profiles: Suite) -> dict[str, list[_Record]]:
    """The records by character id, in the order of ``profiles``."""
    by_key = {normalise(key): (key, records) for key, records in document.items()}
    spoken = {c.id: by_key.pop(normalise(_key(c)))[1] for c in profiles.characters if normalise(_key(c)) in by_key}
    if unknown := [key for key, _ in by_key.values()]:
        wrong = [Fault(_pointer(key), f"{key!r} is no character of the published dataset.") for key in unknown]
        raise InvalidInput(wrong[0].message + _and_more(len(wrong) - 1), errors=wrong)
    if missing := [_key(c) for c in profiles.characters if c.id not in spoken]:
        wrong = [Fault(_pointer(key), f"There are no dialogues of {key}.") for key in missing]
        raise InvalidInput(wrong[0].message + _and_more(len(wrong) - 1), errors=wrong)
    return spoken


def _key(character: Character) -> str:
    return f"《{character.work}》的{character.name}"


def _require_every_dialogue(spoken: dict[str, list[_Record]]) -> None:
    for id, records in spoken.items():
        numbers = [record.dialog_id for record in records]
        if sorted(numbers) != list(range(1, DIALOGUES + 1)):
            odd = sorted(set(range(1, DIALOGUES + 1)) ^ set(numbers)) or [n for n in numbers if numbers.count(n) > 1]
            message = f"{id} must have the dialogues 1 to {DIALOGUES}, each once; look at {odd[0]}."
            raise InvalidInput.at(f"/{id}/dialog_id", message)


def _questions(spoken: dict[str, list[_Record]]) -> dict[int, str]:
    """The first question of every dialogue: one for all characters."""
    questions: dict[int, str] = {}
    for id, records in spoken.items():
        for record in records:
            # Of the two tildes that the files write for one another the suite holds one, so that its bytes agree too.
            question = record.question_r1.replace("～", "~")
            if normalise(questions.setdefault(record.dialog_id, question)) != normalise(question):
                message = f"Dialogue {record.dialog_id} of {id} opens with another question than the others'."
                raise InvalidInput.at(f"/{id}/{record.dialog_id}/question_r1", message)
    return dict(sorted(questions.items()))


def _scenario(number: int, question: str, labels: Labels | None) -> Scenario:
    known = labels.model_dump() if labels else {}
    return Scenario(id=f"q{number:02}", question=question, **known)


def _dialogue(character: str, record: _Record) -> RecordedDialogue:
    turns = [
        Turn(user=record.question_r1, assistant=record.answer_r1),
        Turn(user=record.question_r2, assistant=record.answer_r2),
    ]
    return RecordedDialogue(character=character, scenario=record.scenario, turns=turns)


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")
