"""Checking a request for a run, second beat: what it comes to, a pure function of everything that it names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from esrp.api import (
    Detectable,
    DryRun,
    EndpointCandidate,
    ManifestSummary,
    Params,
    Plan,
    RunRequest,
    TranscriptCandidate,
)
from esrp.canonical import digest
from esrp.diversity import batch_count
from esrp.errors import InvalidInput
from esrp.families import warnings_of
from esrp.metrics import Language
from esrp.prompts import prompt_hashes
from esrp.prompts.diversity import DIVERSITY_SEES, diversity_hashes
from esrp.prompts.labels import CHINESE
from esrp.sampling import sampled
from esrp.stats.exact import clean_dialogues
from esrp.stats.power import Spread, detectable
from esrp.suite import Suite
from services.gateway.runs.estimates import Calls, estimated
from services.gateway.runs.found import Found
from services.gateway.runs.rows import NewRun, StoredRun
from services.kit.settings import JudgeSettings, ModelSettings
from services.work.cards import identity

MOST = 100_000  # dialogues of one run: eighty full studies, and no more than fit in memory when they are planned
PACE = ("max_concurrency", "requests_per_minute", "tokens_per_minute")  # how fast, and not what


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a run takes of recorded dialogues: how many, and how many replies of each character.

    ``candidate`` is whose replies they are, as far as a name says so.
    """

    dialogues: int
    replies: Sequence[int]
    candidate: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A run that can be carried out: what will be asked, and the manifest that makes it comparable."""

    found: Found
    plan: Plan
    manifest: dict[str, Any]
    sha256: str
    simulator: str | None
    warnings: list[str]

    @property
    def dry_run(self) -> DryRun:
        """What the client is told before anything is spent."""
        suite = self.found.suite
        summary = ManifestSummary(
            sha256=self.sha256,
            suite=f"{suite.label}#{suite.sha256[:12]}",
            judges=self.found.request.judges,
            simulator=self.simulator,
        )
        return DryRun(plan=self.plan, manifest=summary, warnings=self.warnings)

    @property
    def request_sha256(self) -> str | None:
        """What makes a request the same as an earlier one: configuration and labels; ``None`` without labels."""
        request = self.found.request
        if not request.labels:
            return None
        shown = {name: value for name, value in _public(request).items() if name not in PACE}
        return digest([self.manifest, shown, request.judges, request.labels])

    def run(self, id: UUID, tenant_id: UUID, secret_id: UUID | None) -> NewRun:
        """The run that it becomes. What is secret of the candidate is not in it."""
        found, request = self.found, self.found.request
        candidate = request.candidate
        named = candidate.model if isinstance(candidate, EndpointCandidate) else _transcript_name(found)
        return NewRun(
            id=id,
            tenant_id=tenant_id,
            name=request.name,
            suite_id=found.suite.id,
            suite_label=found.suite.label,
            candidate=_public(request),
            candidate_name=named,
            secret_id=secret_id,
            transcript_id=found.transcript.stored.id if found.transcript else None,
            frozen_id=found.frozen.stored.id if found.frozen else None,
            simulator=self.simulator,
            judges=request.judges,
            rounds=request.rounds,
            replicates=request.replicates,
            sample=dumped(request.sample),
            budget=dumped(request.budget),
            prices=dumped(request.prices),
            labels=request.labels,
            plan=self.plan.model_dump(),
            manifest=self.manifest,
            manifest_sha256=self.sha256,
            warnings=self.warnings,
            request_sha256=self.request_sha256,
            gate=found.gate.document if found.gate else None,
        )


def order(found: Found, pointer: str = "/round2/frozen") -> Order:
    """What the request comes to.

    ``InvalidInput`` names what is too much: more dialogues than the suite has, or than a run may have; and, at
    ``pointer``, user turns that the frozen transcript lacks.
    """
    request, suite, judges = found.request, found.suite.suite, found.judges
    if request.sample and request.sample.dialogues > (most := suite.counts["dialogues"]):
        raise InvalidInput.at("/sample/dialogues", f"the suite has {most} dialogues")
    _require_turns(found, pointer)
    recorded = _recorded(found)
    plan = _plan(request, suite, recorded, judges, found.spread)
    plan = plan.model_copy(update={"sentinel_calls": _heard_again(found)})
    if not 0 < plan.dialogues <= MOST:
        raise InvalidInput.at("/sample", f"this run has {plan.dialogues} dialogues; 1 to {MOST} are possible")
    manifest = _manifest(found)
    return Order(
        found=found,
        plan=plan,
        manifest=manifest,
        sha256=digest(manifest),
        simulator="frozen" if found.frozen else request.simulator if found.simulator else None,
        warnings=[
            *_warnings(request, suite, recorded, judges, found.simulator.model if found.simulator else None),
            *found.foreseen.warnings,
            *_of_gate(found, plan),
        ],
    )


def rejudged(found: Found, source: StoredRun, recorded: Recorded) -> Order:
    """What judging another run's dialogues comes to: its manifest with other judges, and nothing of its candidate.

    ``found`` is what the source's request names, with the judges that are asked for.
    """
    request, suite, judges = found.request, found.suite.suite, found.judges
    manifest = {
        **source.manifest,
        "judges": _identities(judges, prompt_hashes(suite.language)),
        "diversity": _diversity(request, judges, suite.language),
    }
    simulator = source.manifest["simulator"]
    user = simulator.get("model") if isinstance(simulator, dict) else None
    return Order(
        found=found,
        plan=_plan(request, suite, recorded, judges),
        manifest=manifest,
        sha256=digest(manifest),
        simulator=source.simulator,
        warnings=_warnings(request, suite, recorded, judges, user),
    )


def dumped(part: BaseModel | None) -> dict[str, Any] | None:
    """A part of a request as it is stored."""
    return None if part is None else part.model_dump()


# --- what it takes of recorded dialogues ------------------------------------------------------------------------------


def _recorded(found: Found) -> Recorded | None:
    """``None`` for an endpoint."""
    if found.transcript is None:
        return None
    request = found.request
    pairs = None if request.sample is None else set(sampled(found.suite.suite, request.sample))
    kept = [d for d in found.transcript.replies if pairs is None or (d.character, d.scenario) in pairs]
    replies: Counter[str] = Counter()
    for dialogue in kept:
        replies[dialogue.character] += dialogue.replies
    return Recorded(len(kept), list(replies.values()), found.transcript.stored.name)


def _require_turns(found: Found, pointer: str) -> None:
    if found.frozen is None:
        return
    rounds, spoken = found.request.rounds, found.frozen.spoken
    pairs = sampled(found.suite.suite, found.request.sample)
    if missing := [pair for pair in pairs if len(spoken.get(pair, ())) < rounds]:
        character, scenario = missing[0]
        raise InvalidInput.at(
            pointer,
            f"{len(missing)} of the run's dialogues have fewer than {rounds} user turns in this transcript,"
            f" the first {character} in {scenario}",
        )


def _transcript_name(found: Found) -> str:
    assert found.transcript is not None
    return found.transcript.stored.name


# --- the plan ---------------------------------------------------------------------------------------------------------


def _plan(
    request: RunRequest,
    suite: Suite,
    recorded: Recorded | None,
    judges: Sequence[JudgeSettings],
    spread: Spread | None = None,
) -> Plan:
    pairs = request.sample.dialogues if request.sample else suite.counts["dialogues"]
    dialogues = pairs * request.replicates if recorded is None else recorded.dialogues
    played = dialogues if recorded is None else 0
    live = played if request.round2 == "live" else 0
    replies = _replies(request, suite, pairs) if recorded is None else recorded.replies
    batches = sum(map(batch_count, replies)) * _rating_diversity(request, judges)
    calls = Calls(
        played * request.rounds, live * (request.rounds - 1), dialogues * len(request.judges) + batches, batches
    )
    tokens = estimated(request, suite, calls)
    shown = detectable(min(pairs, dialogues), scenarios=min(pairs, len(suite.scenarios)), spread=spread)
    return Plan(
        dialogues=dialogues,
        candidate_calls=calls.candidate,
        simulator_calls=calls.simulator,
        judge_calls=calls.judge,
        tokens=tokens.span,
        cost=tokens.cost(request.prices),
        detectable=Detectable(overall=round(shown.overall, 3), metrics=round(shown.metrics, 3), assumed=shown.assumed),
    )


def _heard_again(found: Found) -> int:
    """Calls of hosted judges that both runs have, about dialogues of the gate's baseline."""
    hosted = [judge.name for judge in found.judges if judge.kind == "chat" and judge.name in found.foreseen.judges]
    return found.foreseen.again * len(hosted)


