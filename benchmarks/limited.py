"""A run against an endpoint that refuses more than 20 calls at a time: ``python -m benchmarks.limited [--shared]``.

Nobody tells the stack of the limit: every cap stands at its default of 64. The candidate's server answers 429 (with
`Retry-After: 1`) whenever 20 calls are in flight; simulator and judge have an unlimited server, or with ``--shared``
the same one. The ideal is the limited server's calls in 20 lines.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.speed import METRICS, said, whole_run, wrong_run
from benchmarks.stage import FULL, LATENCY, Mock, add_options, mock, model, stack

AT_ONCE = 20
SLOWEST, REFUSED = 1.25, 0.03  # limits: seconds over the ideal, refused of all calls


def main() -> int:
    """Measure and print; 1 if a limit was missed."""
    options = arguments()
    with servers(options.mock, options.shared) as (limited, free):
        candidate = model(limited, "mock")
        settings = {
            "simulator": model(free, "mock-simulator"),
            "judges": [model(free, "mock-judge", name="default", kind="chat")],
        }
        with stack(settings) as up:
            started = time.monotonic()
            run, report = asyncio.run(whole_run(up.url, up.key, candidate, options.dialogues))
            seconds = time.monotonic() - started
        if fault := wrong_run(run, report, options.dialogues):
            sys.exit(fault)
        return 0 if printed(limited.stats(), seconds, options) else 1


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--shared", action="store_true", help="simulator and judge are behind the limit too")
    return parser.parse_args()


@contextmanager
def servers(script: Path, shared: bool) -> Iterator[tuple[Mock, Mock]]:
    """The limited server, and the one for simulator and judge."""
    with mock(script, "--max-inflight", str(AT_ONCE)) as limited:
        if shared:
            yield limited, limited
        else:
            with mock(script) as free:
                yield limited, free


def printed(stats: Mapping[str, Any], seconds: float, options: argparse.Namespace) -> bool:
    """Print the figures; whether the limits were met."""
    answered, refused = stats["status"].get("200", 0), stats["status"].get("429", 0)
    ideal, share = answered * LATENCY / 1000 / AT_ONCE, refused / stats["requests"]
    who = "candidate, simulator and judge" if options.shared else "the candidate"
    print(f"\n{options.dialogues} dialogues, {METRICS} scores each; {who} behind a server of {AT_ONCE} calls at a time")
    print(
        f"{answered} calls answered, {refused} refused: {share:.1%} of all; at most {stats['in_flight_peak']} at a time"
    )
    print(f"{seconds:.2f} s, {seconds / ideal:.2f} × the ideal {ideal:.2f} s\n")
    if options.dialogues != FULL:
        return True
    swift = said(f"within {SLOWEST:.2f} × ideal", seconds <= SLOWEST * ideal)
    return said(f"fewer than {REFUSED:.0%} refused", share < REFUSED) and swift


if __name__ == "__main__":
    sys.exit(main())
