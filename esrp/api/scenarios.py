"""Sets of scenarios that the writer model makes over a grid."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, ValidationInfo, field_validator, model_validator

from esrp.api.common import Answer, Body, RunError, Usage
from esrp.dialogue import Character
from esrp.grid import EMOTIONS, LOCATIONS, MOST, PER_CELL, Grid, usual_locations
from esrp.metrics import Language
from esrp.suite import SuiteName

GridLabel = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\p{C}\p{Zl}\p{Zp}⟦⟧]+$")
]
GridLabels = Annotated[list[GridLabel], Field(min_length=1, max_length=32)]
ScenarioSetStatus = Literal["queued", "running", "succeeded", "failed"]
ScenarioState = Literal["waiting", "writing", "written", "failed"]


def _how_given(locations: Any) -> str:
    return "for_each" if isinstance(locations, dict) else "for_all"


Locations = Annotated[
    Annotated[GridLabels, Tag("for_all")] | Annotated[dict[GridLabel, GridLabels], Tag("for_each")],
    Discriminator(_how_given),
]


class ScenarioSetRequest(Body):
    """``POST /v1/scenario-sets``: the grid; what is not given is the paper's (3.1), 288 scenarios in all."""

    name: str = Field(min_length=1, max_length=200)
    language: Language = "zh"
    personas: GridLabels = Field(list(LOCATIONS))
    emotions: GridLabels = Field(list(EMOTIONS))
    locations: Locations | None = Field(
        None,
        validate_default=True,
        description="one list for all personas, or one for each; needed for personas that are not the paper's",
    )
    per_cell: int = Field(PER_CELL, ge=1, le=10)

    @field_validator("personas", "emotions")
    @classmethod
    def _labels_are_given_once(cls, labels: list[str]) -> list[str]:
        if twice := [label for label, times in Counter(labels).items() if times > 1]:
            raise ValueError(f"the label {twice[0]!r} is given twice")
        return labels

    @field_validator("locations")
    @classmethod
    def _every_persona_is_somewhere(cls, given: Any, info: ValidationInfo) -> Any:
        personas = info.data.get("personas", list(LOCATIONS))
        locations = _locations(personas, given)
        for persona, labels in locations.items():
            if persona not in personas:
                raise ValueError(f"{persona!r} is none of the personas")
            cls._labels_are_given_once(list(labels))
        if missing := [persona for persona in personas if persona not in locations]:
            raise ValueError(f"where is the persona {missing[0]!r}? Only the paper's have usual places")
        return given

    @model_validator(mode="after")
    def _the_grid_is_not_too_large(self) -> Self:
        if self.grid.size > MOST:
            raise ValueError(f"this grid has {self.grid.size} scenarios; at most {MOST} are possible")
        return self

    @property
    def grid(self) -> Grid:
        """The grid with the location of every persona."""
        return Grid(
            personas=tuple(self.personas),
            emotions=tuple(self.emotions),
            locations=_locations(self.personas, self.locations),
            per_cell=self.per_cell,
        )


def _locations(personas: list[str], given: dict[str, list[str]] | list[str] | None) -> dict[str, tuple[str, ...]]:
    if given is None:
        return usual_locations(personas)
    if isinstance(given, dict):
        return {persona: tuple(labels) for persona, labels in given.items()}
    return dict.fromkeys(personas, tuple(given))


class Tally(Answer):
    """Scenarios: planned, written, given up, and taken into a suite."""

    planned: int = 0
    written: int = 0
    failed: int = 0
    selected: int = 0


class ScenarioProgress(Tally):
    """Of the whole set. ``near_duplicates`` is known once all is written."""

    near_duplicates: int = 0


class CellTally(Tally):
    persona: str
    emotion: str
    location: str


class GridCoverage(Answer):
    """How far the grid is covered: each cell, and each label over all its cells."""

    cells: list[CellTally]
    personas: dict[str, Tally]
    emotions: dict[str, Tally]
    locations: dict[str, Tally]


class ScenarioSetLinks(Answer):
    self: str
    scenarios: str
    select: str


class ScenarioSetOut(Answer):
    """A scenario set: what was asked and how far it is."""

    id: str
    name: str
    language: Language
    status: ScenarioSetStatus
    grid: Grid
    writer: str = Field(description="the model that writes")
    created_at: datetime
    finished_at: datetime | None
    progress: ScenarioProgress
    usage: Usage
    error: RunError | None
    links: ScenarioSetLinks


class ScenarioSetDetail(ScenarioSetOut):
    coverage: GridCoverage


class ScenarioDraft(Answer):
    """A generated scenario. ``similarity`` is that to the earlier draft of the set that it is most like, 0 to 1."""

    id: str
    persona: str
    emotion: str
    location: str
    number: int = Field(description="which of its cell, from 1")
    state: ScenarioState
    event: str | None
    question: str | None
    near_duplicate_of: str | None
    similarity: float | None
    selected: bool
    attempts: int
    raw: str | None = Field(description="the writer's last reply of no use, where there is nothing better")
    error: RunError | None


class CharactersOf(Body):
    """The characters of a suite: ``name`` or ``name@version``."""

    suite: str = Field(alias="from", min_length=1, max_length=200)


class SelectRequest(Body):
    """``POST /v1/scenario-sets/{id}/select``: the chosen drafts, and who is to meet them."""

    suite: SuiteName = Field(description="the name of the suite that is made")
    scenarios: list[str] = Field(min_length=1, max_length=MOST)
    characters: Annotated[
        Annotated[CharactersOf, Tag("suite")]
        | Annotated[list[Character], Field(min_length=1, max_length=1000), Tag("list")],
        Discriminator(lambda given: "list" if isinstance(given, list) else "suite"),
    ]
