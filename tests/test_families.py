"""Families of models, as far as their names tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from esrp.families import Relative, family, relatives_in, warnings_of


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("openai/gpt-4.1", "gpt"),
        ("chatgpt-4o-latest", "gpt"),
        ("o3-mini", "gpt"),
        ("Qwen/Qwen3-8B", "qwen"),
        ("qwen-max", "qwen"),
        ("deepseek-r1-distill-qwen-7b", "qwen"),
        ("DeepSeek-V3", "deepseek"),
        ("MiniMax-abab6.5s", "minimax"),
        ("yi-34b-chat", "yi"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama"),
        ("gemini-2.5-flash", "gemini"),
        ("persona-9b-rc3", None),
        ("yielding-bot", None),
        ("logs-may", None),
        ("", None),
    ],
)
def test_a_name_tells_the_family_or_nothing(model: str, expected: str | None) -> None:
    assert family(model) == expected


def test_judges_and_simulator_of_the_candidates_family_are_told() -> None:
    judges = {"default": "gpt-4.1", "second": "qwen-max", "third": "persona"}
    assert warnings_of(["bot", "qwen3-8b"], judges, "Qwen2.5-72B") == [
        "The judge second (qwen-max) is of the candidate's family (qwen): judges tend to prefer their own kind.",
        "The simulated user (Qwen2.5-72B) is of the candidate's family (qwen).",
    ]
    assert warnings_of(["bot"], judges, "persona") == []


@dataclass(frozen=True)
class Stored:
    candidate: Mapping[str, Any]
    candidate_name: str
    judges: Sequence[str]
    manifest: Mapping[str, Any]


def test_a_stored_run_tells_the_same_by_its_manifest() -> None:
    run = Stored(
        candidate={"kind": "endpoint", "model": "qwen3-8b"},
        candidate_name="qwen3-8b",
        judges=["lora", "default"],
        manifest={
            "judges": [{"kind": "chat", "model": "gpt-4.1"}, {"kind": "lora", "model": "judge@1", "base": "Qwen3-8B"}],
            "simulator": {"model": "qwen-plus"},
        },
    )
    assert list(relatives_in(run)) == [Relative("lora", "Qwen3-8B", "qwen"), Relative(None, "qwen-plus", "qwen")]
    recorded = replace(run, candidate={"kind": "transcript"}, candidate_name="logs", manifest={"simulator": "imported"})
    assert list(relatives_in(recorded)) == []
