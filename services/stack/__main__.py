"""`python -P -m services.stack up|demo`: what `esrp up` and `esrp demo` hand over to."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import NoReturn

from esrp.errors import EsrpError
from services.stack.errors import CannotStart
from services.stack.up import say, up

USAGE = 4  # as everywhere in `esrp`: 1 and 2 are never a wrong option


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it and exit."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(arguments: list[str]) -> int:
    """The exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.word == "demo":
            # Statistics and SDK take half a second to import, which `up` need not pay.
            code: int = importlib.import_module("services.stack.demo").demo(keep=options.keep)
            return code
        return up(port=options.port, data=options.data, forget=options.ephemeral, config=options.config)
    except (CannotStart, EsrpError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="esrp", description="The whole stack on one machine.")
    words = parser.add_subparsers(dest="word", required=True)
    start = words.add_parser("up", help="start the stack in the foreground; Ctrl-C stops it")
    start.add_argument("--port", type=_port, default=8000, help="of the API; 0 is any free one (default: 8000)")
    place = start.add_mutually_exclusive_group()
    place.add_argument("--data", type=Path, help="folder of the data")
    place.add_argument("--ephemeral", action="store_true", help="keep nothing")
    start.add_argument("--config", type=Path, help="esrp.yaml with the models")
    show = words.add_parser("demo", help="benchmark two releases of a recorded bot")
    show.add_argument("--keep", action="store_true", help="leave the stack up when the demo has ended")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError(text)
    return port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
