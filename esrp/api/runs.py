"""Runs: what is asked, what it would cost, how far it is."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from esrp.api.budgets import Budget, Prices, priced
from esrp.api.candidates import Candidate
from esrp.api.common import Answer, Body, RunError, Usage
from esrp.api.gates import Decision, Gate
from esrp.api.judges import JudgeName, named_once
from esrp.dialogue import Label
from esrp.policies import Policy

RunStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "budget_exhausted"]
Phase = Literal["generating", "judging", "analysing"]
OPEN: tuple[RunStatus, ...] = ("queued", "running", "cancelling")
FINAL: tuple[RunStatus, ...] = ("succeeded", "failed", "cancelled", "budget_exhausted")
RunLabels = dict[Label, Annotated[str, StringConstraints(max_length=256)]]


class Sample(Body):
    """A balanced part of the suite: same seed, same part; a larger one contains the smaller."""

    dialogues: int = Field(ge=1)
    seed: int = Field(0, ge=0, lt=2**63)


class FrozenRound(Body):
    """The user's later turns come from a transcript, so that two candidates meet the same questions."""

    frozen: str = Field(description="a transcript's id")


class RunRequest(Body):
    """``POST /v1/runs``."""

    suite: str = Field(min_length=1, max_length=200, description="name, or name@version")
    candidate: Candidate
    name: str | None = Field(None, max_length=200)
    simulator: str = Field("default", max_length=64)
    judges: list[JudgeName] = Field(["default"], max_length=16)
    rounds: int = Field(2, ge=1, le=10)
    round2: Literal["live"] | FrozenRound = "live"
    replicates: int = Field(1, ge=1, le=20)
    diversity: bool = Field(True, description="whether judges also rate how varied each ten replies of a character are")
    sample: Sample | None = None
    budget: Budget | None = None
    prices: Prices | None = None
    gate: Gate | None = Field(None, description="a policy's name, or a policy")
    labels: RunLabels = Field({}, max_length=32)

    _judges_are_named_once = field_validator("judges")(named_once)
    _a_cost_needs_prices = model_validator(mode="after")(priced)

    @field_validator("candidate", mode="before")
    @classmethod
    def _an_endpoint_unless_said_otherwise(cls, candidate: Any) -> Any:
        if isinstance(candidate, dict) and "kind" not in candidate:
            return {"kind": "endpoint", **candidate}
        return candidate


class ExtendRequest(Body):
    """``POST /v1/runs/{id}/extend``: how many dialogues, or replicates of each, the run shall have in all."""

    dialogues: int | None = Field(None, ge=1, description="pairs of character and scenario in the sample, in all")
    replicates: int | None = Field(None, ge=1, le=20)


class ResumeRequest(Body):
    """``POST /v1/runs/{id}/resume``: ``budget`` takes the place of the run's; ``null`` lifts it."""

    budget: Budget | None = None


class Span(Answer):
    """From at least to at most, as far as is known beforehand."""

    low: float
    high: float


class Detectable(Answer):
    """The margins at which a bot as good as its baseline passes with a chance of 80 % (STATISTICS 6, D).

    ``overall``: where the policy looks at that alone; ``metrics``: where the nine metrics and it must all clear them.
    ``assumed``: how runs of this suite differ is not known from two of them yet.
    """

    overall: float
    metrics: float
    assumed: bool = True


class Plan(Answer):
    """What a run will ask of the models, before anything is spent.

    The calls are exact, but for repeated attempts. Tokens are estimated from the suite's texts, or measured by a pilot
    of some dialogues (``probed``); the cost follows from them where prices are given.
    """

    dialogues: int
    candidate_calls: int
    simulator_calls: int
    judge_calls: int = Field(description="about dialogues, and about batches of replies (STATISTICS 7)")
    sentinel_calls: int = Field(0, description="of judges, who rate the gate's baseline again; not in `cost`")
    tokens: Span | None = None
    cost: Span | None = None
    detectable: Detectable | None = None
    probed: int | None = Field(None, description="dialogues of the pilot")


class Progress(Answer):
    """Dialogues: planned, played to the end, scored by every judge that was asked, and failed."""

    dialogues: int
    generated: int = 0
    judged: int = 0
    failed: int = 0


class RunUsage(Answer):
    candidate: Usage = Usage()
    simulator: Usage = Usage()
    judge: Usage = Usage()


class ManifestSummary(Answer):
    """What makes two runs comparable, by hash (STATISTICS 3)."""

    sha256: str
    suite: str
    judges: list[str]
    simulator: str | None


class PaceChange(Answer):
    """The calls in flight that the endpoint was given from then on, and why."""

    at: datetime
    limit: int
    cause: Literal["started", "doubled", "held", "grown", "refused"]


class Pacing(Answer):
    """How fast an endpoint was called: its newest limit, and how it came there (the last hundred changes)."""

    limit: int
    history: list[PaceChange]


class Links(Answer):
    self: str
    events: str
    cancel: str
    report: str


class Run(Answer):
    """A run: what was asked and how far it is."""

    id: str
    name: str | None
    status: RunStatus
    phase: Phase | None
    suite: str
    candidate: dict[str, Any] = Field(description="as sent, without the API key")
    rounds: int
    round2: Literal["live"] | dict[str, str]
    replicates: int
    sample: dict[str, int] | None
    budget: dict[str, float | None] | None
    prices: dict[str, Any] | None
    labels: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    plan: Plan
    progress: Progress
    usage: RunUsage
    pacing: dict[str, Pacing] = Field({}, description="by `candidate`, `simulator` and `judge <name>`")
    manifest: ManifestSummary
    gate: str | Policy | None = Field(None, description="`name@version`, or the policy that was given")
    verdict: Decision | None = Field(None, description="of its gate, once it has succeeded")
    error: RunError | None
    warnings: list[str]
    links: Links
    source: str | None = Field(None, description="the run whose dialogues these are, judged anew")


class DryRun(Answer):
    """``POST /v1/runs?dry_run=true``: nothing is stored and nobody is called."""

    plan: Plan
    manifest: ManifestSummary
    warnings: list[str] = Field([])


class Paneled(Body):
    """Whom a panel consists of, and what each run of it may spend."""

    judges: list[JudgeName] = Field(min_length=1, max_length=16)
    budget: Budget | None = None
    prices: Prices | None = None
    labels: RunLabels = Field({}, max_length=32)

    _judges_are_named_once = field_validator("judges")(named_once)
    _a_cost_needs_prices = model_validator(mode="after")(priced)


class RejudgeRequest(Paneled):
    """``POST /v1/runs/{id}/rejudge``: judges who rate the dialogues of a run that has ended, in a run of its own."""

    name: str | None = Field(None, max_length=200)
