"""The model client against real servers that misbehave in every way we know."""

import asyncio
import gzip
import json
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from aiohttp import web

from services.kit.answer import storable, without_thoughts
from services.kit.chat import LARGEST, Attempt, ChatClient
from services.kit.endpoint import Endpoint, Reply, Timeouts, Usage
from tests.kit.conftest import KEY, Answer, Serve, failure, http, said

# --- what is sent, what comes back ------------------------------------------------------------------------------------


async def test_the_body_is_sent_as_it_is_and_the_text_comes_back_as_it_is(serve: Serve, client: ChatClient) -> None:
    seen: list[tuple[Any, str, str | None]] = []

    async def handle(request: web.Request) -> Answer:
        seen.append((await request.json(), request.headers["Authorization"], request.headers.get("X-Team")))
        return said(" 嗯…… {name} \n")

    body = {"model": "m", "messages": [{"role": "user", "content": "在吗"}], "temperature": 0.7}
    reply = await client.complete(await serve(handle, headers={"X-Team": "blue"}), body)

    assert (reply.text, reply.finish_reason, reply.prompt_tokens, reply.completion_tokens, reply.calls) == (
        " 嗯…… {name} \n",
        "stop",
        7,
        5,
        1,
    )
    assert seen == [(body, f"Bearer {KEY}", "blue")]


async def test_without_a_key_no_authorization_is_sent(serve: Serve, client: ChatClient) -> None:
    async def handle(request: web.Request) -> Answer:
        return said(str("Authorization" in request.headers))

    assert (await client.complete(await serve(handle, api_key=None), {})).text == "False"
    assert (await client.complete(await serve(handle, api_key=" \n"), {})).text == "False"


async def test_a_query_in_the_base_url_goes_with_every_call(serve: Serve, client: ChatClient) -> None:
    async def handle(request: web.Request) -> Answer:
        return said(request.query_string)

    endpoint = await serve(handle)
    endpoint = Endpoint(endpoint.base_url + "/?api-version=1", "m")
    assert (await client.complete(endpoint, {})).text == "api-version=1"


async def test_cookies_do_not_travel_from_one_call_to_the_next(serve: Serve, client: ChatClient) -> None:
    async def handle(request: web.Request) -> Answer:
        answer = web.json_response(said(str(dict(request.cookies))))
        answer.set_cookie("session", "1")
        return answer

    endpoint = await serve(handle)
    await client.complete(endpoint, {})
    assert (await client.complete(endpoint, {})).text == "{}"


async def test_content_in_parts_is_put_together(serve: Serve, client: ChatClient) -> None:
    parts = [{"type": "text", "text": "你"}, {"type": "image_url"}, {"type": "text", "text": "好"}]
    assert (await client.complete(await serve([said(parts)]), {})).text == "你好"


async def test_an_answer_without_usage_counts_no_tokens(serve: Serve, client: ChatClient) -> None:
    reply = await client.complete(await serve([{"choices": said()["choices"], "usage": {"prompt_tokens": None}}]), {})
    assert (reply.prompt_tokens, reply.completion_tokens) == (0, 0)


async def test_a_compressed_answer_is_read(serve: Serve, client: ChatClient) -> None:
    packed = http(200, gzip.compress(json.dumps(said("好")).encode()), **{"Content-Encoding": "gzip"})
    assert (await client.complete(await serve([packed]), {})).text == "好"


async def test_bytes_that_are_not_utf8_are_replaced(serve: Serve, client: ChatClient) -> None:
    broken = orjson.dumps(said("AB")).replace(b"AB", b"A\xff\xe4\xbdB")
    assert (await client.complete(await serve([http(200, broken)]), {})).text == "A\ufffd\ufffdB"


