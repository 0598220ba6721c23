"""Release gates, baselines and verdicts."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from esrp.api.common import Answer, Body, Bounds
from esrp.api.ratings import ImportedRatings
from esrp.policies import Policy

GateRef = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Gate = Annotated[
    Annotated[GateRef, Tag("name")] | Annotated[Policy, Tag("policy")],
    Discriminator(lambda given: "name" if isinstance(given, str) else "policy"),
]
Decision = Literal["pass", "fail", "inconclusive", "error"]
GateName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
BaselineName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]


class GateRequest(Body):
    """``POST /v1/gates``: a policy under a name. Another policy under the same name is its next version."""

    name: GateName
    policy: Policy


class GateOut(Answer):
    name: str
    version: int
    sha256: str
    policy: Policy
    created_at: datetime


class RunGateRequest(Body):
    """``POST /v1/runs/{id}/gate``: a policy by name (``name``, or ``name@version``), or the policy itself."""

    gate: GateRef | None = None
    policy: Policy | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.gate is None) == (self.policy is None):
            raise ValueError("give either gate, a policy's name, or policy")
        return self


class BaselineRequest(Body):
    """``PUT /v1/baselines/{name}``."""

    run: str


class BaselineOut(Answer):
    name: str
    run: str
    suite: str
    candidate: str
    finished_at: datetime
    set_at: datetime


class GateRule(Answer):
    """One endpoint of a policy, and what shows on which side of its threshold it is.

    ``bound`` is the one-sided lower confidence bound of the estimate: above ``threshold`` it passes. A margin's
    estimate is candidate − baseline, its threshold −δ. ``worst_bound`` counts all missing ratings against the
    candidate; it is there, and decides, where more is missing than the policy bears.
    """

    metric: str
    kind: Literal["margin", "floor"]
    estimate: float | None
    bound: float | None
    threshold: float
    outcome: Literal["pass", "fail", "inconclusive"]
    worst_bound: float | None = None


class GateBaseline(Answer):
    """What the run was held against. ``name`` is ``null`` where the policy names a run."""

    name: str | None
    run: str
    candidate: str
    finished_at: datetime | None
    age_days: float | None = Field(description="since it finished, when the verdict was given")
    imported: list[ImportedRatings] = Field([], description="into the baseline, as in its report")


class Given(Answer):
    """A score and the rater's reason; ``null`` where it gave none."""

    metric: str
    rater: str
    score: int
    explanation: str | None


class RatedDialogue(Answer):
    dialogue: str
    score: float
    link: str
    ratings: list[Given]


class WorstPair(Answer):
    """Where a failed metric is worst: candidate − baseline in one scenario, or without a baseline the lowest score."""

    metric: str
    character: str
    scenario: str | None
    difference: float | None
    candidate: RatedDialogue
    baseline: RatedDialogue | None


class SentinelOut(Answer):
    """Stored dialogues of the baseline that a judge rated again: new − stored score, overall, clustered by scenario.

    ``shifted`` names the endpoints that moved beyond chance (Holm over all ten).
    """

    judge: str
    outcome: Literal["steady", "shifted", "failed"]
    dialogues: int
    difference: float | None
    interval: Bounds | None
    shifted: list[str]
    message: str | None


class GateVerdict(Answer):
    """May this release go out: ``POST /v1/runs/{id}/gate`` (STATISTICS 6).

    ``failing`` and ``errors`` are what decided, ``explanation`` says it in words. ``commands`` play the dialogues that
    an open verdict still needs, in the same runs.
    """

    run: str
    gate: str | None = Field(description="`name@version` of the policy; `null` for one that was given")
    policy: Policy
    verdict: Decision
    failing: list[str]
    warnings: list[str]
    errors: list[str]
    explanation: list[str]
    rules: list[GateRule]
    needed_dialogues: int | None
    commands: list[str]
    baseline: GateBaseline | None
    raters: Literal["calibrated", "human", "judge"]
    worst: list[WorstPair]
    sentinel: list[SentinelOut]
    imported: list[ImportedRatings] = Field([], description="into the run, as in its report")
    created_at: datetime
