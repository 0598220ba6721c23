"""Checking a request for a run, first beat: everything that it names, found and held in one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import RunRequest, TranscriptCandidate
from esrp.errors import InvalidInput, NotConfigured
from esrp.stats.power import Spread
from services.gateway.gates import verdicts
from services.gateway.runs import spreads
from services.gateway.suites import suites, transcripts
from services.gateway.suites.suites import WholeSuite
from services.gateway.suites.transcripts import Replies, StoredTranscript
from services.kit.settings import JudgeSettings, ModelSettings, Settings

NOTHING_FORESEEN = verdicts.Foreseen()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The recorded dialogues that take the place of an endpoint."""

    stored: StoredTranscript
    replies: Sequence[Replies]


@dataclass(frozen=True, slots=True)
class Frozen:
    """The transcript whose user turns are said again, and these by character and scenario."""

    stored: StoredTranscript
    spoken: Mapping[tuple[str, str | None], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Found:
    """A request, and all that it names. ``simulator`` is the configured one, where the run needs one."""

    request: RunRequest
    suite: WholeSuite
    judges: Sequence[JudgeSettings]
    simulator: ModelSettings | None = None
    transcript: Transcript | None = None
    frozen: Frozen | None = None
    gate: verdicts.Asked | None = None
    foreseen: verdicts.Foreseen = NOTHING_FORESEEN
    spread: Spread | None = None  # of two runs of the suite by these judges


async def find(tx: AsyncConnection, settings: Settings, tenant_id: UUID, request: RunRequest) -> Found:
    """Find it; ``InvalidInput`` says what is not there, and at which place of the body it was named."""
    suite = await suites.named(tx, tenant_id, request.suite)
    gate = None if request.gate is None else await verdicts.asked(tx, tenant_id, request.gate, "/gate")
    return Found(
        request=request,
        suite=suite,
        transcript=await _transcript(tx, tenant_id, request, suite),
        frozen=await _frozen(tx, tenant_id, request, suite),
        judges=judges_named(request.judges, settings),
        simulator=_simulator(settings, request),
        gate=gate,
        spread=await spreads.of(tx, tenant_id, suite.id, request.judges),
        foreseen=NOTHING_FORESEEN if gate is None else await verdicts.foreseen(tx, tenant_id, gate, "/gate"),
    )


def judges_named(names: Sequence[str], settings: Settings) -> list[JudgeSettings]:
    """The configured judges of these names; ``NotConfigured`` says which lines to add."""
    return [_judge(settings, place, name) for place, name in enumerate(names)]


def simulator_named(name: str, settings: Settings) -> ModelSettings:
    """The configured simulator; ``NotConfigured`` says which lines to add. There is one, called ``default``."""
    if name != "default" or settings.simulator is None:
        lines = 'simulator: {base_url: "https://…/v1", model: "…", api_key_env: "…"}'
        raise NotConfigured("/simulator", "simulator", name, lines)
    return settings.simulator


def _judge(settings: Settings, place: int, name: str) -> JudgeSettings:
    if found := settings.judge(name):
        return found
    lines = f'judges:\n  - {{name: {name}, kind: chat, base_url: "https://…/v1", model: "…", api_key_env: "…"}}'
    raise NotConfigured(f"/judges/{place}", "judge", name, lines)


def _simulator(settings: Settings, request: RunRequest) -> ModelSettings | None:
    """None where nobody asks on: one round, recorded dialogues, or a recorded user."""
    if isinstance(request.candidate, TranscriptCandidate) or request.rounds == 1 or request.round2 != "live":
        return None
    return simulator_named(request.simulator, settings)


async def _transcript(
    tx: AsyncConnection, tenant_id: UUID, request: RunRequest, suite: WholeSuite
) -> Transcript | None:
    if not isinstance(request.candidate, TranscriptCandidate):
        return None
    pointer = "/candidate/transcript"
    found = await transcripts.named(tx, tenant_id, request.candidate.transcript, suite, pointer)
    return Transcript(found, await transcripts.replies(tx, found.id))


async def _frozen(tx: AsyncConnection, tenant_id: UUID, request: RunRequest, suite: WholeSuite) -> Frozen | None:
    if request.round2 == "live":
        return None
    if isinstance(request.candidate, TranscriptCandidate):
        raise InvalidInput.at("/round2", "a transcript's dialogues are played already; only an endpoint is asked")
    found = await transcripts.named(tx, tenant_id, request.round2.frozen, suite, "/round2/frozen")
    return Frozen(found, await transcripts.spoken(tx, found.id))
