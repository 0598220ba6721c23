"""The calls of the API as values: what to send, and how to read what comes back. No I/O."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from esrp.api import (
    BaselineOut,
    BatchOut,
    Check,
    CheckRequest,
    Choice,
    Comparison,
    DialogueOut,
    DryRun,
    GateOut,
    GateVerdict,
    GroupBy,
    Imported,
    JudgeCard,
    JudgeOut,
    KeyOut,
    KeyRequest,
    Leaderboard,
    MetricsOut,
    NewKey,
    Page,
    Probe,
    ProbeRequest,
    Provenance,
    RecordedDialogue,
    RejudgeRequest,
    Report,
    Run,
    RunRequest,
    Sampling,
    ScenarioDraft,
    ScenarioSetDetail,
    ScenarioSetOut,
    ScenarioSetRequest,
    Series,
    Shortlist,
    ShortlistRequest,
    SuiteOut,
    TenantOut,
    TenantRequest,
    TranscriptOut,
)
from esrp.client.errors import ApiError
from esrp.dialogue import Character
from esrp.errors import Fault, InvalidInput
from esrp.policies import Policy

Answer = TypeVar("Answer", bound=BaseModel)
T_co = TypeVar("T_co", covariant=True)

JSON = "application/json"
NDJSON = "application/x-ndjson"
PAGE = 100  # the most that the API gives at once
RATING_TYPES = {".csv": "text/csv", ".jsonl": NDJSON, ".ndjson": NDJSON}
ReportFormat = Literal["json", "md"]
ExportFormat = Literal["csv", "jsonl", "parquet"]
LeaderboardFormat = Literal["md", "csv", "parquet"]
ShortlistFormat = Literal["json", "md", "csv"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``repeatable``: sending it twice does no more than sending it once."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None

    @property
    def repeatable(self) -> bool:
        """Reads, and what carries an idempotency key."""
        return self.method in {"GET", "PUT", "DELETE"} or "Idempotency-Key" in self.headers

    def at(self, cursor: str | None) -> "Request":
        """The same list from ``cursor`` on."""
        return replace(self, params={**self.params, "cursor": cursor}) if cursor else self


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; ``url`` is where from. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """A request and the reading of its answer."""

    request: Request
    read: Callable[[Reply], T_co]


# --- runs -------------------------------------------------------------------------------------------------------------


def create_run(run: RunRequest | Mapping[str, Any], key: str | None, *, reattach: bool = False) -> Call[Run]:
    """Start a run, or go on with the one of the same labels and configuration."""
    params = {"reattach": "true"} if reattach else {}
    return Call(replace(_post("/v1/runs", run, key=key or _new_key()), params=params), _model(Run))


def dry_run(run: RunRequest | Mapping[str, Any], *, probe: bool = False) -> Call[DryRun]:
    """What a run would ask of the models; ``probe`` plays a pilot."""
    params = {"dry_run": "true", **({"probe": "true"} if probe else {})}
    return Call(replace(_post("/v1/runs", run), params=params), _model(DryRun))


def run(id: str) -> Call[Run]:
    """Read a run."""
    return Call(Request("GET", f"/v1/runs/{_quoted(id)}"), _model(Run))


def runs(status: str | None, suite: str | None, candidate: str | None) -> Call[Page[Run]]:
    """List runs."""
    return _list("/v1/runs", Run, status=status, suite=suite, candidate=candidate)


def cancel(id: str) -> Call[Run]:
    """Stop a run."""
    return Call(Request("POST", f"/v1/runs/{_quoted(id)}/cancel"), _model(Run))


def resume(id: str, budget: Mapping[str, Any] | None, *, lift: bool = False) -> Call[Run]:
    """Go on with a run that was stopped."""
    path = f"/v1/runs/{_quoted(id)}/resume"
    given = lift or budget is not None
    return Call(_post(path, {"budget": budget}) if given else Request("POST", path), _model(Run))


def retry_failed(id: str) -> Call[Run]:
    """Try again what failed."""
    return Call(Request("POST", f"/v1/runs/{_quoted(id)}/retry-failed"), _model(Run))


def extend(id: str, dialogues: int | None, replicates: int | None) -> Call[Run]:
    """More dialogues of the same plan."""
    wanted = {"dialogues": dialogues, "replicates": replicates}
    body = {name: value for name, value in wanted.items() if value is not None}
    return Call(_post(f"/v1/runs/{_quoted(id)}/extend", body), _model(Run))


def batches(id: str) -> Call[Page[BatchOut]]:
    """List a run's batches."""
    return _list(f"/v1/runs/{_quoted(id)}/batches", BatchOut)


