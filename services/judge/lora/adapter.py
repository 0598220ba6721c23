"""An adapter's folder: named by the hash of its content, never changed, and with a card that says where it is from.

vLLM keys its prefix cache by an adapter's name and path, not its content: other content at the same path would
silently be scored with what was cached of the old. So other content is another name.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from esrp.errors import InvalidInput
from esrp.metrics import Language
from esrp.prompts.lora import LORA_VERSION
from services.judge.lora.splitting import Split, read_split

WEIGHTS, CONFIG, CARD, SPLIT = "adapter_model.safetensors", "adapter_config.json", "card.json", "split.json"
Counts = dict[str, dict[str, int]]


class Base(BaseModel):
    """The model under the adapter: what it was called, and what of it is known for certain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    revision: str | None
    config_sha256: str


class Data(BaseModel):
    """What was learned from. ``ratings`` by part, metric and score; ``left_out`` by reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    suite: str
    suite_sha256: str
    dialogues: dict[str, int]
    ratings: dict[str, Counts]
    left_out: dict[str, int]


class Epoch(BaseModel):
    """How far it was after an epoch: mean cross-entropy a rating, and the share of the validation's ratings hit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int
    train_loss: float
    validation_loss: float
    validation_acc: float


class Card(BaseModel):
    """Where an adapter is from. Served is it only with the ``prompt_version`` and the base that it was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["esrp-lora"] = "esrp-lora"
    name: str
    sha256: str
    base: Base
    prompt_version: str
    language: Language
    training: dict[str, int | float | str]
    best_epoch: int
    epochs: list[Epoch]
    data: Data
    versions: dict[str, str]
    device: str
    made_at: str


def name_of(sha256: str) -> str:
    """What an adapter with that content is called, as a folder and as a model in vLLM (``serving.adapter_name``)."""
    return f"judge@{sha256[:12]}"


def content_sha256(folder: Path) -> str:
    """The hash of what an adapter does: its weights and their configuration. ``InvalidInput`` if there are none."""
    try:
        parts = [hashlib.sha256((folder / name).read_bytes()).digest() for name in (CONFIG, WEIGHTS)]
    except OSError as error:
        raise InvalidInput.at("adapter", f"{folder} is no adapter: {error.strerror}: {error.filename}") from error
    return hashlib.sha256(b"".join(parts)).hexdigest()


def read_card(folder: Path) -> Card:
    """The card of an unaltered adapter; ``InvalidInput`` if it has none, or other content than its card says."""
    try:
        card = Card.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValidationError) as error:
        raise InvalidInput.at("adapter", f"{folder} has no card that can be read: {error}") from error
    if content_sha256(folder) != card.sha256:
        raise InvalidInput.at("adapter", f"{folder} was changed after it was made: its card tells of another content.")
    return card


def require_prompt(card: Card) -> None:
    """``InvalidInput`` unless the adapter was trained on the prompts that it would be asked with here."""
    if card.prompt_version != LORA_VERSION:
        message = f"{card.name} was trained on prompts {card.prompt_version}, this version asks {LORA_VERSION}."
        raise InvalidInput.at("adapter", f"{message} Train it anew, or take the version of esrp that trained it.")


def recorded_split(folder: Path) -> Split:
    """The split that the adapter was trained with."""
    try:
        return read_split(json.loads((folder / SPLIT).read_bytes()))
    except (OSError, ValueError) as error:
        raise InvalidInput.at("adapter", f"{folder} has no split that can be read: {error}") from error


def publish(work: Path, out: Path, card: Card, split: Split) -> Path:
    """Give the finished adapter in ``work`` its card, its split and its name in ``out``; ``work`` is gone then.

    Where it exists already, with the same content and so of the same training, the one that is there stays.
    """
    final = out / card.name
    if final.exists():
        read_card(final)
        shutil.rmtree(work)
        return final
    write_json(work / CARD, card.model_dump())
    write_json(work / SPLIT, split.document())
    for file in work.iterdir():
        file.chmod(0o444)
    os.rename(work, final)
    return final


def write_json(path: Path, document: Any) -> None:
    """The document with its keys sorted, so that the same has the same bytes."""
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")
