"""An adapter's folder: its name is its content, its card is true of it, and nothing is overwritten."""

from pathlib import Path

import pytest

from esrp.errors import InvalidInput
from esrp.prompts.lora import LORA_VERSION
from services.judge.lora import adapter
from services.judge.lora.adapter import Base, Card, Data
from services.judge.lora.serving import adapter_name
from services.judge.lora.splitting import Unit, split

SPLIT = split([Unit("c1", f"s{n}") for n in range(10)], seed=0)


def a_work(path: Path, weights: bytes = b"weights") -> Path:
    path.mkdir()
    (path / adapter.WEIGHTS).write_bytes(weights)
    (path / adapter.CONFIG).write_text('{"r": 8}')
    return path


def a_card(sha256: str, **fields: str) -> Card:
    return Card(
        name=adapter.name_of(sha256),
        sha256=sha256,
        base=Base(model="base", revision=None, config_sha256="0"),
        prompt_version=fields.pop("prompt_version", LORA_VERSION),
        language="zh",
        training={"rank": 8},
        best_epoch=1,
        epochs=[],
        data=Data(sha256="0", suite="tiny", suite_sha256="0", dialogues={}, ratings={}, left_out={}),
        versions={},
        device="cpu",
        made_at="2026-01-01T00:00:00+00:00",
    )


def published(tmp_path: Path, weights: bytes = b"weights") -> Path:
    work = a_work(tmp_path / "work", weights)
    return adapter.publish(work, tmp_path, a_card(adapter.content_sha256(work)), SPLIT)


def test_it_is_named_by_its_content_as_it_is_served(tmp_path: Path) -> None:
    made = published(tmp_path)
    assert made.name == adapter_name("judge", made) == adapter.read_card(made).name
    assert adapter.recorded_split(made) == SPLIT
    assert published(tmp_path, b"other").name != made.name


def test_the_same_content_again_leaves_the_first_as_it_is(tmp_path: Path) -> None:
    made = published(tmp_path)
    before = (made / adapter.CARD).stat().st_mtime_ns
    assert published(tmp_path) == made and (made / adapter.CARD).stat().st_mtime_ns == before
    assert not (tmp_path / "work").exists()


def test_a_changed_adapter_is_refused(tmp_path: Path) -> None:
    made = published(tmp_path)
    (made / adapter.WEIGHTS).chmod(0o644)
    (made / adapter.WEIGHTS).write_bytes(b"changed")
    with pytest.raises(InvalidInput, match="was changed after it was made"):
        adapter.read_card(made)


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    for read in (adapter.content_sha256, adapter.read_card, adapter.recorded_split):
        with pytest.raises(InvalidInput):
            read(tmp_path)


def test_an_adapter_of_other_prompts_is_refused() -> None:
    adapter.require_prompt(a_card("0" * 64))
    with pytest.raises(InvalidInput, match="was trained on prompts 000"):
        adapter.require_prompt(a_card("0" * 64, prompt_version="000"))
