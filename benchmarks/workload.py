"""The dialogues of a run over `esrp-zh`, written out so that a program without this package can play the same ones."""

import json
from pathlib import Path
from typing import Any

from esrp.api import Sample
from esrp.dialogue import Character, Dialogue, Scenario, Turn
from esrp.prompts import load
from esrp.prompts.fence import transcript
from esrp.prompts.judging import judge_messages
from esrp.prompts.labels import worded
from esrp.sampling import sampled
from esrp.suite import Suite, bundled

SUITE = "esrp-zh"
SEED = 0
FIRST = Turn(user="{q1}", assistant="{a1}")
SECOND = Turn(user="{q2}", assistant="{a2}")


def write(path: Path, dialogues: int) -> None:
    """The file that ``benchmarks.other_tools.work`` reads: prompts as the services send them, with places
    ``{q1}`` (the first question), ``{a1}``, ``{q2}`` and ``{a2}`` for what is said."""
    suite = bundled(SUITE)
    pairs = sampled(suite, Sample(dialogues=dialogues, seed=SEED))
    document = {
        "judge": load("judge", suite.language).text,
        "characters": {character.id: _prompts(suite, character) for character in suite.characters},
        "dialogues": [_dialogue(suite, suite.character(c), suite.scenario(s)) for c, s in pairs],
    }
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def _prompts(suite: Suite, character: Character) -> dict[str, str]:
    role = load("role", suite.language).render(name=character.name, work=character.work, profile=character.profile)
    judged = Dialogue(character=character, scenario=None, turns=(FIRST, SECOND))
    return {"role": role, "material": judge_messages(judged, suite.language)[1]["content"]}


def _dialogue(suite: Suite, character: Character, scenario: Scenario) -> dict[str, Any]:
    follow_up = load("simulator", suite.language).render(
        name=character.name,
        persona=worded(scenario.persona, suite.language),
        location=worded(scenario.location, suite.language),
        emotion=worded(scenario.emotion, suite.language),
        event=scenario.event,
        dialogue=transcript([FIRST], suite.language),
    )
    id = f"{character.id}-{scenario.id}"
    return {"id": id, "character": character.id, "question": scenario.question, "follow_up": follow_up}
