"""The wire schema of the public API, shared by the gateway and the SDK."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from esrp.dialogue import Character, Label, Slug, Turn, storable
from esrp.grid import EMOTIONS, LOCATIONS, MOST, PER_CELL, Grid, usual_locations
from esrp.metrics import Language
from esrp.policies import Policy
from esrp.suite import SuiteName

Scope = Literal["runs:read", "runs:write", "ratings:write", "admin"]
RunStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "budget_exhausted"]
Phase = Literal["generating", "judging", "analysing"]
DialogueState = Literal["waiting", "playing", "done", "failed", "cancelled"]
RaterKind = Literal["judge", "human"]
Raters = Literal["judge", "human", "calibrated"]
Choice = Literal["auto", "judge", "human", "calibrated"]
Sampling = Literal["random"]  # what an import may say; that the service drew a dialogue is for the service to say

Item = TypeVar("Item")

OPEN: tuple[RunStatus, ...] = ("queued", "running", "cancelling")
FINAL: tuple[RunStatus, ...] = ("succeeded", "failed", "cancelled", "budget_exhausted")

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+", max_length=2048)]
GateRef = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Gate = Annotated[
    Annotated[GateRef, Tag("name")] | Annotated[Policy, Tag("policy")],
    Discriminator(lambda given: "name" if isinstance(given, str) else "policy"),
]
Decision = Literal["pass", "fail", "inconclusive", "error"]


class Body(BaseModel):
    """What a client sends: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _text_can_be_stored(cls, value: Any) -> Any:
        return storable(value)


class Answer(BaseModel):
    """What the service sends: clients must bear new fields."""


# --- runs -------------------------------------------------------------------------------------------------------------


class Params(Body):
    """Sampling parameters; the defaults are the paper's (5.1)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float | None = Field(0.7, ge=0, le=2)
    top_p: float | None = Field(0.95, gt=0, le=1)
    max_tokens: int | None = Field(256, ge=1, le=100_000)


class EndpointCandidate(Body):
    """A bot behind an OpenAI-compatible chat endpoint. ``api_key`` is write-only."""

    kind: Literal["endpoint"] = "endpoint"
    base_url: Url
    model: str = Field(min_length=1, max_length=256)
    api_key: SecretStr | None = None
    params: Params = Params()
    headers: dict[str, str] = {}
    extra_body: dict[str, Any] = {}
    prompt: str = Field(
        "suite", max_length=20_000, description="`suite`, `none`, or a template with {name} {work} {profile}"
    )
    models: dict[Slug, str] = Field({}, description="another model id for a character")
    max_concurrency: int = Field(64, ge=1, le=4096, description="calls in flight to the endpoint, over all workers")
    requests_per_minute: int | None = Field(None, ge=1, le=1_000_000)
    tokens_per_minute: int | None = Field(None, ge=1, le=1_000_000_000)
    stream: bool = Field(False, description="ask for the reply as a stream, for endpoints that know no other way")

    @field_validator("base_url")
    @classmethod
    def _credentials_are_no_part_of_the_address(cls, url: str) -> str:
        if "@" in url.split("://", 1)[1].split("/", 1)[0]:
            raise ValueError("a user name or password in the address would be shown; use api_key")
        return url

    @field_validator("headers")
    @classmethod
    def _headers_fit_on_one_line(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not name.isascii() or any(c in name + value for c in "\r\n\0") or not name.strip():
                raise ValueError(f"header {name!r} is not a valid header")
            if name.lower() in {"authorization", "host", "content-length", "transfer-encoding"}:
                raise ValueError(f"header {name!r} is set by the service; use api_key for credentials")
        return headers

    @field_validator("extra_body")
    @classmethod
    def _extra_body_leaves_the_conversation_alone(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted({"messages", "model", "stream", "user", "n"} & set(extra)):
            raise ValueError(f"{', '.join(taken)} cannot be set here")
        return extra


class TranscriptCandidate(Body):
    """Recorded dialogues instead of an endpoint."""

    kind: Literal["transcript"]
    transcript: str


Candidate = Annotated[EndpointCandidate | TranscriptCandidate, Field(discriminator="kind")]


class Sample(Body):
    """A balanced part of the suite: same seed, same part; a larger one contains the smaller."""

    dialogues: int = Field(ge=1)
    seed: int = Field(0, ge=0, lt=2**63)


class FrozenRound(Body):
    """The user's later turns come from a transcript, so that two candidates meet the same questions."""

    frozen: str = Field(description="a transcript's id")


