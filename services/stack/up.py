"""`esrp up`: embedded servers, migrations and the four services, started in order and stopped in order."""

import asyncio
import errno
import importlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import asyncpg

from migrations import HEAD
from services.stack.configuration import KEY, LOOPBACK, RATE_LIMIT, Given, advice, load
from services.stack.errors import CannotStart
from services.stack.home import Home, default_folder, ephemeral, kept
from services.stack.postgres import SUPERUSER, Postgres
from services.stack.supervisor import Child, Program, Say
from services.stack.tether import tether
from services.stack.valkey import Valkey

SERVICES = ("gateway", "generator", "judge", "analytics")
DATABASE = "esrp"
PATIENCE = 120.0  # seconds until a start is given up; a busy CI machine takes 20
# A stop takes two seconds at most: every service can be ended at any time, so it gets one for its good-byes.
SERVICE_GRACE, SERVER_GRACE = 1.1, 0.7

WARNINGS = re.compile(
    r'\[(warning|error|critical) *\]|"level": ?"(warning|error|critical)"|^(WARNING|ERROR|CRITICAL)\b'
)


class Stack:
    """The whole stack in a data folder. With URLs of real servers in ``given`` it uses those."""

    def __init__(self, home: Home, given: Given, port: int, say: Say) -> None:
        self._home, self._given, self._say = home, given, say
        self._tether = tether()
        self._port = free_port(port)
        self.key = _key(home, given)
        self._servers: list[Child] = []
        self._services: list[Child] = []
        self._postgres = None if given.database_url else Postgres(home, self._tether, say)
        self._valkey = None if given.redis_url else Valkey(home)

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Until everything is ready; ``CannotStart`` says what is not."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._start_servers()
                await self._migrate()
                self._services = [self._child(self._service(name)) for name in SERVICES]
                await _all_ready(self._services)
        except TimeoutError as error:
            waiting = [child.name for child in (*self._servers, *self._services) if not child.is_ready]
            logs = self._home.path / "logs"
            raise CannotStart(f"Not ready after {PATIENCE:.0f} s: {', '.join(waiting)}. Their logs: {logs}") from error

    async def stop(self) -> None:
        """Services first, then what they stand on."""
        await asyncio.gather(*(child.stop(SERVICE_GRACE) for child in self._services))
        await asyncio.gather(*(child.stop(SERVER_GRACE) for child in self._servers))
        if self._postgres is not None:
            self._postgres.close()
        await self._tether.close()

    def kill(self) -> None:
        """Everything at once."""
        for child in (*self._services, *self._servers):
            child.kill()

    async def _start_servers(self) -> None:
        if self._valkey is not None:
            self._servers.append(self._child(self._valkey.program()))
        if self._postgres is not None:
            await self._postgres.initialise()
            self._servers.append(self._child(self._postgres.program()))
        await _all_ready(self._servers)

    async def _migrate(self) -> None:
        if self._postgres is not None:
            await _create_database(self._postgres.socket)
            url = self._postgres.url(SUPERUSER, DATABASE)
        else:
            url = self._given.database_url
        if await _revision(url) == HEAD:
            return
        # Alembic takes a second to import, which most starts need not pay; in a thread, signals are still heard.
        migrate = await asyncio.to_thread(importlib.import_module, "services.kit.migrate")
        try:
            await migrate.upgraded(url)
        except Exception as error:
            raise CannotStart(f"The database cannot be migrated: {_without_password(error, url)}") from error

    def _child(self, program: Program) -> Child:
        child = Child(program, self._home.log(program.name), self._tether, self._say)
        child.start()
        return child

    def _service(self, name: str) -> Program:
        listen = f"tcp:127.0.0.1:{self._port}" if name == "gateway" else self._socket(name)
        return Program(
            name=name,
            command=[sys.executable, "-P", "-m", f"services.{name}"],
            ready=lambda _: _answers_200(listen, "/readyz?models=false"),
            environment=self._environment(name, listen),
            loud=WARNINGS,
        )

    def _environment(self, name: str, listen: str) -> Mapping[str, str]:
        given = self._given
        networks = [str(network) for network in (*given.allowed_networks, *LOOPBACK)]
        key_file = given.secret_key_file if given.secret_key_file != Path() else self._home.secret_key_file()
        limit = given.rate_limit_per_minute if "rate_limit_per_minute" in given.model_fields_set else RATE_LIMIT
        form = given.log_format if "log_format" in given.model_fields_set else "console"
        return {
            "ESRP_DATABASE_URL": self._postgres.url(f"esrp_{name}", DATABASE) if self._postgres else given.database_url,
            "ESRP_REDIS_URL": self._valkey.url if self._valkey else given.redis_url,
            "ESRP_LISTEN": listen,
            **{f"ESRP_SERVICES__{peer.upper()}": self._socket(peer) for peer in SERVICES if peer != "gateway"},
            "ESRP_SECRET_KEY_FILE": str(key_file),
            "ESRP_BOOTSTRAP_KEY": self.key,
            "ESRP_ALLOWED_NETWORKS": json.dumps(networks),
            "ESRP_RATE_LIMIT_PER_MINUTE": str(limit),
            "ESRP_LOG_FORMAT": form,
            "PYTHONUNBUFFERED": "1",
            "OPENBLAS_NUM_THREADS": "1",  # two under load are 20 to 50 times slower
        }

    def _socket(self, name: str) -> str:
        return f"unix:{self._home.run / name}.sock"


