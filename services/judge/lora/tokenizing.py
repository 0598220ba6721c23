"""From a dialogue to token ids, with the base model's own tokenizer: what is asked is made here, not by vLLM."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from esrp.dialogue import Dialogue
from esrp.metrics import METRIC_IDS, Language
from esrp.prompts.lora import lora_prompts, prefix_ids, require_tokenizer, score_ids

FILE = "tokenizer.json"


class UnusableTokenizer(Exception):
    """There is no tokenizer there that scores can be asked with."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Prompts of one dialogue as token ids, one a metric; they begin alike.

    ``tokens`` counts the common beginning once: what the prompts take of a cache that shares it.
    """

    metrics: tuple[str, ...]
    prompts: list[list[int]]
    tokens: int


class JudgeTokenizer:
    """A tokenizer, and the ids of its tokens "1" to "5"."""

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        self._encode = encode
        self._suffix = lru_cache(64)(lambda text: tuple(encode(text)))  # nine metrics in two languages
        self.score_ids = score_ids(encode)

    def asked(self, dialogue: Dialogue, language: Language, metrics: Sequence[str] = METRIC_IDS) -> Asked:
        """The prompts for the dialogue, in the order of ``metrics``."""
        prompts = lora_prompts(dialogue, language, metrics)
        prefix = prefix_ids(prompts[0], self._encode) if prompts else []
        suffixes = [self._suffix(prompt.suffix) for prompt in prompts]
        ids = [[*prefix, *suffix] for suffix in suffixes]
        return Asked(tuple(metrics), ids, len(prefix) + sum(map(len, suffixes)))


def load_tokenizer(path: Path) -> JudgeTokenizer:
    """The tokenizer of a ``tokenizer.json``, or of the folder that holds one; ``UnusableTokenizer`` says why not."""
    file = path / FILE if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_file(str(file))
        require_tokenizer(token.content for token in tokenizer.get_added_tokens_decoder().values())
        return JudgeTokenizer(lambda text: tokenizer.encode(text, add_special_tokens=False).ids)
    except Exception as error:  # the library raises nothing more special
        raise UnusableTokenizer(f"{file} cannot be used as the judge's tokenizer: {error}") from error
