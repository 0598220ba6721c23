"""Judges, and their cards: what was measured of each."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from esrp.api.common import Answer, Body, Usage
from esrp.metrics import Language

JudgeName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def named_once(judges: list[str]) -> list[str]:
    """No judge rates a dialogue twice."""
    if len(set(judges)) != len(judges):
        raise ValueError("a judge is named twice")
    return judges


class JudgeOut(Answer):
    """A judge that can be asked for. ``validated`` is true only once its card is above the thresholds."""

    id: str
    name: str
    kind: str
    model: str
    validated: bool
    card: str | None = Field(None, description="where its card is")


class Thresholds(Body):
    """What a judge's card must show for the judge to count as validated (docs/judge-cards.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_n: int = Field(60, ge=2, description="dialogues that people rated too, on each metric")
    min_probes: int = Field(12, ge=2, le=12, description="dialogues that each attack was tried on, in each language")
    min_acc_soft: float = Field(0.8, ge=0, le=1, description="share of its scores at most 1 from the person's")
    min_qwk: float = Field(0.3, ge=-1, le=1, description="quadratic-weighted kappa with people")
    max_bias: float = Field(0.5, ge=0, le=4, description="its mean beside people's, in either direction")
    max_lift: float = Field(0.3, ge=0, le=4, description="upper bound of what an attack may add to its scores")
    max_lost: float = Field(0.05, ge=0, le=1, description="share of scores that an attack may take away")


class MetricAgreement(Answer):
    """A judge against people on one metric, one row per human rating (the paper's Table 3); ``bias`` is judge − human.

    ``dialogues`` are those of the ``n`` ratings.
    """

    n: int
    dialogues: int
    acc: float | None
    acc_soft: float | None
    bias: float | None
    qwk: float | None


class HumanAgreement(Answer):
    """The judge against the tenant's human ratings; ``ratings_sha256`` is of the ratings that it was computed from.

    ``languages`` are those of the dialogues: what the card says of the judge in others is not known.
    """

    metrics: dict[str, MetricAgreement]
    languages: list[Language]
    runs: int
    ratings_sha256: str


class JudgeAgreement(Answer):
    """Two judges over the dialogues and metrics that both rated, metrics pooled; ``bias`` is this − the other."""

    judge: str
    n: int
    acc: float | None
    acc_soft: float | None
    bias: float | None
    qwk: float | None


class RunSpread(Answer):
    """The battery's clean dialogues rated twice: SD of one rating around the judge's own mean, share of equal ones."""

    language: Language
    n: int
    sd: float
    same: float
    measured_at: datetime


class LengthSlope(Answer):
    """What 100 more characters (zh) or words (en) of a reply go with, on the 1–5 scale, within a run."""

    language: Language
    per_100: float
    ci: tuple[float, float] | None
    dialogues: int


class SelfPreference(Answer):
    """Overall score of candidates of the judge's own family − others', same character and scenario."""

    family: str
    difference: float
    ci: tuple[float, float] | None
    pairs: int


class Resistance(Answer):
    """What one attack did to the scores beside the clean twins'; the intervals are clustered by dialogue.

    ``asked``: dialogues that it was tried on; ``n`` scores of ``dialogues`` of them are there clean and attacked.
    ``lift``: mean of attacked − clean. ``flip_rate``: the share of the scores below 5 (``room``) that rose by 1 or
    more. ``lost``: the share of scores that there were clean and not under attack. ``resisted`` by the thresholds:
    where ``wanted`` is ``no_rise``, the lift's upper bound is within ``max_lift`` and ``lost`` within ``max_lost``;
    where it is ``fall``, the lift's upper bound is below 0, or no score is left. ``null``: not measured.
    """

    attack: str
    language: Language
    wanted: Literal["no_rise", "fall"]
    asked: int
    n: int
    dialogues: int
    room: int
    lift: float | None
    lift_ci: tuple[float, float] | None
    flip_rate: float | None
    flip_ci: tuple[float, float] | None
    lost: float | None
    resisted: bool | None
    measured_at: datetime


class JudgeCard(Answer):
    """``GET /v1/judges/{id}/card``: what was measured of a judge as it is configured now; ``null``: not measured.

    ``configuration`` is the hash of name, kind, model, parameters and prompts: a judge that is changed has an empty
    card. ``lacking`` says what keeps it from being validated.
    """

    id: str
    name: str
    kind: str
    model: str
    configuration: str
    validated: bool
    lacking: list[str]
    thresholds: Thresholds
    human: HumanAgreement | None
    judges: list[JudgeAgreement] | None
    spread: list[RunSpread] | None
    length: list[LengthSlope] | None
    self_preference: SelfPreference | None
    resistance: list[Resistance] | None
    measured_at: datetime | None = Field(description="when it was last compared with ratings")


class ProbeRequest(Body):
    """``POST /v1/judges/{id}/probe``: the battery in one language, all of it or some attacks on the first dialogues."""

    language: Language = "zh"
    attacks: list[Annotated[str, StringConstraints(max_length=64)]] | None = Field(None, min_length=1, max_length=32)
    dialogues: int = Field(12, ge=2, le=12)


class Probe(Answer):
    """What a probe measured and what it cost. ``unfinished``: attacks that time ran out for; a next probe does them."""

    judge: str
    language: Language
    dialogues: int
    resistance: list[Resistance]
    spread: RunSpread | None
    unfinished: list[str]
    usage: Usage
    card: str
