"""`esrp judge train`: teach Qwen3-8B to score, with a LoRA adapter of rank 8 (paper, section 5.3).

Five classes: cross-entropy over the five digits' logits at the prompt's end. Head and embeddings stay as they are.
"""

import argparse
import json
import math
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file

from esrp import __version__
from esrp.canonical import digest
from esrp.errors import InvalidInput
from esrp.prompts.lora import LORA_VERSION
from services.judge.lora import adapter
from services.judge.lora.adapter import Card, Data, Epoch
from services.judge.lora.command import run
from services.judge.lora.data import Corpus, Rated, Rates, counted, read_corpus, read_suite
from services.judge.lora.model import Item, Lm, items, log_probabilities, open_base, score_logits
from services.judge.lora.splitting import Part, Split, split

RANK, ALPHA = 8, 16
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LIBRARIES = ("torch", "transformers", "peft", "tokenizers")
CLIP = 1.0  # norm of a step's gradient
WARMUP = 20  # one in so many steps
SAID = 50  # steps between two lines

Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """How it is taught. ``patience``: epochs without a better validation loss after which it ends."""

    epochs: int = 3
    lr: float = 2e-4
    batch: int = 16
    seed: int = 0
    dropout: float = 0.05
    patience: int = 1
    max_tokens: int = 4096
    checkpoint_every: int = 200


@dataclass(frozen=True)
class Material:
    """What is learned from and kept back: ratings by part, and the prompts of the two parts that training sees."""

    split: Split
    ratings: dict[Part, list[Rated]]
    train: list[Item]
    validation: list[Item]
    too_long: int


def main(arguments: Sequence[str]) -> None:
    """Read the command line, train, and say where the adapter is."""
    asked = _parser().parse_args(arguments)
    names = Settings.__dataclass_fields__
    given = {name: value for name, value in vars(asked).items() if name in names and value is not None}
    suite = read_suite(asked.suite)
    corpus = read_corpus(asked.dialogues, suite)
    made = train(corpus, corpus.human(asked.ratings), asked.base, asked.out, Settings(**given), asked.resume, _print)
    print(made)


def train(
    corpus: Corpus, rates: Rates, base: str, out: Path, settings: Settings, resume: bool = False, say: Say = print
) -> Path:
    """Train an adapter of ``base`` and return its folder in ``out``, named by the hash of its content.

    The same data, settings and machine give the same adapter, also when it was stopped half-way and resumed.
    ``InvalidInput`` if there is nothing to learn from or to validate with, or no checkpoint to resume.
    """
    lm = open_base(base)
    material = _material(corpus, rates, lm, settings, say)
    out.mkdir(parents=True, exist_ok=True)
    name = digest([corpus.sha256(rates), lm.base.model_dump(), LORA_VERSION, asdict(settings)])[:12]
    training = Training(lm, material, settings, out / f".training-{name}.pt", say)
    if resume:
        training.load()
    training.run()
    return _published(training, corpus, rates, material, settings, out)


def _material(corpus: Corpus, rates: Rates, lm: Lm, settings: Settings, say: Say) -> Material:
    parted = split(corpus.units(rates), settings.seed)
    ratings: dict[Part, list[Rated]] = {part: [] for part in parted.parts}
    for rated in rates.rated:
        part = parted.part_of(corpus.spoken[rated.dialogue].unit)
        assert part is not None, "every rated dialogue is in the split"
        ratings[part].append(rated)
    language = corpus.suite.language
    train, long = items(lm, corpus.spoken, language, ratings["train"], settings.max_tokens)
    validation, longer = items(lm, corpus.spoken, language, ratings["validation"], settings.max_tokens)
    if not train or not validation:
        message = "There is too little to train with: some character needs at least 5 rated dialogues"
        raise InvalidInput.at("ratings", f"{message}, none with more than {settings.max_tokens} tokens.")
    for line in _told_of(parted, ratings, long + longer):
        say(line)
    return Material(parted, ratings, train, validation, long + longer)


