import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from esrp.client import AsyncClient
from tests.builders import a_run_request, a_suite
from tests.fakes import Models, serve_models
from tests.stack.processes import belonging_to, until, until_gone

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("ESRP_")}
KEY = "esrp_" + "k" * 40


@dataclass
class Up:
    """An `up` that is ready."""

    process: Process
    url: str
    key: str

    async def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Its exit code, the rest of its output, and what it said."""
        self.process.send_signal(number)
        output, said = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, output.decode(), said.decode()


async def spawn(*options: str, environment: Mapping[str, str] | None = None) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "services.stack", "up", *options),
        env={**CLEAN, **(environment or {})},
        stdout=PIPE,
        stderr=PIPE,
    )


@asynccontextmanager
async def up(*options: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Up]:
    process = await spawn("--port", "0", *options, environment=environment)
    assert process.stdout is not None
    try:
        first, second = (await process.stdout.readline()).decode(), (await process.stdout.readline()).decode()
        assert first.startswith("esrp is up at http://127.0.0.1:"), (await process.communicate())[1].decode()
        assert second.startswith("API key: esrp_")
        yield Up(process, first.split()[-1], second.split()[-1])
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def refused(*options: str, environment: Mapping[str, str] | None = None) -> str:
    """What an `up` that does not start says."""
    process = await spawn(*options, environment=environment)
    output, said = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    return said.decode()


def environment_of(pid: int) -> dict[str, str]:
    parts = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(part.split("=", 1) for part in parts if part)


async def suites(stack: Up) -> set[str]:
    async with AsyncClient(stack.url, stack.key) as client:
        return {suite.name async for suite in client.suites()}


async def test_it_serves_refuses_a_second_and_leaves_no_orphans_when_it_is_killed(tmp_path: Path) -> None:
    data = tmp_path / ("long" * 25) / "data"
    tmp_path.chmod(0o700)
    async with up("--data", str(data)) as stack:
        assert await suites(stack) >= {"esrp-zh", "esrp-en"}
        assert f"{data} is in use by another esrp (process {stack.process.pid})" in await refused("--data", str(data))
        children = set(belonging_to(data)) - {stack.process.pid}
        assert len(children) >= 6

        await stack.end(signal.SIGKILL)

        await until_gone(children)
        first_key = stack.key

    async with up("--data", str(data)) as stack:
        assert stack.key == first_key
        assert await suites(stack) >= {"esrp-zh", "esrp-en"}
        assert (await stack.end(signal.SIGTERM))[0] == 0


async def test_ctrl_c_stops_it_cleanly_and_an_ephemeral_one_leaves_nothing(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="up") as temporary:
        async with up("--ephemeral", environment={"TMPDIR": temporary, "ESRP_BOOTSTRAP_KEY": KEY}) as stack:
            assert stack.key == KEY
            assert await suites(stack) >= {"esrp-zh", "esrp-en"}
            children = set(belonging_to(Path(temporary)))

            code, output, said = await stack.end(signal.SIGINT)

            assert (code, output) == (0, "")
            assert "no simulator and no judge is configured" in said
            assert 'judges:\nesrp:   - {name: default, kind: chat, base_url: "https://…/v1"' in said
            await until_gone(children)
            assert os.listdir(temporary) == []


async def test_a_service_that_is_killed_comes_back_on_servers_and_settings_of_ones_own(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "esrp.yaml").write_text("allowed_networks: ['10.1.0.0/16']\nrate_limit_per_minute: 77\n")
    options = ("--data", str(tmp_path / "data"), "--config", str(tmp_path / "esrp.yaml"))
    environment = {"ESRP_DATABASE_URL": database, "ESRP_REDIS_URL": redis_url}
    async with up(*options, environment=environment) as stack:
        processes = belonging_to(tmp_path)
        assert not [arguments for arguments in processes.values() if "valkey" in arguments or "postgres" in arguments]
        gateway = next(pid for pid, arguments in processes.items() if "services.gateway" in arguments)
        told = environment_of(gateway)
        assert json.loads(told["ESRP_ALLOWED_NETWORKS"]) == ["10.1.0.0/16", "127.0.0.0/8", "::1/128"]
        assert told["ESRP_RATE_LIMIT_PER_MINUTE"] == "77"

        os.kill(gateway, signal.SIGKILL)
        assert stack.process.stderr is not None
        while b"gateway is back" not in (line := await stack.process.stderr.readline()):
            assert line

        assert await suites(stack) >= {"esrp-zh", "esrp-en"}
        assert (await stack.end(signal.SIGTERM))[0] == 0


async def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    process = await spawn("--port", "0", "--data", str(tmp_path))
    await until(lambda: (tmp_path / "postgres").exists())
    children = set(belonging_to(tmp_path)) - {process.pid}

    process.send_signal(signal.SIGINT)

    assert (await process.communicate())[0] == b""
    assert process.returncode == 0
    await until_gone(children)


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = await refused("--port", str(port), "--data", str(tmp_path))

    assert f"Port {port} is taken. Choose another with --port" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("simulator: {base_url: 'ftp://x', model: m}", "simulator.base_url"),
        ("judges:\n - {name: [}", "line 2:"),
        ("simulater: {}", "not known: simulater"),
        ("just words", "must hold names and values"),
    ],
)
async def test_a_configuration_that_is_wrong_is_refused_with_the_place(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "esrp.yaml").write_text(text)

    assert said in await refused("--config", str(tmp_path / "esrp.yaml"), "--data", str(tmp_path / "data"))


async def test_a_key_from_outside_must_be_a_good_one(tmp_path: Path) -> None:
    environment = {"ESRP_BOOTSTRAP_KEY": "short"}

    assert "must be `esrp_`" in await refused("--port", "0", "--data", str(tmp_path), environment=environment)


async def test_a_wrong_option_is_exit_code_4() -> None:
    process = await spawn("--data", "x", "--ephemeral")
    await process.communicate()

    assert process.returncode == 4


async def test_a_database_that_is_away_is_named_without_its_password(redis_url: str, tmp_path: Path) -> None:
    environment = {
        "ESRP_DATABASE_URL": "postgresql+asyncpg://me:hunter2@127.0.0.1:1/esrp",
        "ESRP_REDIS_URL": redis_url,
    }
    said = await refused("--port", "0", "--data", str(tmp_path), environment=environment)

    assert "The database cannot be migrated:" in said
    assert "hunter2" not in said


async def test_after_kill_9_in_the_middle_of_a_run_the_next_one_goes_on_with_it(tmp_path: Path) -> None:
    async with serve_models(Models()) as models:
        models.opened.clear()
        config = tmp_path / "esrp.yaml"
        judge = {"name": "default", "kind": "chat", "base_url": models.base_url, "model": "judge"}
        simulator = {"base_url": models.base_url, "model": "simulator"}
        config.write_text(json.dumps({"simulator": simulator, "judges": [judge]}))
        options = ("--data", str(tmp_path / "data"), "--config", str(config))
        async with up(*options) as first:
            async with AsyncClient(first.url, first.key) as client:
                await client.upload_suite(a_suite().model_dump(mode="json"))
                run = await client.create_run(a_run_request(models.base_url))
            await until(lambda: len(models.sent_to("bot")) == 6)
            left = set(belonging_to(tmp_path / "data"))
            await first.end(signal.SIGKILL)
            await until_gone(left)
        models.opened.set()
        async with up(*options) as second, AsyncClient(second.url, second.key) as client:
            finished = await client.wait(run.id)
            report = await client.report(run.id)
    assert (finished.status, finished.progress.judged, report.coverage.scored) == ("succeeded", 6, 6)
    assert len(models.sent_to("bot")) == 12 + 6  # the six in flight were paid for again, and nothing else
