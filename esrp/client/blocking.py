# Generated from esrp/client/concurrent.py by `make client`: change that file, not this one.
"""The client that waits."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import httpx2

from esrp import api
from esrp.client import calls, flows
from esrp.client.blocking_line import Line
from esrp.client.connection import DEFAULT_URL, Connection
from esrp.client.flows import Done, Emit, Event, Flow, Lost, Stream
from esrp.client.wire import Call
from esrp.dialogue import Character
from esrp.policies import Policy

T = TypeVar("T")


class Client:
    """The API from Python. ``ApiError`` is the service's no, ``ConnectionFailed`` no answer at all.

    Reads, and writes that carry an idempotency key, are sent again after 429 and 503.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        api_key: str | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = Connection.to(url, api_key)
        self._http = httpx2.Client(**self._connection.options())
        self._sleep = sleep

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connections."""
        self.close()

    @property
    def url(self) -> str:
        """Where the service is."""
        return self._connection.url

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create_run(
        self, run: api.RunRequest | Mapping[str, Any], idempotency_key: str | None = None, *, reattach: bool = False
    ) -> api.Run:
        """Start a run; with ``reattach``, or go on with the one of the same labels and configuration."""
        return self._ask(calls.create_run(run, idempotency_key, reattach=reattach))

    def dry_run(self, run: api.RunRequest | Mapping[str, Any], *, probe: bool = False) -> api.DryRun:
        """What a run would ask of the models; nothing is stored. ``probe`` measures it by a pilot of ten dialogues."""
        return self._ask(calls.dry_run(run, probe=probe))

    def run(self, id: str) -> api.Run:
        """A run as it is now."""
        return self._ask(calls.run(id))

    def runs(
        self, *, status: api.RunStatus | None = None, suite: str | None = None, candidate: str | None = None
    ) -> Iterator[api.Run]:
        """All runs, the pages fetched as they are needed."""
        return self._each(flows.each(calls.runs(status, suite, candidate)))

    def cancel(self, run: str) -> api.Run:
        """Stop a run."""
        return self._ask(calls.cancel(run))

    def resume(self, run: str, budget: Mapping[str, Any] | None = None, *, lift: bool = False) -> api.Run:
        """Go on with a run that was stopped, or used up its budget: with a larger ``budget``, or ``lift`` for none."""
        return self._ask(calls.resume(run, budget, lift=lift))

    def retry_failed(self, run: str) -> api.Run:
        """Try a finished run's failed dialogues and verdicts again."""
        return self._ask(calls.retry_failed(run))

    def extend(self, run: str, dialogues: int | None = None, *, replicates: int | None = None) -> api.Run:
        """Play more dialogues of the same plan: how many the sample, or replicates of each, there shall be in all."""
        return self._ask(calls.extend(run, dialogues, replicates))

    def batches(self, run: str) -> Iterator[api.BatchOut]:
        """The replies of a run that its judges rate together, with their verdicts."""
        return self._each(flows.each(calls.batches(run)))

    def rejudge(self, run: str, judges: Iterable[str], idempotency_key: str | None = None, **fields: Any) -> api.Run:
        """Other judges over the dialogues of a run that has ended: a new run. ``fields``: see ``RejudgeRequest``."""
        return self._ask(calls.rejudge(run, {"judges": list(judges), **fields}, idempotency_key))

    def create_shortlist(
        self, asked: api.ShortlistRequest | Mapping[str, Any], idempotency_key: str | None = None
    ) -> api.Shortlist:
        """Have a panel rate many candidates, endpoints or transcripts; each gets a run of its own."""
        return self._ask(calls.create_shortlist(asked, idempotency_key))

    @overload
    def shortlist(self, id: str, format: Literal["json"] = "json") -> api.Shortlist: ...
    @overload
    def shortlist(self, id: str, format: Literal["md", "csv"]) -> str: ...
    def shortlist(self, id: str, format: calls.ShortlistFormat = "json") -> api.Shortlist | str:
        """A shortlist as far as its runs have ended."""
        if format == "json":
            return self._ask(calls.shortlist(id))
        return self._ask(calls.shortlist_text(id, format))

    def events(self, run: str, last_event_id: str | None = None) -> Iterator[Event]:
        """A run's events to its end, over lost connections; those after ``last_event_id`` if it is given."""
        return self._each(flows.events(run, last_event_id))

    def wait(
        self,
        run: str,
        on_progress: Callable[[api.Run], None] | None = None,
        on_lost: Callable[[Lost], None] | None = None,
    ) -> api.Run:
        """The run once it has ended; ``on_progress`` is told of it about once a second."""
        return self._run(flows.wait(run, on_progress, on_lost))

    @overload
    def report(self, run: str, format: Literal["json"] = "json", raters: api.Choice = "auto") -> api.Report: ...
    @overload
    def report(self, run: str, format: Literal["md"], raters: api.Choice = "auto") -> str: ...
    def report(self, run: str, format: calls.ReportFormat = "json", raters: api.Choice = "auto") -> api.Report | str:
        """A run's report, by the ratings of judges, of people, or of judges corrected by people."""
        if format == "json":
            return self._ask(calls.report(run, raters))
        return self._ask(calls.report_text(run, format, raters))

    def metrics(
        self, run: str, group_by: api.GroupBy, raters: api.Choice = "auto", *, cursor: str | None = None
    ) -> api.MetricsOut:
        """A run's scores by group, with standard errors and intervals: a page, which says where the next begins."""
        return self._ask(calls.metrics(run, group_by, raters, cursor))

    def metrics_table(
        self,
        run: str,
        group_by: api.GroupBy,
        format: Literal["csv", "parquet"] = "csv",
        raters: api.Choice = "auto",
        *,
        cursor: str | None = None,
    ) -> bytes:
        """A run's scores by group as a file (docs/exports.md), a page of 100 groups."""
        return self._ask(calls.metrics_table(run, group_by, raters, format, cursor))

    def series(
        self, *, candidate: str | None = None, suite: str | None = None, judge: str | None = None, limit: int = 100
    ) -> api.Series:
        """Each metric with its intervals, run by run of the newest finished ones, oldest first."""
        return self._ask(calls.series(candidate, suite, judge, limit))

    def compare(self, baseline: str, candidate: str, raters: api.Choice = "auto") -> api.Comparison:
        """Candidate − baseline on the dialogues that both runs were rated on."""
        return self._ask(calls.compare(baseline, candidate, raters))

    def leaderboard(self, suite: str, *, raters: api.Choice = "auto", reference: str | None = None) -> api.Leaderboard:
        """The newest finished run of each candidate, best first, and who is tied with whom."""
        return self._ask(calls.leaderboard(suite, raters, reference))

    def leaderboard_table(
        self,
        suite: str,
        format: calls.LeaderboardFormat = "csv",
        *,
        raters: api.Choice = "auto",
        reference: str | None = None,
    ) -> bytes:
        """A leaderboard as a file, in the layout of the paper's Table 1 (docs/exports.md)."""
        return self._ask(calls.leaderboard_table(suite, raters, reference, format))

    def dialogues(
        self,
        run: str,
        *,
        character: str | None = None,
        scenario: str | None = None,
        state: api.DialogueState | None = None,
    ) -> Iterator[api.DialogueOut]:
        """A run's dialogues with their ratings."""
        return self._each(flows.each(calls.dialogues(run, character, scenario, state)))

    def dialogue(self, id: str) -> api.DialogueOut:
        """One dialogue with its ratings."""
        return self._ask(calls.dialogue(id))

    def check(self, request: api.CheckRequest | Mapping[str, Any]) -> api.Check:
        """Play one dialogue against a candidate; nothing is stored."""
        return self._ask(calls.check(request))

    def gate(self, run: str, policy: str | Policy | Mapping[str, Any]) -> api.GateVerdict:
        """Hold a finished run against a release policy: a name, or the policy. A sentinel in it costs judges' calls."""
        return self._ask(calls.gate(run, policy))

    def look_price(
        self, run: str, policy: str | Policy | Mapping[str, Any], dialogues: int | None = None
    ) -> api.LookPrice:
        """What holding the run against the policy would cost of its release's error; nothing is spent."""
        return self._ask(calls.look_price(run, policy, dialogues))

    def note_check(
        self, run: str, name: str, outcome: Literal["pass", "fail"], url: str | None = None
    ) -> list[api.ExternalCheckOut]:
        """Send a result from elsewhere, such as a crisis suite's; all that the run has."""
        return (self._ask(calls.note_check(run, name, outcome, url))).data

    def verdict(self, run: str) -> api.GateVerdict:
        """A run's newest verdict."""
        return self._ask(calls.verdict(run))

    def create_gate(
        self, name: str, policy: Policy | Mapping[str, Any], idempotency_key: str | None = None
    ) -> api.GateOut:
        """Keep a release policy under a name; another policy under the same name is its next version."""
        return self._ask(calls.create_gate(name, policy, idempotency_key))

    def gates(self) -> Iterator[api.GateOut]:
        """Every version of every release policy."""
        return self._each(flows.each(calls.gates()))

    def set_baseline(self, name: str, run: str) -> api.BaselineOut:
        """Name a run that has succeeded; policies that name it are held against it from now on."""
        return self._ask(calls.set_baseline(name, run))

    def delete_baseline(self, name: str) -> None:
        """Take the name away from its run, which can then be deleted; policies that need it end as error."""
        return self._ask(calls.delete_baseline(name))

    def baselines(self) -> Iterator[api.BaselineOut]:
        """All baselines, by name."""
        return self._each(flows.each(calls.baselines()))

    def suites(self) -> Iterator[api.SuiteOut]:
        """All suites."""
        return self._each(flows.each(calls.suites()))

    def suite(self, name: str) -> api.SuiteOut:
        """A suite by ``name`` or ``name@version``."""
        return self._ask(calls.suite(name))

    def upload_suite(self, document: str | Mapping[str, Any], idempotency_key: str | None = None) -> api.SuiteOut:
        """Store a suite: YAML or JSON text, or the parsed document."""
        return self._ask(calls.upload_suite(document, idempotency_key))

    def import_transcript(
        self,
        name: str,
        suite: str,
        dialogues: str | Iterable[api.RecordedDialogue | Mapping[str, Any]],
        idempotency_key: str | None = None,
    ) -> api.TranscriptOut:
        """Store recorded dialogues over a suite: JSONL text, or the dialogues."""
        return self._ask(calls.import_transcript(name, suite, dialogues, idempotency_key))

    def import_published(
        self, name: str, source: Path | bytes, idempotency_key: str | None = None
    ) -> api.TranscriptOut:
        """Store a published ChatAnime file as a transcript over the suite ``chatanime``."""
        return self._ask(calls.import_published(name, source, idempotency_key))

    def import_ratings(
        self,
        source: Path | bytes,
        content_type: str | None = None,
        replace: bool = False,
        idempotency_key: str | None = None,
        *,
        sampling: api.Sampling | None = None,
    ) -> api.Imported:
        """Store human ratings: CSV (``text/csv``) or JSONL (``application/x-ndjson``).

        ``sampling`` says that the rated dialogues were drawn at random, which lets their ratings correct the judges'.
        """
        return self._ask(calls.import_ratings(source, content_type, replace, idempotency_key, sampling=sampling))

    def import_diversity(
        self,
        source: Path | bytes,
        content_type: str | None = None,
        replace: bool = False,
        idempotency_key: str | None = None,
    ) -> api.Imported:
        """Store how people rated the diversity of batches of ten replies."""
        path = "/v1/ratings/diversity"
        return self._ask(calls.import_ratings(source, content_type, replace, idempotency_key, path=path))

    def export_ratings(self, run: str, format: calls.ExportFormat = "csv") -> bytes:
        """All ratings of a run as a file, in the columns of an import (docs/exports.md)."""
        return self._ask(calls.export_ratings(run, format))

    def export_diversity(self, run: str, format: calls.ExportFormat = "csv") -> bytes:
        """All ratings of a run's batches as a file."""
        return self._ask(calls.export_ratings(run, format, path="/v1/ratings/diversity"))

    def create_scenario_set(
        self, asked: api.ScenarioSetRequest | Mapping[str, Any], idempotency_key: str | None = None
    ) -> api.ScenarioSetDetail:
        """Have the writer model write scenarios over a grid."""
        return self._ask(calls.create_scenario_set(asked, idempotency_key))

    def scenario_set(self, id: str) -> api.ScenarioSetDetail:
        """A scenario set as it is now."""
        return self._ask(calls.scenario_set(id))

    def scenario_sets(self) -> Iterator[api.ScenarioSetOut]:
        """All scenario sets."""
        return self._each(flows.each(calls.scenario_sets()))

    def wait_for_scenarios(
        self,
        id: str,
        on_progress: Callable[[api.ScenarioSetDetail], None] | None = None,
        on_lost: Callable[[Lost], None] | None = None,
    ) -> api.ScenarioSetDetail:
        """The scenario set once all of it is written; ``on_progress`` is told of it every second."""
        return self._run(flows.written(id, on_progress, on_lost))

    def scenarios(self, id: str) -> Iterator[api.ScenarioDraft]:
        """A scenario set's scenarios."""
        return self._each(flows.each(calls.scenarios(id)))

    def select_scenarios(
        self,
        id: str,
        suite: str,
        scenarios: Iterable[str],
        characters: str | Iterable[Character | Mapping[str, Any]],
        idempotency_key: str | None = None,
    ) -> api.SuiteOut:
        """Keep chosen scenarios as a suite, with the characters of the suite that is named or those that are given."""
        return self._ask(calls.select_scenarios(id, suite, scenarios, characters, idempotency_key))

    def provenance(self, suite: str) -> api.Provenance:
        """Where a suite's scenarios come from."""
        return self._ask(calls.provenance(suite))

    def judges(self) -> list[api.JudgeOut]:
        """The judges that can be asked for."""
        return list(self._each(flows.each(calls.judges())))

    def judge_card(self, id: str) -> api.JudgeCard:
        """What was measured of a judge, by its id or name; ``None`` where nothing was."""
        return self._ask(calls.judge_card(id))

    def probe_judge(self, id: str, asked: api.ProbeRequest | Mapping[str, Any] | None = None) -> api.Probe:
        """Have a judge rate the injection battery, which costs its calls and may take minutes."""
        return self._ask(calls.probe_judge(id, asked or {}))

    def keys(self) -> Iterator[api.KeyOut]:
        """All API keys of the tenant, without the keys themselves."""
        return self._each(flows.each(calls.keys()))

    def create_key(self, key: api.KeyRequest | Mapping[str, Any]) -> api.NewKey:
        """Make an API key; this is the only time that it is shown."""
        return self._ask(calls.create_key(key))

    def delete_key(self, id: str) -> None:
        """Take an API key away."""
        return self._ask(calls.delete_key(id))

    def tenants(self) -> Iterator[api.TenantOut]:
        """All tenants."""
        return self._each(flows.each(calls.tenants()))

    def create_tenant(self, name: str, idempotency_key: str | None = None) -> api.TenantOut:
        """Make a tenant."""
        return self._ask(calls.create_tenant(name, idempotency_key))

    def _ask(self, call: Call[T]) -> T:
        return self._run(flows.ask(call))

    def _run(self, flow: Flow[T]) -> T:
        with closing(Line(self._http, self._connection, self._sleep)) as line:
            step = flows.advance(flow)
            while not isinstance(step, Done):
                step = flows.advance(flow, line.carry_out(step))
            return step.value

    def _each(self, flow: Stream[T, None]) -> Iterator[T]:
        with closing(Line(self._http, self._connection, self._sleep)) as line:
            step = flows.advance(flow)
            while not isinstance(step, Done):
                if isinstance(step, Emit):
                    yield step.item
                    step = flows.advance(flow)
                else:
                    step = flows.advance(flow, line.carry_out(step))