def up(*, port: int, data: Path | None, forget: bool, config: Path | None) -> int:
    """Run the stack until Ctrl-C; the exit code."""
    if config is not None:
        os.environ["ESRP_CONFIG"] = str(config.absolute())
    given = load(config or _named_config())
    with ephemeral() if forget else kept(data or default_folder()) as home:
        say(f"starting; the data is in {home.path}" + ("" if home.keep else ", and removed in the end"))
        return asyncio.run(conduct(Stack(home, given, port, say), _announce(given)))


async def conduct(stack: Stack, work: Callable[[Stack], Awaitable[int]]) -> int:
    """Start the stack, do the work, and stop. Ctrl-C stops earlier, a second one without manners."""
    stop = asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            stack.kill()
        stop.set()

    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)  # nohup esrp up
    for number in (signal.SIGINT, signal.SIGTERM, *hangup):
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    working = asyncio.create_task(_start_and_work(stack, work))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    working.cancel()
    await asyncio.gather(working, stopped, return_exceptions=True)
    await stack.stop()
    return 0 if working.cancelled() else working.result()


def say(text: str) -> None:
    """To a person, beside the results."""
    with suppress(OSError):  # a terminal that was closed
        print(f"esrp: {text}", file=sys.stderr, flush=True)


def show_ready(stack: Stack) -> None:
    """The two lines that say where it is and how to get in."""
    print(f"esrp is up at {stack.url}\nAPI key: {stack.key}", flush=True)


def free_port(port: int) -> int:
    """``port`` if nobody listens there, and any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken" if taken else f"cannot be used ({error.strerror})"
            raise CannotStart(f"Port {port} {why}. Choose another with --port; 0 is any free one.") from error
        found: int = probe.getsockname()[1]
        return found


def _announce(given: Given) -> Callable[[Stack], Awaitable[int]]:
    async def announce(stack: Stack) -> int:
        for line in advice(given):
            say(line)
        show_ready(stack)
        await asyncio.Event().wait()
        return 0

    return announce


async def _start_and_work(stack: Stack, work: Callable[[Stack], Awaitable[int]]) -> int:
    await stack.start()
    return await work(stack)


def _named_config() -> Path | None:
    named = os.environ.get("ESRP_CONFIG")
    return Path(named) if named else None


def _key(home: Home, given: Given) -> str:
    if given.bootstrap_key is None:
        return home.bootstrap_key()
    key = given.bootstrap_key.get_secret_value()
    if not re.fullmatch(KEY, key):
        raise CannotStart("ESRP_BOOTSTRAP_KEY must be `esrp_` and then 32 to 128 of A–Z a–z 0–9 - _.")
    return key


async def _all_ready(children: list[Child]) -> None:
    await asyncio.gather(*(child.wait_ready() for child in children))


async def _create_database(socket_folder: Path) -> None:
    connection = await asyncpg.connect(host=str(socket_folder), user=SUPERUSER, database="postgres")
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()


async def _revision(url: str) -> str | None:
    """The revision that the database is at, if that can be found out the quick way."""
    with suppress(asyncpg.PostgresError, OSError, ValueError, TimeoutError):
        connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=5)
        try:
            if not await connection.fetchval("SELECT to_regclass('public.alembic_version') IS NOT NULL"):
                return None
            found: str | None = await connection.fetchval("SELECT version_num FROM public.alembic_version")
            return found
        finally:
            await connection.close()
    return None


async def _answers_200(listen: str, path: str) -> bool:
    """Asked in plain bytes: an HTTP client takes longer to import than a service to answer."""
    kind, _, where = listen.partition(":")
    with suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(5):
            if kind == "unix":
                reader, writer = await asyncio.open_unix_connection(where)
            else:
                host, _, port = where.rpartition(":")
                reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: esrp\r\n\r\n".encode())
                return (await reader.readline()).split()[1:2] == [b"200"]
            finally:
                writer.close()
    return False


def _without_password(error: Exception, url: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    password = re.search(r"://[^/@:]*:([^@/]+)@", url)
    return text.replace(password[1], "***") if password else text
