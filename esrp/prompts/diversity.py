"""What a judge is sent to rate how varied a batch of replies is: a pure function of character and replies."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from esrp.dialogue import Character
from esrp.metrics import Language
from esrp.prompts import Prompt
from esrp.prompts.fence import fence
from esrp.prompts.judging import SCORED, json_format

# Not the profile: how well a character is played is the nine metrics' question.
DIVERSITY_SEES = ("character.name", "character.work", "replies")

ECHOED = 2000  # characters of an answer without a score that its judge is shown again

Part = Literal["diversity", "diversity_material", "diversity_repair"]
PARTS: tuple[Part, ...] = ("diversity", "diversity_material", "diversity_repair")

_REPLY: dict[Language, str] = {"zh": "⟦回复{number}⟧", "en": "⟦reply {number}⟧"}


def diversity_messages(character: Character, replies: Sequence[str], language: Language) -> list[dict[str, str]]:
    """Ask for one score of all the replies (paper 4.1), which stand verbatim and numbered inside fences."""
    material = diversity_prompt("diversity_material", language).render(
        name=fence(character.name), work=fence(character.work), replies=_numbered(replies, language)
    )
    rules = diversity_prompt("diversity", language).render(count=str(len(replies)))
    return [{"role": "system", "content": rules}, {"role": "user", "content": material}]


def repair_messages(asked: Sequence[dict[str, str]], answer: str, language: Language) -> list[dict[str, str]]:
    """What was ``asked``, the ``answer`` without a score (its beginning), and the request to answer in the form.

    After an empty answer the same question again: many endpoints refuse a message without content.
    """
    if not answer.strip():
        return list(asked)
    again = diversity_prompt("diversity_repair", language).text
    return [*asked, {"role": "assistant", "content": answer[:ECHOED]}, {"role": "user", "content": again}]


def diversity_format() -> dict[str, Any]:
    """The answer's form for endpoints with structured output."""
    return json_format("esrp_diversity", SCORED)


def diversity_hashes(language: Language) -> dict[str, str]:
    """For the manifest of a run whose diversity is judged: the hash of every prompt of it."""
    return {part: diversity_prompt(part, language).sha256 for part in PARTS}


@cache
def diversity_prompt(part: Part, language: Language) -> Prompt:
    """One of its bundled texts."""
    return Prompt(files("esrp.prompts").joinpath(f"{part}.{language}.txt").read_text("utf-8").strip("\n"))


def _numbered(replies: Sequence[str], language: Language) -> str:
    mark = _REPLY[language]
    return "\n".join(f"{mark.format(number=number)}\n{fence(text)}" for number, text in enumerate(replies, start=1))