async def test_what_postgres_cannot_hold_is_replaced(serve: Serve, client: ChatClient) -> None:
    raw = json.dumps(said("a\0b\ud83dc😀")).encode()
    assert (await client.complete(await serve([http(200, raw)]), {})).text == "a\ufffdb\ufffdc😀"
    assert storable("一\0二") == "一\ufffd二"


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<think>他在难过</think>\n\n别怕。", "别怕。"),
        ("他在难过</think>\n别怕。", "别怕。"),
        ("<think>一</think>别<think>二</think>怕。", "别怕。"),
        ("别怕。<think>还要", "别怕。"),
        ("<think>还要", ""),
        ("I think> so", "I think> so"),
    ],
)
def test_thoughts_are_no_part_of_the_reply(text: str, spoken: str) -> None:
    assert without_thoughts(text) == spoken


async def test_reasoning_content_is_no_part_of_the_reply(serve: Serve, client: ChatClient) -> None:
    endpoint = await serve([said("别怕。", reasoning_content="他在难过")])
    assert (await client.complete(endpoint, {})).text == "别怕。"


# --- no reply ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        said("<think>他在难过，我应该", finish="length"),
        said("", finish="length", reasoning_content="他在难过"),
        said(None, finish="length"),
        said("<think>他在难过</think>", finish="stop"),
    ],
)
async def test_a_model_that_only_thought_says_so_and_is_not_asked_again(
    serve: Serve, client: ChatClient, answer: Answer, naps: list[float]
) -> None:
    error = await failure(client.insist(await serve([answer]), {}))
    assert error.code == "reasoning_only"
    assert error.message == (
        "the model spent its 5 tokens thinking and answered nothing: raise max_tokens or turn thinking off"
    )
    assert error.billed == Usage(1, 7, 5)
    assert naps == []


async def test_an_empty_reply_is_asked_for_again_and_all_are_paid(serve: Serve, client: ChatClient) -> None:
    reply = await client.insist(await serve([said(" \n"), said("好")]), {})
    assert (reply.text, reply.calls, reply.prompt_tokens, reply.completion_tokens) == ("好", 2, 14, 10)

    error = await failure(client.insist(await serve([said(""), said(None)]), {}, tries=2))
    assert (error.code, error.billed) == ("empty_reply", Usage(2, 14, 10))


async def test_a_refusal_is_told_in_the_models_words(serve: Serve, client: ChatClient) -> None:
    error = await failure(client.insist(await serve([said(None, refusal="I can't play that.")]), {}))
    assert (error.code, error.message) == ("refused", "the model refuses: I can't play that.")


async def test_a_content_filter_is_told(serve: Serve, client: ChatClient) -> None:
    assert (await failure(client.insist(await serve([said("", finish="content_filter")]), {}))).code == "content_filter"
    azure = http(400, {"error": {"code": "content_filter", "message": "filtered"}})
    assert (await failure(client.insist(await serve([azure]), {}))).code == "content_filter"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<!doctype html><p>Welcome", "not_json"),
        (b"data: {}\n\n", "connection_failed"),
        (b"data: what\n\n", "not_json"),
        (b"", "not_json"),
        (b'{"choices": [', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "bad_response"),
        (b"null", "not_json"),
        (b'{"choices": []}', "bad_response"),
        (b'{"choices": [{"text": "completions, not chat"}]}', "bad_response"),
        (b'{"error": {"message": "overloaded"}}', "bad_response"),
    ],
)
async def test_an_answer_of_no_use_is_asked_for_again(
    serve: Serve, client: ChatClient, body: bytes, code: str, naps: list[float]
) -> None:
    error = await failure(client.insist(await serve([http(200, body), http(200, body)]), {}, tries=2))
    assert error.code == code
    assert len(naps) == 1
    assert "\n" not in error.message and len(error.message) < 500


def streamed(*pieces: object, done: bool = True) -> web.Response:
    lines = [f"data: {json.dumps(piece)}\n\n" for piece in pieces] + (["data: [DONE]\n\n"] if done else [])
    return web.Response(body="".join(lines).encode(), content_type="text/event-stream")


