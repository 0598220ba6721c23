"""Seeded runs through all four services give, byte for byte, what they gave when their files were written."""

import pytest

from tests.goldens.golden import hold
from tests.goldens.played import documents, metric_names, play
from tests.goldens.record import Record
from tests.pipeline.conftest import Stack


@pytest.mark.asyncio(loop_scope="module")
async def test_seeded_runs_and_what_the_services_say_of_themselves(services: Stack, subtests: pytest.Subtests) -> None:
    record = Record(services)
    await play(record)
    hold("runs", record.files, subtests)
    hold("openapi", await documents(record), subtests)
    hold("metrics", await metric_names(record), subtests)
