"""One Postgres, a schema and a role each."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import orjson
from sqlalchemy import RowMapping, event
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, DisconnectionError, InvalidRequestError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql import text
from sqlalchemy.util import greenlet_spawn

from migrations import HEAD

# What a statement can fail with, on the way to Postgres or there: SQLAlchemy's errors; those of its adapter, which come
# bare where a connection is taken for asyncpg itself (``fetch``); and asyncpg's own.
FAILURES: tuple[type[Exception], ...] = (
    DBAPIError,
    PoolTimeout,
    PendingRollbackError,
    AsyncAdapt_asyncpg_dbapi.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
CLOSED = re.compile(r"connection (is|was) closed")  # asyncpg and SQLAlchemy on what they notice by themselves

Row = TypeVar("Row")
IDLE = "5s"  # of a transaction without a statement; well below a lease


def is_away(error: BaseException) -> bool:
    """Whether the failure may pass by itself: Postgres is gone, restarting or too busy (SQLSTATE 08, 53, 57)."""
    if isinstance(error, PoolTimeout | PendingRollbackError | OSError):  # pending: the connection went before
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = getattr(error, "orig", error)
    if state := getattr(cause, "sqlstate", None):
        return state[:2] in ("08", "53", "57")
    return isinstance(error, (*FAILURES, InvalidRequestError)) and CLOSED.search(str(cause)) is not None


def open_engine(url: str, role: str, *, pool_size: int = 8) -> AsyncEngine:
    """An engine that works with the rights of ``role`` only.

    The role is a start-up parameter, so that one URL of an owner serves all services, and a superuser's URL does not
    bypass the grants. A connection that Postgres has closed, say by a restart, is not used again: asyncpg knows of that
    without asking, where ``pool_pre_ping`` takes three round trips each time. A worker that is stopped within a
    transaction does not hold its rows for longer than ``IDLE``.
    """
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # they are dialogues and secrets
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
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, *_: Any) -> None:
    """The pool then takes a new one."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection for statements that read, each a transaction by itself: that spares BEGIN and COMMIT."""
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


async def fetch(engine: AsyncEngine, sql: str, *values: Any) -> Mapping[str, Any] | None:
    """The first row of a statement with ``$1``, … that reads, by asyncpg itself.

    For what every request asks: it takes 0.04 ms of a processor, where ``reading`` and ``row`` take 0.16 ms.
    """
    pooled = await engine.raw_connection()
    try:
        connection = pooled.driver_connection
        assert connection is not None
        found: Mapping[str, Any] | None = await connection.fetchrow(sql, *values)
    except asyncpg.InterfaceError as error:  # closed since the pool gave it out
        raise ConnectionError(str(error)) from error
    finally:
        await greenlet_spawn(pooled.close)
    return found


async def rows(tx: AsyncConnection, sql: str, **values: Any) -> list[RowMapping]:
    """All rows of a statement, as mappings."""
    return list((await tx.execute(text(sql), values)).mappings())


async def row(tx: AsyncConnection, sql: str, **values: Any) -> RowMapping | None:
    """The first row of a statement, if there is one."""
    return (await tx.execute(text(sql), values)).mappings().first()


async def one(tx: AsyncConnection, of: type[Row], sql: str, **values: Any) -> Row | None:
    """The first row of a statement as a value of the class whose fields its columns are, if there is one."""
    found = (await tx.execute(text(sql), values)).mappings().first()
    return None if found is None else of(**found)


async def many(tx: AsyncConnection, of: type[Row], sql: str, **values: Any) -> list[Row]:
    """All rows of a statement, likewise."""
    result = await tx.execute(text(sql), values)
    names = tuple(result.keys())
    return [of(**dict(zip(names, found, strict=True))) for found in result]  # a third of what mappings take


async def count(tx: AsyncConnection, sql: str, **values: Any) -> int:
    """How many rows a statement that changes things has changed."""
    return (await tx.execute(text(sql), values)).rowcount


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
