import io
from collections.abc import Iterator
from itertools import count
from typing import Any

from rich.console import Console

from esrp.api import Run
from esrp.cli.progress import Bar, Clock, Lines, Work, duration, line, watch
from esrp.client import Lost
from tests.client import fake_api


def run(status: str = "running", **progress: int) -> Run:
    """A run of ten dialogues with a judge."""
    return Run.model_validate(fake_api.run(status, **progress).body)


def ticking(step: float) -> Any:
    """A clock that moves by ``step`` each time it is read."""
    times: Iterator[float] = count(0.0, step)
    return lambda: next(times)


def test_work_counts_playing_and_judging_and_what_failed_as_done() -> None:
    assert Work.of(run(generated=4, judged=2, failed=1)) == Work(8, 20)
    assert Work.of(run("succeeded", generated=9, judged=8, failed=1)).share == 1.0


def test_the_work_of_a_transcript_is_judging() -> None:
    transcript = run(generated=10, judged=5)
    transcript.plan.candidate_calls = 0

    assert Work.of(transcript) == Work(5, 10)


def test_time_left_follows_from_the_speed_since_the_first_look() -> None:
    clock = Clock(ticking(10.0))

    assert clock.left(Work(4, 20)) is None
    assert clock.left(Work(8, 20)) == 30.0  # 4 in 10 s, 12 to go


def test_a_line_says_phase_played_judged_failed_tokens_and_time_left() -> None:
    told = line(run(generated=5, judged=2, failed=1), 200.0)

    assert told == "generating: 5/10 played, 2 judged, 1 failed, 1,234 tokens, 3 min left"


def test_durations_are_rounded_to_what_matters() -> None:
    assert [duration(seconds) for seconds in (4.4, 89, 200, 7800)] == ["4 s", "89 s", "3 min", "2 h 10 min"]


def test_plain_lines_come_with_news_only() -> None:
    out = io.StringIO()
    lines = Lines(out, ticking(1.0))

    for state in (run(), run(), run(generated=1), run(generated=2), run(generated=2), run("succeeded", generated=10)):
        lines.on_progress(state)

    assert len(out.getvalue().splitlines()) == 3  # the first, the first tenth, the end


def test_a_long_silence_is_broken() -> None:
    out = io.StringIO()
    lines = Lines(out, ticking(20.0))

    for _ in range(4):
        lines.on_progress(run())

    assert len(out.getvalue().splitlines()) > 1


def test_a_lost_connection_is_said_once_and_its_return_too() -> None:
    out = io.StringIO()
    lines = Lines(out, ticking(0.1))

    lines.on_progress(run())
    lines.on_lost(Lost("refused", 0.5))
    lines.on_lost(Lost("refused", 1.0))
    lines.on_progress(run())

    first, lost, back = out.getvalue().splitlines()
    assert (lost, back) == ("connection lost (refused); trying again, the run goes on", first)


def test_on_a_terminal_there_is_a_bar_that_says_the_same() -> None:
    out = io.StringIO()
    bar = Bar(Console(file=out, force_terminal=True, width=120), ticking(10.0))

    with bar:
        bar.on_progress(run(generated=2))
        bar.on_progress(run(generated=7, judged=3))
        bar.on_lost(Lost("[Errno 1]", 0.5))

    assert "connection lost, trying again ([Errno 1])" in out.getvalue()
    assert isinstance(watch(io.StringIO()), Lines)