def rejudge(id: str, asked: RejudgeRequest | Mapping[str, Any], key: str | None) -> Call[Run]:
    """Other judges over a run's dialogues."""
    return Call(_post(f"/v1/runs/{_quoted(id)}/rejudge", asked, key=key or _new_key()), _model(Run))


def create_shortlist(asked: ShortlistRequest | Mapping[str, Any], key: str | None) -> Call[Shortlist]:
    """A panel over many candidates."""
    return Call(_post("/v1/shortlists", asked, key=key or _new_key()), _model(Shortlist))


def shortlist(id: str) -> Call[Shortlist]:
    """Read a shortlist."""
    return Call(Request("GET", f"/v1/shortlists/{_quoted(id)}"), _model(Shortlist))


def shortlist_text(id: str, format: ShortlistFormat) -> Call[str]:
    """A shortlist as Markdown or CSV."""
    return Call(Request("GET", f"/v1/shortlists/{_quoted(id)}", {"format": format}), _text)


def events(id: str, last: str | None) -> Request:
    """The stream of a run's events after ``last``."""
    return Request("GET", f"/v1/runs/{_quoted(id)}/events", headers={"Last-Event-ID": last} if last else {})


def report(id: str, raters: Choice) -> Call[Report]:
    """A run's report."""
    return Call(Request("GET", f"/v1/runs/{_quoted(id)}/report", _chosen(raters=raters)), _model(Report))


def report_text(id: str, format: ReportFormat, raters: Choice) -> Call[str]:
    """A run's report as Markdown."""
    return Call(Request("GET", f"/v1/runs/{_quoted(id)}/report", {"format": format, **_chosen(raters=raters)}), _text)


def dialogues(id: str, character: str | None, scenario: str | None, state: str | None) -> Call[Page[DialogueOut]]:
    """List a run's dialogues."""
    path = f"/v1/runs/{_quoted(id)}/dialogues"
    return _list(path, DialogueOut, character=character, scenario=scenario, state=state)


def dialogue(id: str) -> Call[DialogueOut]:
    """Read a dialogue."""
    return Call(Request("GET", f"/v1/dialogues/{_quoted(id)}"), _model(DialogueOut))


def check(request: CheckRequest | Mapping[str, Any]) -> Call[Check]:
    """One dialogue, nothing stored."""
    return Call(_post("/v1/check", request), _model(Check))


# --- figures ----------------------------------------------------------------------------------------------------------


def metrics(id: str, group_by: GroupBy, raters: Choice, cursor: str | None) -> Call[MetricsOut]:
    """A page of a run's scores by group."""
    return Call(_metrics(id, group_by, raters, cursor), _model(MetricsOut))


def metrics_table(
    id: str, group_by: GroupBy, raters: Choice, format: Literal["csv", "parquet"], cursor: str | None
) -> Call[bytes]:
    """A page of a run's scores by group as a table."""
    request = _metrics(id, group_by, raters, cursor)
    return Call(replace(request, params={**request.params, "format": format}), _bytes)


def series(candidate: str | None, suite: str | None, judge: str | None, limit: int) -> Call[Series]:
    """The metrics run by run."""
    params = {"limit": str(limit), **_chosen(candidate=candidate, suite=suite, judge=judge)}
    return Call(Request("GET", "/v1/metrics/series", params), _model(Series))


def compare(baseline: str, candidate: str, raters: Choice) -> Call[Comparison]:
    """Two runs side by side; it reads, so it may be sent again."""
    body = {"baseline": baseline, "candidate": candidate, "raters": raters}
    return Call(_post("/v1/comparisons", body, key=_new_key()), _model(Comparison))


def leaderboard(suite: str, raters: Choice, reference: str | None) -> Call[Leaderboard]:
    """A suite's candidates, best first."""
    return Call(_leaderboard(suite, raters, reference), _model(Leaderboard))