def _told_of(parted: Split, ratings: dict[Part, list[Rated]], too_long: int) -> list[str]:
    """The split, and how unequal the classes are: who always says the commonest score is right that often."""
    lines = [
        f"{part}: {len(parted.parts[part])} dialogues, {len(ratings[part])} ratings" for part in ("train", "validation")
    ]
    lines.append(f"test, kept back: {len(parted.parts['test'])} dialogues, {len(ratings['test'])} ratings")
    lines += [f"{too_long} prompts are longer than allowed and left out"] if too_long else []
    for metric, by_score in counted(ratings["train"]).items():
        if total := sum(by_score.values()):
            shares = "  ".join(f"{score}: {count / total:4.0%}" for score, count in by_score.items())
            lines.append(f"{metric:<20} {shares}   commonest {max(by_score.values()) / total:.0%} of {total}")
    return lines


class Training:
    """A training that can be stopped anywhere and goes on from its last checkpoint as if it had not been."""

    def __init__(self, lm: Lm, material: Material, settings: Settings, checkpoint: Path, say: Say) -> None:
        self._material, self._settings, self._say = material, settings, say
        self._checkpoint = checkpoint
        torch.manual_seed(settings.seed)
        self.lm = _with_adapter(lm, settings)
        self._weights = {name: w for name, w in self.lm.model.named_parameters() if w.requires_grad}
        self._optimizer = torch.optim.AdamW(self._weights.values(), lr=settings.lr, weight_decay=0.0)
        self._per_epoch = math.ceil(len(material.train) / settings.batch)
        self._total = self._per_epoch * settings.epochs
        self._step = 0
        self._lost = self._seen = 0.0
        self.epochs: list[Epoch] = []
        self._best: dict[str, Any] = {}

    @property
    def best(self) -> Epoch:
        """The epoch with the least validation loss, the first of equals."""
        return min(self.epochs, key=lambda epoch: epoch.validation_loss)

    def run(self) -> None:
        """Train to the end; the best epoch's weights are then the adapter's."""
        while not self._ended():
            self._learn()
            self._step += 1
            if self._step % self._per_epoch == 0:
                self._validate()
            if self._step % self._settings.checkpoint_every == 0 or self._step % self._per_epoch == 0:
                self._save()
        self._put(self._best)

    def forget(self) -> None:
        """The adapter is safe: the checkpoint is no longer needed."""
        self._checkpoint.unlink(missing_ok=True)

    def load(self) -> None:
        """Go on from the checkpoint of a training with the same data, base, prompts and settings."""
        if not self._checkpoint.exists():
            folder = self._checkpoint.parent
            message = f"There is no checkpoint in {folder} of a training with just these data, base and settings."
            raise InvalidInput.at("resume", message)
        state = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        self._put(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._lost, self._seen = state["step"], state["lost"], state["seen"]
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self._best = state["best"]
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        self._say(f"goes on after step {self._step} of {self._total}")

    def _ended(self) -> bool:
        waited = bool(self.epochs) and self.epochs[-1].epoch - self.best.epoch >= self._settings.patience
        return self._step >= self._total or (waited and self._step % self._per_epoch == 0)

    def _learn(self) -> None:
        """One step: its place in the epoch's order says which prompts."""
        epoch, place = divmod(self._step, self._per_epoch)
        chance = torch.Generator().manual_seed(self._settings.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self._material.train), generator=chance)
        rows = order[place * self._settings.batch : (place + 1) * self._settings.batch]
        batch = [self._material.train[row] for row in rows.tolist()]
        counts = torch.tensor([item.counts for item in batch], dtype=torch.float32, device=self.lm.device)
        self.lm.model.train()
        lost = -(counts * score_logits(self.lm, batch).log_softmax(-1)).sum()
        self._optimizer.zero_grad(set_to_none=True)
        (lost / counts.sum()).backward()
        torch.nn.utils.clip_grad_norm_(self._weights.values(), CLIP)
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.lr * _rate(self._step, self._total)
        self._optimizer.step()
        self._lost, self._seen = self._lost + float(lost.detach()), self._seen + float(counts.sum())
        if (self._step + 1) % SAID == 0:
            self._say(f"step {self._step + 1} of {self._total}: loss {self._lost / self._seen:.4f} in this epoch")

    def _validate(self) -> None:
        said = log_probabilities(self.lm, self._material.validation, self._settings.batch)
        counts = torch.tensor([item.counts for item in self._material.validation], dtype=torch.float32)
        total = float(counts.sum())
        hit = float(counts.gather(1, said.argmax(-1, keepdim=True)).sum())
        epoch = Epoch(
            epoch=self._step // self._per_epoch,
            train_loss=self._lost / self._seen,
            validation_loss=-float((counts * said).sum()) / total,
            validation_acc=hit / total,
        )
        self._lost = self._seen = 0.0
        self.epochs.append(epoch)
        if self.best is epoch:
            self._best = {name: w.detach().cpu().clone() for name, w in self._weights.items()}
        self._say(
            f"epoch {epoch.epoch} of {self._settings.epochs}: loss {epoch.train_loss:.4f},"
            f" validation loss {epoch.validation_loss:.4f}, accuracy {epoch.validation_acc:.3f}"
        )

    def _save(self) -> None:
        state = {
            "weights": {name: w.detach().cpu() for name, w in self._weights.items()},
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
            "lost": self._lost,
            "seen": self._seen,
            "epochs": [epoch.model_dump() for epoch in self.epochs],
            "best": self._best,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.lm.device.type == "cuda" else [],
        }
        part = self._checkpoint.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self._checkpoint)

    def _put(self, weights: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, w in self._weights.items():
                w.copy_(weights[name])


def _with_adapter(lm: Lm, settings: Settings) -> Lm:
    """The model with a fresh adapter on all projections; vLLM takes no adapter that touches head or embeddings."""
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        lora_dropout=settings.dropout,
        bias="none",
        task_type="CAUSAL_LM",
        target_modules=list(MODULES),
    )
    if lm.device.type == "cuda":
        lm.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return Lm(get_peft_model(lm.model, config), lm.encode, lm.scores, lm.pad, lm.device, lm.base)


