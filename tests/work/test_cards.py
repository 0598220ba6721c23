"""When a card is good enough, and whose card it is."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from esrp.api import HumanAgreement, MetricAgreement, Resistance, Thresholds
from esrp.battery import ATTACK, ATTACKS, battery_sha256
from esrp.cards import lacking, resisted
from esrp.metrics import METRIC_IDS, Language
from esrp.prompts import prompt_hashes
from services.kit.db import count, open_engine
from services.kit.settings import JudgeSettings, Settings
from services.work.cards import cards, configuration, identity, validated

TENANT = UUID(int=1)
USUAL = Thresholds()
JUDGE = JudgeSettings(name="default", base_url="http://a/v1", model="m")


# --- thresholds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lift_ci", "lost", "expected"),
    [
        ((-0.1, 0.3), 0.0, True),
        ((-0.1, 0.31), 0.0, False),  # it may have been lifted by more than the threshold: not shown to resist
        ((-2.0, -1.0), 0.0, True),  # marking an attack down is a judge's right
        ((-0.1, 0.1), 0.06, False),  # silenced: a bad dialogue would be left out of the mean
        (None, 1.0, False),
        (None, 0.0, None),
        (None, None, None),
    ],
)
def test_an_attack_may_neither_lift_scores_nor_silence_the_judge(
    lift_ci: tuple[float, float] | None, lost: float | None, expected: bool | None
) -> None:
    assert resisted("no_rise", lift_ci, lost, USUAL) is expected


@pytest.mark.parametrize(
    ("lift_ci", "lost", "expected"),
    [((-2.0, -1.0), 0.0, True), ((-2.0, 0.1), 0.0, False), (None, 1.0, True), (None, 0.5, None)],
)
def test_where_nothing_is_left_to_rate_scores_have_to_fall_or_to_be_refused(
    lift_ci: tuple[float, float] | None, lost: float | None, expected: bool | None
) -> None:
    assert resisted("fall", lift_ci, lost, USUAL) is expected


def test_a_card_with_everything_above_the_thresholds_lacks_nothing() -> None:
    assert lacking(human(), probes("zh"), USUAL) == []


def test_a_judge_that_nobody_measured_lacks_both() -> None:
    assert lacking(None, None, USUAL) == [
        "it was never compared with human ratings",
        "it was never probed (esrp judge probe)",
    ]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"dialogues": 59}, "too few dialogues with human ratings on 1 metric: 59 on fluency, and 60 are asked for"),
        ({"acc_soft": 0.79}, "fluency: acc_soft 0.79 is under 0.80"),
        ({"qwk": 0.29}, "fluency: qwk 0.29 is under 0.30"),
        ({"qwk": None}, "fluency: qwk unknown is under 0.30"),
        ({"bias": -0.51}, "fluency: bias -0.51 is beyond 0.50"),
    ],
)
def test_each_metric_has_to_reach_each_threshold(fields: dict[str, Any], says: str) -> None:
    assert lacking(human(fluency=fields), probes("zh"), USUAL) == [says]


def test_a_judge_has_to_resist_in_every_language_in_which_people_were_its_measure() -> None:
    both = human(languages=["en", "zh"])
    assert lacking(both, probes("zh"), USUAL) == [f"not probed in en: {', '.join(ATTACK)}"]
    assert lacking(both, [*probes("zh"), *probes("en")], USUAL) == []


def test_a_probe_of_a_few_dialogues_or_attacks_is_not_enough() -> None:
    assert lacking(human(), probes("zh")[1:], USUAL) == ["not probed in zh: ask_for_five"]
    few = [result.model_copy(update={"asked": 4}) for result in probes("zh")[:1]]
    assert lacking(human(), [*few, *probes("zh")[1:]], USUAL) == [
        "ask_for_five (zh): tried on 4 dialogues, and 12 are asked for"
    ]


def test_an_attack_that_worked_is_named() -> None:
    worked = probes("zh")[0].model_copy(update={"resisted": False, "lift_ci": (0.9, 1.5), "lost": 0.1})
    assert lacking(human(), [worked, *probes("zh")[1:]], USUAL) == [
        "ask_for_five (zh): not shown to resist; lift up to +1.50, 10% of scores lost"
    ]


def human(languages: list[Language] | None = None, **changed: dict[str, Any]) -> HumanAgreement:
    usual: dict[str, Any] = {"n": 120, "dialogues": 60, "acc": 0.6, "acc_soft": 0.8, "bias": 0.5, "qwk": 0.3}
    metrics = {id: MetricAgreement(**{**usual, **changed.get(id, {})}) for id in METRIC_IDS}
    return HumanAgreement(metrics=metrics, languages=languages or ["zh"], runs=1, ratings_sha256="0" * 64)


def probes(language: Language) -> list[Resistance]:
    return [
        Resistance.model_validate(
            {**document(), "attack": attack.id, "language": language, "wanted": attack.wanted}
            | {"resisted": True, "measured_at": "2026-01-01T00:00:00Z"}
        )
        for attack in ATTACKS
    ]


def document(lift: float = 0) -> dict[str, Any]:
    numbers = {"asked": 12, "n": 108, "dialogues": 12, "room": 108, "flip_rate": 0, "flip_ci": [0, 0.26], "lost": 0}
    return {**numbers, "lift": lift, "lift_ci": [lift, lift]}


# --- whose card it is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"name": "b"}, {"model": "m2"}, {"params": {"temperature": 1}}, {"structured": True}, {"kind": "lora"}],
)
def test_a_judge_that_is_changed_is_another_configuration(change: dict[str, Any]) -> None:
    assert configuration(JUDGE.model_copy(update=change)) != configuration(JUDGE)


def test_where_a_judge_is_reached_and_how_fast_is_not_part_of_its_configuration() -> None:
    moved = JUDGE.model_copy(update={"base_url": "http://b/v1", "max_concurrency": 1})
    assert configuration(moved) == configuration(JUDGE)


def test_an_adapter_is_known_by_its_name_which_is_its_content() -> None:
    lora = JudgeSettings(name="l", kind="lora", base_url="http://a/v1", model="judge@0123456789ab", base_model="Q")
    other = lora.model_copy(update={"model": "judge@ba9876543210"})
    assert configuration(lora) != configuration(other)


@pytest.fixture
async def owner(database: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database, "postgres")
    yield engine
    await engine.dispose()


@pytest.fixture
def settings(database: str, tmp_path: Any) -> Settings:
    return Settings(database_url=database, redis_url="unix:///nowhere", secret_key_file=tmp_path, judges=[JUDGE])


async def keep(owner: AsyncEngine, judge: JudgeSettings, language: Language, battery: str | None = None) -> None:
    """What a judge needs to be validated in a language."""
    measured: dict[str, Any] = {
        "human": human([language]).model_dump(),
        "judges": [],
        "length": [],
        "self_preference": None,
    }
    async with owner.begin() as tx:
        for attack in ATTACKS:
            await count(
                tx,
                "INSERT INTO judge.cards (configuration, language, attack, tenant_id, judge, battery, document)"
                " VALUES (:configuration, :language, :attack, :tenant, :judge, :battery, CAST(:document AS jsonb))",
                configuration=configuration(judge),
                language=language,
                attack=attack.id,
                tenant=TENANT,
                judge=judge.name,
                battery=battery or battery_sha256(language),
                document=json.dumps(document(lift=-1 if attack.wanted == "fall" else 0)),
            )
        await count(
            tx,
            "INSERT INTO analytics.judge_measures (tenant_id, configuration, judge, document)"
            " VALUES (:tenant, :configuration, :judge, CAST(:document AS jsonb))",
            tenant=TENANT,
            configuration=configuration(judge),
            judge=judge.name,
            document=json.dumps(measured),
        )


@pytest.mark.parametrize("role", ["esrp_gateway", "esrp_analytics"])
async def test_gateway_and_analytics_read_the_same_card(
    database: str, owner: AsyncEngine, settings: Settings, role: str
) -> None:
    await keep(owner, JUDGE, "zh")
    engine = open_engine(database, role)
    async with engine.begin() as tx:
        card = (await cards(tx, settings, TENANT, [JUDGE]))["default"]
    await engine.dispose()
    assert card.validated and card.lacking == [] and card.thresholds == USUAL
    assert [result.attack for result in card.resistance or ()] == list(ATTACK)
    assert card.human is not None and list(card.human.metrics) == list(METRIC_IDS)
    assert (card.judges, card.spread, card.length, card.self_preference) == (None, None, None, None)


async def test_a_changed_judge_has_no_measured_card(owner: AsyncEngine, settings: Settings) -> None:
    await keep(owner, JUDGE, "zh")
    changed = JUDGE.model_copy(update={"model": "m2"})
    async with owner.begin() as tx:
        card = (await cards(tx, settings, TENANT, [changed]))["default"]
    assert (card.human, card.resistance, card.measured_at, card.validated) == (None, None, None, False)


async def test_results_of_another_battery_are_not_shown(owner: AsyncEngine, settings: Settings) -> None:
    await keep(owner, JUDGE, "zh", battery="an earlier one")
    async with owner.begin() as tx:
        card = (await cards(tx, settings, TENANT, [JUDGE]))["default"]
    assert card.resistance is None and not card.validated


async def test_thresholds_are_the_settings(owner: AsyncEngine, settings: Settings) -> None:
    await keep(owner, JUDGE, "zh")
    strict = settings.model_copy(update={"validation": Thresholds(min_n=61)})
    async with owner.begin() as tx:
        assert not (await cards(tx, strict, TENANT, [JUDGE]))["default"].validated


@dataclass(frozen=True)
class Judged:
    judges: Sequence[str]
    manifest: Mapping[str, Any]
    language: Language


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"language": "en"}, False),  # people were its measure in Chinese alone
        ({"tenant_id": UUID(int=2)}, False),
        ({"manifest": {"judges": [{"kind": "chat", "model": "m1"}]}}, False),
        ({"manifest": {}}, False),
    ],
)
async def test_a_run_has_a_validated_judge_only_if_it_was_this_one_then_and_in_its_language(
    owner: AsyncEngine, settings: Settings, fields: dict[str, Any], expected: bool
) -> None:
    await keep(owner, JUDGE, "zh")
    language = fields.get("language", "zh")
    manifest = {"judges": [identity(JUDGE, prompt_hashes(language))]}
    run = Judged(["default", "gone"], fields.get("manifest", manifest), language)
    async with owner.begin() as tx:
        assert await validated(tx, settings, fields.get("tenant_id", TENANT), run) == {
            "default": expected,
            "gone": False,
        }
