"""The command `esrp`: a thin client of the public API, and the way to start the stack on one machine."""

import sys
from importlib import import_module

CRASH = 8  # as in esrp.cli.exits, which may be among what cannot be loaded


def main() -> None:
    """The entry point. What cannot be loaded is a crash too; Python by itself would end with 1, a gate's *fail*."""
    try:
        start = import_module("esrp.cli.app").main
    except Exception as error:
        print(f"esrp: this installation is broken: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(CRASH)
    start()