class Budget(Body):
    """What a run may spend over candidate, simulator and judges; no call is begun that could break it."""

    max_tokens: int | None = Field(None, ge=1)
    max_calls: int | None = Field(None, ge=1)
    max_cost: float | None = Field(None, gt=0, description="in the currency of the prices")


class Price(Body):
    """Money for a million tokens."""

    prompt_per_million: float = Field(ge=0)
    completion_per_million: float = Field(ge=0)


class Prices(Body):
    """What is not given costs nothing."""

    candidate: Price | None = None
    simulator: Price | None = None
    judge: Price | None = None


class RunRequest(Body):
    """``POST /v1/runs``."""

    suite: str = Field(min_length=1, max_length=200, description="name, or name@version")
    candidate: Candidate
    name: str | None = Field(None, max_length=200)
    simulator: str = Field("default", max_length=64)
    judges: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(["default"], max_length=16)
    rounds: int = Field(2, ge=1, le=10)
    round2: Literal["live"] | FrozenRound = "live"
    replicates: int = Field(1, ge=1, le=20)
    diversity: bool = Field(True, description="whether judges also rate how varied each ten replies of a character are")
    sample: Sample | None = None
    budget: Budget | None = None
    prices: Prices | None = None
    gate: Gate | None = Field(None, description="a policy's name, or a policy")
    labels: dict[Label, Annotated[str, StringConstraints(max_length=256)]] = Field({}, max_length=32)

    @field_validator("judges")
    @classmethod
    def _judges_are_named_once(cls, judges: list[str]) -> list[str]:
        if len(set(judges)) != len(judges):
            raise ValueError("a judge is named twice")
        return judges

    @model_validator(mode="after")
    def _a_cost_needs_prices(self) -> Self:
        if self.budget and self.budget.max_cost is not None and self.prices is None:
            raise ValueError("budget.max_cost needs prices")
        return self

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
    """The smallest differences the plan would show with 80 % power (STATISTICS 6)."""

    overall: float
    metrics: float


class Plan(Answer):
    """What a run will ask of the models, before anything is spent.

    The calls are exact, but for repeated attempts. Tokens are estimated from the suite's texts, or measured by a pilot
    of some dialogues (``probed``); the cost follows from them where prices are given.
    """

    dialogues: int
    candidate_calls: int
    simulator_calls: int
    judge_calls: int = Field(description="about dialogues, and about batches of replies (STATISTICS 7)")
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


