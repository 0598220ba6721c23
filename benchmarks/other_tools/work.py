"""What every Python peer does for a dialogue: four requests, each filled with what was said before."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Messages = list[dict[str, str]]

CANDIDATE, SIMULATOR, JUDGE = "mock", "mock-simulator", "mock-judge"
TALK: dict[str, Any] = {"temperature": 0.7, "top_p": 0.95, "max_tokens": 256}
SCORE: dict[str, Any] = {"temperature": 0, "max_tokens": 2048}
METRICS = (
    *("consistency", "fluency", "coherence", "character_knowledge", "speaking_style", "behavioral_habits"),
    *("emotional_value", "experience_sharing", "demand_matching"),
)


@dataclass(frozen=True, slots=True)
class Work:
    """One dialogue to be played and judged."""

    id: str
    question: str
    role: str
    follow_up: str
    judge: str
    material: str

    def first(self) -> Messages:
        """To the candidate: the first question."""
        return [_says("system", self.role), _says("user", self.question)]

    def ask(self, a1: str) -> Messages:
        """To the simulator: what would the user say now?"""
        return [_says("user", _filled(self.follow_up, q1=self.question, a1=a1))]

    def second(self, a1: str, q2: str) -> Messages:
        """To the candidate: the second question."""
        return [*self.first(), _says("assistant", a1), _says("user", q2)]

    def rate(self, a1: str, q2: str, a2: str) -> Messages:
        """To the judge: the whole dialogue."""
        material = _filled(self.material, q1=self.question, a1=a1, q2=q2, a2=a2)
        return [_says("system", self.judge), _says("user", material)]


def load() -> list[Work]:
    """The dialogues in the file that the variable ``WORK`` names."""
    document = json.loads(Path(os.environ["WORK"]).read_text("utf-8"))
    prompts = document["characters"]
    return [
        Work(each["id"], each["question"], follow_up=each["follow_up"], judge=document["judge"], **prompts[character])
        for each in document["dialogues"]
        if (character := each["character"])
    ]


def scores(reply: str) -> dict[str, int]:
    """The nine scores in a judge's reply; ``KeyError`` if one is not there."""
    verdict = json.loads(reply)
    return {metric: int(verdict[metric]["score"]) for metric in METRICS}


def _says(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _filled(text: str, **said: str) -> str:
    for place, words in said.items():
        text = text.replace("{" + place + "}", words)
    return text