def _rate(step: int, total: int) -> float:
    """The learning rate's share at a step: up in a straight line, then down along a cosine."""
    warm = max(1, total // WARMUP)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


# --- the result -------------------------------------------------------------------------------------------------------


def _published(
    training: Training, corpus: Corpus, rates: Rates, material: Material, settings: Settings, out: Path
) -> Path:
    work = out / f".adapter-{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    _write(training.lm, work)
    card = _card(training, corpus, rates, material, settings, adapter.content_sha256(work))
    made = adapter.publish(work, out, card, material.split)
    training.forget()
    return made


def _write(lm: Lm, folder: Path) -> None:
    """Weights and configuration, the same bytes for the same adapter: peft would write its modules in any order."""
    state = get_peft_model_state_dict(lm.model, save_embedding_layers=False)
    tensors = {name: w.detach().to("cpu", torch.float32).contiguous() for name, w in state.items()}
    save_file(tensors, folder / adapter.WEIGHTS, metadata={"format": "pt"})
    config = lm.model.peft_config["default"]
    config.inference_mode = True
    config.base_model_name_or_path = lm.base.model
    config.save_pretrained(str(folder))
    document = json.loads((folder / adapter.CONFIG).read_text("utf-8"))
    document["target_modules"] = sorted(document["target_modules"])
    adapter.write_json(folder / adapter.CONFIG, document)


def _card(
    training: Training, corpus: Corpus, rates: Rates, material: Material, settings: Settings, sha256: str
) -> Card:
    return Card(
        name=adapter.name_of(sha256),
        sha256=sha256,
        base=training.lm.base,
        prompt_version=LORA_VERSION,
        language=corpus.suite.language,
        training={"rank": RANK, "alpha": ALPHA, "modules": " ".join(MODULES), **asdict(settings)},
        best_epoch=training.best.epoch,
        epochs=training.epochs,
        data=Data(
            sha256=corpus.sha256(rates),
            suite=corpus.suite.name,
            suite_sha256=corpus.suite.sha256,
            dialogues={part: len(units) for part, units in material.split.parts.items()},
            ratings={part: counted(rated) for part, rated in material.ratings.items()},
            left_out={"no_score": rates.missing, "not_human": rates.others, "too_long": material.too_long},
        ),
        versions={
            "python": platform.python_version(),
            "esrp": __version__,
            **{name: version(name) for name in LIBRARIES},
        },
        device=torch.cuda.get_device_name() if training.lm.device.type == "cuda" else "cpu",
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="esrp judge train", allow_abbrev=False)
    parser.add_argument("--ratings", type=Path, action="append", required=True)
    parser.add_argument("--dialogues", type=Path, action="append", required=True)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--resume", action="store_true")
    return parser


if __name__ == "__main__":
    run(main)
