"""An environment for each peer, made once in a cache folder and used again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 900  # seconds for one installation; promptfoo has 700 packages
MADE = ".made"  # stands in an environment that was made to the end


class NotInstalled(Exception):
    """The peer cannot be had here; the message says why."""


def default_cache() -> Path:
    """Where environments are kept if nobody says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "esrp-benchmarks"


def python_environment(folder: Path, packages: Sequence[str]) -> Path:
    """A virtual environment with these packages: the path of its Python. ``NotInstalled`` if that fails."""
    python = folder / "bin" / "python"
    if not (folder / MADE).exists():
        _done([sys.executable, "-m", "venv", "--clear", str(folder)])
        _done([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        (folder / MADE).touch()
    return python


def node_package(folder: Path, package: str) -> Path:
    """A folder with this package from npm: the path of its command. ``NotInstalled`` if that fails."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotInstalled("there is no node and npm on this machine")
    if not (folder / MADE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text('{"private": true}\n', "utf-8")  # npm refuses a folder without one
        _done(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder), package])
        (folder / MADE).touch()
    return folder / "node_modules" / ".bin" / package


def python_version(python: Path, package: str) -> str:
    """The version that is installed."""
    code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    return _done([str(python), "-c", code, package]).strip()


def node_version(command: Path, package: str) -> str:
    """The version that is installed."""
    description = command.parents[1] / package / "package.json"
    return str(json.loads(description.read_text("utf-8"))["version"])


def _done(command: list[str]) -> str:
    """What the command prints; ``NotInstalled`` with the last that it complained of if it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{Path(command[0]).name}: {error}") from error
    if ended.returncode != 0:
        lines = [line for line in ended.stderr.splitlines() if line.strip() and "complete log" not in line]
        said = [line for line in lines if "error" in line.lower()] or lines
        why = said[-1].strip() if said else f"exit code {ended.returncode}"
        raise NotInstalled(f"{Path(command[0]).name} failed: {why}")
    return ended.stdout