class Usage(Answer):
    """Calls that an endpoint answered, and the tokens it counted."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class RunUsage(Answer):
    candidate: Usage = Usage()
    simulator: Usage = Usage()
    judge: Usage = Usage()


class RunError(Answer):
    """Why a run failed, in words a person can act on."""

    code: str
    message: str


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
    warnings: list[str] = []


class RatingOut(Answer):
    metric: str
    rater: str
    kind: RaterKind
    score: int
    explanation: str | None


class VerdictOut(Answer):
    """What a judge did with the dialogue; ``raw`` is its reply where scores are missing from it."""

    judge: str
    state: str
    error: str | None
    raw: str | None


class DialogueOut(Answer):
    id: str
    run: str
    character: str
    scenario: str | None
    replicate: int
    state: DialogueState
    turns: list[Turn]
    ratings: list[RatingOut]
    verdicts: list[VerdictOut]
    attempts: int = Field(0, description="that failed since the last answer")
    error: RunError | None


# --- suites, transcripts, keys, tenants, judges -----------------------------------------------------------------------


class SuiteOut(Answer):
    id: str
    name: str
    version: int
    sha256: str
    language: str
    experimental: bool
    counts: dict[str, int]
    created_at: datetime
    warnings: list[str] = Field([], description="what its author should know; lists leave it empty")


MOST_RECORDED = 100_000  # dialogues of a transcript


class RecordedDialogue(Body):
    character: Slug
    scenario: Slug | None = None
    turns: list[Turn] = Field(min_length=1, max_length=200)
    replicate: int = Field(1, ge=1, le=10_000)


class TranscriptRequest(Body):
    """``POST /v1/transcripts``: recorded dialogues over a suite. A dialogue without a scenario is from own logs."""

    name: str = Field(min_length=1, max_length=200)
    suite: str = Field(min_length=1, max_length=200)
    dialogues: list[RecordedDialogue] = Field(min_length=1, max_length=MOST_RECORDED)


class TranscriptOut(Answer):
    id: str
    name: str
    suite: str
    dialogues: int
    created_at: datetime


class KeyRequest(Body):
    name: str = Field("", max_length=200)
    scopes: list[Scope] = Field(min_length=1)
    tenant: str | None = Field(None, description="another tenant's id: for an admin of the first tenant")


class KeyOut(Answer):
    id: str
    name: str
    scopes: list[Scope]
    prefix: str
    created_at: datetime


class NewKey(KeyOut):
    """The only time that the key itself is shown."""

    key: str


class TenantRequest(Body):
    name: str = Field(min_length=1, max_length=200)


class TenantOut(Answer):
    id: str
    name: str
    created_at: datetime


class JudgeOut(Answer):
    """A judge that can be asked for. ``validated`` is true only once its card is above the thresholds."""

    id: str
    name: str
    kind: str
    model: str
    validated: bool
    card: str | None = Field(None, description="where its card is")


class Imported(Answer):
    """``POST /v1/ratings``: rows stored, rows with no score, rows that were there already, columns not read."""

    stored: int
    missing: int
    duplicates: int
    ignored_columns: list[str]


class CheckRequest(Body):
    """``POST /v1/check``: one dialogue, nothing stored. Character and scenario: the suite's first if not given."""

    suite: str
    candidate: EndpointCandidate
    simulator: str = "default"
    character: Slug | None = None
    scenario: Slug | None = None
    rounds: int = Field(2, ge=1, le=10)


class Exchange(Answer):
    """One call: to whom, what was sent, what came back or why nothing did."""

    role: Literal["candidate", "simulator"]
    request: dict[str, Any]
    reply: str | None
    finish_reason: str | None
    error: RunError | None
    seconds: float


class Check(Answer):
    ok: bool
    character: str
    scenario: str
    turns: list[Turn]
    exchanges: list[Exchange]
    problems: list[str]


# --- scenario sets ----------------------------------------------------------------------------------------------------

GridLabel = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\p{C}\p{Zl}\p{Zp}⟦⟧]+$")
]
GridLabels = Annotated[list[GridLabel], Field(min_length=1, max_length=32)]
ScenarioSetStatus = Literal["queued", "running", "succeeded", "failed"]
ScenarioState = Literal["waiting", "writing", "written", "failed"]


def _how_given(locations: Any) -> str:
    return "for_each" if isinstance(locations, dict) else "for_all"


Locations = Annotated[
    Annotated[GridLabels, Tag("for_all")] | Annotated[dict[GridLabel, GridLabels], Tag("for_each")],
    Discriminator(_how_given),
]


class ScenarioSetRequest(Body):
    """``POST /v1/scenario-sets``: the grid; what is not given is the paper's (3.1), 288 scenarios in all."""

    name: str = Field(min_length=1, max_length=200)
    language: Language = "zh"
    personas: GridLabels = list(LOCATIONS)
    emotions: GridLabels = list(EMOTIONS)
    locations: Locations | None = Field(
        None,
        validate_default=True,
        description="one list for all personas, or one for each; needed for personas that are not the paper's",
    )
    per_cell: int = Field(PER_CELL, ge=1, le=10)

    @field_validator("personas", "emotions")
    @classmethod
    def _labels_are_given_once(cls, labels: list[str]) -> list[str]:
        if twice := [label for label, times in Counter(labels).items() if times > 1]:
            raise ValueError(f"the label {twice[0]!r} is given twice")
        return labels

    @field_validator("locations")
    @classmethod
    def _every_persona_is_somewhere(cls, given: Any, info: ValidationInfo) -> Any:
        personas = info.data.get("personas", list(LOCATIONS))
        locations = _locations(personas, given)
        for persona, labels in locations.items():
            if persona not in personas:
                raise ValueError(f"{persona!r} is none of the personas")
            cls._labels_are_given_once(list(labels))
        if missing := [persona for persona in personas if persona not in locations]:
            raise ValueError(f"where is the persona {missing[0]!r}? Only the paper's have usual places")
        return given

    @model_validator(mode="after")
    def _the_grid_is_not_too_large(self) -> Self:
        if self.grid.size > MOST:
            raise ValueError(f"this grid has {self.grid.size} scenarios; at most {MOST} are possible")
        return self

    @property
    def grid(self) -> Grid:
        """The grid with the location of every persona."""
        return Grid(
            personas=tuple(self.personas),
            emotions=tuple(self.emotions),
            locations=_locations(self.personas, self.locations),
            per_cell=self.per_cell,
        )


