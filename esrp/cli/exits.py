"""How the command ends: one paragraph for a person, one exit code for a program.

0 fine; 4 wrong usage, 5 no connection, 6 the service refused, 7 the run or check did not succeed, 8 a fault of ours;
130 interrupted. 1, 2 and 3 are kept for a gate's verdict.
"""

import os
import sys
import traceback
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from esrp.client import ApiError, ConnectionFailed
from esrp.errors import EsrpError

USAGE, NETWORK, REFUSED, UNSUCCESSFUL, CRASH, INTERRUPTED = 4, 5, 6, 7, 8, 130
ENDS = {0, USAGE, NETWORK, REFUSED, UNSUCCESSFUL, CRASH, INTERRUPTED}  # all but a verdict
MOST_FAULTS = 20


class Stop(Exception):
    """End the command with this exit code; what there was to say has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class UsageFault(EsrpError):
    """The command line asks for something that cannot be."""

    status, code = 422, "usage"


class Group(TyperGroup):
    """The top command: every way to end goes through here."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; only ``Stop`` ends with 1, 2 or 3, which the parser would use for wrong usage."""
        try:
            return super().main(*args, **kwargs)
        except Stop as stop:
            sys.exit(stop.code)
        except SystemExit as end:
            sys.exit(end.code if end.code is None or end.code in ENDS else USAGE)
        except EsrpError as error:
            fail(told(error), _code(error))
        except Exception as error:
            if os.environ.get("ESRP_DEBUG"):
                traceback.print_exc()
            fail(f"internal error: {type(error).__name__}: {error} (ESRP_DEBUG=1 shows where)", CRASH)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end."""
    typer.echo(f"esrp: {message}", err=True)
    sys.exit(code)


def told(error: EsrpError) -> str:
    """An error as one paragraph, with the places that are wrong below it."""
    if isinstance(error, ConnectionFailed):
        return f"{error.detail} `esrp up` starts a server here; --url or ESRP_URL names another."
    lines = [error.detail + _hint(error)]
    lines += [
        f"  {fault.pointer}: {fault.message}" for fault in error.errors[:MOST_FAULTS] if fault.message not in lines[0]
    ]
    if len(error.errors) > MOST_FAULTS:
        lines.append(f"  … and {len(error.errors) - MOST_FAULTS} more")
    if isinstance(error, ApiError) and error.request_id and error.status >= 500:
        lines.append(f"  (request {error.request_id})")
    return "\n".join(lines)


def _hint(error: EsrpError) -> str:
    return " Set ESRP_API_KEY, or give --api-key; `esrp up` prints one." if error.status == 401 else ""


def _code(error: EsrpError) -> int:
    if isinstance(error, ConnectionFailed):
        return NETWORK
    return REFUSED if isinstance(error, ApiError) else USAGE
