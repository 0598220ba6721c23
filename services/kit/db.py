"""One Postgres, a schema and a role each."""

import asyncio
from typing import Any

import asyncpg
import orjson
from sqlalchemy import RowMapping
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql import text

from migrations import HEAD

# What a statement can fail with, on the way to Postgres or there.
FAILURES = (DBAPIError, PoolTimeout, asyncpg.PostgresError, OSError)

IDLE = "5s"  # of a transaction without a statement; well below a lease


def is_away(error: BaseException) -> bool:
    """Whether the failure may pass by itself: Postgres is gone, restarting or too busy (SQLSTATE 08, 53, 57)."""
    if isinstance(error, PoolTimeout | OSError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    return state[:2] in ("08", "53", "57")


def open_engine(url: str, role: str, *, pool_size: int = 8) -> AsyncEngine:
    """An engine that works with the rights of ``role`` only.

    The role is a start-up parameter, so that one URL of an owner serves all services, and a superuser's URL does not
    bypass the grants. A dead connection is noticed before use (``pool_pre_ping``): Postgres may have been restarted.
    A worker that is stopped within a transaction does not hold its rows for longer than ``IDLE``.
    """
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # they are dialogues and secrets
        pool_pre_ping=True,
        connect_args={
            "server_settings": {
                "role": role,
                "application_name": role,
                "idle_in_transaction_session_timeout": IDLE,
            },
            "timeout": 10,
            "command_timeout": 60,
        },
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )


async def rows(tx: AsyncConnection, sql: str, **values: Any) -> list[RowMapping]:
    """All rows of a statement, as mappings."""
    return list((await tx.execute(text(sql), values)).mappings())


async def row(tx: AsyncConnection, sql: str, **values: Any) -> RowMapping | None:
    """The first row of a statement, if there is one."""
    return (await tx.execute(text(sql), values)).mappings().first()


async def count(tx: AsyncConnection, sql: str, **values: Any) -> int:
    """How many rows a statement that changes things has changed."""
    return (await tx.execute(text(sql), values)).rowcount


async def forget_deleted(tx: AsyncConnection, *tables: str) -> None:
    """Remove what the caller's own tables hold of runs that were deleted."""
    for table in tables:
        await count(tx, f"DELETE FROM {table} t USING gateway.deletions_v1 d WHERE t.run_id = d.run_id")


def json(value: Any) -> str:
    """``value`` for a ``CAST(:x AS jsonb)``."""
    return orjson.dumps(value).decode()


async def answers(engine: AsyncEngine) -> bool:
    """Whether Postgres answers within two seconds and the database is at the newest revision."""
    try:
        async with asyncio.timeout(2), engine.begin() as tx:
            found = await row(tx, "SELECT version_num FROM public.alembic_version")
    except FAILURES:
        return False
    return found is not None and found["version_num"] == HEAD
