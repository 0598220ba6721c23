"""The command `esrp`: a thin client of the public API, and the way to start the stack on one machine."""

from esrp.cli.app import app, main

__all__ = ["app", "main"]
