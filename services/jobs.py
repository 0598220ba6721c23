"""Every message between the services, in order: the pipeline on one page.

A message is a doorbell: it carries ids, says that there may be work, and may be lost or doubled at no harm.

    gateway    ── PlanRun ──────▶ generator    a run was accepted: write down its dialogues
    generator  ── PlaySlice ────▶ generator    dialogues wait to be played
    generator  ── JudgeSlice ───▶ judge        dialogues were played: rate them
    judge      ── StoreRatings ─▶ analytics    verdicts were saved: take over their scores
    any        ── AdvanceRun ───▶ gateway      a run may have moved on
    any        ── DiversitySlice ▶ judge       replies were given: rate how varied each ten of a character are
    analytics  ── CountReplies ─▶ analytics    many dialogues were played: count what their replies are like
    gateway    ── SummariseRun ─▶ analytics    everything is rated: write the report
    gateway    ── GiveVerdict ──▶ gateway      a run with a gate has its report: hold it against that
    analytics  ── MeasureAgreement ▶ analytics ratings changed: compute how much the run's raters agree
    analytics  ── MeasureJudges ▶ analytics    ratings changed: measure the tenant's judges by them

    gateway    ── WriteScenarios ▶ generator   a scenario set was asked for: write its drafts
"""

from typing import ClassVar

from services.kit.queue import Job


class PlanRun(Job):
    """Write down the run's dialogues."""

    to: ClassVar = "generator"


class PlaySlice(Job):
    """Play what waits."""

    to: ClassVar = "generator"


class JudgeSlice(Job):
    """Rate what was played."""

    to: ClassVar = "judge"


class DiversitySlice(Job):
    """Rate the batches of what was played."""

    to: ClassVar = "judge"


class StoreRatings(Job):
    """Take over the verdicts' scores."""

    to: ClassVar = "analytics"


class CountReplies(Job):
    """Count what was replied."""

    to: ClassVar = "analytics"


class AdvanceRun(Job):
    """Look how far the run is."""

    to: ClassVar = "gateway"


class GiveVerdict(Job):
    """Hold a run against its gate."""

    to: ClassVar = "gateway"


class SummariseRun(Job):
    """Write the report."""

    to: ClassVar = "analytics"


class MeasureAgreement(Job):
    """Compute how much the run's raters agree."""

    to: ClassVar = "analytics"


class MeasureJudges(Job):
    """Measure the judges by a tenant's ratings; the subject is the tenant."""

    to: ClassVar = "analytics"


class WriteScenarios(Job):
    """Write what waits of a scenario set; the subject is the set."""

    to: ClassVar = "generator"
