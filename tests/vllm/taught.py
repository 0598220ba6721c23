"""200 dialogues of 4 characters, each with one rating that the reply gives away, and how they are learned."""

import json
from pathlib import Path

from esrp.dialogue import Character, Scenario
from esrp.metrics import METRIC_IDS
from esrp.suite import Suite
from services.judge.lora.training import Settings

CUES = ("awful", "poor", "so-so", "good", "splendid")
SETTINGS = Settings(epochs=3, lr=5e-3, batch=10, patience=3, checkpoint_every=5)


def write(folder: Path) -> None:
    """Write `suite.yaml`, `dialogues.jsonl` and `ratings.csv` into the folder."""
    characters = tuple(Character(id=f"c{n}", name=f"Name {n}", profile="Kind.") for n in range(4))
    scenarios = tuple(Scenario(id=f"s{n}", question="How was it?") for n in range(50))
    suite = Suite(name="tiny", language="en", characters=characters, scenarios=scenarios)
    (folder / "suite.yaml").write_text(suite.model_dump_json())
    dialogues, ratings = [], ["run,character,scenario,metric,rater,score"]
    for n in range(200):
        who, where, score = f"c{n % 4}", f"s{n // 4}", n % 5 + 1
        turns = [{"user": f"How was it, number {n // 4}?", "assistant": " ".join([CUES[score - 1]] * 8)}]
        dialogues.append(json.dumps({"character": who, "scenario": where, "turns": turns}))
        ratings.append(f"run_1,{who},{where},{METRIC_IDS[n % 9]},ann,{score}")
    (folder / "dialogues.jsonl").write_text("\n".join(dialogues))
    (folder / "ratings.csv").write_text("\n".join(ratings))
