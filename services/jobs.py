"""Every message between the services, in order: the pipeline on one page.

A message is a doorbell: it carries ids, says that there may be work, and may be lost or doubled at no harm.

    gateway    ── PlanRun ──────▶ generator    a run was accepted: write down its dialogues
    generator  ── PlaySlice ────▶ generator    dialogues wait to be played
    generator  ── JudgeSlice ───▶ judge        dialogues were played: rate them
    judge      ── StoreRatings ─▶ analytics    verdicts were saved: take over their scores
    any        ── AdvanceRun ───▶ gateway      a run may have moved on
    gateway    ── SummariseRun ─▶ analytics    everything is rated: write the report
"""

from dataclasses import dataclass
from typing import ClassVar, Literal
from uuid import UUID

Service = Literal["gateway", "generator", "judge", "analytics"]


@dataclass(frozen=True, slots=True)
class Job:
    """One message: the run it is about. ``to`` is the service that works it."""

    to: ClassVar[Service]
    run_id: UUID


class PlanRun(Job):
    to = "generator"


class PlaySlice(Job):
    to = "generator"


class JudgeSlice(Job):
    to = "judge"


class StoreRatings(Job):
    to = "analytics"


class AdvanceRun(Job):
    to = "gateway"


class SummariseRun(Job):
    to = "analytics"
