"""The model client against real servers that misbehave in every way we know."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from services.kit.answer import storable, without_thoughts
from services.kit.chat import LARGEST, Attempt, ChatClient, Stopped
from services.kit.endpoint import ChatError, Endpoint, Reply, Timeouts, Usage
from services.kit.quota import Quota

Answer = web.StreamResponse | dict[str, Any]
Handler = Callable[[web.Request], Awaitable[Answer]]
Serve = Callable[..., Awaitable[Endpoint]]

KEY = "sk-very-secret-0123"
LOOPBACK = [ip_network("127.0.0.0/8")]


def said(text: Any = "你好。", finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A proper answer."""
    return {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
    }


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """``endpoint = await serve(handler)``: a server for this test; a list of answers is given out in order."""
    servers: list[TestServer] = []

    async def start(handler: Handler | list[Answer], path: str = "/v1/chat/completions", **fields: Any) -> Endpoint:
        async def handle(request: web.Request) -> web.StreamResponse:
            answer = handler.pop(0) if isinstance(handler, list) else await handler(request)
            return web.json_response(answer) if isinstance(answer, dict) else answer

        app = web.Application()
        app.router.add_post(path, handle)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        base = f"http://127.0.0.1:{server.port}{path.removesuffix('/chat/completions')}"
        return Endpoint(**{"base_url": base, "model": "m", "api_key": KEY, **fields})

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def naps() -> list[float]:
    """The pauses that the client made."""
    return []


@pytest.fixture
async def client(naps: list[float]) -> AsyncIterator[ChatClient]:
    async def nap(seconds: float) -> None:
        naps.append(seconds)

    chat = ChatClient(timeouts=Timeouts(connect=5, total=5), sleep=nap)
    yield chat
    await chat.close()


async def failure(call: Awaitable[object]) -> ChatError:
    with pytest.raises(ChatError) as caught:
        await call
    return caught.value


def http(status: int, body: Any = b"", **headers: str) -> web.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return web.Response(status=status, body=raw, headers=headers)


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


# --- an endpoint that says no -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (401, "unauthorized"),
        (402, "forbidden"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "not_found"),
        (413, "bad_request"),
        (422, "bad_request"),
        (301, "bad_response"),
    ],
)
async def test_what_stays_wrong_is_asked_once(
    serve: Serve, client: ChatClient, status: int, code: str, naps: list[float]
) -> None:
    answer = http(status, {"error": {"message": "No such thing"}}, Location="http://127.0.0.1:9/elsewhere")
    error = await failure(client.insist(await serve([answer]), {}))
    assert (error.code, error.retryable) == (code, False) or status == 301
    assert ("No such thing" in error.message) is (status != 301)
    assert naps == []


async def test_a_redirect_is_not_followed_and_told(serve: Serve, client: ChatClient) -> None:
    error = await failure(client.complete(await serve([http(307, Location="https://elsewhere.example/v1")]), {}))
    assert "sends us to https://elsewhere.example/v1; redirects are not followed" in error.message


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 529])
async def test_a_failing_server_is_tried_five_times(
    serve: Serve, client: ChatClient, status: int, naps: list[float]
) -> None:
    error = await failure(client.insist(await serve([http(status) for _ in range(5)]), {}))
    assert (error.code, error.message) == ("server_error", f"the endpoint failed ({status})")
    assert len(naps) == 4
    assert all(0.25 * 2**n <= nap <= 0.5 * 2**n for n, nap in enumerate(naps))


async def test_a_server_that_recovers_costs_one_answer(serve: Serve, client: ChatClient) -> None:
    reply = await client.insist(await serve([http(503), http(500), said("好")]), {})
    assert (reply.text, reply.calls, reply.prompt_tokens) == ("好", 1, 7)


async def test_retry_after_is_obeyed(serve: Serve, client: ChatClient, naps: list[float]) -> None:
    answers = [http(429, **{"Retry-After": wait}) for wait in ("3", "90", "-1", "nan", "soon")]
    await client.insist(await serve([*answers, said()]), {})
    assert 3 <= naps[0] <= 3.5
    assert 90 <= naps[1] <= 90.5
    assert all(0 < nap <= 8 for nap in naps[2:])


