"""What measurements stand on: the mock model server and a fresh stack, each a process of its own."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

ROOT = Path(__file__).parents[1]
MOCK = ROOT.parent / "shared" / "tools" / "mock_openai.py"
LATENCY = 200  # ms a call
FULL = 1200  # dialogues of the suite; a limit is held against no smaller run


@dataclass(frozen=True, slots=True)
class Mock:
    """A running mock model server; ``root`` is its address without ``/v1``."""

    root: str

    @property
    def url(self) -> str:
        """The base URL of its OpenAI-compatible API."""
        return f"{self.root}/v1"

    def stats(self) -> dict[str, Any]:
        """What it has counted since the last reset."""
        with httpx2.Client(trust_env=False) as http:
            counted: dict[str, Any] = http.get(f"{self.root}/stats").raise_for_status().json()
            return counted

    def reset(self) -> None:
        """Count from zero again."""
        with httpx2.Client(trust_env=False) as http:
            http.post(f"{self.root}/reset").raise_for_status()


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: where, with which key, and the process that all others descend from."""

    url: str
    key: str
    pid: int


def add_options(parser: ArgumentParser) -> None:
    """The two options that every script here has."""
    parser.add_argument("--dialogues", type=int, default=FULL, help=f"fewer for a quick look (default {FULL})")
    parser.add_argument("--mock", type=Path, default=MOCK, help="the script of the mock model server")


@contextmanager
def mock(script: Path, *options: str) -> Iterator[Mock]:
    """The mock model server, 200 ms a call; ``options`` are its own, such as ``--max-inflight 20``."""
    if not script.exists():
        sys.exit(f"{script} is not here: --mock names the script of the mock model server")
    port = _free_port()
    command = [sys.executable, str(script), "--latency", str(LATENCY), "--port", str(port), *options]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert server.stdout is not None
            if not server.stdout.readline():
                log.seek(0)
                sys.exit(f"the mock model server did not start:\n{log.read().decode('utf-8', 'replace')}")
            yield Mock(f"http://127.0.0.1:{port}")
        finally:
            _end(server)


@contextmanager
def stack(settings: Mapping[str, Any]) -> Iterator[Stack]:
    """``esrp up --ephemeral`` with these settings and no others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ESRP_")}
    command = [sys.executable, "-P", "-m", "services.stack", "up", "--ephemeral", "--port", "0"]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        yaml.safe_dump(dict(settings), config)
        config.flush()
        started = time.monotonic()
        up = subprocess.Popen(
            [*command, "--config", config.name], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=clean
        )
        try:
            url, key = _announced(up, "esrp is up at "), _announced(up, "API key: ")
            print(f"stack up in {time.monotonic() - started:.1f} s", file=sys.stderr)
            yield Stack(url, key, up.pid)
        finally:
            _end(up)


def model(at: Mock, id: str, /, **more: Any) -> dict[str, Any]:
    """A model of the configuration."""
    return {"base_url": at.url, "model": id, **more}


def _announced(up: subprocess.Popen[str], beginning: str) -> str:
    assert up.stdout is not None
    for line in up.stdout:
        if line.startswith(beginning):
            return line.removeprefix(beginning).strip()
    sys.exit("the stack did not start; what it said stands above")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
