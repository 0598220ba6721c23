"""An analytics service over a real database, and an upstream world written by hand."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from httpx2 import ASGITransport, AsyncClient

from esrp.metrics import METRIC_IDS
from services.analytics.app import create_app
from services.analytics.resources import Resources
from services.kit.aside import Aside, Pool
from services.kit.db import open_engine
from services.kit.ids import dialogue_id, encode, verdict_id
from services.kit.queue import RecordedQueue
from services.kit.secrets import KeyFile
from services.kit.settings import Settings
from services.kit.web import INTERNAL

TENANT = UUID(int=1)
KEY = UUID(int=7)
REPLY = "It is all right to be tired. " * 2
Scores = Mapping[str, int]


@dataclass
class World:
    """What gateway, generator and judge publish, as a superuser writes it; and the service that reads it."""

    db: "asyncpg.Connection[asyncpg.Record]"
    resources: Resources
    queue: RecordedQueue
    client: AsyncClient
    ids: dict[UUID, list[tuple[UUID, str, str | None, int]]] = field(default_factory=dict)

    async def run(
        self,
        characters: int = 2,
        scenarios: int = 3,
        *,
        status: str = "running",
        phase: str | None = "judging",
        judges: tuple[str, ...] = ("default",),
        tenant: UUID = TENANT,
        own_logs: int = 0,
        replicates: int = 1,
        played: bool = True,
    ) -> UUID:
        """A run over c0, c1, … × s0, s1, …, with its dialogues played."""
        run_id, suite_id = uuid4(), uuid4()
        pairs: list[tuple[str, str | None]] = [(f"c{c}", f"s{s}") for s in range(scenarios) for c in range(characters)]
        pairs += [("c0", None)] * own_logs
        await self.db.execute(
            "INSERT INTO gateway.suites (id, tenant_id, name, version, sha256, language, document)"
            " VALUES ($1, $2, $3, 1, 'suite-hash', 'en', '{}')",
            suite_id, tenant, str(suite_id),
        )  # fmt: skip
        await self.db.execute(
            "INSERT INTO gateway.runs (id, tenant_id, suite_id, suite_label, candidate, candidate_name, judges, rounds,"
            " replicates, labels, plan, manifest, manifest_sha256, status, phase)"
            " VALUES ($1, $2, $3, 'tiny@1', '{}', 'bot', $4, 2, $5, '{}', $6, '{}', 'manifest-hash', $7, $8)",
            run_id, tenant, suite_id, list(judges), replicates, json.dumps({"dialogues": len(pairs) * replicates}),
            status, phase,
        )  # fmt: skip
        turns = json.dumps([{"user": "I am tired.", "assistant": REPLY}] * 2)
        self.ids[run_id] = [
            (dialogue_id(run_id, character, scenario, replicate, position), character, scenario, replicate)
            for replicate in range(1, replicates + 1)
            for position, (character, scenario) in enumerate(pairs)
        ]
        await self.db.executemany(
            "INSERT INTO generator.dialogues (id, tenant_id, run_id, position, character, scenario, replicate, state,"
            " turns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                (id, tenant, run_id, n, character, scenario, replicate, "done" if played else "waiting", turns)
                for n, (id, character, scenario, replicate) in enumerate(self.ids[run_id])
            ],
        )
        return run_id

    async def judge(self, run_id: UUID, at: int, scores: Scores | int | None, judge: str = "default") -> None:
        """The judge's verdict on the dialogue at a position; ``None``: it failed."""
        given = dict.fromkeys(METRIC_IDS, scores) if isinstance(scores, int) else scores or {}
        id, character, scenario, replicate = self.ids[run_id][at]
        await self.db.execute(
            "INSERT INTO judge.verdicts (id, tenant_id, run_id, dialogue_id, character, scenario, replicate, judge,"
            " state, scores, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            verdict_id(id, judge), TENANT, run_id, id, character, scenario, replicate, judge,
            "failed" if scores is None else "done",
            json.dumps({metric: {"score": score, "explanation": None} for metric, score in given.items()}),
            json.dumps({"code": "timeout", "message": "The judge took too long."}) if scores is None else None,
        )  # fmt: skip

    async def judge_all(self, run_id: UUID) -> None:
        """A verdict on every dialogue, with scores that differ."""
        for at in range(len(self.ids[run_id])):
            await self.judge(run_id, at, {metric: 2 + (3 * at + n) % 4 for n, metric in enumerate(METRIC_IDS)})

    async def update(self, run_id: UUID, **columns: Any) -> None:
        """Change the run, as the gateway would."""
        for column, value in columns.items():
            await self.db.execute(f"UPDATE gateway.runs SET {column} = $2 WHERE id = $1", run_id, value)

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        found: int = await self.db.fetchval(f"SELECT count(*) FROM {table}")
        return found

    async def report(self, run_id: UUID, **query: str) -> dict[str, Any]:
        """The report as the gateway reads it."""
        answer = await self.client.get(f"/internal/runs/{run_id}/report", params={"tenant": str(TENANT), **query})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def send(self, body: str | bytes, content_type: str = "text/csv", **query: str) -> httpx2.Response:
        """Import a file of ratings."""
        return await self.client.post(
            "/internal/ratings",
            params={"tenant": str(TENANT), "key": str(KEY), "key_name": "ci", **query},
            content=body.encode() if isinstance(body, str) else body,
            headers={"Content-Type": content_type},
        )

    def rows(self, run_id: UUID, score: int = 4, rater: str = "r1") -> list[dict[str, Any]]:
        """A rating of every dialogue and metric."""
        return [
            {
                "run": encode("run", run_id),
                "character": character,
                "scenario": scenario or "",
                "metric": metric,
                "rater": rater,
                "score": score,
            }
            for _, character, scenario, _ in self.ids[run_id]
            for metric in METRIC_IDS
        ]


def csv(rows: list[dict[str, Any]]) -> str:
    """The rows as a CSV file, in the columns of the first."""
    return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n"


@pytest.fixture(scope="session")
def pools() -> Iterator[tuple[Pool, Pool]]:
    """Processes for figures and for reports, begun once for all tests."""
    figures, reports = Pool(), Pool()
    yield figures, reports
    figures.close()
    reports.close()


@pytest.fixture
async def world(database: str, key_file: Path, pools: tuple[Pool, Pool]) -> AsyncIterator[World]:
    """An empty world."""
    keys, queue = KeyFile(key_file), RecordedQueue()
    settings = Settings(database_url=database, redis_url="unix:///nowhere", secret_key_file=key_file)
    figures, reports = Aside("figures", pool=pools[0]), Aside("reports", pool=pools[1])
    engine = open_engine(database, "esrp_analytics")
    resources = Resources(settings, engine, queue, keys, figures, reports)
    db = await asyncpg.connect(database.replace("+asyncpg", ""))
    headers = {INTERNAL: keys.internal_token}
    async with AsyncClient(transport=ASGITransport(create_app(resources)), base_url="http://a", headers=headers) as web:
        yield World(db, resources, queue, web)
    await db.close()
    await resources.engine.dispose()
