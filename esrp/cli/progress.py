"""How far a run is: a bar on a terminal, plain lines elsewhere. Always on stderr; results go to stdout."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

from esrp.api import FINAL, Run
from esrp.client import Lost

STEP = 0.1  # a plain line for every tenth of the work
QUIET = 30.0  # seconds after which a plain line says that it still goes on


class Watch(Protocol):
    """What is told how a run goes."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End."""

    def on_progress(self, run: Run) -> None:
        """The run as it is now."""

    def on_lost(self, lost: Lost) -> None:
        """The connection is lost for now."""


def watch(stream: TextIO | None = None) -> Watch:
    """A bar if ``stream`` (stderr) is a terminal, else plain lines."""
    stream = stream or sys.stderr
    console = Console(file=stream)
    return Bar(console) if console.is_terminal else Lines(stream)


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done and what is done: a dialogue counts once when it is played and once when it is judged."""

    done: int
    total: int

    @classmethod
    def of(cls, run: Run) -> "Work":
        """The work of ``run``; a transcript needs no playing, and without judges there is no judging."""
        progress, judged = run.progress, bool(run.manifest.judges)
        plays = run.plan.candidate_calls > 0 or not judged
        done = plays * (progress.generated + progress.failed) + judged * (progress.judged + progress.failed)
        total = (plays + judged) * progress.dialogues
        return cls(total if run.status == "succeeded" else min(done, total), total)

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.done / self.total if self.total else 0.0


class Clock:
    """Tells the time left from the work done since it was first asked."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._start: tuple[float, int] | None = None

    def left(self, work: Work) -> float | None:
        """Seconds, at the speed so far; ``None`` while there is none."""
        if self._start is None:
            self._start = (self._now(), work.done)
        since, before = self._start
        done = work.done - before
        return (self._now() - since) / done * (work.total - work.done) if done > 0 else None


class Bar:
    """A bar that is redrawn in place."""

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = Clock(now)
        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        """Draw."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Take the bar away."""
        self._progress.stop()

    def on_progress(self, run: Run) -> None:
        """Redraw."""
        work = Work.of(run)
        text = line(run, self._clock.left(work))
        self._progress.update(self._task, completed=work.done, total=work.total or None, description=text)

    def on_lost(self, lost: Lost) -> None:
        """Say so where the numbers stood; they come back with the connection."""
        self._progress.update(self._task, description=f"connection lost, trying again ({lost.reason})")


class Lines:
    """A line when the phase changes, for every tenth of the work, and at least now and then."""

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self._clock = Clock(now)
        self._shown: tuple[str, str | None, int] | None = None
        self._shown_at = 0.0
        self._lost = False

    def __enter__(self) -> Self:
        """Nothing to begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to end."""

    def on_progress(self, run: Run) -> None:
        """Print a line if there is news."""
        work = Work.of(run)
        left = self._clock.left(work)
        news = (run.status, run.phase, int(work.share / STEP))
        if news == self._shown and not self._lost and self._now() - self._shown_at < QUIET:
            return
        self._shown, self._shown_at, self._lost = news, self._now(), False
        self._print(f"{run.id} {line(run, left)}")

    def on_lost(self, lost: Lost) -> None:
        """Print it once, not at every try."""
        if not self._lost:
            self._print(f"connection lost ({lost.reason}); trying again, the run goes on")
        self._lost = True

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def line(run: Run, left: float | None) -> str:
    """How far ``run`` is, in one line."""
    progress = run.progress
    parts = [f"{run.phase or run.status}: {progress.generated}/{progress.dialogues} played"]
    if run.manifest.judges:
        parts.append(f"{progress.judged} judged")
    parts += [f"{progress.failed} failed", f"{tokens(run):,} tokens"]
    if left is not None and run.status not in FINAL:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def tokens(run: Run) -> int:
    """All tokens that the run's models counted."""
    usages = (run.usage.candidate, run.usage.simulator, run.usage.judge)
    return sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
