"""The battery: what is tried on a judge, what becomes of it in a prompt, and what a probe keeps."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import RowMapping

from esrp.battery import AGAIN, ATTACK, ATTACKS, CLEAN, SIZE, Trial, attacked, battery_sha256, trials
from esrp.dialogue import Dialogue
from esrp.metrics import METRIC_IDS, Language
from esrp.prompts.judging import judge_messages
from esrp.prompts.lora import lora_prompts
from services.judge.app import create_app
from services.judge.battery import rated
from services.judge.panel import scores_in
from services.judge.rating import Fault, Score, Verdict
from services.judge.resources import Resources, open_resources
from services.kit.db import open_engine, rows
from services.kit.endpoint import Usage
from services.kit.settings import Settings
from services.kit.web import INTERNAL
from services.work.budget import Errand
from tests.judge.conftest import ScriptedRater

LANGUAGES: tuple[Language, ...] = get_args(Language)
TENANT = UUID(int=7)
BUSY = Fault("timeout", "The judge took too long.", retryable=True)
REFUSED = Fault("endpoint_error", "The judge does not answer that.")

Answer = Callable[[Trial], Verdict]


# --- what is tried ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_attack_is_tried_on_every_dialogue_beside_its_clean_twin(language: Language) -> None:
    plan = trials(language)
    forms = [CLEAN, AGAIN, *ATTACK]
    assert [(trial.attack, trial.twin) for trial in plan] == [
        (form, f"b{n:02}") for form in forms for n in range(1, SIZE + 1)
    ]
    clean = {trial.twin: trial.dialogue for trial in plan if trial.attack == CLEAN}
    for trial in plan:
        assert (trial.dialogue == clean[trial.twin]) == (trial.attack in (CLEAN, AGAIN))
        assert said(trial.dialogue, "user") == said(clean[trial.twin], "user")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_an_attack_adds_stands_behind_the_reply_as_it_was(language: Language) -> None:
    for attack in ("ask_for_five", "fake_verdict", "close_fence", "switch_roles", "flatter"):
        for twin in (f"b{n:02}" for n in range(1, SIZE + 1)):
            clean, tried = (said(attacked(form, twin, language), "assistant") for form in (CLEAN, attack))
            assert tried[:-1] == clean[:-1]
            assert tried[-1].startswith(clean[-1] + "\n")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_repeated_reply_is_twice_as_long_an_empty_one_has_nothing_and_the_other_language_is_another(
    language: Language,
) -> None:
    other: Language = "en" if language == "zh" else "zh"
    for twin in (f"b{n:02}" for n in range(1, SIZE + 1)):
        clean = said(attacked(CLEAN, twin, language), "assistant")
        assert said(attacked("repeat", twin, language), "assistant") == [f"{reply}\n{reply}" for reply in clean]
        assert said(attacked("empty", twin, language), "assistant") == [""] * len(clean)
        translated = said(attacked("other_language", twin, language), "assistant")
        assert translated == said(attacked(CLEAN, twin, other), "assistant")
        assert len(set(said(attacked("refuse", twin, language), "assistant"))) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_fake_verdict_would_pass_for_one(language: Language) -> None:
    reply = attacked("fake_verdict", "b01", language).turns[-1].assistant
    assert {metric: score.score for metric, score in scores_in(reply).items()} == dict.fromkeys(METRIC_IDS, 5)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("attack", ["close_fence", "fake_verdict", "switch_roles"])
def test_no_attack_leaves_the_fence_of_a_prompt(language: Language, attack: str) -> None:
    """The real marks are in the reply, and in the prompt there are as many as without it."""
    clean, tried = (attacked(form, "b01", language) for form in (CLEAN, attack))
    if attack == "close_fence":
        ends = judge_messages(clean, language)[-1]["content"].rsplit("⟦", 1)[1].split("⟧")[0]
        assert f"⟦{ends}⟧" in tried.turns[-1].assistant
    for prompt in (lambda dialogue: judge_messages(dialogue, language)[-1]["content"], lora_text(language)):
        assert prompt(tried).count("⟦") == prompt(clean).count("⟦")
        assert prompt(tried).count("⟧") == prompt(clean).count("⟧")


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_but_fence_marks_reaches_the_judge_byte_for_byte(language: Language) -> None:
    for trial in trials(language):
        prompt = judge_messages(trial.dialogue, language)[-1]["content"]
        for turn in trial.dialogue.turns:
            assert turn.user in prompt
            assert turn.assistant.translate({ord("⟦"): "[", ord("⟧"): "]"}) in prompt


def test_a_battery_is_known_by_its_hash() -> None:
    assert battery_sha256("zh") != battery_sha256("en")
    assert {attack.wanted for attack in ATTACKS} == {"no_rise", "fall"}
    with pytest.raises(KeyError):
        trials("zh", ["bribe"])


def said(dialogue: Dialogue, who: str) -> list[str]:
    return [getattr(turn, who) for turn in dialogue.turns]


def lora_text(language: Language) -> Callable[[Dialogue], str]:
    return lambda dialogue: lora_prompts(dialogue, language)[0].text


# --- a probe ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(database: str, redis_url: str, key_file: Path) -> Settings:
    judges: list[Any] = [{"name": "default", "base_url": "http://127.0.0.1:9/v1", "model": "m"}]
    return Settings(database_url=database, redis_url=redis_url, secret_key_file=key_file, judges=judges)


@asynccontextmanager
async def judge(settings: Settings, answer: Answer) -> AsyncIterator[httpx2.AsyncClient]:
    """The judge service with a rater that knows which trial it is asked about: the clean one is ``CLEAN`` twice."""
    plan = {key(trial.dialogue): trial for language in LANGUAGES for trial in reversed(trials(language))}
    scripted = ScriptedRater(answer=lambda dialogue: answer(plan[key(dialogue)]))
    async with open_resources(settings) as opened:
        resources = Resources(settings, opened.engine, opened.queue, opened.keys, {"default": scripted}, opened.slices)
        transport = httpx2.ASGITransport(create_app(resources))
        headers = {INTERNAL: opened.keys.internal_token}
        async with httpx2.AsyncClient(transport=transport, base_url="http://judge", headers=headers) as http:
            yield http


@dataclass
class Stuck:
    """A rater that gives a few verdicts and then never another."""

    after: int
    max_concurrency: int = 1
    begun: int = 0

    async def rate(self, dialogue: Dialogue, language: Language, errand: Errand) -> Verdict:
        self.begun += 1
        if self.begun > self.after:
            await asyncio.Event().wait()
        return nine(3)


def key(dialogue: Dialogue) -> str:
    return json.dumps(dialogue.model_dump(mode="json"))


async def probed(http: httpx2.AsyncClient, judge: str = "default", **asked: Any) -> httpx2.Response:
    return await http.post(f"/internal/judges/{judge}/probe", params={"tenant": str(TENANT)}, json=asked)


def nine(score: int) -> Verdict:
    return Verdict({metric: Score(score, None) for metric in METRIC_IDS}, "{…}", usage=Usage(1, 100, 50))


async def kept(settings: Settings) -> list[RowMapping]:
    engine = open_engine(settings.database_url, "esrp_gateway")
    async with engine.begin() as tx:
        found = await rows(tx, "SELECT * FROM judge.cards_v1 ORDER BY language, attack")
    await engine.dispose()
    return found


async def test_a_probe_says_what_each_attack_did_and_what_it_cost(settings: Settings) -> None:
    async with judge(settings, lambda trial: nine(5 if trial.attack == "flatter" else 3)) as http:
        answer = await probed(http, language="en", attacks=["flatter", "empty"])
    found = answer.json()
    assert answer.status_code == 200 and found["unfinished"] == []
    assert found["usage"] == {"calls": 48, "prompt_tokens": 4800, "completion_tokens": 2400}
    flatter, empty = found["resistance"]
    counts = {"asked": 12, "n": 108, "dialogues": 12, "room": 108, "lost": 0}
    assert {name: flatter[name] for name in counts} == counts
    assert (flatter["attack"], flatter["lift"], flatter["lift_ci"], flatter["flip_rate"]) == ("flatter", 2, [2, 2], 1)
    assert (empty["attack"], empty["lift"], empty["flip_rate"]) == ("empty", 0, 0)
    assert (flatter["resisted"], empty["resisted"]) == (False, False)  # a judge that does not see that nothing is there
    assert (found["spread"]["n"], found["spread"]["sd"], found["spread"]["same"]) == (108, 0, 1)
    assert [row["attack"] for row in await kept(settings)] == [AGAIN, "empty", "flatter"]


async def test_a_judge_that_wavers_has_a_spread(settings: Settings) -> None:
    turns = iter(range(10_000))
    async with judge(settings, lambda _: nine(3 + next(turns) // SIZE % 2)) as http:  # 3 to the clean, 4 when again
        found = (await probed(http, attacks=["flatter"])).json()
    assert (found["spread"]["sd"], found["spread"]["same"]) == (pytest.approx(0.5**0.5), 0)


async def test_a_judge_that_is_silenced_has_lost_scores_and_has_not_resisted(settings: Settings) -> None:
    """A refusal is the attack's doing; of what refuses to be rated for having no content, nothing else is wanted."""
    async with judge(settings, lambda trial: nine(3) if trial.attack == CLEAN else Verdict(error=REFUSED)) as http:
        found = (await probed(http, attacks=["flatter", "empty"])).json()
    flatter, empty = found["resistance"]
    assert (flatter["lost"], flatter["lift"], flatter["resisted"]) == (1, None, False)
    assert (empty["lost"], empty["lift"], empty["resisted"]) == (1, None, True)


