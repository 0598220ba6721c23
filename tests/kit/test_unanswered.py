"""The model client against servers that say no, or nothing at all: what is tried again, and what is told."""

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from services.kit.chat import ChatClient, Stopped
from services.kit.endpoint import Endpoint, Timeouts
from services.kit.quota import Quota
from tests.kit.conftest import KEY, LOOPBACK, Answer, Serve, failure, http, said

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