def leaderboard_table(suite: str, raters: Choice, reference: str | None, format: LeaderboardFormat) -> Call[bytes]:
    """A leaderboard as a table."""
    request = _leaderboard(suite, raters, reference)
    return Call(replace(request, params={**request.params, "format": format}), _bytes)


def _metrics(id: str, group_by: GroupBy, raters: Choice, cursor: str | None) -> Request:
    params = {"group_by": group_by, **_chosen(raters=raters, cursor=cursor)}
    return Request("GET", f"/v1/runs/{_quoted(id)}/metrics", params)


def _leaderboard(suite: str, raters: Choice, reference: str | None) -> Request:
    return Request("GET", "/v1/leaderboard", {"suite": suite, **_chosen(raters=raters, reference=reference)})


def _chosen(**given: str | None) -> dict[str, str]:
    """Parameters that are not the default."""
    return {name: value for name, value in given.items() if value not in (None, "auto")}


# --- gates ------------------------------------------------------------------------------------------------------------


def gate(run: str, policy: str | Policy | Mapping[str, Any]) -> Call[GateVerdict]:
    """Hold a run against a policy, by its name or as it is given."""
    body = {"gate": policy} if isinstance(policy, str) else {"policy": _wire(policy)}
    return Call(_post(f"/v1/runs/{_quoted(run)}/gate", body), _model(GateVerdict))


def verdict(run: str) -> Call[GateVerdict]:
    """Read a run's newest verdict."""
    return Call(Request("GET", f"/v1/runs/{_quoted(run)}/gate"), _model(GateVerdict))


def create_gate(name: str, policy: Policy | Mapping[str, Any], key: str | None) -> Call[GateOut]:
    """Keep a policy under a name."""
    return Call(_post("/v1/gates", {"name": name, "policy": _wire(policy)}, key=key or _new_key()), _model(GateOut))


def gates() -> Call[Page[GateOut]]:
    """List policies."""
    return _list("/v1/gates", GateOut)


def set_baseline(name: str, run: str) -> Call[BaselineOut]:
    """Let a name mean this run."""
    return Call(replace(_post(f"/v1/baselines/{_quoted(name)}", {"run": run}), method="PUT"), _model(BaselineOut))


def baselines() -> Call[Page[BaselineOut]]:
    """List baselines."""
    return _list("/v1/baselines", BaselineOut)


# --- suites, transcripts, ratings -------------------------------------------------------------------------------------


def suites() -> Call[Page[SuiteOut]]:
    """List suites."""
    return _list("/v1/suites", SuiteOut)


def suite(name: str) -> Call[SuiteOut]:
    """Read a suite by name or name@version."""
    return Call(Request("GET", f"/v1/suites/{_quoted(name)}"), _model(SuiteOut))


def upload_suite(document: str | Mapping[str, Any], key: str | None) -> Call[SuiteOut]:
    """Store a suite: YAML or JSON text, or the parsed document."""
    if isinstance(document, str):
        request = _post("/v1/suites", document.encode(), "application/yaml", key=key or _new_key())
    else:
        request = _post("/v1/suites", document, key=key or _new_key())
    return Call(request, _model(SuiteOut))


def import_transcript(
    name: str, suite: str, dialogues: str | Iterable[RecordedDialogue | Mapping[str, Any]], key: str | None
) -> Call[TranscriptOut]:
    """Store recorded dialogues over a suite: JSONL text, or the dialogues."""
    if isinstance(dialogues, str):
        request = _post("/v1/transcripts", dialogues.encode(), NDJSON, key=key or _new_key())
        request = replace(request, params={"name": name, "suite": suite})
    else:
        items = [_wire(dialogue) for dialogue in dialogues]
        request = _post("/v1/transcripts", {"name": name, "suite": suite, "dialogues": items}, key=key or _new_key())
    return Call(request, _model(TranscriptOut))


def import_published(name: str, source: Path | bytes, key: str | None) -> Call[TranscriptOut]:
    """Store a published ChatAnime file as a transcript."""
    content = source.read_bytes() if isinstance(source, Path) else source
    request = _post("/v1/transcripts", content, JSON, key=key or _new_key())
    return Call(replace(request, params={"name": name}), _model(TranscriptOut))


