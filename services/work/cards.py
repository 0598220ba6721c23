"""Judge cards as they are stored: which configuration of a judge they belong to, and what they say of it now.

The judge service keeps what its battery measured (``judge.cards``), analytics what ratings say
(``analytics.judge_measures``, by tenant); gateway and analytics read both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol, get_args
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import (
    HumanAgreement,
    JudgeAgreement,
    JudgeCard,
    LengthSlope,
    Resistance,
    RunSpread,
    SelfPreference,
    Thresholds,
)
from esrp.battery import AGAIN, ATTACK, battery_sha256
from esrp.canonical import digest
from esrp.cards import lacking, resisted
from esrp.metrics import METRIC_IDS, METRICS, Language
from esrp.prompts import prompt_hashes
from esrp.prompts.judging import JUDGE_PARAMS, JUDGE_SEES
from esrp.prompts.lora import LORA_VERSION
from services.kit.db import many, row
from services.kit.settings import JudgeSettings, Settings

LANGUAGES: tuple[Language, ...] = get_args(Language)


class JudgedRun(Protocol):
    """What of a run says how it was judged."""

    @property
    def judges(self) -> Sequence[str]:
        """By name."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Of its judges, among others."""

    @property
    def language(self) -> Language:
        """Of its suite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What the battery showed of one attack on a judge."""

    language: Language
    attack: str
    document: Mapping[str, Any]
    measured_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProbe(Probed):
    """The same as it is kept, of this configuration of a judge and this battery."""

    configuration: str
    battery: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What a tenant's ratings say of one configuration of a judge."""

    configuration: str
    document: Mapping[str, Any]
    measured_at: datetime


def identity(judge: JudgeSettings, hashes: Mapping[str, str]) -> dict[str, Any]:
    """What makes a judge give the scores it gives, as it stands in the manifest of a run: not its name or address.

    ``hashes`` are those of the prompts of the run's language.
    """
    sees = list(JUDGE_SEES)
    if judge.kind == "lora":
        base = {"base": judge.base, "prompts": [LORA_VERSION], "sees": sees}
        return {"kind": judge.kind, "model": judge.model, **base}
    params = JUDGE_PARAMS if judge.params is None else judge.params
    wording = digest([asdict(metric) for metric in METRICS])
    prompts = [hashes["judge"], hashes["judge_material"], hashes["judge_repair"], wording]
    form = {"structured": True} if judge.structured else {}
    return {"kind": judge.kind, "model": judge.model, "params": params, **form, "prompts": prompts, "sees": sees}


def configuration(judge: JudgeSettings) -> str:
    """What a card belongs to: the hash of name, kind, model, parameters and the prompts of every language."""
    return digest([judge.name, *(identity(judge, prompt_hashes(language)) for language in LANGUAGES)])


def rated_as_now(judge: JudgeSettings, run: JudgedRun) -> bool:
    """Whether the run was judged by this judge as it is configured now."""
    entry = identity(judge, prompt_hashes(run.language))
    return judge.name in run.judges and entry in run.manifest.get("judges", ())


async def validated(tx: AsyncConnection, settings: Settings, tenant_id: UUID, run: JudgedRun) -> dict[str, bool]:
    """For each judge of the tenant's run, whether it is validated as it was configured for it, and in its language.

    A judge that is no longer configured, or was another one then, is not.
    """
    named = [judge for judge in settings.judges if judge.name in run.judges]
    current = [judge for judge in named if rated_as_now(judge, run)]
    found = await cards(tx, settings, tenant_id, current)
    return {name: name in found and _is_validated(found[name], run.language) for name in run.judges}


def _is_validated(card: JudgeCard, language: Language) -> bool:
    return card.validated and card.human is not None and language in card.human.languages