def _locations(personas: list[str], given: dict[str, list[str]] | list[str] | None) -> dict[str, tuple[str, ...]]:
    if given is None:
        return usual_locations(personas)
    if isinstance(given, dict):
        return {persona: tuple(labels) for persona, labels in given.items()}
    return dict.fromkeys(personas, tuple(given))


class Tally(Answer):
    """Scenarios: planned, written, given up, and taken into a suite."""

    planned: int = 0
    written: int = 0
    failed: int = 0
    selected: int = 0


class ScenarioProgress(Tally):
    """Of the whole set. ``near_duplicates`` is known once all is written."""

    near_duplicates: int = 0


class CellTally(Tally):
    persona: str
    emotion: str
    location: str


class GridCoverage(Answer):
    """How far the grid is covered: each cell, and each label over all its cells."""

    cells: list[CellTally]
    personas: dict[str, Tally]
    emotions: dict[str, Tally]
    locations: dict[str, Tally]


class ScenarioSetLinks(Answer):
    self: str
    scenarios: str
    select: str


class ScenarioSetOut(Answer):
    """A scenario set: what was asked and how far it is."""

    id: str
    name: str
    language: Language
    status: ScenarioSetStatus
    grid: Grid
    writer: str = Field(description="the model that writes")
    created_at: datetime
    finished_at: datetime | None
    progress: ScenarioProgress
    usage: Usage
    error: RunError | None
    links: ScenarioSetLinks


class ScenarioSetDetail(ScenarioSetOut):
    coverage: GridCoverage


class ScenarioDraft(Answer):
    """A generated scenario. ``similarity`` is that to the earlier draft of the set that it is most like, 0 to 1."""

    id: str
    persona: str
    emotion: str
    location: str
    number: int = Field(description="which of its cell, from 1")
    state: ScenarioState
    event: str | None
    question: str | None
    near_duplicate_of: str | None
    similarity: float | None
    selected: bool
    attempts: int
    raw: str | None = Field(description="the writer's last reply of no use, where there is nothing better")
    error: RunError | None


class CharactersOf(Body):
    """The characters of a suite: ``name`` or ``name@version``."""

    suite: str = Field(alias="from", min_length=1, max_length=200)


class SelectRequest(Body):
    """``POST /v1/scenario-sets/{id}/select``: the chosen drafts, and who is to meet them."""

    suite: SuiteName = Field(description="the name of the suite that is made")
    scenarios: list[str] = Field(min_length=1, max_length=MOST)
    characters: Annotated[
        Annotated[CharactersOf, Tag("suite")]
        | Annotated[list[Character], Field(min_length=1, max_length=1000), Tag("list")],
        Discriminator(lambda given: "list" if isinstance(given, list) else "suite"),
    ]


class Provenance(Answer):
    """``GET /v1/suites/{name}/provenance``: where the suite's scenarios come from; ``null`` if nobody said."""

    suite: str
    sha256: str
    provenance: dict[str, Any] | None


# --- judge cards ------------------------------------------------------------------------------------------------------


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


# --- report -----------------------------------------------------------------------------------------------------------

Bounds = tuple[float, float]


class Intervals(Answer):
    """Which question each answers: STATISTICS 2. ``None`` where there are too few units."""

    suite: Bounds | None
    dialogue: Bounds | None
    population: Bounds | None


class Estimate(Answer):
    """A mean on the 1–5 scale; all ``None`` where nothing was scored. ``worst`` sets the missing to 1 and to 5."""

    mean: float | None
    n: int = Field(description="dialogues scored")
    ratings: int
    se: float | None
    ci: Intervals
    worst: Bounds | None


