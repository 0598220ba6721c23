"""vLLM as a child: what is launched, what a name may serve, and that it is started again. vLLM itself is scripted."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.judge.lora import launcher, serving
from services.judge.lora.serving import CannotServe, Engine, Launch, UnusableAdapter, adapter_name, engine_running
from services.kit.settings import JudgeSettings

VLLM = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
given = dict(zip(sys.argv, sys.argv[1:]))
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": [{"id": json.loads(given["--lora-modules"])["name"]}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
print("listening", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(given["--port"])), Handler).serve_forever()
"""


def an_adapter(path: Path, weights: str = "weights", rank: int = 8) -> Path:
    path.mkdir(exist_ok=True)
    (path / "adapter_config.json").write_text(f'{{"r": {rank}}}')
    (path / "adapter_model.safetensors").write_text(weights)
    return path


def a_python(folder: Path, script: str = VLLM) -> str:
    """An interpreter that runs the script, whatever it is told to run."""
    (folder / "vllm.py").write_text(script)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder / "vllm.py"}" "$@"\n')
    python.chmod(0o755)
    return str(python)


@asynccontextmanager
async def running(launch: Launch) -> AsyncIterator[Engine]:
    async with engine_running(launch, "vllm") as engine:
        await until(lambda: engine.is_ready)
        yield engine


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


# --- what a name serves -----------------------------------------------------------------------------------------------


def test_an_adapter_is_named_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    one, same = an_adapter(tmp_path / "one"), an_adapter(tmp_path / "same")
    (same / "README.md").write_text("what it is trained on")
    other = an_adapter(tmp_path / "other", "other weights")
    assert adapter_name("judge", one) == adapter_name("judge", same) != adapter_name("judge", other)
    full = adapter_name("judge", one)
    assert adapter_name(full, one) == full and len(full) == len("judge@0123456789ab")


def test_a_full_name_with_other_content_is_refused(tmp_path: Path) -> None:
    path = an_adapter(tmp_path / "adapter")
    full = adapter_name("judge", path)
    an_adapter(path, "overwritten")
    with pytest.raises(UnusableAdapter, match=f"and not {full}; take a new folder"):
        adapter_name(full, path)


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableAdapter, match=r"adapter_config\.json"):
        adapter_name("judge", tmp_path)


def test_where_names_are_pinned_a_short_one_is_refused_with_the_line_to_write(tmp_path: Path) -> None:
    path = an_adapter(tmp_path / "adapter")
    full = adapter_name("judge", path)
    with pytest.raises(UnusableAdapter, match=f"`model: {full}`"):
        Launch.of("base", {"judge": path}, pinned=True)
    assert Launch.of("base", {full: path}, pinned=True).adapters == {full: path}


def test_a_judge_that_we_serve_needs_no_address_and_only_a_lora_judge_is_served() -> None:
    serve = {"model": "/models/Qwen3-8B", "adapter": "/adapters/a"}
    judge = JudgeSettings.model_validate({"kind": "lora", "model": "judge@0123456789ab", "serve": serve})
    assert judge.serve is not None and judge.base == "Qwen3-8B"
    with pytest.raises(ValidationError, match="kind lora"):
        JudgeSettings.model_validate({"kind": "chat", "model": "m", "serve": serve})
    with pytest.raises(ValidationError, match="base_url"):
        JudgeSettings.model_validate({"kind": "lora", "model": "judge@0123456789ab"})


# --- what is launched -------------------------------------------------------------------------------------------------


def test_the_command_names_the_adapters_and_room_for_all_of_them(tmp_path: Path) -> None:
    one, two = an_adapter(tmp_path / "one"), an_adapter(tmp_path / "two", "other", rank=12)
    command = Launch.of("base", {"a": one, "b": two}, python="/opt/vllm/python", port=8100, cpu=True).command()
    assert command[:2] == ["/opt/vllm/python", "-P"] and command[3:6] == ["--tied", "serve", "base"]
    said = dict(pairwise(command))
    assert said["--host"] == "127.0.0.1" and said["--port"] == "8100" and said["--dtype"] == "float32"
    assert (said["--max-lora-rank"], said["--max-loras"], said["--max-cpu-loras"]) == ("16", "2", "2")
    assert str(one) in said["--lora-modules"] and adapter_name("a", one) in said["--lora-modules"]


