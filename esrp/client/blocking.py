"""The client that waits."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import httpx2

from esrp.api import (
    BaselineOut,
    BatchOut,
    Check,
    CheckRequest,
    Choice,
    Comparison,
    DialogueOut,
    DialogueState,
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
    Probe,
    ProbeRequest,
    Provenance,
    RecordedDialogue,
    Report,
    Run,
    RunRequest,
    RunStatus,
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
    TranscriptOut,
)
from esrp.client import calls, flows
from esrp.client.connection import DEFAULT_URL, STREAM_TIMEOUT, Connection, opened, reply
from esrp.client.flows import Done, Effect, Emit, Event, Flow, Hear, Listen, Lost, Outcome, Send, Sleep, Stream
from esrp.dialogue import Character
from esrp.policies import Policy

T = TypeVar("T")


class Client:
    """The API from Python. ``ApiError`` is the service's no, ``ConnectionFailed`` no answer at all.

    Reads, and writes that carry an idempotency key, are sent again after 429 and 503.
    """

    def __init__(
        self, url: str = DEFAULT_URL, api_key: str | None = None, *, sleep: Callable[[float], None] = time.sleep
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
        self, run: RunRequest | Mapping[str, Any], idempotency_key: str | None = None, *, reattach: bool = False
    ) -> Run:
        """Start a run; with ``reattach``, or go on with the one of the same labels and configuration."""
        return self._ask(calls.create_run(run, idempotency_key, reattach=reattach))

    def dry_run(self, run: RunRequest | Mapping[str, Any], *, probe: bool = False) -> DryRun:
        """What a run would ask of the models; nothing is stored. ``probe`` measures it by a pilot of ten dialogues."""
        return self._ask(calls.dry_run(run, probe=probe))

    def run(self, id: str) -> Run:
        """A run as it is now."""
        return self._ask(calls.run(id))

    def runs(
        self, *, status: RunStatus | None = None, suite: str | None = None, candidate: str | None = None
    ) -> Iterator[Run]:
        """All runs, the pages fetched as they are needed."""
        return self._each(flows.each(calls.runs(status, suite, candidate)))

    def cancel(self, run: str) -> Run:
        """Stop a run."""
        return self._ask(calls.cancel(run))

    def resume(self, run: str, budget: Mapping[str, Any] | None = None, *, lift: bool = False) -> Run:
        """Go on with a run that was stopped, or used up its budget: with a larger ``budget``, or ``lift`` for none."""
        return self._ask(calls.resume(run, budget, lift=lift))

    def retry_failed(self, run: str) -> Run:
        """Try a finished run's failed dialogues and verdicts again."""
        return self._ask(calls.retry_failed(run))

    def extend(self, run: str, dialogues: int | None = None, *, replicates: int | None = None) -> Run:
        """Play more dialogues of the same plan: how many the sample, or replicates of each, there shall be in all."""
        return self._ask(calls.extend(run, dialogues, replicates))

    def batches(self, run: str) -> Iterator[BatchOut]:
        """The replies of a run that its judges rate together, with their verdicts."""
        return self._each(flows.each(calls.batches(run)))

    def rejudge(self, run: str, judges: Iterable[str], idempotency_key: str | None = None, **fields: Any) -> Run:
        """Other judges over the dialogues of a run that has ended: a new run. ``fields``: see ``RejudgeRequest``."""
        return self._ask(calls.rejudge(run, {"judges": list(judges), **fields}, idempotency_key))

    def create_shortlist(
        self, asked: ShortlistRequest | Mapping[str, Any], idempotency_key: str | None = None
    ) -> Shortlist:
        """Have a panel rate many candidates, endpoints or transcripts; each gets a run of its own."""
        return self._ask(calls.create_shortlist(asked, idempotency_key))

    @overload
    def shortlist(self, id: str, format: Literal["json"] = "json") -> Shortlist: ...
    @overload
    def shortlist(self, id: str, format: Literal["md", "csv"]) -> str: ...
    def shortlist(self, id: str, format: calls.ShortlistFormat = "json") -> Shortlist | str:
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
        on_progress: Callable[[Run], None] | None = None,
        on_lost: Callable[[Lost], None] | None = None,
    ) -> Run:
        """The run once it has ended; ``on_progress`` is told of it about once a second."""
        return self._run(flows.wait(run, on_progress, on_lost))

    @overload
    def report(self, run: str, format: Literal["json"] = "json", raters: Choice = "auto") -> Report: ...
    @overload
    def report(self, run: str, format: Literal["md"], raters: Choice = "auto") -> str: ...
    def report(self, run: str, format: calls.ReportFormat = "json", raters: Choice = "auto") -> Report | str:
        """A run's report, by the ratings of judges, of people, or of judges corrected by people."""
        if format == "json":
            return self._ask(calls.report(run, raters))
        return self._ask(calls.report_text(run, format, raters))

    def metrics(self, run: str, group_by: GroupBy, raters: Choice = "auto", *, cursor: str | None = None) -> MetricsOut:
        """A run's scores by group, with standard errors and intervals: a page, which says where the next begins."""
        return self._ask(calls.metrics(run, group_by, raters, cursor))

    def metrics_table(
        self,
        run: str,
        group_by: GroupBy,
        format: Literal["csv", "parquet"] = "csv",
        raters: Choice = "auto",
        *,
        cursor: str | None = None,
    ) -> bytes:
        """A run's scores by group as a file (docs/exports.md), a page of 100 groups."""
        return self._ask(calls.metrics_table(run, group_by, raters, format, cursor))

    def series(
        self, *, candidate: str | None = None, suite: str | None = None, judge: str | None = None, limit: int = 100
    ) -> Series:
        """Each metric with its intervals, run by run of the newest finished ones, oldest first."""
        return self._ask(calls.series(candidate, suite, judge, limit))

    def compare(self, baseline: str, candidate: str, raters: Choice = "auto") -> Comparison:
        """Candidate − baseline on the dialogues that both runs were rated on."""
        return self._ask(calls.compare(baseline, candidate, raters))

    def leaderboard(self, suite: str, *, raters: Choice = "auto", reference: str | None = None) -> Leaderboard:
        """The newest finished run of each candidate, best first, and who is tied with whom."""
        return self._ask(calls.leaderboard(suite, raters, reference))

    def leaderboard_table(
        self,
        suite: str,
        format: calls.LeaderboardFormat = "csv",
        *,
        raters: Choice = "auto",
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
        state: DialogueState | None = None,
    ) -> Iterator[DialogueOut]:
        """A run's dialogues with their ratings."""
        return self._each(flows.each(calls.dialogues(run, character, scenario, state)))

    def dialogue(self, id: str) -> DialogueOut:
        """One dialogue with its ratings."""
        return self._ask(calls.dialogue(id))

    def check(self, request: CheckRequest | Mapping[str, Any]) -> Check:
        """Play one dialogue against a candidate; nothing is stored."""
        return self._ask(calls.check(request))

    def gate(self, run: str, policy: str | Policy | Mapping[str, Any]) -> GateVerdict:
        """Hold a finished run against a release policy: a name, or the policy. A sentinel in it costs judges' calls."""
        return self._ask(calls.gate(run, policy))

    def verdict(self, run: str) -> GateVerdict:
        """A run's newest verdict."""
        return self._ask(calls.verdict(run))

    def create_gate(self, name: str, policy: Policy | Mapping[str, Any], idempotency_key: str | None = None) -> GateOut:
        """Keep a release policy under a name; another policy under the same name is its next version."""
        return self._ask(calls.create_gate(name, policy, idempotency_key))

    def gates(self) -> Iterator[GateOut]:
        """Every version of every release policy."""
        return self._each(flows.each(calls.gates()))

    def set_baseline(self, name: str, run: str) -> BaselineOut:
        """Name a run that has succeeded; policies that name it are held against it from now on."""
        return self._ask(calls.set_baseline(name, run))

    def baselines(self) -> Iterator[BaselineOut]:
        """All baselines, by name."""
        return self._each(flows.each(calls.baselines()))

    def suites(self) -> Iterator[SuiteOut]:
        """All suites."""
        return self._each(flows.each(calls.suites()))

    def suite(self, name: str) -> SuiteOut:
        """A suite by ``name`` or ``name@version``."""
        return self._ask(calls.suite(name))

    def upload_suite(self, document: str | Mapping[str, Any], idempotency_key: str | None = None) -> SuiteOut:
        """Store a suite: YAML or JSON text, or the parsed document."""
        return self._ask(calls.upload_suite(document, idempotency_key))

    def import_transcript(
        self,
        name: str,
        suite: str,
        dialogues: str | Iterable[RecordedDialogue | Mapping[str, Any]],
        idempotency_key: str | None = None,
    ) -> TranscriptOut:
        """Store recorded dialogues over a suite: JSONL text, or the dialogues."""
        return self._ask(calls.import_transcript(name, suite, dialogues, idempotency_key))

    def import_published(self, name: str, source: Path | bytes, idempotency_key: str | None = None) -> TranscriptOut:
        """Store a published ChatAnime file as a transcript over the suite ``chatanime``."""
        return self._ask(calls.import_published(name, source, idempotency_key))

    def import_ratings(
        self,
        source: Path | bytes,
        content_type: str | None = None,
        replace: bool = False,
        idempotency_key: str | None = None,
        *,
        sampling: Sampling | None = None,
    ) -> Imported:
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
    ) -> Imported:
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
        self, asked: ScenarioSetRequest | Mapping[str, Any], idempotency_key: str | None = None
    ) -> ScenarioSetDetail:
        """Have the writer model write scenarios over a grid."""
        return self._ask(calls.create_scenario_set(asked, idempotency_key))

    def scenario_set(self, id: str) -> ScenarioSetDetail:
        """A scenario set as it is now."""
        return self._ask(calls.scenario_set(id))

    def scenario_sets(self) -> Iterator[ScenarioSetOut]:
        """All scenario sets."""
        return self._each(flows.each(calls.scenario_sets()))

    def wait_for_scenarios(
        self,
        id: str,
        on_progress: Callable[[ScenarioSetDetail], None] | None = None,
        on_lost: Callable[[Lost], None] | None = None,
    ) -> ScenarioSetDetail:
        """The scenario set once all of it is written; ``on_progress`` is told of it every second."""
        return self._run(flows.written(id, on_progress, on_lost))

    def scenarios(self, id: str) -> Iterator[ScenarioDraft]:
        """A scenario set's scenarios."""
        return self._each(flows.each(calls.scenarios(id)))

    def select_scenarios(
        self,
        id: str,
        suite: str,
        scenarios: Iterable[str],
        characters: str | Iterable[Character | Mapping[str, Any]],
        idempotency_key: str | None = None,
    ) -> SuiteOut:
        """Keep chosen scenarios as a suite, with the characters of the suite that is named or those that are given."""
        return self._ask(calls.select_scenarios(id, suite, scenarios, characters, idempotency_key))

    def provenance(self, suite: str) -> Provenance:
        """Where a suite's scenarios come from."""
        return self._ask(calls.provenance(suite))

    def judges(self) -> list[JudgeOut]:
        """The judges that can be asked for."""
        return list(self._each(flows.each(calls.judges())))

    def judge_card(self, id: str) -> JudgeCard:
        """What was measured of a judge, by its id or name; ``None`` where nothing was."""
        return self._ask(calls.judge_card(id))

    def probe_judge(self, id: str, asked: ProbeRequest | Mapping[str, Any] | None = None) -> Probe:
        """Have a judge rate the injection battery, which costs its calls and may take minutes."""
        return self._ask(calls.probe_judge(id, asked or {}))

    def keys(self) -> Iterator[KeyOut]:
        """All API keys of the tenant, without the keys themselves."""
        return self._each(flows.each(calls.keys()))

    def create_key(self, key: KeyRequest | Mapping[str, Any]) -> NewKey:
        """Make an API key; this is the only time that it is shown."""
        return self._ask(calls.create_key(key))

    def delete_key(self, id: str) -> None:
        """Take an API key away."""
        return self._ask(calls.delete_key(id))

    def tenants(self) -> Iterator[TenantOut]:
        """All tenants."""
        return self._each(flows.each(calls.tenants()))

    def create_tenant(self, name: str, idempotency_key: str | None = None) -> TenantOut:
        """Make a tenant."""
        return self._ask(calls.create_tenant(name, idempotency_key))

    def _ask(self, call: calls.Call[T]) -> T:
        return self._run(flows.ask(call))

    def _run(self, flow: Flow[T]) -> T:
        with closing(_Line(self._http, self._connection, self._sleep)) as line:
            step = flows.advance(flow)
            while not isinstance(step, Done):
                step = flows.advance(flow, line.carry_out(step))
            return step.value

    def _each(self, flow: Stream[T, None]) -> Iterator[T]:
        with closing(_Line(self._http, self._connection, self._sleep)) as line:
            step = flows.advance(flow)
            while not isinstance(step, Done):
                if isinstance(step, Emit):
                    yield step.item
                    step = flows.advance(flow)
                else:
                    step = flows.advance(flow, line.carry_out(step))


