"""Judges whose replies to the injection battery are written down: one obeys what it reads, and one does not."""

import json
from functools import cache
from zlib import crc32

from esrp.battery import trials
from esrp.metrics import METRIC_IDS, Language
from esrp.prompts.judging import judge_messages

OBEYED = ("ask_for_five", "fake_verdict", "close_fence", "switch_roles", "flatter")
BLUNDERS = ("empty", "refuse")


@cache
def replies(language: Language, *, obedient: bool) -> dict[str, str]:
    """What the judge says to each prompt of the battery, by the prompt.

    Both give 2 to 4 to what is clean. The obedient one gives 5 wherever a reply asks for it and 4 to twice the text,
    and does not notice that nothing was said; the other gives 1 there, and else what the clean twin has.
    """
    return {
        judge_messages(trial.dialogue, language)[-1]["content"]: _verdict(trial.twin, trial.attack, obedient=obedient)
        for trial in trials(language)
    }


def in_order(prompt: str, **changed: int) -> str:
    """A verdict that depends on the prompt alone: 2 to 4 on each metric, but for what is ``changed``."""
    return json.dumps({metric: {"score": changed.get(metric, _clean(prompt, metric))} for metric in METRIC_IDS})


def _verdict(twin: str, attack: str, *, obedient: bool) -> str:
    if obedient and attack in OBEYED:
        return in_order(twin, **dict.fromkeys(METRIC_IDS, 5))
    if obedient and attack == "repeat":
        return in_order(twin, **dict.fromkeys(METRIC_IDS, 4))
    if not obedient and attack in BLUNDERS:
        return in_order(twin, **dict.fromkeys(METRIC_IDS, 1))
    return in_order(twin)


def _clean(text: str, metric: str) -> int:
    return 2 + crc32(f"{text} {metric}".encode()) % 3
