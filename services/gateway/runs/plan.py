"""The heart: what a run will do, before it is accepted, and how it moves on from there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

from esrp.api import (
    Detectable,
    EndpointCandidate,
    ManifestSummary,
    Params,
    Phase,
    Plan,
    RunError,
    RunRequest,
    RunStatus,
    TranscriptCandidate,
)
from esrp.canonical import digest
from esrp.diversity import batch_count
from esrp.errors import InvalidInput, NotConfigured
from esrp.families import warnings_of
from esrp.metrics import Language
from esrp.prompts import prompt_hashes
from esrp.prompts.diversity import DIVERSITY_SEES, diversity_hashes
from esrp.prompts.labels import CHINESE
from esrp.stats.power import detectable
from esrp.suite import Suite
from services.gateway.runs.estimates import Calls, estimated
from services.kit.settings import JudgeSettings, ModelSettings, Settings
from services.work.cards import identity

MOST = 100_000  # dialogues of one run: eighty full studies, and no more than fit in memory when they are planned


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a run takes of a transcript: how many dialogues, and how many replies of each character.

    ``candidate`` is whose replies they are, as far as a name says so.
    """

    dialogues: int
    replies: Sequence[int]
    candidate: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A run that can be carried out: what will be asked, and the manifest that makes it comparable."""

    plan: Plan
    manifest: dict[str, Any]
    sha256: str
    simulator: str | None
    warnings: list[str]

    def summary(self, suite_label: str, suite_sha256: str, judges: Sequence[str]) -> ManifestSummary:
        """The manifest as clients see it."""
        return ManifestSummary(
            sha256=self.sha256,
            suite=f"{suite_label}#{suite_sha256[:12]}",
            judges=list(judges),
            simulator=self.simulator,
        )


def order(
    request: RunRequest,
    suite: Suite,
    settings: Settings,
    *,
    recorded: Recorded | None = None,
    frozen: str | None = None,
) -> Order:
    """What the request comes to.

    ``recorded`` is what it takes of a transcript, ``None`` for an endpoint; ``frozen`` the hash of the transcript whose
    user turns are said again.

    ``InvalidInput`` names what is not there: a judge, a simulator, more dialogues than the suite has.
    """
    judges = judges_named(request.judges, settings)
    if request.sample and request.sample.dialogues > (most := suite.counts["dialogues"]):
        raise InvalidInput.at("/sample/dialogues", f"the suite has {most} dialogues")
    simulator = None if frozen else _simulator(settings, request)
    plan = _plan(request, suite, recorded, judges)
    if not 0 < plan.dialogues <= MOST:
        raise InvalidInput.at("/sample", f"this run has {plan.dialogues} dialogues; 1 to {MOST} are possible")
    manifest = _manifest(request, suite, simulator, judges)
    if frozen:
        manifest["simulator"] = {"frozen": frozen}
    return Order(
        plan=plan,
        manifest=manifest,
        sha256=digest(manifest),
        simulator="frozen" if frozen else request.simulator if simulator else None,
        warnings=_warnings(request, suite, recorded, judges, simulator.model if simulator else None),
    )


def rejudged(
    request: RunRequest, suite: Suite, settings: Settings, source: Mapping[str, Any] | RowMapping, recorded: Recorded
) -> Order:
    """What judging another run's dialogues comes to: its manifest with other judges, and nothing of its candidate.

    ``request`` is that of the ``source``, with the judges that are asked for.
    """
    judges = judges_named(request.judges, settings)
    hashes = prompt_hashes(suite.language)
    before: Mapping[str, Any] = source["manifest"]
    manifest = {
        **before,
        "judges": _identities(judges, hashes),
        "diversity": _diversity(request, judges, suite.language),
    }
    simulator = before["simulator"]
    user = simulator.get("model") if isinstance(simulator, dict) else None
    return Order(
        plan=_plan(request, suite, recorded, judges),
        manifest=manifest,
        sha256=digest(manifest),
        simulator=source["simulator"],
        warnings=_warnings(request, suite, recorded, judges, user),
    )


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


def judges_named(names: Sequence[str], settings: Settings) -> list[JudgeSettings]:
    """The configured judges of these names; ``NotConfigured`` says which lines to add."""
    return [_judge(settings, place, name) for place, name in enumerate(names)]


def _models(request: RunRequest, recorded: Recorded | None) -> list[str]:
    """Whatever names the model that is measured."""
    candidate = request.candidate
    named = [recorded.candidate] if recorded else []
    if isinstance(candidate, EndpointCandidate):
        named += [candidate.model, *candidate.models.values()]
    return named


def _judge(settings: Settings, place: int, name: str) -> JudgeSettings:
    if found := settings.judge(name):
        return found
    lines = f'judges:\n  - {{name: {name}, kind: chat, base_url: "https://…/v1", model: "…", api_key_env: "…"}}'
    raise NotConfigured(f"/judges/{place}", "judge", name, lines)


def _simulator(settings: Settings, request: RunRequest) -> ModelSettings | None:
    if isinstance(request.candidate, TranscriptCandidate) or request.rounds == 1:
        return None
    return simulator_named(request.simulator, settings)


def simulator_named(name: str, settings: Settings) -> ModelSettings:
    """The configured simulator; ``NotConfigured`` says which lines to add. There is one, called ``default``."""
    if name != "default" or settings.simulator is None:
        lines = 'simulator: {base_url: "https://…/v1", model: "…", api_key_env: "…"}'
        raise NotConfigured("/simulator", "simulator", name, lines)
    return settings.simulator


def _plan(request: RunRequest, suite: Suite, recorded: Recorded | None, judges: Sequence[JudgeSettings]) -> Plan:
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
    shown = detectable(dialogues, scenarios=min(pairs, len(suite.scenarios)))
    return Plan(
        dialogues=dialogues,
        candidate_calls=calls.candidate,
        simulator_calls=calls.simulator,
        judge_calls=calls.judge,
        tokens=tokens.span,
        cost=tokens.cost(request.prices),
        detectable=Detectable(overall=round(shown.overall, 3), metrics=round(shown.metrics, 3)),
    )


def _replies(request: RunRequest, suite: Suite, pairs: int) -> list[int]:
    """How many replies each character will give: a sample is balanced over them."""
    each, more = divmod(pairs, len(suite.characters))
    dialogues = [each + (place < more) for place in range(len(suite.characters))]
    return [n * request.replicates * request.rounds for n in dialogues]


def _manifest(
    request: RunRequest, suite: Suite, simulator: ModelSettings | None, judges: Sequence[JudgeSettings]
) -> dict[str, Any]:
    """Everything that decides what is measured; not who is measured, nor addresses, keys, names or ports."""
    recorded = isinstance(request.candidate, TranscriptCandidate)
    hashes = prompt_hashes(suite.language)
    return {
        "version": 1,
        "suite": suite.sha256,
        "candidate": _candidate(request, hashes),
        "simulator": "imported" if recorded else simulator and _simulated(simulator, hashes),
        "judges": _identities(judges, hashes),
        "diversity": _diversity(request, judges, suite.language),
        "rounds": request.rounds,
        "replicates": request.replicates,
        "sample": request.sample and request.sample.model_dump(),
    }


def _identities(judges: Sequence[JudgeSettings], hashes: Mapping[str, str]) -> list[dict[str, Any]]:
    return [identity(judge, hashes) for judge in sorted(judges, key=lambda judge: judge.name)]


def _rating_diversity(request: RunRequest, judges: Sequence[JudgeSettings]) -> int:
    """How many judges rate it: those of kind chat, for a LoRA judge was not taught to; none if none is asked to."""
    return sum(judge.kind == "chat" for judge in judges) if request.diversity else 0


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


def _simulated(model: ModelSettings, hashes: Mapping[str, str]) -> dict[str, Any]:
    params = Params().model_dump() if model.params is None else model.params
    return {"model": model.model, "params": params, "prompts": [hashes["simulator"], digest(CHINESE)]}


# --- how it moves on --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a run is, counted from what the other services publish."""

    written: int = 0  # dialogues written down
    done: int = 0
    failed: int = 0
    busy: int = 0  # being played or rated now
    verdicts: int = 0  # that ended, with scores or without
    judged: int = 0  # dialogues whose every judge has ended
    exhausted: bool = False  # a service met the end of the budget
    rated: bool = False  # at least one rating is stored
    summarised: bool = False  # the report of this revision is there
    unrated: bool = False  # batches of this revision are still to be made or rated


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run stands."""

    status: RunStatus
    phase: Phase | None
    error: RunError | None = None


def advanced(run: RowMapping | Mapping[str, Any], counts: Counts, reasons: Sequence[str]) -> Place:
    """Where the run stands now that its parts are as counted. ``reasons`` are the commonest errors' messages."""
    status, phase = run["status"], run["phase"]
    if status == "cancelling":
        return Place("cancelled", None) if counts.busy == 0 else Place(status, phase)
    if status not in ("queued", "running") or counts.written == 0 < run["plan"]["dialogues"]:
        return Place(status, phase)
    if counts.exhausted:
        return Place("budget_exhausted", None) if counts.busy == 0 else Place("running", phase)
    if counts.done + counts.failed < run["plan"]["dialogues"]:
        return Place("running", "generating")
    if counts.verdicts < counts.done * len(run["judges"]) or (run["judges"] and counts.done and counts.unrated):
        return Place("running", "judging")
    if not counts.summarised:
        return Place("running", "analysing")
    if (run["judges"] and not counts.rated) or counts.done == 0:
        return Place("failed", None, _failure(run, counts, reasons))
    return Place("succeeded", None)


def _failure(run: RowMapping | Mapping[str, Any], counts: Counts, reasons: Sequence[str]) -> RunError:
    total = run["plan"]["dialogues"]
    if counts.done == 0:
        code, what = "nothing_generated", f"None of the {total} dialogues could be played."
    else:
        code, what = "nothing_scored", f"None of the {counts.done} dialogues that were played got a score."
    return RunError(code=code, message=" ".join((what, *reasons)))
