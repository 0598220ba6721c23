"""What others hold on to is as it was: the commands' help, the schema, the messages on the queue."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints
from uuid import UUID

import pytest
import redis.asyncio
import typer
from typer.core import TyperGroup

from esrp.cli.app import app
from services import jobs
from services.kit.queue import ArqQueue, Job
from tests.goldens.golden import hold
from tests.servers import binaries

# What a field of a message holds here, by its type.
EXAMPLES: dict[type, Any] = {UUID: UUID("01980000-0000-7000-8000-000000000001")}


def test_the_help_of_every_command(subtests: pytest.Subtests) -> None:
    hold("help", dict(helps(typer.main.get_command(app), "esrp")), subtests)


async def test_the_schema_of_a_migrated_database(database: str, postgres: Path, subtests: pytest.Subtests) -> None:
    name = database.partition("?")[0].rpartition("/")[2]
    command = [str(binaries() / "pg_dump"), "-s", "-h", str(postgres), "-U", "postgres", name]
    dumped = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True)
    # Which pg_dump wrote it, and its one-time tokens, say nothing about the schema.
    own = ("-- Dumped ", "\\restrict ", "\\unrestrict ")
    lines = [line for line in dumped.stdout.splitlines(keepends=True) if not line.startswith(own)]
    hold("schema", {"schema.sql": "".join(lines)}, subtests)


async def test_every_message_as_it_lies_on_the_queue(redis_url: str, subtests: pytest.Subtests) -> None:
    kinds = [found for found in vars(jobs).values() if isinstance(found, type) and issubclass(found, Job)]
    lines = [await on_the_queue(redis_url, example(kind)) for kind in kinds if kind is not Job]
    hold("jobs", {"messages.jsonl": "".join(sorted(lines))}, subtests)


def example(kind: type[Job]) -> Job:
    """A message with the same content each time."""
    hints = get_type_hints(kind)
    return kind(**{field.name: EXAMPLES[hints[field.name]] for field in fields(kind)})


async def on_the_queue(url: str, job: Job) -> str:
    """What the message is in Valkey, without the time at which it was put there."""
    queue = ArqQueue(url)
    await queue.ring(job)
    await queue.close()
    client = redis.asyncio.Redis.from_url(url)
    [key] = await client.keys("arq:job:*")
    [listed] = await client.keys("esrp:*")
    message = json.loads(await client.get(key))
    await client.flushall()
    await client.aclose()
    message["et"] = "<time>"
    return json.dumps({"queue": listed.decode(), "message": message}) + "\n"


def helps(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, str]]:
    """The help of a command and of all below it in 80 columns, by the names of their files."""
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=80, color=False)
    yield f"{context.command_path.replace(' ', '-')}.txt", command.get_help(context) + "\n"
    if isinstance(command, TyperGroup):
        for below in command.list_commands(context):
            yield from helps(command.get_command(context, below), below, context)
