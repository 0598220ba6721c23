"""Release gates, baselines and verdicts."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from esrp.api.common import Answer, Body, Bounds
from esrp.api.ratings import ImportedRatings
from esrp.policies import CheckName, Policy

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
    """One check of a policy, and what shows on which side of its threshold it is.

    Of a ``ceiling`` the estimate is the share of dialogues that are a disaster, and its bound the upper one; a
    ``group`` is named as ``character: saber``; an ``anchor`` is a margin against the fixed reference.
    ``bound`` is the one-sided lower confidence bound of the estimate: above ``threshold`` it passes. A margin's
    estimate is candidate − baseline, its threshold −δ. ``worst_bound`` counts all missing ratings against the
    candidate; it is there, and decides, where more is missing than the policy bears.
    """

    metric: str
    kind: Literal["margin", "floor", "ceiling", "group", "anchor"]
    estimate: float | None
    bound: float | None
    threshold: float
    outcome: Literal["pass", "fail", "inconclusive", "not_measured"]
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


class Attempt(Answer):
    """A look at a release: at ``n`` dialogues, and how much of the 5 % error had been spent after it.

    ``again``: other ratings of as many dialogues, decided at the level reached before.
    """

    n: int
    spent: float
    verdict: Decision
    again: bool
    at: datetime


class LookPrice(Answer):
    """What a look would cost, before it is taken: ``POST /v1/runs/{id}/gate/price``.

    ``n`` dialogues of the release until then, ``level`` its one-sided level, ``spends`` of the error of 5 % and what is
    ``left`` after it. ``refused``: beyond ``max_dialogues``, where there is nothing left to be spent. ``again``: other
    ratings of dialogues that were looked at; ``repeated``: the very ratings of an earlier look.
    """

    release: str
    attempts: int = Field(description="looks that were taken before")
    n: int
    max_dialogues: int
    level: float | None
    spends: float
    left: float
    again: bool
    repeated: bool = False
    refused: bool


class EarlierAttempt(Answer):
    """What a gate said of another run of the same model name against the same baseline; whether it is the same bot,
    nobody said."""

    run: str
    verdict: Decision
    at: datetime


class ExternalCheck(Body):
    """``POST /v1/runs/{id}/checks``: a result from elsewhere, such as a crisis suite's."""

    name: CheckName
    outcome: Literal["pass", "fail"]
    url: Annotated[str, StringConstraints(max_length=2000, pattern=r"^https?://")] | None = None


class ExternalCheckOut(Answer):
    name: str
    outcome: Literal["pass", "fail"]
    url: str | None
    at: datetime


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
    chance: float | None = Field(None, description="of a decision at so many dialogues, or at the most there may be")
    release: str | None = Field(None, description="what the error is spent by: `release:…`, `commit:…` or `run:…`")
    attempts: list[Attempt] = Field([], description="the looks at this release against this baseline, this one last")
    max_dialogues: int | None = Field(None, description="over which the error is spent, fixed at the first look")
    left: float | None = Field(None, description="of the error of 5 %")
    asked_before: list[EarlierAttempt] = Field([], description="of a run that no label names")
    shared_pairs: int | None = Field(None, description="(character, scenario) pairs that both runs were rated on")
    checks: list[ExternalCheckOut] = Field([], description="those that the policy requires, as far as they were sent")
    not_tested: list[str] = Field([], description="what no figure here says anything about")
    commands: list[str]
    baseline: GateBaseline | None
    raters: Literal["calibrated", "human", "judge"]
    worst: list[WorstPair]
    sentinel: list[SentinelOut]
    imported: list[ImportedRatings] = Field([], description="into the run, as in its report")
    created_at: datetime