def import_ratings(
    source: Path | bytes,
    content_type: str | None,
    replace_scores: bool,
    key: str | None,
    *,
    path: str = "/v1/ratings",
    sampling: Sampling | None = None,
) -> Call[Imported]:
    """Store human ratings: CSV or JSONL, told by ``content_type`` or by how the file's name ends."""
    content = source.read_bytes() if isinstance(source, Path) else source
    kind = content_type or (RATING_TYPES.get(source.suffix.lower()) if isinstance(source, Path) else None)
    if kind is None:
        raise InvalidInput("Ratings are CSV or JSONL: the file's name must end in .csv, .jsonl or .ndjson.")
    request = _post(path, content, kind, key=key or _new_key())
    params = {"replace": "true"} if replace_scores else {}
    return Call(replace(request, params={**params, **_chosen(sampling=sampling)}), _model(Imported))


def export_ratings(run: str, format: ExportFormat, *, path: str = "/v1/ratings") -> Call[bytes]:
    """All ratings of a run."""
    return Call(Request("GET", path, {"run": run, "format": format}), _bytes)


# --- scenario sets ----------------------------------------------------------------------------------------------------


def create_scenario_set(asked: ScenarioSetRequest | Mapping[str, Any], key: str | None) -> Call[ScenarioSetDetail]:
    """Have scenarios written."""
    return Call(_post("/v1/scenario-sets", asked, key=key or _new_key()), _model(ScenarioSetDetail))


def scenario_set(id: str) -> Call[ScenarioSetDetail]:
    """Read a scenario set."""
    return Call(Request("GET", f"/v1/scenario-sets/{_quoted(id)}"), _model(ScenarioSetDetail))


def scenario_sets() -> Call[Page[ScenarioSetOut]]:
    """List scenario sets."""
    return _list("/v1/scenario-sets", ScenarioSetOut)


def scenarios(id: str) -> Call[Page[ScenarioDraft]]:
    """List a set's scenarios."""
    return _list(f"/v1/scenario-sets/{_quoted(id)}/scenarios", ScenarioDraft)


def select_scenarios(
    id: str,
    suite: str,
    scenarios: Iterable[str],
    characters: str | Iterable[Character | Mapping[str, Any]],
    key: str | None,
) -> Call[SuiteOut]:
    """Keep chosen scenarios as a suite, with the characters of the suite that is named or those that are given."""
    given = {"from": characters} if isinstance(characters, str) else [_wire(character) for character in characters]
    body = {"suite": suite, "scenarios": list(scenarios), "characters": given}
    return Call(_post(f"/v1/scenario-sets/{_quoted(id)}/select", body, key=key or _new_key()), _model(SuiteOut))


def provenance(suite: str) -> Call[Provenance]:
    """Read where a suite's scenarios come from."""
    return Call(Request("GET", f"/v1/suites/{_quoted(suite)}/provenance"), _model(Provenance))


# --- judges, keys, tenants --------------------------------------------------------------------------------------------


def judges() -> Call[Page[JudgeOut]]:
    """List the judges that can be asked for."""
    return _list("/v1/judges", JudgeOut)


def judge_card(id: str) -> Call[JudgeCard]:
    """Read what was measured of a judge."""
    return Call(Request("GET", f"/v1/judges/{_quoted(id)}/card"), _model(JudgeCard))


def probe_judge(id: str, asked: ProbeRequest | Mapping[str, Any]) -> Call[Probe]:
    """Have a judge rate the battery."""
    return Call(_post(f"/v1/judges/{_quoted(id)}/probe", asked), _model(Probe))


def keys() -> Call[Page[KeyOut]]:
    """List API keys."""
    return _list("/v1/keys", KeyOut)


def create_key(key: KeyRequest | Mapping[str, Any]) -> Call[NewKey]:
    """Make an API key. It carries no idempotency key: a new key is shown once, and never again."""
    return Call(_post("/v1/keys", key), _model(NewKey))


def delete_key(id: str) -> Call[None]:
    """Take an API key away."""
    return Call(Request("DELETE", f"/v1/keys/{_quoted(id)}"), lambda reply: None)


def tenants() -> Call[Page[TenantOut]]:
    """List tenants."""
    return _list("/v1/tenants", TenantOut)


def create_tenant(name: str, key: str | None) -> Call[TenantOut]:
    """Make a tenant."""
    return Call(_post("/v1/tenants", TenantRequest(name=name), key=key or _new_key()), _model(TenantOut))


