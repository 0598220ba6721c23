"""The calls of the API as values: what to send, and how to read what comes back. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from esrp import api
from esrp.client.wire import (
    JSON,
    NDJSON,
    Call,
    Request,
    as_bytes,
    as_document,
    as_text,
    chosen,
    listing,
    model,
    new_key,
    post,
    quoted,
)
from esrp.dialogue import Character
from esrp.errors import InvalidInput
from esrp.policies import Policy

RATING_TYPES = {".csv": "text/csv", ".jsonl": NDJSON, ".ndjson": NDJSON}
ReportFormat = Literal["json", "md"]
ExportFormat = Literal["csv", "jsonl", "parquet"]
LeaderboardFormat = Literal["md", "csv", "parquet"]
ShortlistFormat = Literal["json", "md", "csv"]


# --- runs -------------------------------------------------------------------------------------------------------------


def create_run(run: api.RunRequest | Mapping[str, Any], key: str | None, *, reattach: bool = False) -> Call[api.Run]:
    """Start a run, or go on with the one of the same labels and configuration."""
    params = {"reattach": "true"} if reattach else {}
    return Call(replace(post("/v1/runs", run, key=key or new_key()), params=params), model(api.Run))


def dry_run(run: api.RunRequest | Mapping[str, Any], *, probe: bool = False) -> Call[api.DryRun]:
    """What a run would ask of the models; ``probe`` plays a pilot."""
    params = {"dry_run": "true", **({"probe": "true"} if probe else {})}
    return Call(replace(post("/v1/runs", run), params=params), model(api.DryRun))


def run(id: str) -> Call[api.Run]:
    """Read a run."""
    return Call(Request("GET", f"/v1/runs/{quoted(id)}"), model(api.Run))


def runs(status: str | None, suite: str | None, candidate: str | None) -> Call[api.Page[api.Run]]:
    """List runs."""
    return listing("/v1/runs", api.Run, status=status, suite=suite, candidate=candidate)


def cancel(id: str) -> Call[api.Run]:
    """Stop a run."""
    return Call(Request("POST", f"/v1/runs/{quoted(id)}/cancel"), model(api.Run))


def resume(id: str, budget: Mapping[str, Any] | None, *, lift: bool = False) -> Call[api.Run]:
    """Go on with a run that was stopped."""
    path = f"/v1/runs/{quoted(id)}/resume"
    given = lift or budget is not None
    return Call(post(path, {"budget": budget}) if given else Request("POST", path), model(api.Run))


def retry_failed(id: str) -> Call[api.Run]:
    """Try again what failed."""
    return Call(Request("POST", f"/v1/runs/{quoted(id)}/retry-failed"), model(api.Run))


def extend(id: str, dialogues: int | None, replicates: int | None) -> Call[api.Run]:
    """More dialogues of the same plan."""
    wanted = {"dialogues": dialogues, "replicates": replicates}
    body = {name: value for name, value in wanted.items() if value is not None}
    return Call(post(f"/v1/runs/{quoted(id)}/extend", body), model(api.Run))


def batches(id: str) -> Call[api.Page[api.BatchOut]]:
    """List a run's batches."""
    return listing(f"/v1/runs/{quoted(id)}/batches", api.BatchOut)


def rejudge(id: str, asked: api.RejudgeRequest | Mapping[str, Any], key: str | None) -> Call[api.Run]:
    """Other judges over a run's dialogues."""
    return Call(post(f"/v1/runs/{quoted(id)}/rejudge", asked, key=key or new_key()), model(api.Run))


def create_shortlist(asked: api.ShortlistRequest | Mapping[str, Any], key: str | None) -> Call[api.Shortlist]:
    """A panel over many candidates."""
    return Call(post("/v1/shortlists", asked, key=key or new_key()), model(api.Shortlist))


def shortlist(id: str) -> Call[api.Shortlist]:
    """Read a shortlist."""
    return Call(Request("GET", f"/v1/shortlists/{quoted(id)}"), model(api.Shortlist))


def shortlist_text(id: str, format: ShortlistFormat) -> Call[str]:
    """A shortlist as Markdown or CSV."""
    return Call(Request("GET", f"/v1/shortlists/{quoted(id)}", {"format": format}), as_text)