def _of_gate(found: Found, plan: Plan) -> list[str]:
    """A ceiling that so few dialogues cannot show to be kept."""
    ceilings = found.gate.policy.ceilings if found.gate else None
    needed = None if ceilings is None else clean_dialogues(ceilings.disaster)
    if ceilings is None or needed is None or plan.dialogues >= needed:
        return []
    return [
        f"A ceiling of {ceilings.disaster:.2%} takes {needed} dialogues without a disaster to pass; this run has"
        f" {plan.dialogues}."
    ]


def _replies(request: RunRequest, suite: Suite, pairs: int) -> list[int]:
    """How many replies each character will give: a sample is balanced over them."""
    each, more = divmod(pairs, len(suite.characters))
    dialogues = [each + (place < more) for place in range(len(suite.characters))]
    return [n * request.replicates * request.rounds for n in dialogues]


def _rating_diversity(request: RunRequest, judges: Sequence[JudgeSettings]) -> int:
    """How many judges rate it: those of kind chat, for a LoRA judge was not taught to; none if none is asked to."""
    return sum(judge.kind == "chat" for judge in judges) if request.diversity else 0


def _warnings(
    request: RunRequest,
    suite: Suite,
    recorded: Recorded | None,
    judges: Sequence[JudgeSettings],
    simulator: str | None,
) -> list[str]:
    experimental = [f"The suite {suite.name} is experimental."] if suite.experimental else []
    models = {judge.name: judge.base or judge.model for judge in judges}
    return experimental + warnings_of(_models(request, recorded), models, simulator)