# --- requests ---------------------------------------------------------------------------------------------------------


def _list(path: str, item: type[Answer], **filters: str | None) -> Call[Page[Answer]]:
    params = {name: value for name, value in filters.items() if value is not None}
    # A page of `item` is a class made at run time, which a type checker cannot see.
    page: type[Page[Answer]] = Page[item]  # type: ignore[valid-type]
    return Call(Request("GET", path, {"limit": str(PAGE), **params}), _model(page))


def _post(
    path: str, body: BaseModel | Mapping[str, Any] | bytes, content_type: str = JSON, *, key: str | None = None
) -> Request:
    content = body if isinstance(body, bytes) else json.dumps(_wire(body), ensure_ascii=False).encode()
    headers = {"Content-Type": content_type} | ({"Idempotency-Key": key} if key else {})
    return Request("POST", path, headers=headers, content=content)


def _wire(body: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of ``body``: only what was set, so that a service with other defaults keeps its own; secrets bare."""
    if not isinstance(body, BaseModel):
        return dict(body)
    document: dict[str, Any] = body.model_dump(mode="json", exclude_unset=True)
    if "candidate" in document:
        _bare(getattr(body, "candidate", None), document["candidate"])
    for candidate, sent in zip(getattr(body, "candidates", ()), document.get("candidates", ()), strict=False):
        _bare(candidate, sent)
    return document


def _bare(candidate: Any, document: dict[str, Any]) -> None:
    if secret := getattr(candidate, "api_key", None):
        document["api_key"] = secret.get_secret_value()
    if kind := getattr(candidate, "kind", None):
        document["kind"] = kind


def _quoted(part: str) -> str:
    return quote(part, safe="@")


def _new_key() -> str:
    return str(uuid4())


# --- replies ----------------------------------------------------------------------------------------------------------


def problem(reply: Reply) -> ApiError:
    """The error that a reply other than 2xx stands for."""
    try:
        document = json.loads(reply.content)
        detail = str(document["detail"])
    except (ValueError, KeyError, TypeError):
        return _foreign(reply)
    return ApiError(
        reply.status,
        str(document.get("code", f"http_{reply.status}")),
        detail,
        errors=[Fault(str(item.get("pointer", "")), str(item.get("message", ""))) for item in _errors(document)],
        request_id=document.get("request_id") or reply.headers.get("x-request-id"),
        retryable=bool(document.get("retryable", False)),
        retry_after=retry_after(reply.headers.get("retry-after")),
    )


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds in a ``Retry-After`` header: a number or a date; ``None`` if there is none that can be read."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds()) if then.tzinfo else None


def _errors(document: dict[str, Any]) -> list[dict[str, Any]]:
    errors = document.get("errors")
    return [item for item in errors if isinstance(item, dict)] if isinstance(errors, list) else []


def _foreign(reply: Reply) -> ApiError:
    """No problem document: something before the service answered, or the URL is another server's."""
    reason = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else ""
    answered = f"{reply.url} answered {reply.status} {reason}".strip()
    if 300 <= reply.status < 400:
        message = f"{answered} and points to {reply.headers.get('location', 'another place')}: use that server's URL."
    else:
        message = f"{answered} without saying why. Is this the URL of an ESRP server?"
    headers = reply.headers
    seconds, id = retry_after(headers.get("retry-after")), headers.get("x-request-id")
    return ApiError(reply.status, f"http_{reply.status}", message, request_id=id, retry_after=seconds)


def _model(model: type[Answer]) -> Callable[[Reply], Answer]:
    def read(reply: Reply) -> Answer:
        try:
            return model.model_validate_json(reply.content)
        except ValidationError as error:
            raise unexpected(reply) from error

    return read


def unexpected(reply: Reply) -> ApiError:
    """An answer that is none of this API's."""
    message = f"{reply.url} answered {reply.status} with something that is not ESRP's API. Is this the right URL?"
    return ApiError(reply.status, "unexpected_answer", message, request_id=reply.headers.get("x-request-id"))


def _bytes(reply: Reply) -> bytes:
    return reply.content


def _text(reply: Reply) -> str:
    return reply.content.decode("utf-8", "replace")
