"""The judge service as a process of its own, with the project's Python, and what tests ask of it and of its vLLM."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from esrp.dialogue import Dialogue, Turn
from esrp.metrics import Language
from esrp.suite import bundled
from services.judge.lora.serving import adapter_name
from services.kit.secrets import KeyFile
from services.kit.web import INTERNAL

STARTED = 300.0  # seconds: alone on the machine it takes 30, beside others over 100


@dataclass
class JudgeService:
    """The service, and where its vLLM is.

    ``settings`` are those of any service beside it; ``models_port`` is where its judge of kind chat shall be.
    """

    process: "subprocess.Popen[bytes]"
    http: httpx2.Client
    vllm: httpx2.Client
    model: str
    settings: dict[str, str]
    models_port: int
    log: Path

    def ready(self) -> tuple[int, dict[str, bool]]:
        """Status and parts of ``/readyz``."""
        answer = self.http.get("/readyz")
        return answer.status_code, answer.json()

    def scores(self, dialogues: Sequence[Dialogue], language: Language = "zh") -> list[dict[str, Any]]:
        """What ``POST /v1/scores`` answers for each dialogue."""
        given = [dialogue.model_dump(include={"character", "scenario", "turns"}) for dialogue in dialogues]
        asked = {"judge": "lora", "dialogues": given, "language": language}
        answer = self.http.post("/v1/scores", json=asked, timeout=STARTED)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["dialogues"]
        return found

    def distributions(self, dialogues: Sequence[Dialogue]) -> list[list[float]]:
        """The distributions, one for each dialogue and metric."""
        scored = self.scores(dialogues)
        assert [one["error"] for one in scored] == [None] * len(dialogues)
        return [score["distribution"] for one in scored for score in one["scores"].values()]

    def counted(self, name: str) -> float:
        """A counter of vLLM's."""
        text = self.vllm.get("/metrics").text
        values = re.findall(rf"^vllm:{name}_total(?:{{[^}}]*}})? ([0-9.e+]+)$", text, re.MULTILINE)
        assert values, f"vLLM counts no {name}"
        return sum(map(float, values))

    def engine_pids(self) -> list[int]:
        """The processes of vLLM's engine."""
        return [pid for pid in _below(self.process.pid) if "EngineCore" in _name(pid)]

    def until(self, true: Callable[[], bool], seconds: float = STARTED) -> None:
        """Wait; fails with the end of the log."""
        end = time.monotonic() + seconds
        while not true():
            alive = self.process.poll() is None
            assert alive and time.monotonic() < end, self.log.read_text("utf-8", "replace")[-8000:]
            time.sleep(0.1)


@contextmanager
def start(
    folder: Path, base: Path, adapter: Path, database: str, redis_url: str, key_file: Path
) -> Iterator[JudgeService]:
    """Start it, wait until its vLLM is ready, and stop it in the end."""
    (port, vllm_port, models_port), model = (free_port() for _ in range(3)), adapter_name("judge", adapter)
    serve = {"model": str(base), "adapter": str(adapter), "python": sys.executable, "port": vllm_port, "cpu": True}
    config = folder / "esrp.yaml"
    pointed = {"base_url": f"http://127.0.0.1:{vllm_port}/v1", "tokenizer": str(base), "base_model": base.name}
    judges = [
        {"name": "lora", "kind": "lora", "model": model, "serve": serve},
        {"name": "pointed", "kind": "lora", "model": model, **pointed},
        {"name": "panel", "kind": "chat", "model": "judge", "base_url": f"http://127.0.0.1:{models_port}/v1"},
    ]
    config.write_text(json.dumps({"judges": judges}))
    settings = {
        "ESRP_CONFIG": str(config),
        "ESRP_DATABASE_URL": database,
        "ESRP_REDIS_URL": redis_url,
        "ESRP_SECRET_KEY_FILE": str(key_file),
        "ESRP_SERVICES__JUDGE": f"http://127.0.0.1:{port}",
    }
    variables = {**os.environ, **settings, "ESRP_LISTEN": f"tcp:127.0.0.1:{port}"}
    command = [os.environ["ESRP_PYTHON"], "-P", "-m", "services.judge"]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
    headers = {INTERNAL: KeyFile(key_file).internal_token}
    with (
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as http,
        httpx2.Client(base_url=f"http://127.0.0.1:{vllm_port}", timeout=60) as vllm,
    ):
        started = JudgeService(process, http, vllm, model, settings, models_port, log)
        try:
            started.until(lambda: _answers(started))
            yield started
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def played(count: int, after: int = 0) -> list[Dialogue]:
    """Dialogues of two rounds with the characters of ``esrp-zh``, as long as real ones; ``after`` so many others."""
    suite = bundled("esrp-zh")
    pairs = [(character, scenario) for scenario in suite.scenarios for character in suite.characters]
    return [
        Dialogue(
            character=character,
            scenario=scenario,
            turns=(
                Turn(user=scenario.question, assistant=f"{character.name}想了想：{character.profile[:60]}"),
                Turn(user="那你会怎么做？", assistant=f"换作是我，{character.profile[60:140]}"),
            ),
        )
        for character, scenario in pairs[after : after + count]
    ]


def _answers(service: JudgeService) -> bool:
    try:
        return service.ready()[0] == 200
    except httpx2.TransportError:
        return False


def _below(pid: int) -> list[int]:
    """The processes that it has started, and those that they have."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [found for child in children for found in (child, *_below(child))]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
