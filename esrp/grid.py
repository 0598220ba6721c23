"""The grid that scenarios are written over: who the user is, how they feel, where they are (paper 3.1, appendix F)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from esrp.dialogue import Frozen, Label

# Four typical places for each of the four typical users; the nine states of mind.
LOCATIONS: Mapping[str, tuple[str, ...]] = {
    "student": ("classroom", "library", "canteen", "campus"),
    "employee": ("office", "meeting-room", "restaurant", "home"),
    "freelancer": ("home", "cafe", "park", "bar"),
    "self-employed": ("shop", "wholesale-market", "trade-fair", "car"),
}
EMOTIONS = ("happy", "angry", "depressed", "anxious", "lonely", "thoughtful", "surprised", "sad", "touched")
PER_CELL = 2
MOST = 2000  # scenarios of one grid: seven of the paper's, and compared with each other in a second


class Cell(Frozen):
    """One combination of the three labels."""

    persona: Label
    emotion: Label
    location: Label


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one scenario: the ``number``-th of its cell, from 1, and its place in the whole grid, from 0."""

    position: int
    cell: Cell
    number: int


class Grid(Frozen):
    """Every persona in every emotion at each of that persona's locations, ``per_cell`` scenarios each."""

    personas: tuple[Label, ...]
    emotions: tuple[Label, ...]
    locations: dict[Label, tuple[Label, ...]]
    per_cell: Annotated[int, Field(ge=1)] = PER_CELL

    @property
    def size(self) -> int:
        """How many scenarios: 288 for the paper's grid."""
        return len(self.emotions) * sum(len(self.locations[persona]) for persona in self.personas) * self.per_cell

    def cells(self) -> list[Cell]:
        """Every combination, persona by persona."""
        return [
            Cell(persona=persona, emotion=emotion, location=location)
            for persona in self.personas
            for location in self.locations[persona]
            for emotion in self.emotions
        ]

    def slots(self) -> list[Slot]:
        """Every place for a scenario: first one for each cell, then the second of each, and so on."""
        cells = self.cells()
        return [
            Slot((number - 1) * len(cells) + place, cell, number)
            for number in range(1, self.per_cell + 1)
            for place, cell in enumerate(cells)
        ]


def usual_locations(personas: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The paper's locations of those of the personas that it has."""
    return {persona: LOCATIONS[persona] for persona in personas if persona in LOCATIONS}
