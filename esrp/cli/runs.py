"""Commands about runs: start, follow, read, stop."""

import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from esrp.api import FINAL, CheckRequest, Report, Run, RunRequest
from esrp.cli import asked, gates, text, verdicts
from esrp.cli.asked import (
    DEFAULT_SUITE,
    ApiKeyEnv,
    BaseUrl,
    CandidateKey,
    Diversity,
    FrozenFrom,
    Judges,
    Labels,
    MaxCalls,
    MaxConcurrency,
    MaxCost,
    MaxTokens,
    Model,
    Name,
    Prices,
    Replicates,
    Rounds,
    Sample,
    Simulator,
    Suite,
    Transcript,
)
from esrp.cli.exits import INTERRUPTED, UNSUCCESSFUL, Stop, UsageFault
from esrp.cli.figures import AnyRaters, WhoseOfAll
from esrp.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, connect
from esrp.cli.progress import watch
from esrp.client import ApiError, Client, ConnectionFailed
from esrp.policies import Policy

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan; nothing is stored or called.")]
Probe = Annotated[bool, typer.Option("--probe", help="Print the plan, measured by ten dialogues.")]
Reattach = Annotated[
    bool, typer.Option("--reattach/--new", help="With labels: go on with the run of the same configuration.")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run and print its report.")]


class Format(StrEnum):
    """How a report is printed."""

    TEXT, JSON, MD = "text", "json", "md"


def run(
    base_url: BaseUrl = None,
    model: Model = None,
    api_key_env: ApiKeyEnv = None,
    candidate_key: CandidateKey = None,
    transcript: Transcript = None,
    suite: Suite = None,
    judge: Judges = None,
    simulator: Simulator = None,
    sample: Sample = None,
    rounds: Rounds = None,
    replicates: Replicates = None,
    diversity: Diversity = None,
    label: Labels = None,
    name: Name = None,
    max_concurrency: MaxConcurrency = None,
    frozen: FrozenFrom = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price: Prices = None,
    dry_run: DryRun = False,
    probe: Probe = False,
    reattach: Reattach = True,
    wait: Wait = True,
    gate: gates.Gate = None,
    junit: gates.Junit = None,
    summary: gates.Summary = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Benchmark a bot, or judge a transcript, and print the report. With a gate the exit code is its verdict."""
    candidate = asked.candidate(suite, base_url, model, candidate_key, api_key_env, transcript, max_concurrency)
    files = gates.Files(junit, summary).where(gated=gate is not None and wait)
    parts = asked.size(sample, rounds, replicates, diversity, frozen)
    parts |= asked.cost(max_calls, max_tokens, max_cost, price)
    request = asked.run_request(candidate, suite, judge, simulator, name, label, gate, parts)
    with connect(url, api_key) as client:
        _start(client, request, _How(dry_run, probe, reattach and bool(label), wait, as_json), files)


@dataclass(frozen=True)
class _How:
    """What becomes of a request: planned only, or played, by a run that is there too; followed; printed as JSON."""

    dry_run: bool
    probe: bool
    reattach: bool
    wait: bool
    as_json: bool


def _start(client: Client, request: RunRequest, how: _How, files: gates.Files) -> None:
    files.prepare()
    if how.dry_run or how.probe:
        dry = client.dry_run(request, probe=how.probe)
        return _print(dry, text.dry_run(dry), how.as_json)
    started = client.create_run(request, reattach=how.reattach)
    if not how.wait:
        return _print(started, text.run(started), how.as_json)
    typer.echo(f"{started.id} started; {text.plan(started.plan)}", err=True)
    _finish(client, started.id, how.as_json, request.gate, files)


def wait(
    run: str,
    gate: gates.Gate = None,
    junit: gates.Junit = None,
    summary: gates.Summary = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Follow a run to its end and print its report; the exit code is the verdict of its gate, or of another one."""
    policy, files = gates.chosen(gate), gates.Files(junit, summary)
    files.prepare()
    with connect(url, api_key) as client:
        if files.asked and gate is None and client.run(run).gate is None:
            raise UsageFault(f"{run} has no gate of its own: give one with --gate.")
        _finish(client, run, as_json, policy, files)


def report(
    run: str,
    format: Annotated[Format, typer.Option(help="text, json or md.")] = Format.TEXT,
    raters: WhoseOfAll = AnyRaters.AUTO,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Print a run's report."""
    with connect(url, api_key) as client:
        if format is Format.MD:
            typer.echo(client.report(run, "md", raters.value))
        else:
            found = client.report(run, raters=raters.value)
            _print(found, text.report(found), format is Format.JSON)


def runs(
    status: Annotated[str | None, typer.Option(help="Only runs of this status.")] = None,
    suite: Annotated[str | None, typer.Option(help="Only runs on this suite.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Only so many, the newest.")] = 50,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """List runs, the newest last."""
    if status is not None and status not in (*FINAL, "queued", "running", "cancelling"):
        raise UsageFault(f"There is no status {status!r}: queued, running, cancelling, {', '.join(FINAL)}.")
    with connect(url, api_key) as client:
        found = deque(client.runs(status=status, suite=suite), maxlen=limit)  # the service lists the oldest first
    if as_json:
        typer.echo(json.dumps([item.model_dump(mode="json") for item in found], ensure_ascii=False, indent=2))
        return
    header = ("run", "status", "candidate", "suite", "dialogues", "created")
    typer.echo(text.table(header, [_row(item) for item in found]))


def cancel(run: str, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Stop a run; what it has is kept."""
    with connect(url, api_key) as client:
        typer.echo(text.run(client.cancel(run)))


def resume(
    run: str,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    no_budget: Annotated[bool, typer.Option("--no-budget", help="Lift the run's budget.")] = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Go on with a run that was stopped, or whose budget is used up (with a larger one)."""
    budget = asked.budget(max_calls, max_tokens, max_cost)
    if budget and no_budget:
        raise UsageFault("Give either a budget or --no-budget.")
    with connect(url, api_key) as client:
        typer.echo(text.run(client.resume(run, budget, lift=no_budget)))


def retry_failed(run: str, url: Url = DEFAULT_URL, api_key: ApiKey = None) -> None:
    """Try a finished run's failed dialogues and verdicts again."""
    with connect(url, api_key) as client:
        typer.echo(text.run(client.retry_failed(run)))


def extend(
    run: str,
    dialogues: Annotated[int | None, typer.Option(min=1, help="How many the sample shall have in all.")] = None,
    replicates: Annotated[int | None, typer.Option(min=1, max=20, help="How often each is played in all.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Play more dialogues of the same plan in the same run."""
    if dialogues is None and replicates is None:
        raise UsageFault("Say how many there shall be: --dialogues or --replicates.")
    with connect(url, api_key) as client:
        extended = client.extend(run, dialogues, replicates=replicates)
        typer.echo(text.run(extended))
        with suppress(ApiError):  # a run that no gate has looked at has nothing to spend
            policy = client.verdict(run).policy
            typer.echo(gates.priced(client.look_price(run, policy, extended.plan.dialogues)), err=True)


def check(
    base_url: BaseUrl = None,
    model: Model = None,
    api_key_env: ApiKeyEnv = None,
    candidate_key: CandidateKey = None,
    suite: Annotated[str, typer.Option(help="Name, or name@version.")] = DEFAULT_SUITE,
    character: Annotated[str | None, typer.Option(help="The suite's first if not given.")] = None,
    scenario: Annotated[str | None, typer.Option(help="The suite's first if not given.")] = None,
    simulator: Simulator = None,
    rounds: Rounds = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Play one dialogue against a bot; nothing is stored."""
    candidate = asked.candidate(suite, base_url, model, candidate_key, api_key_env, None, None)
    document = asked.given(
        suite=suite, candidate=candidate, character=character, scenario=scenario, simulator=simulator, rounds=rounds
    )
    with connect(url, api_key) as client:
        result = client.check(asked.valid(CheckRequest, document))
    _print(result, text.check(result), as_json)
    if not result.ok:
        raise Stop(UNSUCCESSFUL)


# --- following --------------------------------------------------------------------------------------------------------


def _finish(client: Client, id: str, as_json: bool, gate: str | Policy | None, files: gates.Files) -> None:
    run = _followed(client, id)
    if run.status == "failed":
        _print_failed(run, as_json)
        files.write_unfinished(run)
        raise Stop(UNSUCCESSFUL)
    found = client.report(id)
    gated = run.status == "succeeded" and (gate is not None or run.gate is not None)
    verdict = gates.verdict_of(client, run, gate) if gated else None
    if as_json:
        told = verdict and verdict.model_dump(mode="json")
        typer.echo(_json({"run": run.model_dump(mode="json"), "report": found.model_dump(mode="json"), "gate": told}))
    else:
        typer.echo(text.report(found))
        for warning in run.warnings:
            typer.echo(f"warning: {warning}", err=True)
    if run.status != "succeeded":
        typer.echo(f"esrp: {id} ended {run.status}; the report is of what there was.", err=True)
        if run.status == "budget_exhausted":
            typer.echo(f"`esrp resume {id} --max-…` goes on with a larger budget.", err=True)
        files.write_unfinished(run)
        raise Stop(UNSUCCESSFUL)
    if verdict is not None:
        if not as_json:
            typer.echo("\n" + verdicts.plain(verdict, client.url))
        files.write(verdict, client.url)
        raise Stop(gates.EXITS[verdict.verdict])


def _followed(client: Client, id: str) -> Run:
    try:
        with watch() as progress:
            return client.wait(id, progress.on_progress, progress.on_lost)
    except KeyboardInterrupt:
        typer.echo(f"\nNo longer following {id}, which goes on at the server. {_how_to_follow(id)}", err=True)
        raise Stop(INTERRUPTED) from None
    except ConnectionFailed:
        typer.echo(f"{id} goes on at the server once that is up. {_how_to_follow(id)}", err=True)
        raise


def _how_to_follow(id: str) -> str:
    return f"`esrp wait {id}` follows it, `esrp cancel {id}` stops it."


def _print_failed(run: Run, as_json: bool) -> None:
    if as_json:
        typer.echo(_json({"run": run.model_dump(mode="json"), "report": None}))
    reason = run.error.message if run.error else "the server does not say why"
    typer.echo(f"esrp: {run.id} failed: {reason}", err=True)


def _print(document: Report | BaseModel, plain: str, as_json: bool) -> None:
    typer.echo(_json(document.model_dump(mode="json")) if as_json else plain)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)


def _row(run: Run) -> tuple[str, ...]:
    progress = run.progress
    candidate = run.name or run.candidate.get("model") or run.candidate.get("transcript") or ""
    done = f"{progress.judged if run.manifest.judges else progress.generated}/{progress.dialogues}"
    return run.id, run.status, str(candidate), run.suite, done, f"{run.created_at:%Y-%m-%d %H:%M}"
