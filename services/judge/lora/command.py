"""How a program behind `esrp judge` ends: as `esrp` itself does (``esrp.cli.exits``)."""

import sys
import traceback
from collections.abc import Callable, Sequence

from esrp.cli.exits import CRASH, INTERRUPTED, USAGE, fail, told
from esrp.errors import EsrpError


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Run ``main`` with the command line; ends with 4 for what is wrong with it, 8 for what is wrong with us."""
    try:
        main(sys.argv[1:])
    except EsrpError as error:
        fail(told(error), USAGE)
    except KeyboardInterrupt:
        fail("stopped", INTERRUPTED)
    except Exception as error:
        traceback.print_exc()
        fail(f"internal error: {type(error).__name__}: {error}", CRASH)
