"""Prompts: one text file a prompt and language, each known by the hash of its text."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from esrp.metrics import Language

Name = Literal["role", "simulator", "judge", "judge_material", "judge_repair", "writer"]
NAMES: tuple[Name, ...] = ("role", "simulator", "judge", "judge_material", "judge_repair")  # what a run uses


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with ``{field}`` places."""

    text: str

    @property
    def sha256(self) -> str:
        """The hash of the text before anything is filled in, as 64 hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def render(self, **values: str | None) -> str:
        """The text with its fields filled in: see ``fill``."""
        return fill(self.text, values)


def fill(text: str, values: Mapping[str, str | None]) -> str:
    """``text`` with each ``{field}`` that ``values`` names replaced; everything else stays byte for byte.

    Values are not looked into again, so braces in a profile or a reply are safe. ``None`` and ``""`` are unknown:
    a line that names only unknown fields is left out.
    """
    if not values:
        return text
    field = re.compile("{(" + "|".join(map(re.escape, values)) + ")}")
    lines = (line for line in text.split("\n") if "{" not in line or _has_something_to_say(field.findall(line), values))
    return field.sub(lambda found: values[found[1]] or "", "\n".join(lines))


@cache
def load(name: Name, language: Language) -> Prompt:
    """A bundled prompt: ``load("role", "zh")``."""
    return Prompt(files(__name__).joinpath(f"{name}.{language}.txt").read_text("utf-8").strip("\n"))


def prompt_hashes(language: Language) -> dict[str, str]:
    """For a run's manifest: the hash of every prompt of a language that a run uses."""
    return {name: load(name, language).sha256 for name in NAMES}


def _has_something_to_say(fields: list[str], values: Mapping[str, str | None]) -> bool:
    return not fields or any(values[field] for field in fields)