def events(id: str, last: str | None) -> Request:
    """The stream of a run's events after ``last``."""
    return Request("GET", f"/v1/runs/{quoted(id)}/events", headers={"Last-Event-ID": last} if last else {})


def report(id: str, raters: api.Choice) -> Call[api.Report]:
    """A run's report."""
    return Call(Request("GET", f"/v1/runs/{quoted(id)}/report", chosen(raters=raters)), model(api.Report))


def report_text(id: str, format: ReportFormat, raters: api.Choice) -> Call[str]:
    """A run's report as Markdown."""
    return Call(Request("GET", f"/v1/runs/{quoted(id)}/report", {"format": format, **chosen(raters=raters)}), as_text)


def dialogues(
    id: str, character: str | None, scenario: str | None, state: str | None
) -> Call[api.Page[api.DialogueOut]]:
    """List a run's dialogues."""
    path = f"/v1/runs/{quoted(id)}/dialogues"
    return listing(path, api.DialogueOut, character=character, scenario=scenario, state=state)


def dialogue(id: str) -> Call[api.DialogueOut]:
    """Read a dialogue."""
    return Call(Request("GET", f"/v1/dialogues/{quoted(id)}"), model(api.DialogueOut))


def check(request: api.CheckRequest | Mapping[str, Any]) -> Call[api.Check]:
    """One dialogue, nothing stored."""
    return Call(post("/v1/check", request), model(api.Check))


# --- figures ----------------------------------------------------------------------------------------------------------


def metrics(id: str, group_by: api.GroupBy, raters: api.Choice, cursor: str | None) -> Call[api.MetricsOut]:
    """A page of a run's scores by group."""
    return Call(_metrics(id, group_by, raters, cursor), model(api.MetricsOut))


def metrics_table(
    id: str, group_by: api.GroupBy, raters: api.Choice, format: Literal["csv", "parquet"], cursor: str | None
) -> Call[bytes]:
    """A page of a run's scores by group as a table."""
    request = _metrics(id, group_by, raters, cursor)
    return Call(replace(request, params={**request.params, "format": format}), as_bytes)


def series(candidate: str | None, suite: str | None, judge: str | None, limit: int) -> Call[api.Series]:
    """The metrics run by run."""
    params = {"limit": str(limit), **chosen(candidate=candidate, suite=suite, judge=judge)}
    return Call(Request("GET", "/v1/metrics/series", params), model(api.Series))


def compare(baseline: str, candidate: str, raters: api.Choice) -> Call[api.Comparison]:
    """Two runs side by side; it reads, so it may be sent again."""
    body = {"baseline": baseline, "candidate": candidate, "raters": raters}
    return Call(post("/v1/comparisons", body, key=new_key()), model(api.Comparison))


def leaderboard(suite: str, raters: api.Choice, reference: str | None) -> Call[api.Leaderboard]:
    """A suite's candidates, best first."""
    return Call(_leaderboard(suite, raters, reference), model(api.Leaderboard))


def leaderboard_table(suite: str, raters: api.Choice, reference: str | None, format: LeaderboardFormat) -> Call[bytes]:
    """A leaderboard as a table."""
    request = _leaderboard(suite, raters, reference)
    return Call(replace(request, params={**request.params, "format": format}), as_bytes)


def _metrics(id: str, group_by: api.GroupBy, raters: api.Choice, cursor: str | None) -> Request:
    params = {"group_by": group_by, **chosen(raters=raters, cursor=cursor)}
    return Request("GET", f"/v1/runs/{quoted(id)}/metrics", params)


def _leaderboard(suite: str, raters: api.Choice, reference: str | None) -> Request:
    return Request("GET", "/v1/leaderboard", {"suite": suite, **chosen(raters=raters, reference=reference)})


# --- gates ------------------------------------------------------------------------------------------------------------


def gate(run: str, policy: str | Policy | Mapping[str, Any]) -> Call[api.GateVerdict]:
    """Hold a run against a policy, by its name or as it is given."""
    return Call(post(f"/v1/runs/{quoted(run)}/gate", _held_to(policy)), model(api.GateVerdict))


def _held_to(policy: str | Policy | Mapping[str, Any]) -> Mapping[str, Any]:
    return {"gate": policy} if isinstance(policy, str) else {"policy": as_document(policy)}