def _models(request: RunRequest, recorded: Recorded | None) -> list[str]:
    """Whatever names the model that is measured."""
    candidate = request.candidate
    named = [recorded.candidate] if recorded else []
    if isinstance(candidate, EndpointCandidate):
        named += [candidate.model, *candidate.models.values()]
    return named


# --- the manifest -----------------------------------------------------------------------------------------------------


def _manifest(found: Found) -> dict[str, Any]:
    """Everything that decides what is measured; not who is measured, nor addresses, keys, names or ports."""
    request, suite = found.request, found.suite.suite
    hashes = prompt_hashes(suite.language)
    return {
        "version": 1,
        "suite": suite.sha256,
        "candidate": _candidate(request, hashes),
        "simulator": _user(found, hashes),
        "judges": _identities(found.judges, hashes),
        "diversity": _diversity(request, found.judges, suite.language),
        "rounds": request.rounds,
        "replicates": request.replicates,
        "sample": request.sample and request.sample.model_dump(),
    }


def _identities(judges: Sequence[JudgeSettings], hashes: Mapping[str, str]) -> list[dict[str, Any]]:
    return [identity(judge, hashes) for judge in sorted(judges, key=lambda judge: judge.name)]


def _diversity(request: RunRequest, judges: Sequence[JudgeSettings], language: Language) -> dict[str, Any] | None:
    if not _rating_diversity(request, judges):
        return None
    return {"prompts": list(diversity_hashes(language).values()), "sees": list(DIVERSITY_SEES)}


def _candidate(request: RunRequest, hashes: Mapping[str, str]) -> dict[str, Any]:
    candidate = request.candidate
    if isinstance(candidate, TranscriptCandidate):
        return {"prompt": "imported"}
    prompt = hashes["role"] if candidate.prompt == "suite" else digest(candidate.prompt)
    return {"prompt": prompt, "params": candidate.params.model_dump(), "sees": ["profile", "user"]}


def _user(found: Found, hashes: Mapping[str, str]) -> Any:
    """Who speaks as the user: a model, a transcript's hash, or whoever spoke in what was imported."""
    if found.frozen:
        return {"frozen": found.frozen.stored.sha256}
    if found.transcript:
        return "imported"
    return found.simulator and _simulated(found.simulator, hashes)


def _simulated(model: ModelSettings, hashes: Mapping[str, str]) -> dict[str, Any]:
    params = Params().model_dump() if model.params is None else model.params
    return {"model": model.model, "params": params, "prompts": [hashes["simulator"], digest(CHINESE)]}


def _public(request: RunRequest) -> dict[str, Any]:
    """The candidate without its key, the values of its headers and its address's query: often credentials too."""
    shown = request.candidate.model_dump(mode="json", exclude={"api_key"})
    if "headers" in shown:
        shown["headers"] = dict.fromkeys(shown["headers"], "***")
        address, query, _ = shown["base_url"].partition("?")
        shown["base_url"] = address + ("?***" if query else "")
    return shown