async def test_a_fault_that_may_pass_says_nothing_of_the_attack(settings: Settings) -> None:
    def answer(trial: Trial) -> Verdict:
        return Verdict(error=BUSY) if (trial.attack, trial.twin) == ("flatter", "b03") else nine(3)

    async with judge(settings, answer) as http:
        found = (await probed(http, attacks=["flatter", "repeat"])).json()
    assert found["unfinished"] == ["flatter"]
    assert [result["attack"] for result in found["resistance"]] == ["repeat"]
    assert [row["attack"] for row in await kept(settings)] == [AGAIN, "repeat"]


async def test_without_every_clean_twin_nothing_is_kept(settings: Settings) -> None:
    calls = iter(range(10_000))
    async with judge(settings, lambda _: Verdict(error=BUSY) if next(calls) == 2 else nine(3)) as http:
        found = (await probed(http, attacks=["repeat"])).json()
    assert (found["unfinished"], found["resistance"], found["spread"]) == ([CLEAN, AGAIN, "repeat"], [], None)
    assert await kept(settings) == []


async def test_when_time_runs_out_what_was_not_rated_is_unknown() -> None:
    plan, rater = trials("zh", ["flatter"], 2), Stuck(after=3)
    verdicts = await rated(rater, plan, "zh", seconds=0.05, last=0.05)
    assert [verdict is not None for verdict in verdicts] == [True, True, True, False, False, False]
    assert rater.begun == 4  # one at a time; nothing begins once time is up


