"""Checked-in files beside what came out now: a unified diff where they differ, or written anew where that is asked."""

import os
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path

import pytest

FILES = Path(__file__).with_name("files")
WRITE = "ESRP_WRITE_GOLDENS"


def hold(part: str, made: Mapping[str, str], subtests: pytest.Subtests) -> None:
    """All files of a part of ``files/`` are these and no others; each that is not fails by itself with its diff.

    With ``ESRP_WRITE_GOLDENS`` in the environment they are made so.
    """
    folder = FILES / part
    if os.environ.get(WRITE):
        write(folder, made)
    for name in sorted({*made, *names(folder)}):
        with subtests.test(f"{part}/{name}"):
            if told := difference(folder, name, made.get(name)):
                pytest.fail(told, pytrace=False)


def names(folder: Path) -> set[str]:
    """The files below the folder, by their paths in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def difference(folder: Path, name: str, now: str | None) -> str:
    """What differs between the file and ``now``, from the file to it; empty if nothing does."""
    path = folder / name
    before = path.read_bytes().decode() if path.is_file() else None
    if before == now:
        return ""
    old, new = ([] if text is None else text.splitlines(keepends=True) for text in (before, now))
    ends = (f"{name} as it was" if old else "no file", f"{name} now" if new else "nothing")
    lines = [line if line.endswith("\n") else f"{line}\n\\ no newline\n" for line in unified_diff(old, new, *ends)]
    return "".join(lines) + "If this is wanted: make goldens"


def write(folder: Path, made: Mapping[str, str]) -> None:
    """Make the folder hold these files and no others."""
    for name in names(folder) - made.keys():
        (folder / name).unlink()
    for name, text in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
