import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esrp.cli import judge
from esrp.cli.app import app


def test_train_becomes_the_program_that_trains() -> None:
    became: list[tuple[str, list[str]]] = []

    judge.hand_over("train", "training", ["--x"], execute=lambda path, argv: became.append((path, argv)), installed=str)

    assert became == [(sys.executable, [sys.executable, "-P", "-m", "services.judge.lora.training", "--x"])]


def test_without_torch_it_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        judge.hand_over("evaluate", "evaluation", [], installed=lambda name: None if name == "torch" else name)

    assert ended.value.code == 4
    assert capsys.readouterr().err == (
        "esrp: `esrp judge evaluate` needs torch: pip install --no-deps -r deploy/vllm/requirements.txt,"
        " in an environment of its own (docs/judge.md)\n"
    )


def test_what_is_asked_for_is_handed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str, list[str]]] = []
    monkeypatch.setattr(judge, "hand_over", lambda *given: asked.append(given))
    one, two = tmp_path / "1.csv", tmp_path / "2.csv"
    for file in (one, two):
        file.touch()
    data = ["--ratings", str(one), "--ratings", str(two), "--dialogues", str(one)]

    CliRunner().invoke(app, ["judge", "train", *data, "--out", "o", "--epochs", "2", "--resume"])
    CliRunner().invoke(app, ["judge", "evaluate", *data, "--adapter", str(tmp_path), "--panel", str(one)])

    suite = ["--suite", "esrp-zh"]
    assert asked == [
        (
            "train",
            "training",
            [*data, *suite, "--out", "o", "--base", "Qwen/Qwen3-8B", "--epochs", "2", "--resume"],
        ),
        ("evaluate", "evaluation", ["--adapter", str(tmp_path), *data, *suite, "--panel", str(one)]),
    ]


def test_serve_hands_over_what_is_to_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, list[str]]] = []
    monkeypatch.setattr(judge, "hand_over", lambda *given, needed: asked.append(given))
    options = ["--model", "base", "--adapter", "a=one", "--adapter", "b=two", "--port", "8101", "--cpu"]

    CliRunner().invoke(app, ["judge", "serve", *options])

    assert asked == [("serve", "serving", options)]