async def test_a_date_to_come_back_at_is_read_by_the_endpoints_own_clock(
    serve: Serve, client: ChatClient, naps: list[float]
) -> None:
    now = "Wed, 21 Oct 2015 07:28:00 GMT"
    answers = [
        http(429, **{"Retry-After": "Wed, 21 Oct 2015 07:28:40 GMT", "Date": now}),
        http(429, **{"Retry-After": "Wed, 21 Oct 2015 07:27:00 GMT", "Date": now}),
        http(429, **{"Retry-After": formatdate(time.time() + 20, usegmt=True), "Date": "today"}),
    ]
    await client.insist(await serve([*answers, said()]), {})
    assert 40 <= naps[0] <= 40.5
    assert 0 <= naps[1] <= 0.5
    assert 10 <= naps[2] <= 20.5


async def test_whoever_is_stopped_while_it_rests_is_told_why_and_how_long_it_was_to_rest(serve: Serve) -> None:
    client, stopped = ChatClient(timeouts=Timeouts(connect=5, total=5)), asyncio.Event()
    endpoint = await serve([http(429, {"error": {"message": "slow down"}}, **{"Retry-After": "600"})])
    asyncio.get_running_loop().call_later(0.2, stopped.set)
    with pytest.raises(Stopped) as caught:
        await client.insist(endpoint, {}, stopped=stopped)
    assert caught.value.fault is not None
    assert "slow down" in caught.value.fault.message
    assert 590 < caught.value.pause < 601
    await client.close()


async def test_a_rate_limit_is_waited_out_longer_than_other_faults_but_not_for_ever(
    serve: Serve, client: ChatClient, naps: list[float]
) -> None:
    async def limited(_: web.Request) -> Answer:
        return http(429, {"error": {"message": "slow down"}}, **{"Retry-After": "10"})

    error = await failure(client.insist(await serve(limited), {}))
    assert (error.code, error.message) == ("rate_limited", "the endpoint limits the rate (429): slow down")
    assert 130 < sum(naps) <= 150


async def test_what_an_endpoint_tells_of_its_limits_comes_with_the_reply_and_with_the_refusal(
    serve: Serve, client: ChatClient
) -> None:
    told = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    answers = [http(200, said(), **told, **{"x-ratelimit-reset-requests": "2s"}), http(200, said())]
    refusals = [http(429, **told, **{"x-ratelimit-reset-requests": "20s", "retry-after-ms": "1500"})]
    refusals += [http(429, **told, **{"x-ratelimit-reset-requests": "20s"})]
    endpoint = await serve([*answers, *refusals])
    assert (await client.complete(endpoint, {})).quota == Quota(pause=2.0)
    assert (await client.complete(endpoint, {})).quota is None
    asked, told_only = [await failure(client.complete(endpoint, {})) for _ in refusals]
    assert (asked.quota, asked.retry_after) == (Quota(pause=20.0), 1.5)
    assert told_only.retry_after == 20.0


async def test_an_empty_account_is_not_waited_for(serve: Serve, client: ChatClient) -> None:
    answer = http(429, {"error": {"code": "insufficient_quota", "message": "Check your plan"}})
    error = await failure(client.insist(await serve([answer]), {}))
    assert (error.code, error.message) == ("rate_limited", "the account has no quota left (429): Check your plan")


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "key {key}, team {team}, query {query}"}},
        {"error": "key {key}, team {team}, query {query}"},
        {"message": "key {key}, team {team}, query {query}"},
        {"detail": [{"loc": ["key {key}, team {team}, query {query}"]}]},
    ],
)
async def test_an_endpoint_that_repeats_a_secret_does_not_make_us_show_it(
    serve: Serve, client: ChatClient, body: dict[str, Any]
) -> None:
    secrets = {"key": KEY, "team": "blue-team-secret", "query": "in-the-url"}
    text = json.dumps(body)
    for name, secret in secrets.items():
        text = text.replace(f"{{{name}}}", secret)

    async def handle(_: web.Request) -> Answer:
        return http(401, text.encode())

    endpoint = await serve(handle, headers={"X-Team": "blue-team-secret"})
    endpoint = Endpoint(endpoint.base_url + "?code=in-the-url", "m", KEY, endpoint.headers)
    error = await failure(client.complete(endpoint, {}))
    assert "key ***, team ***, query ***" in error.message
    assert not any(secret in error.message + repr(error) for secret in secrets.values())
    assert KEY not in repr(endpoint) and "blue-team-secret" not in repr(endpoint)


async def test_an_endpoints_own_words_are_cut_to_one_short_line(serve: Serve, client: ChatClient) -> None:
    error = await failure(client.complete(await serve([http(400, {"error": {"message": "long\n\0" * 1000}})]), {}))
    assert error.message.startswith("the endpoint rejects the request (400): long long")
    assert len(error.message) < 350


