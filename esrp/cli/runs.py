"""Commands about runs: start, follow, read, stop."""

import json
import os
from collections import deque
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from esrp.api import FINAL, CheckRequest, Report, Run, RunRequest
from esrp.cli import gates, text, verdicts
from esrp.cli.exits import INTERRUPTED, UNSUCCESSFUL, Stop, UsageFault
from esrp.cli.figures import AnyRaters, WhoseOfAll
from esrp.cli.options import DEFAULT_URL, ApiKey, AsJson, Url, connect
from esrp.cli.progress import watch
from esrp.client import Client, ConnectionFailed
from esrp.errors import InvalidInput
from esrp.policies import Policy
from esrp.suite import faults

DEFAULT_SUITE = "esrp-zh"

BaseUrl = Annotated[
    str | None, typer.Option("--base-url", help="The bot's OpenAI-compatible endpoint, e.g. https://…/v1.")
]
Model = Annotated[str | None, typer.Option("--model", help="The model's name there.")]
CandidateKey = Annotated[
    str | None,
    typer.Option("--candidate-key", envvar="ESRP_CANDIDATE_KEY", help="The endpoint's key.", show_default=False),
]
ApiKeyEnv = Annotated[str | None, typer.Option("--api-key-env", help="The variable that holds the endpoint's key.")]
Simulator = Annotated[str | None, typer.Option("--simulator", help="The simulated user.  [default: default]")]
Rounds = Annotated[int | None, typer.Option("--rounds", min=1, max=10, help="Rounds a dialogue.  [default: 2]")]
MaxCalls = Annotated[int | None, typer.Option("--max-calls", min=1, help="Budget: calls over all models.")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="Budget: tokens over all models.")]
MaxCost = Annotated[float | None, typer.Option("--max-cost", min=0, help="Budget: money; needs --price.")]


class Format(StrEnum):
    """How a report is printed."""

    TEXT, JSON, MD = "text", "json", "md"


def run(
    base_url: BaseUrl = None,
    model: Model = None,
    api_key_env: ApiKeyEnv = None,
    candidate_key: CandidateKey = None,
    transcript: Annotated[str | None, typer.Option(help="Judge an imported transcript (trn_…) instead.")] = None,
    suite: Annotated[
        str | None, typer.Option(help=f"Name, or name@version.  [default: {DEFAULT_SUITE}]", show_default=False)
    ] = None,
    judge: Annotated[list[str] | None, typer.Option(metavar="NAME", help="May be repeated; `none`: no judges.")] = None,
    simulator: Simulator = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Play only so many dialogues.")] = None,
    rounds: Rounds = None,
    replicates: Annotated[int | None, typer.Option(min=1, max=20, help="Play each so often.  [default: 1]")] = None,
    diversity: Annotated[
        bool | None,
        typer.Option("--diversity/--no-diversity", help="Have replies rated by tens, too.  [default: diversity]"),
    ] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be repeated.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the run.")] = None,
    max_concurrency: Annotated[int | None, typer.Option(min=1, help="Calls in flight.  [default: 64]")] = None,
    frozen: Annotated[str | None, typer.Option(help="Take the user's later turns from a transcript (trn_…).")] = None,
    max_calls: MaxCalls = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE=PROMPT,COMPLETION", help="Money per million tokens, e.g. candidate=0.5,1.5."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; nothing is stored or called.")] = False,
    probe: Annotated[bool, typer.Option("--probe", help="Print the plan, measured by ten dialogues.")] = False,
    reattach: Annotated[
        bool, typer.Option("--reattach/--new", help="With labels: go on with the run of the same configuration.")
    ] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run and print its report.")] = True,
    gate: gates.Gate = None,
    junit: gates.Junit = None,
    summary: gates.Summary = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
) -> None:
    """Benchmark a bot, or judge a transcript, and print the report. With a gate the exit code is its verdict."""
    if transcript and suite is None:
        raise UsageFault("--transcript needs --suite: the one that it was imported for, e.g. chatanime.")
    files = gates.Files(junit, summary)
    if files.asked and (gate is None or not wait):
        raise UsageFault("--junit and --summary write the verdict of a --gate that is waited for.")
    candidate = _candidate(base_url, model, candidate_key, api_key_env, transcript, max_concurrency)
    policy = gates.chosen(gate)
    request = _valid(
        RunRequest,
        _given(
            suite=suite or DEFAULT_SUITE,
            candidate=candidate,
            name=name,
            judges=_judges(judge),
            simulator=simulator,
            rounds=rounds,
            replicates=replicates,
            diversity=diversity,
            sample=None if sample is None else {"dialogues": sample},
            round2=frozen and {"frozen": frozen},
            budget=_budget(max_calls, max_tokens, max_cost),
            prices=_prices(price),
            labels=_labels(label),
            gate=policy,
        ),
    )
    files.prepare()
    with connect(url, api_key) as client:
        if dry_run or probe:
            dry = client.dry_run(request, probe=probe)
            return _print(dry, text.dry_run(dry), as_json)
        started = client.create_run(request, reattach=reattach and bool(label))
        if not wait:
            _print(started, text.run(started), as_json)
            return
        typer.echo(f"{started.id} started; {text.plan(started.plan)}", err=True)
        _finish(client, started.id, as_json, policy, files)


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
    budget = _budget(max_calls, max_tokens, max_cost)
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
        typer.echo(text.run(client.extend(run, dialogues, replicates=replicates)))


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
    candidate = _candidate(base_url, model, candidate_key, api_key_env, None, None)
    asked = _given(
        suite=suite, candidate=candidate, character=character, scenario=scenario, simulator=simulator, rounds=rounds
    )
    with connect(url, api_key) as client:
        result = client.check(_valid(CheckRequest, asked))
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


