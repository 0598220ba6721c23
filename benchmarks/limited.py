"""A run against an endpoint that refuses: ``python -m benchmarks.limited [--kind inflight rps random] [--shared]``.

Nobody tells the stack of a limit: every cap stands at its default of 64. The candidate's server answers 429 (with
`Retry-After: 1`) whenever 20 calls are in flight, above 20 calls a second, or to one call in twenty at random;
simulator and judge have a server without limits, or with ``--shared`` the same one. Each kind has its ideal: the
server's answered calls in 20 lines, or at 20 a second; with random refusals, all calls, refused ones too, at the caps.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.servers import FULL, LATENCY, Mock, add_options, mock, model, stack
from benchmarks.speed import METRICS, said, whole_run, wrong_run

AT_ONCE = PER_SECOND = 20
AT_RANDOM = 0.05
CAP = 64  # the default, in flight
REFUSED = 0.03  # limit: refused of all calls, where the load decides


@dataclass(frozen=True, slots=True)
class Kind:
    """How the server refuses, the seconds that it makes necessary, and what we may take of them."""

    what: str
    options: tuple[str, ...]
    ideal: Callable[[int, int], float]  # of the calls answered and refused
    slowest: float  # limit: seconds over the ideal
    by_load: bool = True


KINDS: Mapping[str, Kind] = {
    "inflight": Kind(
        f"{AT_ONCE} in flight",
        ("--max-inflight", str(AT_ONCE)),
        lambda answered, _: answered * LATENCY / 1000 / AT_ONCE,
        1.2,
    ),
    "rps": Kind(f"{PER_SECOND} a second", ("--rps", str(PER_SECOND)), lambda answered, _: answered / PER_SECOND, 1.1),
    "random": Kind(
        f"{AT_RANDOM:.0%} at random",
        ("--p429", str(AT_RANDOM)),
        lambda answered, refused: (answered + refused) * LATENCY / 1000 / CAP,
        1.5,
        by_load=False,
    ),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took, and what the limited server counted."""

    kind: Kind
    seconds: float
    stats: Mapping[str, Any]

    @property
    def answered(self) -> int:
        """Calls."""
        return int(self.stats["status"].get("200", 0))

    @property
    def refused(self) -> int:
        """Calls."""
        return int(self.stats["status"].get("429", 0))

    @property
    def ideal(self) -> float:
        """Seconds."""
        return self.kind.ideal(self.answered, self.refused)


def main() -> int:
    """Measure and print; 1 if a limit was missed."""
    options = arguments()
    rows = [measured(KINDS[name], options) for name in options.kind]
    print_table(rows, options)
    verdicts = [met(row) for row in rows if options.dialogues == FULL]
    return 0 if all(verdicts) else 1


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS), help="how the server refuses")
    parser.add_argument("--shared", action="store_true", help="simulator and judge are behind the limit too")
    return parser.parse_args()


def measured(kind: Kind, options: argparse.Namespace) -> Measured:
    """A run on a fresh stack."""
    with servers(kind, options.mock, options.shared) as (limited, free):
        settings = {
            "simulator": model(free, "mock-simulator"),
            "judges": [model(free, "mock-judge", name="default", kind="chat")],
        }
        with stack(settings) as up:
            started = time.monotonic()
            run, report = asyncio.run(whole_run(up.url, up.key, model(limited, "mock"), options.dialogues))
            seconds = time.monotonic() - started
        if fault := wrong_run(run, report, options.dialogues):
            sys.exit(fault)
        return Measured(kind, seconds, limited.stats())


@contextmanager
def servers(kind: Kind, script: Path, shared: bool) -> Iterator[tuple[Mock, Mock]]:
    """The limited server, and the one for simulator and judge."""
    with mock(script, *kind.options) as limited:
        if shared:
            yield limited, limited
        else:
            with mock(script) as free:
                yield limited, free


def print_table(rows: list[Measured], options: argparse.Namespace) -> None:
    """The figures beside one another."""
    who = "candidate, simulator and judge" if options.shared else "the candidate"
    print(f"\n{options.dialogues} dialogues, {METRICS} scores each; {who} behind a server that refuses\n")
    head = ("seconds", "ideal", "× ideal", "answered", "refused", "of all", "peak in flight")
    print(f"{'':14}" + "".join(f"{each:>{len(each) + 3}}" for each in head))
    for row in rows:
        cells = (
            f"{row.seconds:.2f}",
            f"{row.ideal:.2f}",
            f"{row.seconds / row.ideal:.2f}",
            f"{row.answered}",
            f"{row.refused}",
            f"{row.refused / (row.answered + row.refused):.1%}",
            f"{row.stats['in_flight_peak']}",
        )
        print(f"{row.kind.what:14}" + "".join(f"{c:>{len(title) + 3}}" for c, title in zip(cells, head, strict=True)))
    print()


def met(row: Measured) -> bool:
    """Whether the limits were."""
    swift = said(f"{row.kind.what}: within {row.kind.slowest:.2f} × ideal", row.seconds <= row.kind.slowest * row.ideal)
    if not row.kind.by_load:
        return swift
    few = row.refused < REFUSED * (row.answered + row.refused)
    return said(f"{row.kind.what}: fewer than {REFUSED:.0%} refused", few) and swift


if __name__ == "__main__":
    sys.exit(main())
