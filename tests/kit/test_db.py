"""Connections: what happens to them when Postgres closes them, and what a read costs."""

import asyncio

from services.kit.db import open_engine, reading, row


async def test_a_connection_that_postgres_has_closed_is_not_used_again(database: str) -> None:
    engine, other = open_engine(database, "esrp_gateway"), open_engine(database, "postgres")
    async with engine.begin() as one, engine.begin() as two:
        await row(one, "SELECT 1")
        await row(two, "SELECT 1")
    async with other.begin() as tx:
        await row(
            tx, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'esrp_gateway'"
        )
    await asyncio.sleep(0.1)  # until the sockets are seen to be closed
    async with engine.begin() as one, reading(engine) as two:
        assert await row(one, "SELECT 1 AS it") == await row(two, "SELECT 1 AS it")
    for opened in (engine, other):
        await opened.dispose()


async def test_a_read_leaves_no_transaction_and_a_connection_is_as_before_after_it(database: str) -> None:
    engine = open_engine(database, "esrp_gateway", pool_size=1)
    async with reading(engine) as tx:
        first = await row(tx, "SELECT now() AS at, pg_backend_pid() AS pid")
        await asyncio.sleep(0.01)
        second = await row(tx, "SELECT now() AS at, pg_backend_pid() AS pid")
    assert first is not None and second is not None
    assert first["pid"] == second["pid"] and first["at"] < second["at"]  # two transactions
    async with engine.begin() as tx:
        first, second = await row(tx, "SELECT now() AS at"), await row(tx, "SELECT now() AS at")
    assert first == second  # one
    await engine.dispose()