def piece(finish: str | None = None, **delta: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


async def test_a_streamed_answer_is_put_together(serve: Serve, client: ChatClient) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
    answer = streamed(piece(role="assistant"), piece(content="你"), piece(content="好"), piece("length"), usage)
    reply = await client.complete(await serve([answer]), {})
    assert (reply.text, reply.finish_reason, reply.prompt_tokens, reply.completion_tokens) == ("你好", "length", 7, 5)


async def test_a_streams_thoughts_are_no_part_of_the_reply(serve: Serve, client: ChatClient) -> None:
    answer = streamed(
        piece(reasoning_content="hm"), piece(content="<think>so"), piece(content="</think>Hi"), piece("stop")
    )
    assert (await client.complete(await serve([answer]), {})).text == "Hi"


async def test_a_stream_that_breaks_off_is_no_answer(serve: Serve, client: ChatClient) -> None:
    error = await failure(client.complete(await serve([streamed(piece(content="I wanted to"), done=False)]), {}))
    assert (error.code, error.retryable) == ("connection_failed", True)


async def test_a_stream_whose_pieces_all_say_that_there_is_no_error_is_an_answer(
    serve: Serve, client: ChatClient
) -> None:
    pieces = [{**piece(content="Hi"), "error": None}, {**piece("stop"), "error": None}]
    assert (await client.complete(await serve([streamed(*pieces)]), {})).text == "Hi"


async def test_an_error_in_a_stream_is_told(serve: Serve, client: ChatClient) -> None:
    error = await failure(client.complete(await serve([streamed({"error": {"message": "overloaded"}})]), {}))
    assert (error.code, error.message) == ("bad_response", "the endpoint answers 200 with an error: overloaded")


async def test_every_attempt_passes_the_door_and_none_begins_once_stopped(serve: Serve, naps: list[float]) -> None:
    stopped, passed = asyncio.Event(), 0

    class Door:
        async def call(self, attempt: Attempt, stopped: asyncio.Event | None) -> Reply:
            nonlocal passed
            passed += 1
            return await attempt()

    async def stop(_: float) -> None:
        if passed == 2:
            stopped.set()

    client = ChatClient([ip_network("127.0.0.0/8")], sleep=stop)
    endpoint = await serve([said(""), said(""), said("too late")])
    error = await failure(client.insist(endpoint, {}, stopped=stopped, door=Door()))
    assert (passed, error.code, error.billed) == (2, "empty_reply", Usage(2, 14, 10))
    await client.close()


async def test_a_call_that_outlasts_its_slice_and_fails_has_failed(serve: Serve) -> None:
    async def hang(_: web.Request) -> Answer:
        await asyncio.sleep(60)
        return said()

    client, stopped = ChatClient(timeouts=Timeouts(connect=5, first_byte=5, total=0.5)), asyncio.Event()
    endpoint = await serve(hang)
    asyncio.get_running_loop().call_later(0.1, stopped.set)
    error = await failure(client.insist(endpoint, {}, stopped=stopped))
    assert (error.code, error.retryable) == ("timeout", True)
    await client.close()


async def test_a_web_page_is_called_a_web_page(serve: Serve, client: ChatClient) -> None:
    error = await failure(client.complete(await serve([http(200, b"<html>")]), {}))
    assert "answers with a web page, not JSON; base_url often ends in /v1" in error.message


async def test_an_endless_answer_is_cut_off_while_it_is_read(serve: Serve, client: ChatClient) -> None:
    sent = 0

    async def flood(request: web.Request) -> Answer:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * (1 << 16))
            sent += 1 << 16

    assert (await failure(client.insist(await serve(flood), {}))).code == "reply_too_large"
    assert sent < 40 * LARGEST


async def test_a_packed_bomb_is_cut_off_too(serve: Serve, client: ChatClient) -> None:
    bomb = http(200, gzip.compress(b" " * (LARGEST * 20)), **{"Content-Encoding": "gzip"})
    assert (await failure(client.insist(await serve([bomb]), {}))).code == "reply_too_large"