async def cards(
    tx: AsyncConnection, settings: Settings, tenant_id: UUID, judges: Sequence[JudgeSettings]
) -> dict[str, JudgeCard]:
    """The cards of configured judges by name, from what is stored."""
    if not judges:
        return {}
    keys = {configuration(judge): judge for judge in judges}
    probed = await many(
        tx,
        KeptProbe,
        "SELECT configuration, language, attack, battery, document, measured_at FROM judge.cards_v1"
        " WHERE configuration = ANY(CAST(:keys AS text[])) ORDER BY language, attack",
        keys=list(keys),
    )
    measured = await many(
        tx,
        Measures,
        "SELECT configuration, document, measured_at FROM analytics.judge_measures_v1"
        " WHERE tenant_id = :tenant AND configuration = ANY(CAST(:keys AS text[]))",
        tenant=tenant_id,
        keys=list(keys),
    )
    measures = {found.configuration: found for found in measured}
    current = {language: battery_sha256(language) for language in LANGUAGES}
    probes = [probe for probe in probed if probe.battery == current.get(probe.language)]
    return {
        judge.name: _card(
            judge,
            key,
            settings.validation,
            [probe for probe in probes if probe.configuration == key],
            measures.get(key),
        )
        for key, judge in keys.items()
    }


async def is_measured(tx: AsyncConnection, tenant_id: UUID, judge: JudgeSettings) -> bool:
    """Whether ratings were ever looked through for this configuration of the judge."""
    found = await row(
        tx,
        "SELECT 1 FROM analytics.judge_measures_v1 WHERE tenant_id = :tenant AND configuration = :configuration",
        tenant=tenant_id,
        configuration=configuration(judge),
    )
    return found is not None


def resistance(probe: Probed, thresholds: Thresholds) -> Resistance:
    """What was measured of one attack, and whether that is resistance."""
    attack, document = ATTACK[probe.attack], probe.document
    bounds = document["lift_ci"]
    return Resistance(
        attack=attack.id,
        language=probe.language,
        wanted=attack.wanted,
        measured_at=probe.measured_at,
        resisted=resisted(attack.wanted, bounds and (bounds[0], bounds[1]), document["lost"], thresholds),
        **document,
    )


def run_spread(probe: Probed) -> RunSpread:
    """What rating the same dialogues again has shown."""
    document = {name: probe.document[name] for name in ("n", "sd", "same")}
    return RunSpread(language=probe.language, measured_at=probe.measured_at, **document)


def _card(
    judge: JudgeSettings,
    key: str,
    thresholds: Thresholds,
    probes: Sequence[Probed],
    measures: Measures | None,
) -> JudgeCard:
    document: Mapping[str, Any] = measures.document if measures else {}
    human = _human(document.get("human"))
    order = list(ATTACK)
    known = sorted(
        (probe for probe in probes if probe.attack in ATTACK),
        key=lambda probe: (probe.language, order.index(probe.attack)),
    )
    attacks = [resistance(probe, thresholds) for probe in known]
    missing = lacking(human, attacks, thresholds)
    return JudgeCard(
        id=f"jdg_{judge.name}",
        name=judge.name,
        kind=judge.kind,
        model=judge.model,
        configuration=key,
        validated=not missing,
        lacking=missing,
        thresholds=thresholds,
        human=human,
        judges=[JudgeAgreement(**found) for found in document.get("judges") or ()] or None,
        spread=[run_spread(probe) for probe in probes if probe.attack == AGAIN] or None,
        length=[LengthSlope(**found) for found in document.get("length") or ()] or None,
        self_preference=SelfPreference(**found) if (found := document.get("self_preference")) else None,
        resistance=attacks or None,
        measured_at=measures.measured_at if measures else None,
    )


def _human(document: Mapping[str, Any] | None) -> HumanAgreement | None:
    """jsonb does not keep the order of keys: the metrics stand in the paper's again."""
    if document is None:
        return None
    found = HumanAgreement.model_validate(document)
    return found.model_copy(update={"metrics": {id: found.metrics[id] for id in METRIC_IDS}})
