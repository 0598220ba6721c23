"""How a run moves on: a pure function of where it stands and how far its parts are."""

from collections.abc import Sequence
from dataclasses import dataclass

from esrp.api import RunError
from services.gateway.runs.rows import Place, ShownRun


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a run is, from what the other services publish."""

    written: int = 0  # dialogues written down
    done: int = 0
    failed: int = 0
    verdicts: int = 0  # that ended, with scores or without
    busy: bool = False  # something is being played or rated; looked at only where the run is to end early
    exhausted: bool = False  # a service met the end of the budget
    rated: bool = False  # at least one rating is stored
    summarised: bool = False  # the report of this revision is there
    unrated: bool = False  # batches of this revision are still to be made or rated


def advanced(run: ShownRun, counts: Counts) -> Place:
    """Where the run stands now that its parts are as counted.

    A report that is there already, because all was rated before we looked, ends the run from any phase.
    """
    status, phase = run.status, run.phase
    if status == "cancelling":
        return Place(status, phase) if counts.busy else Place("cancelled", None)
    if status not in ("queued", "running") or counts.written == 0 < run.dialogues:
        return Place(status, phase)
    if counts.exhausted:
        return Place("running", phase) if counts.busy else Place("budget_exhausted", None)
    if counts.done + counts.failed < run.dialogues:
        return Place("running", "generating")
    if counts.verdicts < counts.done * len(run.judges) or (run.judges and counts.done and counts.unrated):
        return Place("running", "judging")
    if not counts.summarised:
        return Place("running", "analysing")
    if (run.judges and not counts.rated) or counts.done == 0:
        return Place("failed", None)
    return Place("succeeded", None)


def failure(run: ShownRun, counts: Counts, reasons: Sequence[str]) -> RunError:
    """Why the run failed. ``reasons`` are the commonest errors' messages."""
    if counts.done == 0:
        code, what = "nothing_generated", f"None of the {run.dialogues} dialogues could be played."
    else:
        code, what = "nothing_scored", f"None of the {counts.done} dialogues that were played got a score."
    return RunError(code=code, message=" ".join((what, *reasons)))