class Coverage(Answer):
    dialogues: int
    scored: int
    missing: dict[str, int]


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


class DiversityIntervals(Answer):
    """``batch``: other replies of these characters; ``population``: other characters too."""

    batch: Bounds | None
    population: Bounds | None


class Diversity(Answer):
    """How much replies differ (STATISTICS 7), over ``n`` batches of ten replies.

    Of ``judge`` and ``human`` the mean rating, ``scale`` 1 to 5. ``automatic``: opening diversity, ``scale`` 0 to 1, a
    count that no rating can be held against.
    """

    kind: Literal["judge", "human", "automatic"]
    scale: tuple[int, int]
    mean: float | None
    n: int
    ratings: int
    se: float | None
    ci: DiversityIntervals


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


class PublishedRow(Answer):
    """A row of a published table: dimensions and metrics by their ids, as printed."""

    candidate: str
    overall: float
    dimensions: dict[str, float]
    metrics: dict[str, float]
    diversity: float | None = None
    ci: Bounds | None = Field(None, description="of overall, where the paper states it")


class PublishedTable(Answer):
    """Published figures for reference: they were measured elsewhere, on other raters."""

    reference: Literal[True] = True
    title: str
    source: str
    raters: str
    rows: list[PublishedRow]


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
    limits: list[str]
    sha256: str


# --- figures ----------------------------------------------------------------------------------------------------------

GroupBy = Literal["character", "scenario", "persona", "emotion", "location", "rater"]


class Scored(Answer):
    """Overall, dimensions and metrics of one group."""

    overall: Estimate
    dimensions: dict[str, Estimate]
    metrics: dict[str, Estimate]


class MetricsOut(Answer):
    """``GET /v1/runs/{id}/metrics``: the groups in their order; ``worst`` is ``null``: nobody knows what is missing.

    Of ``count`` groups these are a page, which share resamples; ``next_cursor`` is where the next begins.
    """

    run: str
    suite: str
    candidate: str
    group_by: GroupBy
    raters: RaterKind | None
    groups: dict[str, Scored]
    count: int
    next_cursor: str | None
    method: dict[str, Any]


class SeriesPoint(Scored):
    run: str
    name: str | None
    suite: str
    candidate: str
    judges: list[str]
    raters: Raters | None
    status: RunStatus
    labels: dict[str, str]
    created_at: datetime


class Series(Answer):
    """``GET /v1/metrics/series``: the finished runs, oldest first."""

    data: list[SeriesPoint]


class ComparisonRequest(Body):
    """``POST /v1/comparisons``: two runs' ids."""

    baseline: str
    candidate: str
    raters: Choice = "auto"


class DifferenceOut(Answer):
    """Candidate − baseline on the ``n`` pairs of character and scenario that both were rated on.

    ``calibrated``: ``n`` dialogues that people rated of both.
    """

    difference: float | None
    n: int
    se: float | None
    ci: Intervals


class Comparison(Answer):
    baseline: str
    candidate: str
    suite: str
    raters: Raters | None
    overall: DifferenceOut
    dimensions: dict[str, DifferenceOut]
    metrics: dict[str, DifferenceOut]
    method: dict[str, Any]


class Differences(Answer):
    overall: DifferenceOut
    dimensions: dict[str, DifferenceOut]
    metrics: dict[str, DifferenceOut]


class LeaderboardRow(Scored):
    """``rank`` and ``last_rank``: one more than are better beyond chance, and all but those that are worse.

    ``tied_with`` names the runs whose overall score is not different beyond chance (Holm over all pairs).
    """

    run: str
    candidate: str
    coverage: Coverage
    rank: int | None
    last_rank: int | None
    tied_with: list[str]
    diversity: Diversity | None
    difference: Differences | None = Field(None, description="to the reference row, paired by resamples")


class NotRanked(Answer):
    """A run that was measured in another way than those that are ranked."""

    run: str
    candidate: str
    differs: list[str]


class Leaderboard(Answer):
    """``GET /v1/leaderboard``: the newest finished run of each candidate, best first; published rows beside them."""

    suite: str
    raters: RaterKind | None
    reference: str | None
    rows: list[LeaderboardRow]
    not_ranked: list[NotRanked]
    published: PublishedTable | None
    method: dict[str, Any]


