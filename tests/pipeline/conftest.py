"""All four services as real processes, on a real Postgres and Valkey, with a scripted model server."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
import pytest_asyncio

from esrp.api import Run
from esrp.client import AsyncClient
from services.stack.recorded import Recordings, load
from tests.builders import a_run_request, a_suite
from tests.conftest import fresh_database
from tests.fakes import Answer, Models, by_model, serve_models

KEY = "esrp_" + "p" * 43
SERVICES = ("generator", "judge", "analytics", "gateway")
PATIENCE = 240  # seconds for a start or a run, which take five where nothing else runs: a machine may be busy

Configured = Callable[[str], Mapping[str, str]]
"""Environment variables that take the place of the usual ones, by the models' address."""


@dataclass
class Stack:
    """The services by name; ``client`` calls the gateway, ``python`` runs them."""

    environment: dict[str, str]
    url: str
    client: AsyncClient
    models: Models
    redis_url: str
    python: str = sys.executable
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, *names: str) -> None:
        """Start services, each web and worker on one loop."""
        for name in names:
            listen = f"unix:{self.environment['RUN']}/{name}.sock"
            if name == "gateway":
                listen = f"tcp:127.0.0.1:{self.environment['PORT']}"
            with Path(self.environment["RUN"], f"{name}.log").open("ab") as log:
                self.processes[name] = await asyncio.create_subprocess_exec(
                    self.python,
                    "-P",
                    "-m",
                    f"services.{name}",
                    env={**os.environ, **self.environment, "ESRP_LISTEN": listen},
                    stdout=log,
                    stderr=log,
                )

    async def ready(self) -> None:
        """Wait until the gateway says that everybody is."""
        async with asyncio.timeout(PATIENCE), httpx2.AsyncClient(base_url=self.url) as client:
            while True:
                with suppress(httpx2.TransportError):
                    if (await client.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)

    async def kill(self, *names: str) -> None:
        """As the kernel would when memory is short."""
        for name in names:
            self.processes[name].kill()
            await self.processes[name].wait()

    async def run(self, **fields: Any) -> Run:
        """Start a run of the suite `tiny` on the scripted models."""
        return await self.client.create_run(a_run_request(self.models.base_url, **fields))

    async def done(self, run: Run) -> Run:
        """The run once it is final."""
        async with asyncio.timeout(PATIENCE):
            while (found := await self.client.run(run.id)).finished_at is None:
                await asyncio.sleep(0.1)
        return found

    def logs(self) -> str:
        """What all services logged."""
        return "\n".join(path.read_text("utf-8") for path in sorted(Path(self.environment["RUN"]).glob("*.log")))


@pytest.fixture(scope="module")
def configured() -> Configured:
    """A module's own settings: one that has any defines this anew."""
    return lambda base_url: {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(postgres: Path, valkey: str, key_file: Path, configured: Configured) -> AsyncIterator[Stack]:
    """A stack with the suite `tiny`, ready; one for all tests of a module."""
    with tempfile.TemporaryDirectory(prefix="esrp", dir="/tmp") as home:
        async with fresh_database(postgres) as database, serve_models(Models()) as models:
            port = _free_port()
            environment = {
                "RUN": home,
                "PORT": str(port),
                "ESRP_DATABASE_URL": database,
                "ESRP_REDIS_URL": valkey,
                "ESRP_SECRET_KEY_FILE": str(key_file),
                "ESRP_BOOTSTRAP_KEY": KEY,
                "ESRP_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
                "ESRP_RATE_LIMIT_PER_MINUTE": "60000",
                "ESRP_SIMULATOR": orjson.dumps({"base_url": models.base_url, "model": "simulator"}).decode(),
                "ESRP_WRITER": orjson.dumps({"base_url": models.base_url, "model": "writer"}).decode(),
                "ESRP_JUDGES": orjson.dumps([{"base_url": models.base_url, "model": "judge"}]).decode(),
                **{f"ESRP_SERVICES__{name.upper()}": f"unix:{home}/{name}.sock" for name in SERVICES[:-1]},
                **configured(models.base_url),
            }
            url = f"http://127.0.0.1:{port}"
            async with AsyncClient(url, KEY) as client:
                stack = Stack(environment, url, client, models, valkey)
                await stack.start(*SERVICES)
                try:
                    await stack.ready()
                    await client.upload_suite(a_suite().model_dump(mode="json"))
                    yield stack
                finally:
                    for process in stack.processes.values():
                        with suppress(ProcessLookupError):
                            process.kill()
                        await process.wait()


@pytest_asyncio.fixture(loop_scope="module")
async def stack(services: Stack) -> Stack:
    """The stack with its models as they were in the beginning."""
    services.models.answer = by_model
    services.models.requests.clear()
    services.models.headers.clear()
    services.models.opened.set()
    return services


@dataclass
class Releases:
    """The demo's two recorded releases, benchmarked: `a` is the baseline `production`, `again` is `a` once more."""

    a: Run
    again: Run
    b: Run


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def releases(services: Stack) -> Releases:
    """Both releases over the demo's suite; `b` has the gate `smoke`, by which `again` is looked at first too."""
    recordings = load()
    services.models.answer = recorded(recordings)
    await services.client.upload_suite(recordings.suite.model_dump(mode="json"))
    a, again = [await services.done(await services.run(**of_release("release-a"))) for _ in range(2)]
    await services.client.set_baseline("production", a.id)
    await services.client.gate(again.id, "smoke")
    b = await services.done(await services.run(**of_release("release-b"), gate="smoke"))
    return Releases(a, again, b)


def of_release(release: str) -> dict[str, Any]:
    """What to ask for to benchmark a recorded release."""
    return {"suite": "esrp-demo", "candidate": {"model": release}}


def recorded(recordings: Recordings) -> Callable[[dict[str, Any]], Answer]:
    """A script of the recordings: candidates, simulator and judge."""

    def answer(request: dict[str, Any]) -> Answer:
        model, messages = request["model"], request["messages"]
        text = "\n".join(message["content"] for message in messages)
        if model in recordings.releases:
            reply = recordings.candidate(model, messages)
        else:
            reply = recordings.judge(text) if model == "judge" else recordings.simulator(text)
        return (404, {"error": {"message": "not recorded", "code": "not_recorded"}}) if reply is None else reply

    return answer


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
