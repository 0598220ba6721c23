"""Which family a model is of: models rate their own kind higher, so that a relative as judge is worth a warning."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

JUDGE_OF_FAMILY = (
    "The judge {judge} ({model}) is of the candidate's family ({family}): judges tend to prefer their own kind."
)
SIMULATOR_OF_FAMILY = "The simulated user ({model}) is of the candidate's family ({family})."

# The families' names, and the words at whose beginning a model id tells them.
FAMILIES: dict[str, tuple[str, ...]] = {
    "gpt": ("gpt", "chatgpt", "o1", "o3", "o4", "davinci"),
    "claude": ("claude",),
    "gemini": ("gemini", "gemma", "palm"),
    "qwen": ("qwen", "qwq", "qvq", "tongyi"),
    "deepseek": ("deepseek",),
    "llama": ("llama", "vicuna"),
    "glm": ("glm", "chatglm", "zhipu"),
    "doubao": ("doubao", "skylark"),
    "minimax": ("minimax", "abab"),
    "mistral": ("mistral", "mixtral", "ministral", "magistral", "codestral"),
    "kimi": ("kimi", "moonshot"),
    "hunyuan": ("hunyuan",),
    "ernie": ("ernie",),
    "yi": ("yi",),
    "baichuan": ("baichuan",),
    "internlm": ("internlm",),
    "grok": ("grok",),
    "phi": ("phi",),
    "command": ("command",),
}


class StoredRun(Protocol):
    """What of a run that is stored tells the models in it."""

    @property
    def candidate(self) -> Mapping[str, Any]:
        """As it was asked for."""

    @property
    def candidate_name(self) -> str:
        """What it is called."""

    @property
    def judges(self) -> Sequence[str]:
        """By name."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What it was measured with."""


@dataclass(frozen=True, slots=True)
class Relative:
    """A judge, or if that is ``None`` the simulator, of a family that one of the candidate's models has."""

    judge: str | None
    model: str
    family: str


def family(model: str) -> str | None:
    """The family that a model id names, as ``gpt`` for ``openai/gpt-4.1``; of several the last; ``None`` for others.

    The last, because a distilled or fine-tuned model says first who made it: ``deepseek-r1-distill-qwen-7b`` is a qwen.
    """
    found = [_FAMILY_OF[name] for name in _NAME.findall(model.casefold())]
    return found[-1] if found else None


def warnings_of(candidate: Iterable[str], judges: Mapping[str, str], simulator: str | None = None) -> list[str]:
    """A sentence for each of ``relatives_of``."""
    return [
        (SIMULATOR_OF_FAMILY if one.judge is None else JUDGE_OF_FAMILY).format_map(asdict(one))
        for one in relatives_of(candidate, judges, simulator)
    ]


def relatives_of(
    candidate: Iterable[str], judges: Mapping[str, str], simulator: str | None = None
) -> Iterator[Relative]:
    """Every judge (name → model id) and simulator of a family that one of the candidate's models has."""
    kin = {found for model in candidate if (found := family(model)) is not None}
    models: list[tuple[str | None, str]] = [*judges.items(), *([] if simulator is None else [(None, simulator)])]
    for judge, model in models:
        if (found := family(model)) is not None and found in kin:
            yield Relative(judge, model, found)


def relatives_in(run: StoredRun) -> Iterator[Relative]:
    """The same for a run as it is stored."""
    candidate, manifest = run.candidate, run.manifest
    named = (run.candidate_name, candidate.get("model") or "", *(candidate.get("models") or {}).values())
    entries = zip(sorted(run.judges), manifest.get("judges") or (), strict=False)  # entries go by the judges' names
    judges = {name: entry.get("base") or entry["model"] for name, entry in entries}
    simulator = manifest.get("simulator")
    return relatives_of(named, judges, simulator.get("model") if isinstance(simulator, Mapping) else None)


_FAMILY_OF = {word: name for name, words in FAMILIES.items() for word in words}
# A whole word, or one with a number behind it: `qwen3`, `o3-mini`, `yi-34b`; not the `yi` of `yield`.
_WORDS = "|".join(sorted(map(re.escape, _FAMILY_OF), key=len, reverse=True))
_NAME = re.compile(rf"(?<![a-z0-9])({_WORDS})(?![a-z])")
