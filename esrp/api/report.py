"""The report of a run."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from esrp.api.common import Answer, Bounds, RaterKind, Raters
from esrp.api.estimates import Coverage, Diversity, Estimate, Intervals
from esrp.api.published import PublishedTable
from esrp.api.ratings import ImportedRatings
from esrp.api.runs import RunStatus


class ReportJudge(Answer):
    id: str
    validated: bool
    card: str


class Lengths(Answer):
    """Of the candidate's replies: the share inside the suite's limit (zh 50–150 characters, en 50–150 words)."""

    replies: int
    inside: float | None
    median: float | None


class Form(Answer):
    """What the candidate's replies look like: shares of all of them. It is reported and never scored.

    ``repeated_openings``: replies that open as an earlier one of their ten does; ``opening_diversity``: distinct pairs
    of words in the openings, 0 to 1. Both are ``null`` until the run has ended.
    """

    emoji: float | None
    stage_directions: float | None
    repeated_openings: float | None
    opening_diversity: float | None


class AlphaByCharacter(Answer):
    mean: float
    ci: Bounds | None
    characters: int


class AgreementOut(Answer):
    """How much the raters of one kind agree (STATISTICS 4); ``null`` where so few ratings say nothing.

    ``weighted_tau`` is not 0 where raters are independent: it is to be read beside ``weighted_tau_null``. Neither is
    there for more than 500,000 pairs.
    """

    kind: RaterKind
    cells: int
    pairs: int
    krippendorff_alpha: float | None
    alpha_by_character: AlphaByCharacter | None
    qwk: float | None
    icc: float | None
    acc: float | None
    acc_soft: float | None
    weighted_tau: float | None
    weighted_tau_null: float | None


class AgainstHumansOut(Answer):
    """A judge on one metric, over ``n`` human ratings of what it rated too; ``bias`` is judge − human."""

    n: int
    acc: float | None
    acc_soft: float | None
    bias: float | None
    qwk: float | None


class CalibratedEstimate(Answer):
    """The judge's mean, people's mean of their part, and the mean that both give together (STATISTICS 5).

    ``mean`` is ``null`` where people rated fewer than 60 dialogues, or a part that nobody says was drawn at random.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    judge_mean: float | None
    human_mean: float | None
    mean: float | None
    se: float | None
    ci: Intervals
    n_human: int
    lambda_: float | None = Field(alias="lambda", description="how far the judge is trusted, 0 to 1")


class CalibratedOut(Answer):
    """``sampling``: how the dialogues that people rated were chosen; ``all``: they rated whatever the judges did."""

    sampling: Literal["random", "drawn", "all"] | None
    overall: CalibratedEstimate
    dimensions: dict[str, CalibratedEstimate]
    metrics: dict[str, CalibratedEstimate]


class Example(Answer):
    """A dialogue and its mean rating."""

    dialogue: str
    character: str
    scenario: str | None
    mean: float
    link: str


class GroupRow(Answer):
    """A part of a run; ``GET /v1/runs/{id}/metrics`` has all intervals of it."""

    overall: Estimate
    dimensions: dict[str, float | None]
    metrics: dict[str, float | None]


class Examples(Answer):
    """The dialogues with the highest and the lowest ratings; of equal ones the first by character and scenario."""

    best: list[Example]
    worst: list[Example]


class LowShares(Answer):
    """The shares of dialogues at 1, and at 2 or less, each with its exact interval (Clopper and Pearson)."""

    at_1: float | None
    at_most_2: float | None
    ci: Bounds | None = Field(description="of `at_1`")
    ci_at_most_2: Bounds | None


class PanelOut(Answer):
    """Several judges of the same dialogues: how much they agree on each metric (Krippendorff's alpha, ordinal).

    ``constant``: those that gave one score to everything; ``unrelated``: those that follow something else than the
    others.
    """

    alpha: dict[str, float | None]
    constant: list[str]
    unrelated: list[str]


class Report(Answer):
    """The ESRP report (API: Report). The same ratings and manifest always give the same ``sha256``."""

    run: str
    suite: str
    candidate: str
    status: RunStatus
    judges: list[ReportJudge]
    coverage: Coverage
    overall: Estimate
    dimensions: dict[str, Estimate]
    metrics: dict[str, Estimate]
    raters: Raters | None
    diversity: Diversity | None = None
    agreement: AgreementOut | None = Field(None, description="`null` until it is computed, soon after ratings change")
    calibrated: CalibratedOut | None = None
    judges_against_humans: dict[str, dict[str, AgainstHumansOut]] | None = None
    groups: dict[str, dict[str, GroupRow]] = Field(
        {}, description="by `character`, `persona`, `emotion`, `location`; beside calibrated scores, as judges rated"
    )
    examples: dict[str, Examples] = Field({}, description="by `overall` and metric")
    published: PublishedTable | None = None
    lengths: Lengths
    form: Form | None = None
    manifest: dict[str, Any] = Field({}, description="what the run was made with: the same for runs that compare")
    method: dict[str, Any]
    disaster: dict[str, LowShares] = Field({}, description="by metric; `any`: the lowest of a dialogue's metrics")
    worst: list[str] = Field([], description="the five dialogues with the lowest means")
    panel: PanelOut | None = Field(None, description="of two judges or more")
    not_tested: list[str] = Field([], description="what no figure here says anything about")
    limits: list[str]
    imported: list[ImportedRatings] = Field([], description="the newest 100, oldest of them first; not in `sha256`")
    sha256: str
