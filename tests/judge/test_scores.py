"""`POST /v1/scores`: dialogues in, ratings and distributions out, without a run."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from esrp.dialogue import Dialogue
from esrp.metrics import METRIC_IDS
from services.judge.app import create_app
from services.judge.rating import Fault, Rater, Score, Verdict
from services.judge.resources import Resources, open_resources
from services.kit.endpoint import Usage
from services.kit.settings import Settings
from services.kit.web import INTERNAL
from tests.fakes import Models, serve_models
from tests.judge.conftest import ScriptedRater

LORA = {"name": "lora", "kind": "lora", "base_url": "http://127.0.0.1:9/v1", "model": "judge@0123456789ab"}
SPREAD = (0.0, 0.1, 0.2, 0.6, 0.1)
DIALOGUE = {
    "character": {"id": "saber", "name": "阿尔托莉雅", "profile": "不列颠的王。"},
    "scenario": None,
    "turns": [{"user": "今天好累。", "assistant": "辛苦了。"}],
}


def asked(judge: str = "lora", dialogues: int = 1, **fields: Any) -> dict[str, Any]:
    return {"judge": judge, "dialogues": [DIALOGUE] * dialogues, **fields}


@pytest.fixture
def settings(database: str, redis_url: str, key_file: Path) -> Settings:
    judges: list[Any] = [LORA]
    return Settings(database_url=database, redis_url=redis_url, secret_key_file=key_file, judges=judges)


@asynccontextmanager
async def judge(settings: Settings, raters: Mapping[str, Rater] | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    async with open_resources(settings) as opened:
        resources = opened
        if raters is not None:
            resources = Resources(settings, opened.engine, opened.queue, opened.keys, raters, opened.slices)
        transport = httpx2.ASGITransport(create_app(resources))
        headers = {INTERNAL: opened.keys.internal_token}
        async with httpx2.AsyncClient(transport=transport, base_url="http://judge", headers=headers) as http:
            yield http


async def test_each_dialogue_gets_rating_and_distribution_for_each_metric_asked_for(settings: Settings) -> None:
    def answer(dialogue: Dialogue) -> Verdict:
        scores = {"fluency": Score(4, None, SPREAD), "consistency": Score(5, None, SPREAD)}
        return Verdict(scores, usage=Usage(1, 900, 9))

    rater = ScriptedRater(max_concurrency=2, answer=answer)
    async with judge(settings, {"lora": rater}) as http:
        got = await http.post("/v1/scores", json=asked(dialogues=5, metrics=["fluency", "coherence"], language="en"))
    assert got.status_code == 200
    fluency = {"rating": 4, "distribution": list(SPREAD), "explanation": None}
    usage = {"calls": 1, "prompt_tokens": 900, "completion_tokens": 9}
    one = {"scores": {"fluency": fluency, "coherence": None}, "error": None, "usage": usage}
    expected = {"judge": "lora", "kind": "lora", "model": "judge@0123456789ab", "dialogues": [one] * 5}
    assert got.json() == expected
    assert rater.peak == 2 and {language for _, language in rater.rated} == {"en"}


async def test_a_panel_judge_gives_ratings_with_reasons_and_no_distribution(settings: Settings) -> None:
    async with serve_models(Models()) as models:
        chat: Any = {"name": "default", "base_url": models.base_url, "model": "judge"}
        with_chat = Settings.model_validate({**settings.model_dump(), "judges": [chat]})
        async with judge(with_chat) as http:
            got = await http.post("/v1/scores", json=asked("default"))
    (answer,) = got.json()["dialogues"]
    assert answer["error"] is None
    score = {"rating": 4, "distribution": None, "explanation": "it is a 4"}
    assert answer["scores"] == dict.fromkeys(METRIC_IDS, score)


async def test_a_dialogue_that_cannot_be_scored_says_why_and_the_others_are(settings: Settings) -> None:
    def answer(dialogue: Dialogue) -> Verdict:
        if len(rater.rated) == 1:
            return Verdict(error=Fault("timeout", "The judge lora: no answer", retryable=True))
        return Verdict({metric: Score(3, None, SPREAD) for metric in METRIC_IDS})

    rater = ScriptedRater(max_concurrency=1, answer=answer)
    async with judge(settings, {"lora": rater}) as http:
        failed, scored = (await http.post("/v1/scores", json=asked(dialogues=2))).json()["dialogues"]
    assert failed["error"] == {"code": "timeout", "message": "The judge lora: no answer", "retryable": True}
    assert failed["scores"] == dict.fromkeys(METRIC_IDS)
    assert scored["error"] is None and scored["scores"]["fluency"]["rating"] == 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (asked("nobody"), "/judge"),
        (asked(dialogues=0), "/dialogues"),
        (asked(metrics=["charm"]), "/metrics"),
        (asked(metrics=[]), "/metrics"),
        (asked(language="fr"), "/language"),
        (asked(more=1), "/more"),
        ({**asked(), "dialogues": [{**DIALOGUE, "turns": []}]}, "/dialogues/0/turns"),
        (
            {**asked(), "dialogues": [{**DIALOGUE, "turns": [{"user": "a\0", "assistant": ""}]}]},
            "/dialogues/0/turns/0/user",
        ),
    ],
)
async def test_a_wrong_request_says_where(settings: Settings, body: dict[str, Any], pointer: str) -> None:
    async with judge(settings, {"lora": ScriptedRater()}) as http:
        got = await http.post("/v1/scores", json=body)
    assert got.status_code == 422
    assert [error["pointer"] for error in got.json()["errors"]] == [pointer]


async def test_only_the_other_services_may_ask_unless_the_settings_open_it(settings: Settings) -> None:
    async with judge(settings, {"lora": ScriptedRater()}) as http:
        got = await http.post("/v1/scores", json=asked(), headers={INTERNAL: "wrong"})
    assert (got.status_code, got.json()["code"]) == (403, "forbidden")
    opened = settings.model_copy(update={"open_scores": True})
    async with judge(opened, {"lora": ScriptedRater()}) as http:
        got = await http.post("/v1/scores", json=asked(), headers={INTERNAL: ""})
    assert got.status_code == 200


async def test_a_vllm_of_our_own_that_is_not_up_makes_us_not_ready_but_for_who_can_wait(settings: Settings) -> None:
    serve = {"model": "base", "adapter": "/nowhere"}
    served: Any = {"name": "lora", "kind": "lora", "model": "judge", "tokenizer": "/nowhere", "serve": serve}
    ours = Settings.model_validate({**settings.model_dump(), "judges": [served]})
    async with judge(ours) as http:
        all_parts, patient = await http.get("/readyz"), await http.get("/readyz?models=false")
    assert (all_parts.status_code, all_parts.json()) == (503, {"postgres": True, "redis": True, "lora": False})
    assert (patient.status_code, patient.json()) == (200, {"postgres": True, "redis": True})
