"""The one migration history, on a real server."""

from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import migrations
from migrations import HEAD
from services.kit.db import count, open_engine, rows
from services.kit.migrate import upgraded
from services.work.watermark import look, seen


async def test_a_service_reads_what_another_publishes_and_cannot_write_it(database: str) -> None:
    engine = open_engine(database, "esrp_judge")
    async with engine.begin() as tx:
        assert await rows(tx, "SELECT * FROM generator.dialogues_v1") == []
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with engine.begin() as tx:
            await rows(tx, "DELETE FROM generator.dialogues RETURNING id")
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with engine.begin() as tx:
            await rows(tx, "SELECT * FROM gateway.secrets_v1")
    await engine.dispose()


async def test_what_the_tables_count_of_themselves_is_what_a_count_finds(database: str) -> None:
    engine = open_engine(database, "esrp_generator")
    runs = [uuid4() for _ in range(3)]
    chance = Random(7)
    for run in runs:
        async with engine.begin() as tx:
            await count(
                tx,
                "INSERT INTO generator.dialogues"
                " (id, tenant_id, run_id, position, character, scenario, replicate, state)"
                " SELECT gen_random_uuid(), :run, :run, n, 'saber', 's01', n, 'waiting' FROM generate_series(1, 40) n",
                run=run,
            )
    for state in ("playing", "done", "failed", "waiting", "done") * 2:
        async with engine.begin() as tx:
            await count(
                tx,
                "UPDATE generator.dialogues SET state = :state, candidate_calls = candidate_calls + 2,"
                " simulator_completion_tokens = simulator_completion_tokens + position"
                " WHERE run_id = ANY(:runs) AND position % :every = 0",
                state=state, runs=runs[chance.randrange(3) :], every=chance.randrange(1, 5),
            )  # fmt: skip
    summed = (
        "SELECT run_id, sum({written})::int AS written, sum({done})::int AS done, sum({failed})::int AS failed,"
        " sum(candidate_calls)::int AS calls, sum(simulator_completion_tokens)::int AS tokens FROM {table}"
        " GROUP BY run_id ORDER BY run_id"
    )
    kept = summed.format(written="written", done="done", failed="failed", table="generator.tallies")
    counted = summed.format(
        written="1",
        done="(state = 'done')::int",
        failed="(state = 'failed')::int",
        table="generator.dialogues",
    )
    async with engine.begin() as tx:
        assert await rows(tx, kept) == await rows(tx, counted) != []
    await engine.dispose()


async def test_a_row_that_ended_says_in_which_transaction_and_one_at_work_does_not(database: str) -> None:
    engine = open_engine(database, "esrp_generator")
    async with engine.begin() as tx:
        await count(
            tx,
            "INSERT INTO generator.dialogues (id, tenant_id, run_id, position, character, scenario, replicate, state)"
            " SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), n, 'saber', 's01', n, 'playing'"
            " FROM generate_series(1, 2) n",
        )
    async with engine.begin() as tx:
        await count(tx, "UPDATE generator.dialogues SET state = 'done' WHERE position = 1")
        found = await rows(
            tx, "SELECT changed_in = pg_current_xact_id() AS ours FROM generator.dialogues_v1 ORDER BY position"
        )
    assert [r["ours"] for r in found] == [True, None]
    await engine.dispose()


async def test_a_migration_can_be_taken_back_and_done_again(database: str) -> None:
    engine = create_async_engine(database, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_back)
    await upgraded(database)
    async with engine.begin() as tx:
        assert (await rows(tx, "SELECT version_num FROM public.alembic_version"))[0]["version_num"] == HEAD
    await engine.dispose()


def _back(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    command.downgrade(config, "-1")


async def test_a_mark_of_another_cluster_lets_everything_be_looked_at_again(database: str) -> None:
    engine, run = open_engine(database, "esrp_judge"), uuid4()
    async with engine.begin() as tx:
        looked = await look(tx, "judge.expected", run)
        await seen(tx, "judge.expected", run, run, looked)
    async with engine.begin() as tx:
        ours = await look(tx, "judge.expected", run)
        await count(tx, "UPDATE judge.expected SET upto = '9000000000000'")
        theirs = await look(tx, "judge.expected", run)
    assert (ours.since, theirs.since) == (looked.upto, "0")
    await engine.dispose()
