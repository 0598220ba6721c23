"""The one migration history, on a real server."""

import pytest
from sqlalchemy.exc import ProgrammingError

from services.kit.db import open_engine, rows


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