def look_price(run: str, policy: str | Policy | Mapping[str, Any], dialogues: int | None) -> Call[api.LookPrice]:
    """What holding a run against a policy would cost."""
    params = {"dialogues": str(dialogues)} if dialogues else {}
    asked = replace(post(f"/v1/runs/{quoted(run)}/gate/price", _held_to(policy)), params=params)
    return Call(asked, model(api.LookPrice))


def note_check(run: str, name: str, outcome: Literal["pass", "fail"], url: str | None) -> Call[api.Page[Any]]:
    """Send a result from elsewhere."""
    body = {"name": name, "outcome": outcome, "url": url}
    return Call(post(f"/v1/runs/{quoted(run)}/checks", body), model(api.Page[api.ExternalCheckOut]))


def verdict(run: str) -> Call[api.GateVerdict]:
    """Read a run's newest verdict."""
    return Call(Request("GET", f"/v1/runs/{quoted(run)}/gate"), model(api.GateVerdict))


def create_gate(name: str, policy: Policy | Mapping[str, Any], key: str | None) -> Call[api.GateOut]:
    """Keep a policy under a name."""
    return Call(
        post("/v1/gates", {"name": name, "policy": as_document(policy)}, key=key or new_key()), model(api.GateOut)
    )


def gates() -> Call[api.Page[api.GateOut]]:
    """List policies."""
    return listing("/v1/gates", api.GateOut)


def set_baseline(name: str, run: str) -> Call[api.BaselineOut]:
    """Let a name mean this run."""
    return Call(replace(post(f"/v1/baselines/{quoted(name)}", {"run": run}), method="PUT"), model(api.BaselineOut))


def delete_baseline(name: str) -> Call[None]:
    """Let a name mean no run."""
    return Call(Request("DELETE", f"/v1/baselines/{quoted(name)}"), lambda reply: None)


def baselines() -> Call[api.Page[api.BaselineOut]]:
    """List baselines."""
    return listing("/v1/baselines", api.BaselineOut)


# --- suites, transcripts, ratings -------------------------------------------------------------------------------------


def suites() -> Call[api.Page[api.SuiteOut]]:
    """List suites."""
    return listing("/v1/suites", api.SuiteOut)


def suite(name: str) -> Call[api.SuiteOut]:
    """Read a suite by name or name@version."""
    return Call(Request("GET", f"/v1/suites/{quoted(name)}"), model(api.SuiteOut))


def upload_suite(document: str | Mapping[str, Any], key: str | None) -> Call[api.SuiteOut]:
    """Store a suite: YAML or JSON text, or the parsed document."""
    if isinstance(document, str):
        request = post("/v1/suites", document.encode(), "application/yaml", key=key or new_key())
    else:
        request = post("/v1/suites", document, key=key or new_key())
    return Call(request, model(api.SuiteOut))


def import_transcript(
    name: str, suite: str, dialogues: str | Iterable[api.RecordedDialogue | Mapping[str, Any]], key: str | None
) -> Call[api.TranscriptOut]:
    """Store recorded dialogues over a suite: JSONL text, or the dialogues."""
    if isinstance(dialogues, str):
        request = post("/v1/transcripts", dialogues.encode(), NDJSON, key=key or new_key())
        request = replace(request, params={"name": name, "suite": suite})
    else:
        items = [as_document(dialogue) for dialogue in dialogues]
        request = post("/v1/transcripts", {"name": name, "suite": suite, "dialogues": items}, key=key or new_key())
    return Call(request, model(api.TranscriptOut))


def import_published(name: str, source: Path | bytes, key: str | None) -> Call[api.TranscriptOut]:
    """Store a published ChatAnime file as a transcript."""
    content = source.read_bytes() if isinstance(source, Path) else source
    request = post("/v1/transcripts", content, JSON, key=key or new_key())
    return Call(replace(request, params={"name": name}), model(api.TranscriptOut))


