"""What a benchmark is made of: characters, scenarios, turns and dialogues, as frozen values."""

import unicodedata
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]


def storable(value: Any) -> Any:
    """``value``, if no text in it holds U+0000, which no database can store; else ``ValueError``."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("text cannot hold the character U+0000")
    if isinstance(value, dict):
        for key, item in value.items():
            storable(key), storable(item)
    elif isinstance(value, list | tuple):
        for item in value:
            storable(item)
    return value


Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Reply = Annotated[str, StringConstraints(max_length=2 << 20)]  # as an endpoint's whole answer may be
Work = Annotated[str, StringConstraints(max_length=200)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Frozen(BaseModel):
    """A value: immutable, and with no field that nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _text_can_be_stored(cls, value: Any) -> Any:
        return storable(value)


class Character(Frozen):
    """Someone a bot plays. ``profile`` is all that the bot and the judges are told of them."""

    id: Slug
    name: Label
    work: Work = ""
    profile: Text


class Scenario(Frozen):
    """A moment in a user's day (paper 3.1). ``None`` is a label that nobody published.

    Only ``question`` ever reaches the candidate; the rest steers the simulated user.
    """

    id: Slug
    persona: Label | None = None
    emotion: Label | None = None
    location: Label | None = None
    event: Text | None = None
    question: Text


class Turn(Frozen):
    """One round: what the user said and what the character answered."""

    user: Text
    assistant: Reply


class Dialogue(Frozen):
    """One character in one scenario, played once. ``scenario`` is ``None`` for own logs."""

    character: Character
    scenario: Scenario | None
    turns: tuple[Turn, ...]
    replicate: int = 1


def normalise(text: str) -> str:
    """``text`` as it is hashed, paired and counted: NFKC, so that ``～`` and ``~`` are one character (STATISTICS 7)."""
    return unicodedata.normalize("NFKC", text).strip()
