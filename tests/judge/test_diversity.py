"""A judge of diversity: what is asked, what is read from the answer, and the second question."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from esrp.dialogue import Character
from esrp.prompts.diversity import diversity_messages, repair_messages
from services.judge.diversity import BatchVerdict, rate_batch, repair_body, request_body, score_in
from services.judge.panel import panel_rater
from services.judge.rating import Fault, Score
from services.kit.chat import PATIENCE, ChatClient
from services.kit.endpoint import Usage
from services.kit.settings import JudgeSettings
from services.work.budget import Errand
from tests.fakes import Answer, Models, serve_models, verdict

SABER = Character(id="saber", name="阿尔托莉雅", work="Fate", profile="不列颠的王。")
REPLIES = [f"第{number}句。" for number in range(1, 11)]
GOOD = '{"score": 4, "explanation": "各不相同"}'


def judge(**fields: Any) -> JudgeSettings:
    return JudgeSettings(**{"base_url": "http://127.0.0.1:9/v1", "model": "judge", **fields})


# --- the answer -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "JSON",
        "好的：\n```json\nJSON\n```\n希望有帮助！",
        "[JSON]",
        '{"diversity": JSON}',
        '{"result": {"多样性": JSON}}',
        'First {"score": 1, "explanation": …}, then: JSON',
        'JSON That is all {I} say: {"note": "no score here"}',
    ],
)
def test_the_score_is_found_wherever_it_stands(form: str) -> None:
    assert score_in(form.replace("JSON", GOOD)) == Score(4, "各不相同")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"diversity": 4}', Score(4, None)),
        ('{"**评分**": "４", "理由": "好"}', Score(4, "好")),
        ('{"Score": 4.0, "explanation": 7}', Score(4, None)),
        ('{"score": 4, "parts": {"openings": {"score": 2}}}', Score(4, None)),
    ],
)
def test_a_score_is_known_in_its_usual_forms(text: str, score: Score) -> None:
    assert score_in(text) == score


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        "Diversity: 4/5",
        "{",
        '{"score": 4',
        "[4]",
        "{}",
        '{"score": 0}',
        '{"score": 6}',
        '{"score": 3.5}',
        '{"score": true}',
        '{"score": "4/5"}',
        '{"score": null}',
        '{"score": 9, "parts": {"openings": {"score": 2}}}',
        '{"openings": {"score": 2}, "sentences": {"score": 4}}',
        '{"fluency": 4}',
        '{"fluency": {"score": 4}}',
        '{"score": 2, "score": 5}',
        '{"openings": {"score": 4}, "sentences": {"score": 4}}',
        '[{"reply": 1, "score": 3}, {"reply": 2, "score": 3}]',
        'First {"score": 1}, then: {"score": 4}',
        'Reply 3 says {"score": 5}. Mine is {"score": 9}',
        'Reply 3 says {"score": 5}. Mine is {"score": 2, "explanation": "the',
        "{'openings': {\"score\": 4}}",
        "{" * 9999,
        verdict(4),
        f"Sure: {verdict(4)[:200]}",
    ],
)
def test_anything_else_is_no_score(text: str) -> None:
    assert score_in(text) is None


# --- the call ---------------------------------------------------------------------------------------------------------

Rate = Callable[..., Awaitable[tuple[BatchVerdict, list[dict[str, Any]]]]]


@pytest.fixture
async def rate() -> AsyncIterator[Rate]:
    """``verdict, requests = await rate(answer, …)``: one batch before a judge that gives these answers in turn."""
    client = ChatClient()

    async def ask(*answers: Answer, **options: Any) -> tuple[BatchVerdict, list[dict[str, Any]]]:
        left = list(answers)
        async with serve_models(Models(answer=lambda _: left.pop(0))) as models:
            rater = panel_rater(judge(base_url=models.base_url, api_key="sk-secret"), client)
            verdict = await rate_batch(rater, SABER, REPLIES, "zh", Errand(), **options)
        assert not left
        return verdict, models.requests

    yield ask
    await client.close()


def test_an_endpoint_with_structured_output_is_told_the_form() -> None:
    schema = request_body(judge(structured=True), SABER, REPLIES, "zh")["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["score", "explanation"]
    assert "response_format" not in request_body(judge(), SABER, REPLIES, "zh")


def test_what_is_sent_is_a_pure_function_of_judge_and_batch() -> None:
    body = request_body(judge(), SABER, REPLIES, "zh")
    assert body == request_body(judge(), SABER, REPLIES, "zh")
    assert (body["model"], body["temperature"]) == ("judge", 0)
    assert body["messages"] == diversity_messages(SABER, REPLIES, "zh")
    assert request_body(judge(params={"top_p": 1}), SABER, REPLIES, "zh").keys() == {"model", "messages", "top_p"}
    repair = repair_body(judge(), SABER, REPLIES, "四分", "zh")
    assert repair == body | {"messages": repair_messages(body["messages"], "四分", "zh")}


async def test_a_score_is_kept_with_the_answer_and_its_cost(rate: Rate) -> None:
    verdict, requests = await rate(GOOD)
    assert verdict == BatchVerdict(Score(4, "各不相同"), GOOD, None, Usage(1, 10, 5))
    assert requests == [request_body(judge(), SABER, REPLIES, "zh")]


async def test_an_answer_without_a_score_is_asked_for_once_more(rate: Rate) -> None:
    verdict, requests = await rate("我给四分。", GOOD)
    assert verdict == BatchVerdict(Score(4, "各不相同"), GOOD, None, Usage(2, 20, 10))
    assert requests[1] == repair_body(judge(), SABER, REPLIES, "我给四分。", "zh")


async def test_two_answers_without_a_score_are_no_score_and_no_fault(rate: Rate) -> None:
    verdict, _ = await rate("我给四分。", json.dumps({"score": 7}))
    assert verdict == BatchVerdict(None, '{"score": 7}', None, Usage(2, 20, 10))


async def test_where_the_second_question_fails_the_first_answer_is_kept_with_the_reason(rate: Rate) -> None:
    verdict, _ = await rate("我给四分。", (500, {"error": {"message": "out of memory"}}))
    fault = Fault("server_error", "The judge default: the endpoint failed (500): out of memory", retryable=True)
    assert verdict == BatchVerdict(None, "我给四分。", fault, Usage(1, 10, 5))


async def test_a_judge_that_refuses_our_key_is_a_fault_with_its_name(rate: Rate) -> None:
    verdict, _ = await rate((401, {"error": {"message": "bad key sk-secret"}}))
    message = "The judge default: the endpoint does not accept the API key (401): bad key ***"
    assert verdict == BatchVerdict(error=Fault("unauthorized", message))


async def test_a_judge_that_took_its_time_is_not_asked_again(rate: Rate) -> None:
    times: Iterator[float] = iter([0.0, PATIENCE + 1])
    verdict, requests = await rate("我给四分。", clock=lambda: next(times))
    assert verdict == BatchVerdict(None, "我给四分。", None, Usage(1, 10, 5)) and len(requests) == 1