def import_ratings(
    source: Path | bytes,
    content_type: str | None,
    replace_scores: bool,
    key: str | None,
    *,
    path: str = "/v1/ratings",
    sampling: api.Sampling | None = None,
) -> Call[api.Imported]:
    """Store human ratings: CSV or JSONL, told by ``content_type`` or by how the file's name ends."""
    content = source.read_bytes() if isinstance(source, Path) else source
    kind = content_type or (RATING_TYPES.get(source.suffix.lower()) if isinstance(source, Path) else None)
    if kind is None:
        raise InvalidInput("Ratings are CSV or JSONL: the file's name must end in .csv, .jsonl or .ndjson.")
    request = post(path, content, kind, key=key or new_key())
    params = {"replace": "true"} if replace_scores else {}
    return Call(replace(request, params={**params, **chosen(sampling=sampling)}), model(api.Imported))


def export_ratings(run: str, format: ExportFormat, *, path: str = "/v1/ratings") -> Call[bytes]:
    """All ratings of a run."""
    return Call(Request("GET", path, {"run": run, "format": format}), as_bytes)


# --- scenario sets ----------------------------------------------------------------------------------------------------


def create_scenario_set(
    asked: api.ScenarioSetRequest | Mapping[str, Any], key: str | None
) -> Call[api.ScenarioSetDetail]:
    """Have scenarios written."""
    return Call(post("/v1/scenario-sets", asked, key=key or new_key()), model(api.ScenarioSetDetail))


def scenario_set(id: str) -> Call[api.ScenarioSetDetail]:
    """Read a scenario set."""
    return Call(Request("GET", f"/v1/scenario-sets/{quoted(id)}"), model(api.ScenarioSetDetail))


def scenario_sets() -> Call[api.Page[api.ScenarioSetOut]]:
    """List scenario sets."""
    return listing("/v1/scenario-sets", api.ScenarioSetOut)


def scenarios(id: str) -> Call[api.Page[api.ScenarioDraft]]:
    """List a set's scenarios."""
    return listing(f"/v1/scenario-sets/{quoted(id)}/scenarios", api.ScenarioDraft)


def select_scenarios(
    id: str,
    suite: str,
    scenarios: Iterable[str],
    characters: str | Iterable[Character | Mapping[str, Any]],
    key: str | None,
) -> Call[api.SuiteOut]:
    """Keep chosen scenarios as a suite, with the characters of the suite that is named or those that are given."""
    given = (
        {"from": characters} if isinstance(characters, str) else [as_document(character) for character in characters]
    )
    body = {"suite": suite, "scenarios": list(scenarios), "characters": given}
    return Call(post(f"/v1/scenario-sets/{quoted(id)}/select", body, key=key or new_key()), model(api.SuiteOut))


def provenance(suite: str) -> Call[api.Provenance]:
    """Read where a suite's scenarios come from."""
    return Call(Request("GET", f"/v1/suites/{quoted(suite)}/provenance"), model(api.Provenance))


# --- judges, keys, tenants --------------------------------------------------------------------------------------------


def judges() -> Call[api.Page[api.JudgeOut]]:
    """List the judges that can be asked for."""
    return listing("/v1/judges", api.JudgeOut)


def judge_card(id: str) -> Call[api.JudgeCard]:
    """Read what was measured of a judge."""
    return Call(Request("GET", f"/v1/judges/{quoted(id)}/card"), model(api.JudgeCard))


def probe_judge(id: str, asked: api.ProbeRequest | Mapping[str, Any]) -> Call[api.Probe]:
    """Have a judge rate the battery."""
    return Call(post(f"/v1/judges/{quoted(id)}/probe", asked), model(api.Probe))


def keys() -> Call[api.Page[api.KeyOut]]:
    """List API keys."""
    return listing("/v1/keys", api.KeyOut)


def create_key(key: api.KeyRequest | Mapping[str, Any]) -> Call[api.NewKey]:
    """Make an API key. It carries no idempotency key: a new key is shown once, and never again."""
    return Call(post("/v1/keys", key), model(api.NewKey))


def delete_key(id: str) -> Call[None]:
    """Take an API key away."""
    return Call(Request("DELETE", f"/v1/keys/{quoted(id)}"), lambda reply: None)


def tenants() -> Call[api.Page[api.TenantOut]]:
    """List tenants."""
    return listing("/v1/tenants", api.TenantOut)


def create_tenant(name: str, key: str | None) -> Call[api.TenantOut]:
    """Make a tenant."""
    return Call(post("/v1/tenants", api.TenantRequest(name=name), key=key or new_key()), model(api.TenantOut))
