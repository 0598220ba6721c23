"""A suite: characters × scenarios in one language, an immutable document named by the hash of its content."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from functools import cached_property
from importlib.resources import files
from itertools import chain, islice
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, ValidationError, field_validator, model_validator

from esrp.canonical import digest
from esrp.dialogue import Character, Frozen, Scenario
from esrp.documents import Located, Place, pointer, read, read_json
from esrp.errors import Fault, InvalidInput
from esrp.metrics import Language

BUNDLED = ("esrp-zh", "esrp-en")
MOST_TOLD = 1 << 20  # characters of provenance: with 10,000 scenarios 400,000
MOST_FAULTS = 100  # told of one suite
SuiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class Suite(Frozen):
    """Every character meets every scenario. Scenarios and characters are named by their ids, unique in the suite."""

    name: SuiteName
    language: Language
    metrics: Literal["esrp"] = "esrp"
    experimental: bool = False
    characters: tuple[Character, ...] = Field(min_length=1, max_length=1000)
    scenarios: tuple[Scenario, ...] = Field(min_length=1, max_length=10_000)
    provenance: dict[str, JsonValue] | None = Field(None, description="where the scenarios come from; not in the hash")

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        for kind, ids in (("character", [c.id for c in self.characters]), ("scenario", [s.id for s in self.scenarios])):
            if twice := [name for name, times in Counter(ids).items() if times > 1]:
                raise ValueError(f"{kind} ids must be unique; twice: {', '.join(twice)}")
        return self

    @field_validator("provenance")
    @classmethod
    def _provenance_is_no_burden(cls, told: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if told is not None and len(json.dumps(told)) > MOST_TOLD:
            raise ValueError(f"it is over {MOST_TOLD:,} characters of JSON")
        return told

    @cached_property
    def sha256(self) -> str:
        """The hash of what is asked and of whom; the suite's name is not part of it."""
        return digest(self.model_dump(exclude={"name", "experimental", "provenance"}))

    def character(self, id: str) -> Character:
        """The character with that id; ``KeyError`` if there is none."""
        return self._characters[id]

    def scenario(self, id: str) -> Scenario:
        """The scenario with that id; ``KeyError`` if there is none."""
        return self._scenarios[id]

    @property
    def counts(self) -> dict[str, int]:
        """How many characters, scenarios and dialogues."""
        characters, scenarios = len(self.characters), len(self.scenarios)
        return {"characters": characters, "scenarios": scenarios, "dialogues": characters * scenarios}

    @cached_property
    def _characters(self) -> dict[str, Character]:
        return {character.id: character for character in self.characters}

    @cached_property
    def _scenarios(self) -> dict[str, Scenario]:
        return {scenario.id: scenario for scenario in self.scenarios}


def bundled(name: str) -> Suite:
    """A suite that ships with the package: one of ``BUNDLED``."""
    return parse_yaml(files("esrp.suites").joinpath(f"{name}.yaml").read_text("utf-8"))


def parse_yaml(text: str) -> Suite:
    """The suite in a YAML or JSON text; ``InvalidInput`` names line, field and reason of every fault."""
    return _suite(read(text))


def parse_json(text: str) -> Suite:
    """The suite in a JSON text; ``InvalidInput`` names line, field and reason of every fault."""
    return _suite(read_json(text))


def parse(document: Any) -> Suite:
    """The suite in parsed JSON; ``InvalidInput`` names every wrong field."""
    return _suite(Located(document))


def faults(errors: Iterable[Any], line: Callable[[Place], int] | None = None) -> Iterable[Fault]:
    """Pydantic's errors as faults with JSON pointers, and with their lines if those are known."""
    for error in errors:
        told = f"line {line(error['loc'])}: " if line and error["loc"] else ""
        yield Fault(pointer(error["loc"]), told + _reason(error))


def _suite(source: Located) -> Suite:
    wrong: Iterable[Fault] = ()
    try:
        suite = Suite.model_validate(source.document)
    except ValidationError as error:
        own = (e for e in error.errors(include_url=False, include_context=False) if not _follows(e))
        wrong = chain(faults(own, source.line), _taken_ids(source))
    if found := list(islice(chain(source.repeated, wrong), MOST_FAULTS + 1)):
        most = f"; these are its first {MOST_FAULTS} faults" if len(found) > MOST_FAULTS else ""
        raise InvalidInput(f"The suite is not valid{most}.", errors=found[:MOST_FAULTS])
    return suite


def _follows(error: Any) -> bool:
    """Whether it only says that a list is empty once its wrong items are left out."""
    return bool(error["type"] == "too_short" and error["input"])


def _taken_ids(source: Located) -> Iterable[Fault]:
    """Where an id stands again; the suite itself can only say which."""
    for kind in ("characters", "scenarios"):
        items = source.document.get(kind) if isinstance(source.document, dict) else None
        first: dict[str, int] = {}
        for place, item in enumerate(items if isinstance(items, list) else []):
            id = item.get("id") if isinstance(item, dict) else None
            if isinstance(id, str) and first.setdefault(id, place) != place:
                error = {"loc": (kind, place, "id"), "msg": f"the id is taken by /{kind}/{first[id]}", "type": "taken"}
                yield from faults([error], source.line)


def _reason(error: Any) -> str:
    if error["type"] == "model_type":
        return "Input should be fields with values"
    reason: str = error["msg"].removeprefix("Value error, ")
    scalar = error["type"] == "string_type" and isinstance(error.get("input"), bool | int | float | date)
    return f"{reason}; put it in quotes" if scalar else reason