# --- what was asked for -----------------------------------------------------------------------------------------------


def _candidate(
    base_url: str | None,
    model: str | None,
    key: str | None,
    key_env: str | None,
    transcript: str | None,
    max_concurrency: int | None,
) -> dict[str, Any]:
    if transcript:
        if base_url or model:
            raise UsageFault("Give either --transcript, or --base-url and --model.")
        return {"kind": "transcript", "transcript": transcript}
    if not base_url or not model:
        raise UsageFault("Name the bot: --base-url and --model.")
    secret = _from_environment(key_env) if key_env else key
    return {
        "kind": "endpoint",
        **_given(base_url=base_url, model=model, api_key=secret, max_concurrency=max_concurrency),
    }


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UsageFault(f"--api-key-env names {name}, which is not set.")
    return value


def _judges(names: list[str] | None) -> list[str] | None:
    if not names:
        return None
    if "none" in names and len(names) > 1:
        raise UsageFault("`--judge none` stands alone.")
    return [] if names == ["none"] else names


def _labels(pairs: list[str] | None) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageFault(f"--label wants key=value, not {pair!r}.")
        labels[key] = value
    return labels or None


def _budget(calls: int | None, tokens: int | None, cost: float | None) -> dict[str, Any] | None:
    return _given(max_calls=calls, max_tokens=tokens, max_cost=cost) or None


def _prices(pairs: list[str] | None) -> dict[str, Any] | None:
    prices = {}
    for pair in pairs or ():
        role, _, both = pair.partition("=")
        prompt, _, completion = both.partition(",")
        try:
            prices[role] = {"prompt_per_million": float(prompt), "completion_per_million": float(completion)}
        except ValueError as error:
            raise UsageFault(f"--price wants role=prompt,completion, such as judge=0.5,1.5, not {pair!r}.") from error
    return prices or None


def _given(**values: Any) -> dict[str, Any]:
    """Only what was given: the rest is the server's default."""
    return {name: value for name, value in values.items() if value is not None}


def _valid(model: type[RunRequest] | type[CheckRequest], document: dict[str, Any]) -> Any:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InvalidInput("That cannot be asked for.", errors=list(faults(error.errors()))) from error
