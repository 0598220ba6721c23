"""The model under an adapter: what it reads, and the five numbers that it says of each prompt."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from esrp.canonical import digest
from esrp.errors import InvalidInput
from esrp.metrics import SCORES, Language
from esrp.prompts.lora import Encode, lora_prompts, prefix_ids, require_tokenizer, score_ids
from services.judge.lora.adapter import Base
from services.judge.lora.data import Rated, Spoken

_NOT_OF_THE_MODEL = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")


@dataclass
class Lm:
    """A language model with what is needed to ask it for scores. ``model`` may be wrapped by an adapter."""

    model: Any
    encode: Encode
    scores: tuple[int, ...]
    pad: int
    device: Any
    base: Base

    def precision(self) -> AbstractContextManager[Any]:
        """On a GPU the adapter, kept in float32, computes in bfloat16 as the base does."""
        if self.device.type == "cpu":
            return nullcontext()
        half: AbstractContextManager[Any] = torch.autocast(self.device.type, dtype=torch.bfloat16)
        return half


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt's token ids, the prefix shared by the dialogue's nine, and how often people gave each score."""

    dialogue: str
    metric: str
    prefix: Any
    suffix: Any
    counts: tuple[int, ...]

    def __len__(self) -> int:
        """How many tokens."""
        return len(self.prefix) + len(self.suffix)


def open_base(name: str) -> Lm:
    """Load a base model: bfloat16 on a GPU; float32 on one thread of a CPU, where more only wait for one another.

    ``InvalidInput`` if it is not there, or its tokenizer is not fit for the judge.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype).to(device)
    except (OSError, ValueError) as error:
        raise InvalidInput.at("base", f"The model {name!r} cannot be loaded: {error}") from error

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    try:
        require_tokenizer(tokenizer.get_added_vocab())
        scores = score_ids(encode)
    except ValueError as error:
        raise InvalidInput.at("base", f"The model {name!r} cannot be taught to judge: {error}") from error
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return Lm(model, encode, scores, int(pad), device, _base(name, model.config))


def items(
    lm: Lm, spoken: Mapping[str, Spoken], language: Language, rated: Iterable[Rated], max_tokens: int
) -> tuple[list[Item], int]:
    """A prompt for each rated (dialogue, metric), sorted, and how many were left out because they are too long."""
    asked: dict[str, dict[str, list[int]]] = {}
    for one in rated:
        counts = asked.setdefault(one.dialogue, {}).setdefault(one.metric, [0] * len(SCORES))
        counts[SCORES.index(one.score)] += 1
    made = [item for id in sorted(asked) for item in _of_dialogue(lm, spoken[id], language, asked[id])]
    fitting = [item for item in made if len(item) <= max_tokens]
    return fitting, len(made) - len(fitting)


def score_logits(lm: Lm, batch: Sequence[Item]) -> Any:
    """What the model says of the five scores after each prompt: items × 5, float32. No other token is computed."""
    longest = max(map(len, batch))
    ids = torch.full((len(batch), longest), lm.pad, dtype=torch.long)
    mask = torch.zeros((len(batch), longest), dtype=torch.long)
    for row, item in enumerate(batch):
        ids[row, : len(item)] = torch.cat([item.prefix, item.suffix])
        mask[row, : len(item)] = 1
    inner = lm.model.get_base_model() if hasattr(lm.model, "get_base_model") else lm.model
    with lm.precision():
        hidden = inner.model(
            input_ids=ids.to(lm.device), attention_mask=mask.to(lm.device), use_cache=False
        ).last_hidden_state
    last = hidden[torch.arange(len(batch), device=lm.device), (mask.sum(1) - 1).to(lm.device)]
    return last.float() @ inner.lm_head.weight[list(lm.scores)].float().T


def log_probabilities(lm: Lm, asked: Sequence[Item], batch: int) -> Any:
    """The logarithm of each score's probability, in the order asked: items × 5, on the CPU."""
    found = torch.empty((len(asked), len(SCORES)))
    lm.model.eval()
    with torch.inference_mode():
        for rows in _alike(asked, batch):
            found[rows] = score_logits(lm, [asked[row] for row in rows]).log_softmax(-1).cpu()
    return found


def _of_dialogue(lm: Lm, spoken: Spoken, language: Language, asked: Mapping[str, Sequence[int]]) -> Iterator[Item]:
    prompts = lora_prompts(spoken.dialogue, language, sorted(asked))
    prefix = _tokens(prefix_ids(prompts[0], lm.encode))
    for prompt in prompts:
        suffix = _tokens(lm.encode(prompt.suffix))
        yield Item(spoken.id, prompt.metric, prefix, suffix, tuple(asked[prompt.metric]))


def _tokens(ids: Sequence[int]) -> Any:
    return torch.tensor(ids, dtype=torch.int32)


def _alike(asked: Sequence[Item], batch: int) -> Iterator[list[int]]:
    """Rows of about the same length together, so that little is padded."""
    by_length = sorted(range(len(asked)), key=lambda row: len(asked[row]))
    for start in range(0, len(by_length), batch):
        yield by_length[start : start + batch]


def _base(name: str, config: Any) -> Base:
    known = {field: value for field, value in config.to_diff_dict().items() if field not in _NOT_OF_THE_MODEL}
    return Base(model=name, revision=getattr(config, "_commit_hash", None), config_sha256=digest(known))
