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
from esrp.suite import SuiteName

Scope = Literal["runs:read", "runs:write", "ratings:write", "admin"]
RunStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "budget_exhausted"]
Phase = Literal["generating", "judging", "analysing"]
DialogueState = Literal["waiting", "playing", "done", "failed", "cancelled"]
RaterKind = Literal["judge", "human"]
Choice = Literal["auto", "judge", "human"]

Item = TypeVar("Item")

OPEN: tuple[RunStatus, ...] = ("queued", "running", "cancelling")
FINAL: tuple[RunStatus, ...] = ("succeeded", "failed", "cancelled", "budget_exhausted")

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+", max_length=2048)]


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
    sample: Sample | None = None
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
    judge_calls: int
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
    error: RunError | None
    warnings: list[str]
    links: Links


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


class RecordedDialogue(Body):
    character: Slug
    scenario: Slug | None = None
    turns: list[Turn] = Field(min_length=1, max_length=200)
    replicate: int = Field(1, ge=1, le=10_000)


class TranscriptRequest(Body):
    """``POST /v1/transcripts``: recorded dialogues over a suite. A dialogue without a scenario is from own logs."""

    name: str = Field(min_length=1, max_length=200)
    suite: str = Field(min_length=1, max_length=200)
    dialogues: list[RecordedDialogue] = Field(min_length=1)


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
    """A judge that can be asked for. ``validated`` is true only once its agreement with people was measured."""

    id: str
    name: str
    kind: str
    model: str
    validated: bool


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
    raters: RaterKind | None
    lengths: Lengths
    method: dict[str, Any]
    limits: list[str]
    sha256: str


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
