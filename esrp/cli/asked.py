"""What `esrp run` and `esrp check` can be asked: their options, and the request that these make."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from esrp.api import CheckRequest, RunRequest
from esrp.cli import gates
from esrp.cli.exits import UsageFault
from esrp.errors import InvalidInput
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
Transcript = Annotated[str | None, typer.Option(help="Judge an imported transcript (trn_…) instead.")]
Suite = Annotated[
    str | None, typer.Option(help=f"Name, or name@version.  [default: {DEFAULT_SUITE}]", show_default=False)
]
Judges = Annotated[list[str] | None, typer.Option(metavar="NAME", help="May be repeated; `none`: no judges.")]
Sample = Annotated[int | None, typer.Option(min=1, help="Play only so many dialogues.")]
Replicates = Annotated[int | None, typer.Option(min=1, max=20, help="Play each so often.  [default: 1]")]
Diversity = Annotated[
    bool | None,
    typer.Option("--diversity/--no-diversity", help="Have replies rated by tens, too.  [default: diversity]"),
]
Labels = Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be repeated.")]
Name = Annotated[str | None, typer.Option(help="What to call the run.")]
MaxConcurrency = Annotated[int | None, typer.Option(min=1, help="Calls in flight.  [default: 64]")]
FrozenFrom = Annotated[str | None, typer.Option(help="Take the user's later turns from a transcript (trn_…).")]
Prices = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=PROMPT,COMPLETION", help="Money per million tokens, e.g. candidate=0.5,1.5."),
]


def run_request(
    candidate: Mapping[str, Any],
    suite: str | None,
    judges: list[str] | None,
    simulator: str | None,
    name: str | None,
    labels: list[str] | None,
    gate: str | None,
    parts: Mapping[str, Any],
) -> RunRequest:
    """The request for a run; ``parts`` are those of ``size`` and ``cost``. ``InvalidInput`` says what is wrong."""
    policy = gates.chosen(gate)
    asked = given(
        suite=suite or DEFAULT_SUITE,
        candidate=candidate,
        name=name,
        judges=_judges(judges),
        simulator=simulator,
        labels=_labels(labels),
        gate=policy,
        **parts,
    )
    request: RunRequest = valid(RunRequest, asked)
    return request


def size(
    sample: int | None, rounds: int | None, replicates: int | None, diversity: bool | None, frozen: str | None
) -> dict[str, Any]:
    """How much is played, and how."""
    chosen = None if sample is None else {"dialogues": sample}
    round2 = frozen and {"frozen": frozen}
    return given(sample=chosen, rounds=rounds, replicates=replicates, diversity=diversity, round2=round2)


def cost(calls: int | None, tokens: int | None, money: float | None, prices: list[str] | None) -> dict[str, Any]:
    """What it may cost."""
    return given(budget=budget(calls, tokens, money), prices=_prices(prices))


def candidate(
    suite: str | None,
    base_url: str | None,
    model: str | None,
    key: str | None,
    key_env: str | None,
    transcript: str | None,
    max_concurrency: int | None,
) -> dict[str, Any]:
    """The bot that an endpoint or a transcript stands for."""
    if transcript and suite is None:
        raise UsageFault("--transcript needs --suite: the one that it was imported for, e.g. chatanime.")
    if transcript:
        if base_url or model:
            raise UsageFault("Give either --transcript, or --base-url and --model.")
        return {"kind": "transcript", "transcript": transcript}
    if not base_url or not model:
        raise UsageFault("Name the bot: --base-url and --model.")
    secret = _from_environment(key_env) if key_env else key
    return {
        "kind": "endpoint",
        **given(base_url=base_url, model=model, api_key=secret, max_concurrency=max_concurrency),
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


def budget(calls: int | None, tokens: int | None, cost: float | None) -> dict[str, Any] | None:
    """What may be spent, if there is a limit."""
    return given(max_calls=calls, max_tokens=tokens, max_cost=cost) or None


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


def given(**values: Any) -> dict[str, Any]:
    """Only what was given: the rest is the server's default."""
    return {name: value for name, value in values.items() if value is not None}


def valid(model: type[RunRequest] | type[CheckRequest], document: dict[str, Any]) -> Any:
    """The request, as the server would check it."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise InvalidInput("That cannot be asked for.", errors=list(faults(error.errors()))) from error
