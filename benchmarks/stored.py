"""What is stored before it is read: a thousand runs of a hundred dialogues, and studies of the paper's size."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from benchmarks.analytics import CHARACTERS, SCENARIOS, dialogues, suite
from esrp.metrics import METRIC_IDS
from services.kit.ids import decode, encode
from tests.builders import a_run_request, a_suite
from tests.chaos.harness import Stack
from tests.fakes import Models

CANDIDATES, RATERS = 20, 9  # of the leaderboard, with one rater each; of the two runs that have 97,200 ratings each

# Ids of a copy follow from the original's and the copy's number, so that its rows still belong together.
RUN = "md5($1::uuid::text || n)::uuid"
OWN, DIALOGUE = "md5(t.id::text || n)::uuid", "md5(t.dialogue_id::text || n)::uuid"
TABLES: dict[str, dict[str, str]] = {
    "gateway.runs": {"id": RUN, "created_at": "t.created_at + n * interval '1 ms'"},
    "generator.dialogues": {"run_id": RUN, "id": OWN},
    "judge.verdicts": {"run_id": RUN, "id": OWN, "dialogue_id": DIALOGUE},
    "judge.diversity_verdicts": {"run_id": RUN, "id": OWN},
    "judge.diversity_plans": {"run_id": RUN},
    "analytics.ratings": {"run_id": RUN, "dialogue_id": DIALOGUE},
    "analytics.rated": {"run_id": RUN},
    "analytics.reports": {"run_id": RUN},
}

UNDONE = "SELECT FROM analytics.rated WHERE agreed < changes UNION ALL SELECT FROM analytics.unmeasured"


@dataclass(frozen=True, slots=True)
class Stored:
    """Ids of runs: one of the thousand, from their middle; two of 10,800 ratings; two of 97,200. ``board``: a suite."""

    run: str
    pair: Sequence[str]
    large: Sequence[str]
    board: str


async def stored(esrp: Stack, models: Models, runs: int) -> Stored:
    """All of it, as autovacuum would leave it."""
    run = await _many(esrp, models, runs)
    started = time.monotonic()
    ranked = [await _study(esrp, "board", number, 1) for number in range(CANDIDATES)]
    large = [await _study(esrp, "large", number, RATERS) for number in range(2)]
    while await esrp.fetch(UNDONE):  # what is computed in the background is no part of a read
        await asyncio.sleep(1)
    async with esrp.connected() as connection:
        await connection.execute("VACUUM (ANALYZE)", timeout=900)
    print(f"{CANDIDATES + 2} studies stored in {time.monotonic() - started:.0f} s", flush=True)
    return Stored(run, ranked[:2], large, "board")


# --- many runs --------------------------------------------------------------------------------------------------------


async def _many(esrp: Stack, models: Models, runs: int) -> str:
    """Play one run and store it so often."""
    await esrp.client.upload_suite(a_suite(10, 10).model_dump(mode="json"))
    started = time.monotonic()
    run = await esrp.client.wait((await esrp.client.create_run(a_run_request(models.base_url))).id)
    assert run.status == "succeeded", run
    async with esrp.connected() as connection:
        for table in TABLES:
            await _copied(connection, table, decode("run", run.id), runs - 1)
        [middle] = await connection.fetch("SELECT md5($1::uuid::text || $2)::uuid AS id", decode("run", run.id), "500")
    print(f"{runs} runs stored in {time.monotonic() - started:.0f} s", flush=True)
    return encode("run", UUID(str(middle["id"]))) if runs > 500 else run.id


async def _copied(connection: asyncpg.Connection, table: str, run: UUID, times: int) -> None:
    """Store the table's rows of the run so often."""
    found = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
        table,
    )
    names, changes = [column["attname"] for column in found], TABLES[table]
    values = ", ".join(changes.get(name, f't."{name}"') for name in names)
    quoted = ", ".join(f'"{name}"' for name in names)
    key = "id" if table == "gateway.runs" else "run_id"
    sql = f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table} t, generate_series(1, $2::int) n"
    await connection.execute(f"{sql} WHERE t.{key} = $1", run, times, timeout=900)


# --- studies ----------------------------------------------------------------------------------------------------------


async def _study(esrp: Stack, name: str, number: int, raters: int) -> str:
    """A candidate's recorded conversations, 20 × 60, with the ratings of so many people, and its report."""
    client = esrp.client
    if not number:
        await client.upload_suite({**suite(), "name": name})
    transcript = await client.import_transcript(f"{name}-{number}", name, dialogues(number))
    run = await client.create_run(
        {"suite": name, "candidate": {"kind": "transcript", "transcript": transcript.id}, "judges": []}
    )
    await client.wait(run.id)
    await client.import_ratings(_ratings(run.id, number, raters), "text/csv")
    await client.report(run.id)
    return run.id


def _ratings(run: str, number: int, raters: int) -> bytes:
    """Candidates differ a little, so that some are apart and some are tied."""
    chance = random.Random(number)
    scores = [min(5, 1 + round(chance.betavariate(4 + number / 10, 2) * 4)) for _ in range(4096)]
    rows = [
        f"{run},c{c},s{s},{metric},r{rater},{chance.choice(scores)}"
        for c in range(CHARACTERS)
        for s in range(SCENARIOS)
        for rater in range(raters)
        for metric in METRIC_IDS
    ]
    return "\n".join(["run,character,scenario,metric,rater,score", *rows]).encode()
