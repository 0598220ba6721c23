"""All four services as real processes, on a real Postgres and Valkey, with a scripted model server."""

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest_asyncio

from esrp.api import Run
from esrp.client import AsyncClient
from tests.builders import a_run_request, a_suite
from tests.conftest import fresh_database
from tests.fakes import Models, by_model, serve_models

KEY = "esrp_" + "p" * 43
SERVICES = ("generator", "judge", "analytics", "gateway")


@dataclass
class Stack:
    """The services by name; ``client`` calls the gateway."""

    environment: dict[str, str]
    url: str
    client: AsyncClient
    models: Models
    redis_url: str
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, *names: str) -> None:
        """Start services, each web and worker on one loop."""
        for name in names:
            listen = f"unix:{self.environment['RUN']}/{name}.sock"
            if name == "gateway":
                listen = f"tcp:127.0.0.1:{self.environment['PORT']}"
            with Path(self.environment["RUN"], f"{name}.log").open("ab") as log:
                self.processes[name] = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    f"services.{name}",
                    env={**os.environ, **self.environment, "ESRP_LISTEN": listen},
                    stdout=log,
                    stderr=log,
                )

    async def ready(self) -> None:
        """Wait until the gateway says that everybody is."""
        async with asyncio.timeout(60), httpx2.AsyncClient(base_url=self.url) as client:
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
        async with asyncio.timeout(60):
            while (found := await self.client.run(run.id)).finished_at is None:
                await asyncio.sleep(0.1)
        return found

    def logs(self) -> str:
        """What all services logged."""
        return "\n".join(path.read_text("utf-8") for path in sorted(Path(self.environment["RUN"]).glob("*.log")))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def services(postgres: Path, valkey: str, key_file: Path) -> AsyncIterator[Stack]:
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
    services.models.gate.set()
    return services


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
