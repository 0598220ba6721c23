"""The whole stack as real, supervised processes; and what breaks it by a schedule while a run goes on."""

import asyncio
import json
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import httpx2
import redis.asyncio

from esrp.api import Run
from esrp.client import AsyncClient
from services.kit.ids import decode
from services.kit.migrate import upgraded
from services.stack.home import Home, kept
from services.stack.postgres import SUPERUSER, Postgres
from services.stack.supervisor import Child, Program
from services.stack.tether import Tether, tether
from services.stack.valkey import Valkey
from tests.chaos.schedule import CALLERS, Action

SERVICES = ("generator", "judge", "analytics", "gateway")
DATABASE = "esrp"
KEY = "esrp_" + "c" * 43
LOOK = 0.02  # seconds between looks at how far things are
AWAY = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model server counted: answers, those among them to a body answered before, and calls it works on."""

    answered: int
    again: int
    in_flight: int


class ModelServer(Protocol):
    """Somebody who counts the calls."""

    async def seen(self) -> Seen:
        """The counters as they are now."""


@dataclass(frozen=True, slots=True)
class Done:
    """An action that was carried out, and what was in flight then, of all callers together.

    ``at_server``: calls that the model server worked on. ``unsaved``: calls that it had answered and whose answer was
    not stored, because it was on its way, Postgres was away, or whoever waited for it was killed before.
    """

    action: Action
    at_server: int
    unsaved: int


@dataclass(frozen=True, slots=True)
class Survived:
    """A run that has ended, what was done to it, and what the model server counted."""

    run: Run
    done: Sequence[Done]
    seen: Seen
    seconds: float

    @property
    def in_flight(self) -> int:
        """The calls in flight where a caller was killed or stopped past its lease, or where Postgres was killed."""
        return sum(done.at_server + done.unsaved for done in self.done if done.action.target in (*CALLERS, "postgres"))


@dataclass
class Stack:
    """All processes by name, kept running; ``client`` calls the gateway."""

    home: Home
    environment: Mapping[str, str]
    postgres: Postgres
    valkey: Valkey
    tether: Tether
    url: str
    client: AsyncClient
    children: dict[str, Child] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    async def start(self) -> None:
        """Servers, migrations, services; until all are ready."""
        await self.postgres.initialise()
        await self._run(self.valkey.program(), self.postgres.program())
        connection = await asyncpg.connect(host=str(self.postgres.socket), user=SUPERUSER, database="postgres")
        await connection.execute(f"CREATE DATABASE {DATABASE}")
        await connection.close()
        await upgraded(self.postgres.url(SUPERUSER, DATABASE))
        await self._run(*(self._service(name) for name in SERVICES))

    async def add_replica(self, service: str) -> None:
        """One more worker of a service, without its web half."""
        if f"{service}-2" not in self.children:
            await self._run(self._service(service, replica=True))

    async def ready(self) -> None:
        """Until all are up and the gateway says so."""
        async with plain_http() as http:
            while not all(child.is_ready for child in self.children.values()) or not await _is_ok(http, self.url):
                await asyncio.sleep(LOOK)

    async def stop(self) -> None:
        """Services first, then what they stand on."""
        children = list(self.children.values())
        for child in children:
            child.signal(signal.SIGCONT)
        await asyncio.gather(*(child.stop(1.0) for child in children if child.name not in ("postgres", "valkey")))
        await asyncio.gather(*(child.stop(1.0) for child in children))
        self.postgres.close()
        await self.tether.close()

    def processes(self, service: str) -> list[Child]:
        """Those of a service that run now."""
        mine = (child for name, child in self.children.items() if name.removesuffix("-2") == service)
        return [child for child in mine if child.pid is not None]

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a query over all schemas; waits while Postgres is away."""
        while True:
            with suppress(*AWAY):
                return await self.fetch_now(sql, *arguments)
            await asyncio.sleep(LOOK)

    async def fetch_now(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """``fetch``, or one of ``AWAY``."""
        async with self.connected() as connection:
            return list(await connection.fetch(sql, *arguments))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that sees all schemas."""
        connection = await asyncpg.connect(
            host=str(self.postgres.socket), user=SUPERUSER, database=DATABASE, timeout=2, command_timeout=2
        )
        try:
            yield connection
        finally:
            connection.terminate()

    def logs(self) -> str:
        """What all services logged."""
        paths = sorted((self.home.path / "logs").glob("*.log"))
        return "\n".join(path.read_text("utf-8", "replace") for path in paths)

    async def _run(self, *programs: Program) -> None:
        for program in programs:
            child = Child(program, self.home.log(program.name), self.tether, self.said.append)
            self.children[program.name] = child
            child.start()
        await asyncio.gather(*(self.children[program.name].wait_ready() for program in programs))

    def _service(self, name: str, *, replica: bool = False) -> Program:
        listen = self.url.replace("http://", "tcp:") if name == "gateway" else self._socket(name)
        return Program(
            name=f"{name}-2" if replica else name,
            command=[sys.executable, "-P", "-m", f"services.{name}", *(["work"] if replica else [])],
            ready=_at_once if replica else partial(_answers, listen),
            environment={
                "ESRP_DATABASE_URL": self.postgres.url(f"esrp_{name}", DATABASE),
                "ESRP_REDIS_URL": self.valkey.url,
                "ESRP_LISTEN": listen,
                **{f"ESRP_SERVICES__{peer.upper()}": self._socket(peer) for peer in SERVICES if peer != "gateway"},
                "ESRP_SECRET_KEY_FILE": str(self.home.secret_key_file()),
                "ESRP_BOOTSTRAP_KEY": KEY,
                "ESRP_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
                "ESRP_RATE_LIMIT_PER_MINUTE": "60000",
                "PYTHONUNBUFFERED": "1",
                "OPENBLAS_NUM_THREADS": "1",
                **self.environment,
            },
        )

    def _socket(self, name: str) -> str:
        return f"unix:{self.home.run / name}.sock"


@asynccontextmanager
async def stack(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Stack]:
    """A fresh stack with its data in ``folder``, as durable as ``esrp up``; its services are told ``environment``."""
    held, url, said = tether(), f"http://127.0.0.1:{free_port()}", list[str]()
    with kept(folder) as home:
        async with AsyncClient(url, KEY) as client:
            postgres = Postgres(home, held, said.append)
            found = Stack(home, environment, postgres, Valkey(home), held, url, client, said=said)
            try:
                await found.start()
                await found.ready()
                yield found
            finally:
                await found.stop()


def models_environment(
    simulator: Mapping[str, Any], judge: Mapping[str, Any], *, first_byte: float, total: float
) -> dict[str, str]:
    """The settings of the models, and the seconds after which a call that hangs is given up."""
    return {
        "ESRP_SIMULATOR": json.dumps(simulator),
        "ESRP_JUDGES": json.dumps([judge]),
        "ESRP_TIMEOUTS__CONNECT": "5",
        "ESRP_TIMEOUTS__FIRST_BYTE": f"{first_byte:g}",
        "ESRP_TIMEOUTS__TOTAL": f"{total:g}",
    }


# --- breaking it ------------------------------------------------------------------------------------------------------


async def survive(
    stack: Stack, server: ModelServer, request: Mapping[str, Any], calls: int, actions: Sequence[Action], seed: int = 0
) -> Survived:
    """Start a run that needs ``calls`` answers, and carry out ``actions`` as it gets on; until it has ended.

    What the run did not last long enough for is left undone. ``seed`` says which of two replicas is hit.
    """
    started = time.monotonic()
    run = await stack.client.create_run(request)
    wrecker = _Wrecker(stack, server, decode("run", run.id), calls, random.Random(seed))
    async with asyncio.TaskGroup() as tasks:
        wrecking = tasks.create_task(wrecker.carry_out(actions))
        run = await stack.client.wait(run.id)
        wrecking.cancel()
    seconds = time.monotonic() - started
    await stack.ready()
    return Survived(run, wrecker.done, await server.seen(), seconds)


HELD = {
    "generator": "SELECT slice_id FROM generator.dialogues WHERE state = 'playing'",
    "judge": "SELECT slice_id FROM judge.verdicts WHERE state = 'rating'",
}
SAVED = """
    SELECT (SELECT count(*) FILTER (WHERE turn ->> 'assistant' IS NOT NULL) + count(*) FILTER (WHERE place > 1)
            FROM generator.dialogues, jsonb_array_elements(turns) WITH ORDINALITY AS t(turn, place) WHERE run_id = $1)
        + (SELECT count(*) FROM judge.verdicts WHERE run_id = $1 AND raw IS NOT NULL)
        + (SELECT count(*) FROM judge.diversity_verdicts WHERE run_id = $1 AND raw IS NOT NULL) AS calls
"""

BLOCKED = "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
PATIENCE = 5.0  # seconds for a worker to write something
TAKEN_OVER = 90.0  # seconds until waiting for another worker is given up; it takes a lease and a look, 20


class _Wrecker:
    """Breaks one stack during one run."""

    def __init__(self, stack: Stack, server: ModelServer, run_id: UUID, calls: int, chance: random.Random) -> None:
        self._stack, self._server, self._run_id, self._calls, self._chance = stack, server, run_id, calls, chance
        self._stopped: set[Child] = set()
        self.done: list[Done] = []

    async def carry_out(self, actions: Iterable[Action]) -> None:
        """Each when it is due, or as soon after that as there is something to hit."""
        async with asyncio.TaskGroup() as stops:
            for action in actions:
                await self._until_due(action)
                if action.kind == "flush":
                    await self._flush(action)
                elif action.kind == "kill":
                    await self._kill(action)
                else:
                    stops.create_task(self._stop(action))

    async def _until_due(self, action: Action) -> None:
        while (seen := await self._server.seen()).answered - seen.again < action.at * self._calls:
            await asyncio.sleep(LOOK)

    async def _flush(self, action: Action) -> None:
        async with redis.asyncio.Redis.from_url(self._stack.valkey.url) as client:
            while True:
                with suppress(redis.exceptions.RedisError, OSError):
                    await client.flushall()
                    break
                await asyncio.sleep(LOOK)
        self._note(action, await self._server.seen(), None)

    async def _kill(self, action: Action) -> None:
        child = await self._living(action.target)
        pid = child.pid
        if action.target in CALLERS:
            child.signal(signal.SIGSTOP)  # nothing is saved between the count and the kill
        seen, saved = await self._server.seen(), None
        with suppress(*AWAY):
            saved = await self._saved(self._stack.fetch_now)
        child.signal(signal.SIGKILL)
        if saved is None and action.target in CALLERS:
            saved = await self._saved(self._stack.fetch)
        self._note(action, seen, saved)
        while child.pid == pid:
            await asyncio.sleep(LOOK)

    async def _stop(self, action: Action) -> None:
        """Past its lease, until nothing is held under it any more: another worker has it now."""
        child, held = await self._frozen(action.target)
        self._stopped.add(child)
        self._note(action, await self._server.seen(), await self._saved(self._stack.fetch))
        await self._stack.add_replica(action.target)
        await self._taken_over(action.target, set(held))
        self._stopped.remove(child)
        child.signal(signal.SIGCONT)

    async def _frozen(self, service: str) -> tuple[Child, list[UUID]]:
        """A worker that is stopped before it commits what it wrote: its locks are in everybody's way."""
        while True:
            child = await self._living(service)
            with suppress(*AWAY):
                await self._freeze_writing(service, child)
                if held := await self._held(service):
                    return child, held
            child.signal(signal.SIGCONT)
            await asyncio.sleep(LOOK)

    async def _freeze_writing(self, service: str, child: Child) -> None:
        """Lock what the service holds, stop the worker while it waits to write there, and let go."""
        async with asyncio.timeout(PATIENCE), self._stack.connected() as connection, connection.transaction():
            await connection.execute(f"{HELD[service]} FOR UPDATE")
            while not await connection.fetch(BLOCKED):
                await asyncio.sleep(LOOK)
            child.signal(signal.SIGSTOP)

    async def _taken_over(self, service: str, leases: set[UUID]) -> None:
        end = time.monotonic() + TAKEN_OVER
        while leases & set(await self._held(service)):
            assert time.monotonic() < end, f"nobody took over from a stopped {service} within {TAKEN_OVER:.0f} s"
            await asyncio.sleep(0.2)

    async def _living(self, service: str) -> Child:
        while not (found := [c for c in self._stack.processes(service) if c not in self._stopped]):
            await asyncio.sleep(LOOK)
        return self._chance.choice(found)

    async def _held(self, service: str) -> list[UUID]:
        """The lease of each row that the service holds."""
        return [row["slice_id"] for row in await self._stack.fetch(HELD[service])]

    async def _saved(self, fetch: Callable[..., Awaitable[list[asyncpg.Record]]]) -> int:
        """How many calls of the run have their answers stored."""
        return int((await fetch(SAVED, self._run_id))[0]["calls"])

    def _note(self, action: Action, seen: Seen, saved: int | None) -> None:
        unsaved = 0 if saved is None else max(0, seen.answered - seen.again - saved)
        self.done.append(Done(action, seen.in_flight, unsaved))


async def _answers(listen: str, pid: int) -> bool:
    """Whether a service is ready, asked at its own address."""
    scheme, _, place = listen.partition(":")
    async with plain_http(place if scheme == "unix" else None) as http:
        return await _is_ok(http, "http://esrp" if scheme == "unix" else f"http://{place}")


async def _is_ok(http: httpx2.AsyncClient, url: str) -> bool:
    with suppress(httpx2.RequestError):
        return (await http.get(f"{url}/readyz")).status_code == 200
    return False


async def _at_once(_: int) -> bool:
    """A worker without a web half has nobody to ask."""
    return True


def plain_http(socket: str | None = None) -> httpx2.AsyncClient:
    """A client for this machine, over a unix socket if one is named."""
    # Loading the certificates that nobody needs here takes 57 ms, a hundred times the rest.
    return httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=socket, verify=False))


def free_port() -> int:
    """One of loopback."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
