"""A suite: characters × scenarios in one language, an immutable document named by the hash of its content."""

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator

from esrp.canonical import digest
from esrp.dialogue import Character, Frozen, Scenario
from esrp.errors import Fault, InvalidInput
from esrp.metrics import Language

BUNDLED = ("esrp-zh", "esrp-en")
SuiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class Suite(Frozen):
    """Every character meets every scenario. Scenarios and characters are named by their ids, unique in the suite."""

    name: SuiteName
    language: Language
    metrics: Literal["esrp"] = "esrp"
    experimental: bool = False
    characters: tuple[Character, ...] = Field(min_length=1, max_length=1000)
    scenarios: tuple[Scenario, ...] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        for kind, ids in (("character", [c.id for c in self.characters]), ("scenario", [s.id for s in self.scenarios])):
            if twice := [name for name, times in Counter(ids).items() if times > 1]:
                raise ValueError(f"{kind} ids must be unique; twice: {', '.join(twice)}")
        return self

    @cached_property
    def sha256(self) -> str:
        """The hash of what is asked and of whom; the suite's name is not part of it."""
        return digest(self.model_dump(exclude={"name", "experimental"}))

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
    """The suite in a YAML or JSON text; ``InvalidInput`` names the line, or the field and the reason."""
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - both loaders are safe ones
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput.at(f"line {line}", f"line {line}: not YAML or JSON: {error.problem}") from error
    except yaml.YAMLError as error:
        raise InvalidInput.at("line 1", f"not YAML or JSON: {error}") from error
    return parse(document)


def parse(document: Any) -> Suite:
    """The suite in parsed JSON; ``InvalidInput`` names every wrong field."""
    try:
        return Suite.model_validate(document)
    except ValidationError as error:
        raise InvalidInput("The suite is not valid.", errors=list(faults(error.errors()))) from error


def faults(errors: Iterable[Any]) -> Iterable[Fault]:
    """Pydantic's errors as faults with JSON pointers."""
    for error in errors:
        yield Fault("/" + "/".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, "))


# The C parser reads the 60 kB of esrp-zh in 30 ms where the Python one takes 400.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
