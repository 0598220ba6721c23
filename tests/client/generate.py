"""Makes the client that waits out of the one for asyncio, token by token: ``python -m tests.client.generate``."""

import io
import subprocess
import sys
import tokenize
from pathlib import Path
from tokenize import COMMENT, ENCODING, NAME, OP, STRING, TokenInfo

FOLDER = Path(__file__).parents[2] / "esrp/client"
TWINS = {"concurrent.py": "blocking.py", "concurrent_line.py": "blocking_line.py"}
HEADER = "# Generated from esrp/client/{source} by `make client`: change that file, not this one.\n"
NAMES = {
    "AsyncClient": "Client",
    "AsyncExitStack": "ExitStack",
    "AsyncIterator": "Iterator",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "aclosing": "closing",
    "aiter": "iter",
    "anext": "next",
    "aread": "read",
    "asyncio": "time",
    "concurrent_line": "blocking_line",
    "enter_async_context": "enter_context",
}
WAITING = {"async", "await"}
# What a docstring or a comment says of asyncio, and what its twin says.
TEXTS = {
    "The client for asyncio. The one that waits is generated from it: change this one, then `make client`.": (
        "The client that waits."
    ),
    "What carries a flow's effects out for asyncio. Its twin for the client that waits is generated, as that is.": (
        "What carries a flow's effects out, one after the other."
    ),
    "The API from asyncio.": "The API from Python.",
}


def generate(folder: Path = FOLDER) -> dict[str, str]:
    """The text of each generated file, by its name."""
    return {made: twin(source, (folder / source).read_text("utf-8")) for source, made in TWINS.items()}


def twin(source: str, text: str) -> str:
    """The blocking twin of the module ``text``, in the project's format."""
    return _tidy(HEADER.format(source=source) + unasync(text))


def unasync(text: str) -> str:
    """``text`` without ``async`` and ``await``; all else stays where it stands, comments and docstrings too."""
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type != ENCODING]
    dropped = _waiting(tokens) | _awaitables(tokens)
    lines = text.splitlines(keepends=True)
    for index in reversed(range(len(tokens))):  # from the end, so that the places before stay right
        old, new = tokens[index], _twin_of(tokens[index])
        if index in dropped:
            _replace(lines, old, "", until=tokens[index + 1].start if old.string in WAITING else old.end)
        elif new != old.string:
            _replace(lines, old, new, until=old.end)
    return "".join(lines)


def _twin_of(token: TokenInfo) -> str:
    if token.type == NAME:
        return NAMES.get(token.string, token.string)
    if token.type in (STRING, COMMENT):
        for said, says in TEXTS.items():
            if said in token.string:
                return token.string.replace(said, says)
    return token.string


def _waiting(tokens: list[TokenInfo]) -> set[int]:
    return {index for index, token in enumerate(tokens) if token.type == NAME and token.string in WAITING}


def _awaitables(tokens: list[TokenInfo]) -> set[int]:
    """``Awaitable[`` and its ``]``: what is awaited is what a blocking call returns."""
    found: set[int] = set()
    for index, token in enumerate(tokens[:-1]):
        if (token.type, token.string) == (NAME, "Awaitable") and tokens[index + 1].string == "[":
            found |= {index, index + 1, _closing(tokens, index + 1)}
    return found


def _closing(tokens: list[TokenInfo], opening: int) -> int:
    depth = 0
    for index in range(opening, len(tokens)):
        if tokens[index].type == OP:
            depth += {"[": 1, "]": -1}.get(tokens[index].string, 0)
            if depth == 0:
                return index
    raise ValueError(f"line {tokens[opening].start[0]}: a bracket is never closed")


def _replace(lines: list[str], token: TokenInfo, new: str, *, until: tuple[int, int]) -> None:
    (first, start), (last, end) = token.start, until
    lines[first - 1 : last] = [lines[first - 1][:start] + new + lines[last - 1][end:]]


def _tidy(text: str) -> str:
    """As ``make lint`` wants it: shorter lines joined, imports sorted and those of no use gone."""
    fix = ["check", "--quiet", "--fix", "--unsafe-fixes", "--select", "I,F401,C416", "-"]
    return _ruff(["format", "--quiet", "-"], _ruff(fix, text))


def _ruff(arguments: list[str], text: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments[:-1], "--stdin-filename", str(FOLDER / "blocking.py"), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=FOLDER.parents[1], check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    for name, made in generate().items():
        (FOLDER / name).write_text(made, "utf-8")