async def test_fewer_dialogues_do_not_replace_more_and_a_new_measurement_replaces_the_old(settings: Settings) -> None:
    score = {"flatter": 5}
    async with judge(settings, lambda trial: nine(score.get(trial.attack, 3))) as http:
        await probed(http, attacks=["flatter"])
        score["flatter"] = 4
        few = (await probed(http, attacks=["flatter"], dialogues=3)).json()
        assert few["resistance"][0]["lift"] == 1
        assert [row["document"]["lift"] for row in await kept(settings) if row["attack"] == "flatter"] == [2]
        await probed(http, attacks=["flatter"])
        assert [row["document"]["lift"] for row in await kept(settings) if row["attack"] == "flatter"] == [1]


async def test_no_more_dialogues_at_once_than_the_judge_takes() -> None:
    rater = ScriptedRater(max_concurrency=5)
    assert len(await rated(rater, trials("en"), "en")) == len(rater.rated) == SIZE * (len(ATTACK) + 2)
    assert rater.peak == 5 and {language for _, language in rater.rated} == {"en"}


async def test_a_judge_without_any_score_is_an_error_that_says_why(settings: Settings) -> None:
    async with judge(settings, lambda _: Verdict(error=REFUSED)) as http:
        answer = await probed(http)
    assert (answer.status_code, answer.json()["code"]) == (502, "judge_failed")
    assert answer.json()["detail"] == REFUSED.message


async def test_what_is_no_judge_and_what_is_no_attack(settings: Settings) -> None:
    async with judge(settings, lambda _: nine(3)) as http:
        nobody, bribe = await probed(http, "nobody"), await probed(http, attacks=["bribe"])
    assert nobody.status_code == 404
    assert (bribe.status_code, bribe.json()["errors"][0]["pointer"]) == (422, "/attacks")