def test_vllm_is_not_told_our_passwords_and_keeps_what_the_operator_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESRP_DATABASE_URL", "postgresql://esrp:secret@db/esrp")
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    adapters = {"judge": an_adapter(tmp_path / "adapter")}
    local = Launch.of(str(tmp_path), adapters, cpu=True).environment()
    assert not {"ESRP_DATABASE_URL", "PYTHONPATH"} & local.keys()
    assert (local["OMP_NUM_THREADS"], local["VLLM_CPU_KVCACHE_SPACE"], local["HF_HUB_OFFLINE"]) == ("7", "1", "1")
    assert "HF_HUB_OFFLINE" not in Launch.of("Qwen/Qwen3-8B", adapters).environment()


def test_the_cpu_package_answers_for_vllms_version() -> None:
    def version(name: str) -> str:
        if name == "vllm":
            raise PackageNotFoundError(name)
        return "0.32.0"

    found = launcher.versions(version)
    assert (found("vllm"), found("torch")) == ("0.32.0+cpu", "0.32.0")
    assert launcher.versions(lambda _: "0.32.0")("vllm") == "0.32.0"


def test_vllm_ends_with_who_started_it(tmp_path: Path) -> None:
    package = tmp_path / "vllm" / "entrypoints" / "cli"
    package.mkdir(parents=True)
    (package / "main.py").write_text("import time\ndef main():\n    print('up', flush=True)\n    time.sleep(600)\n")
    child = subprocess.Popen(
        [sys.executable, launcher.__file__, "--tied", "serve"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with child:
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.stdin.close()
        assert child.wait(20) == -signal.SIGKILL


# --- how it is kept running -------------------------------------------------------------------------------------------


async def test_a_vllm_that_is_killed_is_started_again_and_meanwhile_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "FIRST_PAUSE", 0.2)  # not worth an argument: only here it is not a second
    launch = Launch.of("base", {"judge": an_adapter(tmp_path / "adapter")}, python=a_python(tmp_path))
    async with running(launch) as engine:
        first = engine.pid
        assert first is not None and engine.away == 0
        os.kill(first, signal.SIGKILL)
        await until(lambda: not engine.is_ready)
        assert engine.away >= 0
        await until(lambda: engine.is_ready)
        assert engine.pid not in (None, first) and engine.restarts == 1
        last = engine.pid
    assert last is not None
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


async def test_an_adapter_that_was_overwritten_is_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serving, "FIRST_PAUSE", 0.05)
    path = an_adapter(tmp_path / "adapter")
    async with running(Launch.of("base", {"judge": path}, python=a_python(tmp_path))) as engine:
        an_adapter(path, "overwritten")
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: engine.restarts >= 2)
        assert not engine.is_ready and engine.pid is None
        an_adapter(path)
        await until(lambda: engine.is_ready)
    said = capsys.readouterr().err
    assert "vllm | listening" in said and "take a new folder for each adapter" in said


async def test_a_vllm_that_answers_no_more_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"FIRST_PAUSE": 0.05, "PROBE": 0.05, "PROBE_LIMIT": 0.5, "HUNG": 0.5}.items():
        monkeypatch.setattr(serving, name, seconds)
    launch = Launch.of("base", {"judge": an_adapter(tmp_path / "adapter")}, python=a_python(tmp_path))
    async with running(launch) as engine:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGSTOP)
        await until(lambda: engine.restarts == 1)
        await until(lambda: engine.is_ready)


async def test_a_server_that_does_not_have_the_adapter_is_not_ready(tmp_path: Path) -> None:
    other = a_python(tmp_path, VLLM.replace('["name"]', '["path"]'))
    async with engine_running(
        Launch.of("base", {"judge": an_adapter(tmp_path / "adapter")}, python=other), "v"
    ) as engine:
        await until(lambda: engine.pid is not None)
        await asyncio.sleep(1.5)
        assert not engine.is_ready


async def test_a_vllm_that_never_starts_is_given_up_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "FIRST_PAUSE", 0.05)
    broken = a_python(tmp_path, "raise SystemExit(3)")
    engine = Engine(Launch.of("base", {"judge": an_adapter(tmp_path / "adapter")}, python=broken), lambda _: None)
    with pytest.raises(CannotServe, match="exit code 3"):
        await engine.keep_running(tries=2)
    assert engine.restarts == 1


def test_the_command_says_what_is_wrong_with_its_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serving.main(["--model", "base", "--adapter", f"judge={tmp_path}"]) == 4
    assert "is no adapter" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        serving.main(["--model", "base", "--adapter", "nonsense"])
    assert stop.value.code == 4
