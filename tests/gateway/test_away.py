"""A database that is away, in every way that it can be, is 503 and worth another try: in every service and route."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest

from esrp.policies import BUNDLED, bundled
from services.analytics.app import create_app as analytics_app
from services.analytics.resources import open_resources as open_analytics
from services.gateway.app import create_app as gateway_app
from services.gateway.resources import Resources as Gateway
from services.gateway.resources import open_resources as open_gateway
from services.gateway.seed import seed
from services.judge.app import create_app as judge_app
from services.judge.resources import Resources as JudgeResources
from services.kit.db import open_engine
from services.kit.ids import decode, encode
from services.kit.migrate import upgrade
from services.kit.queue import RecordedQueue
from services.kit.secrets import KeyFile
from services.kit.settings import JudgeSettings, ModelSettings, ServiceUrls, Settings
from services.kit.web import INTERNAL
from services.work.loop import Slices
from tests.builders import a_run_request
from tests.conftest import url
from tests.gateway.conftest import BOOTSTRAP
from tests.judge.conftest import ScriptedRater
from tests.servers import Cluster, cluster

Call = tuple[str, str, dict[str, Any]]  # method, path, what else

MOST = 30  # connections; three engines take eight each
TENANT, RUN = str(UUID(int=1)), str(uuid4())
IDS = {"id": encode("run", uuid4()), "dialogue": encode("dlg", uuid4())}
BY_TENANT = {"params": {"tenant": TENANT}}
BY_KEY = {"params": {"tenant": TENANT, "key": TENANT, "key_name": "ours"}}
GATE = {"gate": None, "baseline": None, "policy": bundled(next(iter(BUNDLED))).model_dump(mode="json")}
ANALYTICS: list[Call] = [
    ("GET", f"/internal/runs/{RUN}/report", BY_TENANT),
    ("GET", f"/internal/runs/{RUN}/metrics", {"params": {"tenant": TENANT, "group_by": "character"}}),
    ("GET", "/internal/leaderboard", {"params": {"tenant": TENANT, "suite": "esrp-en@1"}}),
    ("POST", "/internal/comparisons", {**BY_TENANT, "json": {"candidate": IDS["id"], "baseline": IDS["id"]}}),
    ("GET", "/internal/ratings", {"params": {"tenant": TENANT, "run": RUN}}),
    ("GET", "/internal/ratings/diversity", {"params": {"tenant": TENANT, "run": RUN}}),
    ("POST", "/internal/ratings", {**BY_KEY, "content": "run,dialogue,metric,rater,score\n", "headers": {}}),
    ("POST", "/internal/ratings/diversity", {**BY_KEY, "content": "run,character,batch,rater,score\n"}),
    ("POST", f"/internal/runs/{RUN}/gate", {**BY_TENANT, "json": GATE}),
    ("GET", "/internal/judges/default/card", BY_TENANT),
]
JUDGE: list[Call] = [
    ("POST", "/internal/judges/default/probe", {**BY_TENANT, "json": {"language": "en", "dialogues": 2}}),
]


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """A cluster with few connections and a migrated database."""
    with cluster(f"max_connections={MOST}") as found:
        asyncio.run(_create(found))
        upgrade(url(found.home, "esrp"))
        yield found


class World:
    """The three services that answer from the database."""

    def __init__(
        self, home: Path, gateway: Gateway, clients: dict[str, httpx2.AsyncClient], operations: list[Call]
    ) -> None:
        self.home, self.gateway, self.clients = home, gateway, clients
        self.calls = [("gateway", call) for call in operations]
        self.calls += [("analytics", call) for call in ANALYTICS] + [("judge", call) for call in JUDGE]

    async def ask(self, service: str, call: Call) -> httpx2.Response:
        method, path, rest = call
        return await self.clients[service].request(method, path, **rest)

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(host=str(self.home), user="postgres", database="esrp")

    async def disconnect(self, db: "asyncpg.Connection[asyncpg.Record]") -> None:
        """The services have no connection any more, and need a new one for the next statement."""
        await db.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name LIKE 'esrp_%'"
        )

    async def all_say_come_again(self) -> None:
        for service, call in self.calls:
            _says_come_again(service, call, await self.ask(service, call))


@pytest.fixture
async def world(running: Cluster, redis_url: str, key_file: Path) -> AsyncIterator[World]:
    async with opened(running.home, redis_url, key_file) as found:
        yield found


async def test_all_connections_are_taken(world: World) -> None:
    async with AsyncExitStack() as stack:
        db = await world.connect()
        stack.push_async_callback(db.close)
        await world.disconnect(db)
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await _take_all(world, stack)
        await world.all_say_come_again()
    assert (await world.clients["gateway"].get("/v1/suites")).status_code == 200


async def test_it_is_shutting_down_then_gone_then_back(world: World, running: Cluster) -> None:
    held = await world.connect()
    await world.disconnect(held)
    running.signal(signal.SIGTERM)  # and waits for the one that is connected
    await _until_refused(world)
    await world.all_say_come_again()
    await held.close()
    running.stop()
    await world.all_say_come_again()
    running.start()
    assert (await world.clients["gateway"].get("/v1/suites")).status_code == 200


async def test_its_backend_is_ended_in_the_middle_of_a_statement(world: World) -> None:
    for service, call in world.calls:
        if call[0] == "GET" or service != "gateway":
            answer = await _interrupted(world, service, call, "SELECT pg_terminate_backend($1)")
            if answer is not None:
                _says_come_again(service, call, answer)


async def test_it_crashes_in_the_middle_of_a_statement(world: World) -> None:
    call: Call = ("GET", "/v1/runs", {})
    answer = await _interrupted(world, "gateway", call, signal.SIGKILL)
    assert answer is not None
    _says_come_again("gateway", call, answer)
    await _until_back(world)


def _says_come_again(service: str, call: Call, answer: httpx2.Response) -> None:
    where = f"{service} {call[0]} {call[1]}: {answer.status_code} {answer.text}"
    assert answer.status_code == 503, where
    assert answer.headers["content-type"] == "application/problem+json", where
    assert answer.headers["retry-after"] == "2" and answer.json()["retryable"] is True, where


WAITING = "SELECT min(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
TABLES = (
    "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
    " WHERE schemaname IN ('gateway', 'generator', 'judge', 'analytics') AND tablename <> 'api_keys'"
)


async def _interrupted(world: World, service: str, call: Call, end: str | signal.Signals) -> httpx2.Response | None:
    """Its answer where the backend ends while the call waits for a lock; ``None`` if it needs no table but the keys."""
    db = await world.connect()
    lock = db.transaction()
    await lock.start()
    await db.execute(f"LOCK TABLE {await db.fetchval(TABLES)} IN ACCESS EXCLUSIVE MODE")
    asking = asyncio.create_task(world.ask(service, call))
    while not asking.done():
        await db.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction it would not change
        if pid := await db.fetchval(WAITING):
            await _end(db, pid, end)
            break
        await asyncio.sleep(0.01)
    interrupted = not asking.done()
    if not db.is_closed():
        await asyncio.wait([asking], timeout=5)
        await db.close()
    answer = await asking
    return answer if interrupted else None


async def _end(db: "asyncpg.Connection[asyncpg.Record]", pid: int, how: str | signal.Signals) -> None:
    if isinstance(how, str):
        await db.execute(how, pid)
    else:
        os.kill(pid, how)


async def _take_all(world: World, stack: AsyncExitStack) -> None:
    for _ in range(MOST + 1):
        connection = await world.connect()
        stack.push_async_callback(connection.close)


async def _until(db: "asyncpg.Connection[asyncpg.Record]", sql: str) -> Any:
    async with asyncio.timeout(30):
        while not (found := await db.fetchval(sql)):
            await asyncio.sleep(0.01)
            await db.execute("SELECT pg_stat_clear_snapshot()")
    return found


async def _until_refused(world: World) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await (await world.connect()).close()
            except asyncpg.CannotConnectNowError:
                return


async def _until_back(world: World) -> None:
    async with asyncio.timeout(30):
        while (await world.clients["gateway"].get("/v1/suites")).status_code != 200:
            await asyncio.sleep(0.05)


async def _create(found: Cluster) -> None:
    db = await asyncpg.connect(host=str(found.home), user="postgres", database="postgres")
    await db.execute("CREATE DATABASE esrp")
    await db.close()


async def _a_run(world: World) -> UUID:
    answer = await world.clients["gateway"].post("/v1/runs", json=a_run_request(suite="esrp-en"))
    assert answer.status_code == 202, answer.text
    return decode("run", answer.json()["id"])


@asynccontextmanager
async def opened(home: Path, redis_url: str, key_file: Path) -> AsyncIterator[World]:
    """The services' apps over a cluster, with whom may ask them."""
    settings = Settings(
        database_url=url(home, "esrp"),
        redis_url=redis_url,
        secret_key_file=key_file,
        bootstrap_key=BOOTSTRAP,
        services=ServiceUrls(generator="unix:/nowhere/g", judge="unix:/nowhere/j", analytics="unix:/nowhere/a"),
        simulator=ModelSettings(base_url="http://127.0.0.1:1/v1", model="simulator"),
        judges=[JudgeSettings(name="default", base_url="http://127.0.0.1:1/v1", model="judge")],
        rate_limit_per_minute=10_000,
    )
    keys = KeyFile(key_file)
    judging = open_engine(settings.database_url, "esrp_judge")
    queue = RecordedQueue()
    slices = Slices(judging, queue, "judge")
    judge = JudgeResources(settings, judging, queue, keys, {"default": ScriptedRater()}, slices)
    async with open_gateway(settings) as gateway, open_analytics(settings) as analytics:
        await seed(gateway)
        apps = {"gateway": gateway_app(gateway), "analytics": analytics_app(analytics), "judge": judge_app(judge)}
        headers = {"Authorization": f"Bearer {BOOTSTRAP}", INTERNAL: keys.internal_token}
        async with AsyncExitStack() as stack:
            clients = {
                name: await stack.enter_async_context(
                    httpx2.AsyncClient(
                        transport=httpx2.ASGITransport(app=app, raise_app_exceptions=False),
                        base_url="http://x",
                        headers=headers,
                        timeout=60,
                    )
                )
                for name, app in apps.items()
            }
            yield World(home, gateway, clients, list(_operations(apps["gateway"].openapi())))
    await judging.dispose()


def _operations(document: dict[str, Any]) -> Iterator[Call]:
    """Every public operation, with names in its path that may be there."""
    for path, methods in document["paths"].items():
        for method in methods:
            if path.startswith("/v1/"):
                yield method.upper(), re.sub(r"\{(\w+)\}", lambda found: IDS.get(found[1], "x"), path), {}
