"""Bring the database to the newest revision; safe to run from several places at once."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import migrations
from services.kit.settings import load

LOCK = 0x45535250  # "ESRP"


def upgrade(url: str) -> None:
    """Migrate the database at ``url`` (its owner's) to the head revision."""
    asyncio.run(upgraded(url))


async def upgraded(url: str) -> None:
    """``upgrade`` on a running event loop."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


if __name__ == "__main__":
    upgrade(load().database_url)
