"""A run with played dialogues in a real database, and judges by script."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from esrp.dialogue import Dialogue
from esrp.metrics import METRIC_IDS, Language
from services.judge.rating import Rater, Score, Verdict
from services.judge.resources import Resources
from services.kit.db import count, json, open_engine, rows
from services.kit.endpoint import Reply, Usage
from services.kit.ids import dialogue_id, uuid7
from services.kit.queue import RecordedQueue
from services.kit.secrets import KeyFile
from services.kit.settings import Settings
from services.work.budget import Errand
from services.work.loop import Slices
from services.work.seats import Seats
from tests.builders import a_suite

NINE = {metric: Score(4, "fits") for metric in METRIC_IDS}
TURNS = [{"user": "Question?", "assistant": "Reply."}]


@dataclass
class ScriptedRater:
    """Answers once it is opened, and knows how many asked at once."""

    max_concurrency: int = 64
    answer: Callable[[Dialogue], Verdict] = lambda _: Verdict(NINE, "{…}", usage=Usage(1, 100, 50))
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    seats: Seats | None = None
    rated: list[tuple[Dialogue, Language]] = field(default_factory=list)
    busy: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        self.opened.set()

    async def rate(self, dialogue: Dialogue, language: Language, errand: Errand) -> Verdict:
        if self.seats is None:
            return await self._answer(dialogue, language)
        verdicts: list[Verdict] = []

        async def attempt() -> Reply:
            verdicts.append(await self._answer(dialogue, language))
            return Reply("{…}", None, 1, 1, 0.0)

        await self.seats.call(attempt, errand.stopped)
        return verdicts[0]

    async def _answer(self, dialogue: Dialogue, language: Language) -> Verdict:
        self.rated.append((dialogue, language))
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        await self.opened.wait()
        await asyncio.sleep(0)
        self.busy -= 1
        return self.answer(dialogue)


@dataclass
class Court:
    """One run of `a_suite`, and what a judge's process has."""

    resources: Resources
    queue: RecordedQueue
    owner: AsyncEngine
    run_id: UUID

    async def play(self, dialogues: int, state: str = "done") -> None:
        """More dialogues of the run that are in ``state``."""
        before = len(await self.all("SELECT id FROM generator.dialogues"))
        for position in range(before, before + dialogues):
            character, scenario = f"c{position // 30 + 1}", f"s{position % 30 + 1}"
            await self.do(
                "INSERT INTO generator.dialogues"
                " (id, tenant_id, run_id, position, character, scenario, replicate, state, turns) VALUES"
                " (:id, :run, :run, :position, :character, :scenario, 1, :state, CAST(:turns AS jsonb))",
                id=dialogue_id(self.run_id, character, scenario, 1, position),
                run=self.run_id,
                position=position,
                character=character,
                scenario=scenario,
                state=state,
                turns=json(TURNS),
            )

    async def verdicts(self) -> list[RowMapping]:
        return await self.all("SELECT * FROM judge.verdicts ORDER BY judge, id")

    async def states(self) -> Mapping[str, int]:
        found = await self.all("SELECT state, count(*) AS n FROM judge.verdicts GROUP BY state")
        return {row["state"]: row["n"] for row in found}

    async def all(self, sql: str, **values: Any) -> list[RowMapping]:
        async with self.owner.begin() as tx:
            return await rows(tx, sql, **values)

    async def do(self, sql: str, **values: Any) -> int:
        async with self.owner.begin() as tx:
            return await count(tx, sql, **values)


Convene = Callable[..., Awaitable[Court]]


@pytest.fixture
async def convene(database: str, redis_url: str, key_file: Path) -> AsyncIterator[Convene]:
    """``court = await convene({"default": rater}, judges=["default"])``; more than once: processes on one database."""
    engines: list[AsyncEngine] = []
    runs: list[UUID] = []

    async def start(raters: Mapping[str, Rater], judges: Sequence[str] | None = None) -> Court:
        engine, owner = open_engine(database, "esrp_judge"), open_engine(database, "postgres")
        engines.extend((engine, owner))
        settings = Settings(database_url=database, redis_url=redis_url, secret_key_file=key_file)
        queue = RecordedQueue()
        resources = Resources(settings, engine, queue, KeyFile(key_file), raters, Slices(engine, queue, "judge"))
        court = Court(resources, queue, owner, runs[0] if runs else uuid7())
        if not runs:
            runs.append(court.run_id)
            await _insert_run(court, list(raters) if judges is None else list(judges))
        return court

    yield start
    for engine in engines:
        await engine.dispose()


async def _insert_run(court: Court, judges: list[str]) -> None:
    suite = a_suite(characters=3, scenarios=30)
    await court.do(
        "INSERT INTO gateway.suites (id, tenant_id, name, version, sha256, language, document)"
        " VALUES (:id, :id, 'tiny', 1, 'x', 'en', CAST(:document AS jsonb))",
        id=court.run_id,
        document=suite.model_dump_json(),
    )
    await court.do(
        "INSERT INTO gateway.runs (id, tenant_id, suite_id, suite_label, candidate, candidate_name, judges, rounds,"
        " replicates, labels, plan, manifest, manifest_sha256, status) VALUES"
        " (:id, :id, :id, 'tiny@1', '{}', 'bot', CAST(:judges AS text[]), 2, 1, '{}', '{}', '{}', 'x', 'running')",
        id=court.run_id,
        judges=judges,
    )
