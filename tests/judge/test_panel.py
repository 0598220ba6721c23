"""The panel: what a judge is asked, and what is read from what it answers."""

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from esrp.dialogue import Character, Dialogue, Turn
from esrp.metrics import METRIC_IDS, METRICS
from services.judge.panel import panel_rater, request_body, scores_in
from services.judge.rating import Fault, Score, Verdict
from services.kit.budget import Errand
from services.kit.chat import ChatClient, Usage
from services.kit.settings import JudgeSettings

DIALOGUE = Dialogue(
    character=Character(id="saber", name="阿尔托莉雅", work="Fate", profile="不列颠的王。"),
    scenario=None,
    turns=(Turn(user="今天好累。", assistant="辛苦了。"),),
)


def judge(**fields: Any) -> JudgeSettings:
    return JudgeSettings(**{"base_url": "http://127.0.0.1:9/v1", "model": "judge-1", **fields})


def full(score: Any = 4) -> dict[str, Any]:
    return {metric: {"score": score, "explanation": f"因为 {metric}"} for metric in METRIC_IDS}


def numbers(text: str) -> dict[str, int]:
    return {metric: score.score for metric, score in scores_in(text).items()}


# --- the reply --------------------------------------------------------------------------------------------------------


def test_nine_scores_with_their_explanations_are_read() -> None:
    assert scores_in(json.dumps(full())) == {m: Score(4, f"因为 {m}") for m in METRIC_IDS}


@pytest.mark.parametrize(
    "form",
    [
        "JSON",
        "好的，评分如下：\n```json\nJSON\n```\n希望有帮助！",
        "```\nJSON\n```",
        "Let me weigh {this} first. JSON",
        '{"scores": JSON}',
        "[JSON]",
        'First draft: {"consistency": {"score": 1}}\nFinal: JSON',
    ],
)
def test_the_object_is_found_wherever_it_stands(form: str) -> None:
    assert numbers(form.replace("JSON", json.dumps(full()))) == dict.fromkeys(METRIC_IDS, 4)


def test_metrics_sorted_by_dimension_are_found() -> None:
    sorted_out = {d: {m.id: {"score": 2} for m in METRICS if m.dimension == d} for d in ("BDC", "RPC", "ESC")}
    assert numbers(json.dumps(sorted_out)) == dict.fromkeys(METRIC_IDS, 2)


@pytest.mark.parametrize(
    "key",
    [
        "character_knowledge",
        "Character Knowledge",
        "CHARACTER-KNOWLEDGE",
        "角色知识",
        " 4. Character knowledge ",
        "**角色知识**",
    ],
)
def test_a_metric_is_known_by_its_id_or_its_name_in_either_language(key: str) -> None:
    assert numbers(json.dumps({key: {"score": 3}})) == {"character_knowledge": 3}


@pytest.mark.parametrize(
    ("given", "score"), [(4, 4), (4.0, 4), ("4", 4), (" 4 ", 4), ("4.0", 4), ("４", 4), (1, 1), (5, 5)]
)
def test_a_whole_number_from_one_to_five_is_a_score(given: Any, score: int) -> None:
    assert numbers(json.dumps({"fluency": {"score": given}})) == {"fluency": score}
    assert numbers(json.dumps({"fluency": given})) == {"fluency": score}


@pytest.mark.parametrize(
    "given", [0, 6, -1, 3.5, "3.5", True, False, None, "high", "", "4/5", "10", [4], {"value": 4}, 1e400]
)
def test_anything_else_is_no_score(given: Any) -> None:
    text = json.dumps({"fluency": {"score": given}, "coherence": {"score": 5}})
    assert numbers(text) == {"coherence": 5}


def test_a_missing_metric_has_no_score_and_the_others_keep_theirs() -> None:
    reply = full()
    del reply["fluency"]
    reply["invented_metric"] = {"score": 5}
    assert numbers(json.dumps(reply)) == {m: 4 for m in METRIC_IDS if m != "fluency"}


def test_a_metric_given_twice_and_differently_has_no_score() -> None:
    text = json.dumps({"fluency": {"score": 4}, "Fluency": {"score": 2}, "coherence": 3, "连贯性": 3})
    assert numbers(text) == {"coherence": 3}


@pytest.mark.parametrize(
    "text", ["", "4", "all fine, 5 out of 5", "{", '{"fluency": {"score": 4', "[1, 2]", "null", "{}", "{" * 9999]
)
def test_a_reply_without_a_valid_object_has_no_score(text: str) -> None:
    assert scores_in(text) == {}


def test_a_reply_of_megabytes_of_braces_is_given_up_soon() -> None:
    assert scores_in('{"a":' * 400_000) == {}
    assert scores_in("{ " * 1_000_000) == {}


def test_an_explanation_is_kept_as_far_as_it_can_be_stored() -> None:
    text = '{"fluency": {"Score": 4, "理由": "好\\u0000\\ud83d"}, "coherence": {"score": 4, "explanation": 7}}'
    assert scores_in(text) == {"fluency": Score(4, "好\ufffd\ufffd"), "coherence": Score(4, None)}


# --- the call ---------------------------------------------------------------------------------------------------------


def test_what_is_sent_is_a_pure_function_of_judge_and_dialogue() -> None:
    body = request_body(judge(), DIALOGUE, "zh")
    assert body == request_body(judge(), DIALOGUE, "zh")
    assert set(body) == {"model", "messages", "temperature", "max_tokens"}
    assert (body["model"], body["temperature"]) == ("judge-1", 0)
    assert request_body(judge(params={"top_p": 1}), DIALOGUE, "zh").keys() == {"model", "messages", "top_p"}


async def rated(reply: web.Response) -> Verdict:
    async def handle(_: web.Request) -> web.Response:
        return reply

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    async with TestServer(app) as server:
        client = ChatClient()
        rater = panel_rater(judge(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="sk-secret"), client)
        verdict = await rater.rate(DIALOGUE, "zh", Errand())
        await client.close()
    return verdict


def answer(text: str) -> web.Response:
    usage = {"prompt_tokens": 11, "completion_tokens": 3}
    return web.json_response({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage})


async def test_a_verdict_keeps_scores_reply_and_cost() -> None:
    text = json.dumps({"fluency": {"score": 5, "explanation": "像人"}})
    assert await rated(answer(text)) == Verdict({"fluency": Score(5, "像人")}, text, None, Usage(1, 11, 3))


async def test_a_reply_without_a_score_is_kept_and_no_fault() -> None:
    assert await rated(answer("我不评分。")) == Verdict({}, "我不评分。", None, Usage(1, 11, 3))


async def test_a_judge_that_refuses_our_key_is_a_fault_with_its_name() -> None:
    verdict = await rated(web.json_response({"error": {"message": "bad key sk-secret"}}, status=401))
    message = "The judge default: the endpoint does not accept the API key (401): bad key ***"
    assert verdict == Verdict(error=Fault("unauthorized", message))
