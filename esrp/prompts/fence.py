"""Fences: what users and bots wrote stands between marks that they cannot write themselves.

Only the prompts of simulator and judge have fences; a candidate gets the user's words as they are.
"""

from collections.abc import Iterable

from esrp.dialogue import Turn
from esrp.metrics import Language

MARKS = "⟦⟧"
_SPEAKERS: dict[Language, tuple[str, str]] = {"zh": ("用户", "角色"), "en": ("user", "character")}


def fence(text: str) -> str:
    """``text`` as it may stand inside a fence: marks become square brackets; without marks it is the same bytes."""
    return text.replace(MARKS[0], "[").replace(MARKS[1], "]")  # str.translate takes 900 times as long


def transcript(turns: Iterable[Turn], language: Language) -> str:
    """The dialogue for the inside of a fence: each message verbatim under a mark that says who speaks."""
    user, character = _SPEAKERS[language]
    return "\n".join(f"⟦{user}⟧\n{fence(turn.user)}\n⟦{character}⟧\n{fence(turn.assistant)}" for turn in turns)