@pytest.mark.parametrize(
    "field", [{"api_key": "a\nb"}, {"headers": {"X-Team": "a\r\nb"}}, {"base_url": "http://a:99999/v1"}]
)
async def test_what_http_cannot_carry_is_told_without_showing_it(
    serve: Serve, client: ChatClient, field: dict[str, Any]
) -> None:
    error = await failure(client.insist(await serve([], **field), {}))
    assert error.code == "bad_request"
    assert "is not fit to be sent over HTTP" in error.message


# --- no answer at all -------------------------------------------------------------------------------------------------


async def raw_endpoint(answer: bytes, *, hang: bool = False) -> tuple[asyncio.Server, Endpoint]:
    """A server that reads a request, writes ``answer`` and closes, or never does."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(answer)
        if hang:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1")
    return server, Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "m")


async def test_a_dropped_connection_is_tried_again(client: ChatClient, naps: list[float]) -> None:
    server, endpoint = await raw_endpoint(b"")
    async with server:
        error = await failure(client.insist(endpoint, {}))
    assert error.code == "connection_failed"
    assert error.message.endswith("dropped the connection without an answer")
    assert len(naps) == 4


async def test_an_answer_that_breaks_off_is_tried_again(client: ChatClient, naps: list[float]) -> None:
    server, endpoint = await raw_endpoint(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"choices"')
    async with server:
        error = await failure(client.insist(endpoint, {}))
    assert (error.code, len(naps)) == ("connection_failed", 4)
    assert error.message.endswith("broke off")


async def test_what_is_not_http_is_told(client: ChatClient) -> None:
    server, endpoint = await raw_endpoint(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    async with server:
        error = await failure(client.insist(endpoint, {}))
    assert (error.code, error.retryable) == ("bad_response", False)
    assert "does not speak proper HTTP" in error.message


async def test_an_endpoint_that_never_answers_times_out() -> None:
    server, endpoint = await raw_endpoint(b"", hang=True)
    client = ChatClient(timeouts=Timeouts(total=0.05))
    async with server:
        error = await failure(client.complete(endpoint, {}))
        await client.close()
    assert (error.code, error.retryable) == ("timeout", True)
    assert error.message.endswith("did not answer within 0.05 s")


async def test_an_answer_that_trickles_times_out_too() -> None:
    server, endpoint = await raw_endpoint(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", hang=True)
    client = ChatClient(timeouts=Timeouts(total=0.05))
    async with server:
        assert (await failure(client.complete(endpoint, {}))).code == "timeout"
        await client.close()


async def test_a_closed_port_is_told_and_tried_again(client: ChatClient, naps: list[float]) -> None:
    port = unused_port()
    error = await failure(client.insist(Endpoint(f"http://127.0.0.1:{port}/v1", "m"), {}))
    assert error.code == "connection_failed"
    assert error.message == f"127.0.0.1:{port} refuses connections; is the server up?"
    assert len(naps) == 4


async def test_a_host_that_does_not_exist_is_told(client: ChatClient) -> None:
    error = await failure(client.complete(Endpoint("http://nobody.invalid/v1", "m"), {}))
    assert error.code == "connection_failed"
    # Where there is no name server at all, the answer is that nobody could be asked.
    assert "nobody.invalid" in error.message


async def test_tls_to_a_plain_port_is_told(serve: Serve, client: ChatClient) -> None:
    endpoint = await serve([])
    error = await failure(client.insist(Endpoint(endpoint.base_url.replace("http:", "https:"), "m"), {}))
    assert (error.code, error.retryable) == ("connection_failed", False)
    assert error.message.startswith("no TLS connection to 127.0.0.1:")


async def test_a_users_word_does_not_lead_inside(serve: Serve, client: ChatClient, naps: list[float]) -> None:
    inside = await serve([said()])
    for base_url in (inside.base_url, inside.base_url.replace("127.0.0.1", "localhost")):
        error = await failure(client.insist(Endpoint(base_url, "m", guarded=True), {}))
        assert error.code == "address_refused"
        assert error.message.endswith("the operator can allow its network with allowed_networks")
    assert naps == []


async def test_an_allowed_network_and_the_operators_own_endpoints_are_reached(serve: Serve, client: ChatClient) -> None:
    endpoint = await serve([said(), said()])
    assert (await client.complete(endpoint, {})).text == "你好。"
    allowing = ChatClient(LOOPBACK)
    assert (await allowing.complete(Endpoint(endpoint.base_url, "m", guarded=True), {})).text == "你好。"
    await allowing.close()


async def test_a_proxy_in_the_environment_is_not_used(
    serve: Serve, client: ChatClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert (await client.complete(await serve([said()]), {})).text == "你好。"