# --- gates ------------------------------------------------------------------------------------------------------------

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
    created_at: datetime


# --- panels -----------------------------------------------------------------------------------------------------------


class Paneled(Body):
    """Whom a panel consists of, and what each run of it may spend."""

    judges: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(min_length=1, max_length=16)
    budget: Budget | None = None
    prices: Prices | None = None
    labels: dict[Label, Annotated[str, StringConstraints(max_length=256)]] = Field({}, max_length=32)

    @field_validator("judges")
    @classmethod
    def _judges_are_named_once(cls, judges: list[str]) -> list[str]:
        if len(set(judges)) != len(judges):
            raise ValueError("a judge is named twice")
        return judges

    @model_validator(mode="after")
    def _a_cost_needs_prices(self) -> Self:
        if self.budget and self.budget.max_cost is not None and self.prices is None:
            raise ValueError("budget.max_cost needs prices")
        return self


class RejudgeRequest(Paneled):
    """``POST /v1/runs/{id}/rejudge``: judges who rate the dialogues of a run that has ended, in a run of its own."""

    name: str | None = Field(None, max_length=200)


class ShortlistRequest(Paneled):
    """``POST /v1/shortlists``: a panel over many candidates, recorded ones too, of which the best ``keep`` are kept.

    Each gets a run of its own; ``budget`` and ``prices`` are those of each.
    """

    suite: str = Field(min_length=1, max_length=200, description="name, or name@version")
    candidates: list[Candidate] = Field([], max_length=64)
    transcripts: list[str] = Field([], max_length=64, description="recorded candidates: their transcripts' ids")
    keep: int = Field(5, ge=1, le=128)
    judges: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        ["default"], min_length=1, max_length=16
    )
    name: str | None = Field(None, max_length=200)
    simulator: str = Field("default", max_length=64)
    rounds: int = Field(2, ge=1, le=10)
    sample: Sample | None = None

    @field_validator("candidates", mode="before")
    @classmethod
    def _an_endpoint_unless_said_otherwise(cls, candidates: Any) -> Any:
        if not isinstance(candidates, list):
            return candidates
        return [{"kind": "endpoint", **c} if isinstance(c, dict) and "kind" not in c else c for c in candidates]

    @model_validator(mode="after")
    def _there_is_a_choice(self) -> Self:
        if len(self.candidates) + len(self.transcripts) < 2:
            raise ValueError("give at least two candidates or transcripts to choose from")
        return self


class BatchVerdict(Answer):
    """What a judge said of a batch; ``raw`` is its last reply, also where no score could be read from it."""

    judge: str
    state: str
    score: int | None
    explanation: str | None
    error: str | None
    raw: str | None


class BatchOut(Answer):
    """Replies of one character that judges rate together, for how varied they are; ``batch`` counts from 1."""

    character: str
    batch: int
    replies: list[str]
    verdicts: list[BatchVerdict]


class ShortlistRow(Answer):
    """A candidate as the panel sees it: a row of the paper's Table 4.

    ``place`` and ``kept`` are ``null`` until every run has ended; who has no score has no place and is not kept.
    """

    place: int | None
    kept: bool | None
    candidate: str
    run: str
    status: RunStatus
    overall: float | None
    dimensions: dict[str, float | None]
    metrics: dict[str, float | None]
    ci: Bounds | None = Field(None, description="of overall, for new scenarios (`suite`)")
    scored: int = Field(0, description="dialogues with a score")
    dialogues: int


class ShortlistLinks(Answer):
    self: str


class Shortlist(Answer):
    """Candidates in descending order of their overall score by the panel (paper, appendix D)."""

    id: str
    name: str | None
    status: Literal["running", "finished"]
    suite: str
    judges: list[str]
    keep: int
    created_at: datetime
    rows: list[ShortlistRow]
    published: PublishedTable | None = Field(None, description="the paper's Table 4, beside the suite `chatanime`")
    links: ShortlistLinks


class Page(Answer, Generic[Item]):
    data: list[Item]
    next_cursor: str | None


class Problem(Answer):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None
    retryable: bool
    errors: list[dict[str, str]] = []