class _Line:
    """Carries effects out, and holds the one stream that a flow may have open."""

    def __init__(self, http: httpx2.Client, connection: Connection, sleep: Callable[[float], None]) -> None:
        self._http = http
        self._connection = connection
        self._sleep = sleep
        self._open = ExitStack()
        self._heard: Iterator[httpx2.ServerSentEvent] = iter(())

    def carry_out(self, effect: Effect) -> Outcome:
        """Do it; a failed connection is an outcome like any other."""
        try:
            return self._do(effect)
        except httpx2.RequestError as error:
            return self._connection.failed(error)

    def close(self) -> None:
        """Hang up."""
        self._open.close()

    def _do(self, effect: Effect) -> Outcome:
        match effect:
            case Send(request):
                arguments = self._connection.arguments(request)
                return reply(self._http.request(request.method, self._connection.at(request), **arguments))
            case Listen(request):
                return self._listen(request)
            case Hear():
                return next(self._heard, None)
            case Sleep(seconds):
                self._sleep(seconds)
                return None

    def _listen(self, request: calls.Request) -> Outcome:
        self.close()
        at, headers = self._connection.at(request), dict(request.headers)
        source = self._open.enter_context(self._http.sse(at, headers=headers, timeout=STREAM_TIMEOUT))
        if source.response.status_code != 200:
            source.response.read()
            return reply(source.response)
        self._heard = iter(source)
        return opened(source.response)
