"""A tiny model of Qwen3's architecture on disk, and what transformers and peft say of it and an adapter."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

import esrp
from esrp.dialogue import Dialogue
from esrp.metrics import METRICS
from esrp.prompts.lora import lora_prompts, score_ids, token_ids

VOCABULARY = 2000
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_model(path: Path) -> None:
    """Write model and tokenizer to ``path``: about 0.9 M random weights in float32, the same ones each time."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(), eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=4096
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.08,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Qwen3ForCausalLM(config).float().save_pretrained(path)


def _tokenizer() -> Tokenizer:
    """Byte-level pairs, with every digit a token of its own as Qwen3 has it."""
    made = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(_corpus(), trainer)
    return made


def _corpus() -> Iterator[str]:
    for metric in METRICS:
        for words in (metric.zh, metric.en):
            yield from (words.name, words.question, words.low, words.middle, words.high)
    for file in sorted((Path(esrp.__file__).parent / "suites").rglob("*.yaml")):
        yield from file.read_text("utf-8").splitlines()


def reference(base: Path, adapter: Path, dialogues: Sequence[Dialogue]) -> list[list[float]]:
    """What transformers and peft say: the distribution over 1 to 5 for each dialogue and metric, one at a time."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(_loaded(base), adapter).eval()

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    scores = list(score_ids(encode))
    prompts = [prompt for dialogue in dialogues for prompt in lora_prompts(dialogue, "zh")]
    with torch.no_grad():
        logits = [model(torch.tensor([token_ids(prompt, encode)])).logits[0, -1, scores] for prompt in prompts]
    return [one.softmax(-1).tolist() for one in logits]


def _loaded(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
