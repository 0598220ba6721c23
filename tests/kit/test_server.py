"""What one client can take of a service without a key: bytes, seconds and descriptors, over real sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.kit.attacked import MIB, PATIENCE, Attacked, push, received
from tests.servers import folder

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /length HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PUSHED = 64 * MIB
GROWTH = 24 * MIB  # of memory under any attack here; without limits a header of 64 MiB takes three times as much
OTHERS = 5.0  # seconds that another client waits at most: a busy machine's share; at rest it is under 0.05
STUCK_AFTER = PATIENCE  # until something is closed whose limit is one second

Start = Callable[..., Attacked]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(header_seconds=1)``: a service with these limits."""
    with ExitStack() as stack:

        def started(**given: Any) -> Attacked:
            attacked = Attacked(tmp_path, **given)
            stack.callback(attacked.stop)
            return attacked

        yield started


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A service with the limits that hold where nothing is set."""
    attacked = Attacked(tmp_path_factory.mktemp("plain"))
    yield attacked
    attacked.stop()


@pytest.fixture(scope="module", params=[False, True], ids=["tcp", "unix"])
def hasty(request: pytest.FixtureRequest) -> Iterator[Attacked]:
    """A service whose limits in time are a second."""
    with folder() as home:
        limits = {"header_seconds": 1, "body_seconds": 1, "idle_seconds": 1, "send_seconds": 1}
        attacked = Attacked(home, unix=request.param, **limits)
        yield attacked
        attacked.stop()


@contextmanager
def others(attacked: Attacked) -> Iterator[list[float]]:
    """Meanwhile another client asks, again and again; what it waited."""
    waits: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            status, seconds = attacked.ask()
            waits.append(seconds if status == 200 else float("inf"))
            over.wait(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield waits
    finally:
        over.set()
        asking.join()


@pytest.mark.parametrize(
    ("head", "chunk", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nX-A: ", b"a" * 65536, b"431"),
        (b"GET /healthz HTTP/1.1\r\n", b"a: b\r\n" * 10_000, b"431"),
        (b"GET /healthz HTTP/1.1\r\n", b"a" * 65536, b"431"),
        (b"GET /", b"a" * 65536, b"431"),
        (b"", b"\r\n" * 32768, b"431"),
        (CHUNKED + b"1;", b"a" * 65536, b""),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"a: b\r\n" * 10_000, b""),
        (CHUNKED + b"1\r\na\r\n0\r\nX-A: ", b"a" * 65536, b""),
        (b"", GET * 1500, b""),
    ],
    ids=[
        "a header without an end",
        "headers without an end",
        "a header's name without an end",
        "a path without an end",
        "empty lines",
        "a chunk's extension without an end",
        "trailers without an end",
        "a trailer without an end",
        "requests ahead of their answers",
    ],
)
def test_what_never_ends_is_ended(plain: Attacked, head: bytes, chunk: bytes, status: bytes) -> None:
    before = plain.memory
    with others(plain) as waits, plain.connect() as one:
        one.sendall(head)
        sent = push(one, chunk, PUSHED)
        with suppress(OSError):
            one.settimeout(PATIENCE)
            answer = received(one)
            assert not status or not answer or answer.split()[1] == status
    assert sent < 16 * MIB  # what the sockets hold, and some
    assert plain.memory - before < GROWTH
    assert max(waits) < OTHERS


@pytest.mark.parametrize(
    "header", [b"X-A: " + b"a" * (33 << 10) + b"\r\n", b"a: b\r\n" * 101], ids=["33 KiB", "101 headers"]
)
def test_a_header_over_a_limit_is_told_so(plain: Attacked, header: bytes) -> None:
    with plain.connect() as one:
        one.sendall(GET.replace(b"Host: x\r\n", header))
        head, _, body = received(one).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ") and b"application/problem+json" in head
    assert b'"code":"header_too_large"' in body


def test_headers_within_the_limits_are_heard_byte_by_byte(plain: Attacked) -> None:
    request = GET.replace(
        b"\r\n\r\n", b"\r\nConnection: close\r\nX-A: " + b"a" * 2000 + b"\r\n" + b"b: c\r\n" * 90 + b"\r\n"
    )
    with plain.connect() as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            one.send(bytes([byte]))
        assert received(one).startswith(b"HTTP/1.1 200 ")


def test_a_large_body_in_small_chunks_is_no_overhead(plain: Attacked) -> None:
    with plain.connect() as one:
        one.sendall(CHUNKED.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"))
        one.sendall(b"1\r\na\r\n" * 200_000 + b"0\r\nX-Trailer: 1\r\n\r\n")
        assert received(one).endswith(b"200000")


def test_a_trailer_does_not_become_a_header(plain: Attacked) -> None:
    request = CHUNKED.replace(b"POST /length", b"GET /trailed").replace(
        b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n"
    )
    with plain.connect() as one:
        one.sendall(request)
        time.sleep(0.1)
        one.sendall(b"1\r\na\r\n0\r\nX-ESRP-Internal: 1\r\n\r\n")
        assert received(one).endswith(b'["connection","host","transfer-encoding"]')


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /hea",
        b"GET /healthz HTTP/1.1\r\nX-A: a",
        b"\r\n",
        POST + b"Content-Length: 10\r\n\r\nabc",
        CHUNKED + b"3\r\nab",
        b"POST /healthz HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
        GET,
    ],
    ids=[
        "nothing",
        "a line",
        "a header",
        "an empty line",
        "a body",
        "a chunk",
        "a body that nobody reads",
        "a request",
    ],
)
def test_a_connection_that_falls_silent_is_closed(hasty: Attacked, sent: bytes) -> None:
    with hasty.connect() as one:
        one.sendall(sent)
        received(one)  # returns: it was closed
    assert hasty.ask()[0] == 200
    assert hasty.log.read_bytes() == b""


def test_a_header_that_trickles_is_closed(hasty: Attacked) -> None:
    with hasty.connect() as one:
        one.sendall(b"GET /healthz HTTP/1.1\r\nX-A: ")
        with pytest.raises(ConnectionError):
            trickle(one)


def test_an_answer_that_nobody_reads_is_given_up(hasty: Attacked) -> None:
    before = hasty.memory
    with hasty.connect() as one:
        one.sendall(b"GET /large?size=1073741824 HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: "send_seconds" in metrics(hasty))
    assert hasty.memory - before < GROWTH


def test_an_answer_in_progress_outlives_every_limit(hasty: Attacked) -> None:
    with hasty.connect() as one:
        one.sendall(b"GET /ticks?seconds=4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = received(one)
    assert answer.endswith(b"tock\n\r\n0\r\n\r\n")


def test_1100_silent_connections_at_nofile_1024_keep_nobody_out(start: Start) -> None:
    attacked = start(nofile=1024, header_seconds=60)
    before = attacked.memory
    with ExitStack() as stack, others(attacked) as waits:
        for _ in range(1100):
            stack.enter_context(attacked.connect())
        assert attacked.ask()[0] == 200
        assert attacked.files < 1000
    assert max(waits) < OTHERS
    assert attacked.memory - before < GROWTH
    assert attacked.log.stat().st_size < 64 << 10


def test_uploads_that_trickle_make_room(start: Start) -> None:
    attacked = start(connections=20)
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(attacked.connect()).sendall(POST + b"Content-Length: 10\r\n\r\nabc")
        assert attacked.ask()[0] == 200


def test_answers_in_progress_are_not_ended_for_a_newcomer_who_is_refused(start: Start) -> None:
    attacked = start(connections=10)
    with ExitStack() as stack:
        streams = [stack.enter_context(attacked.connect()) for _ in range(10)]
        for one in streams:
            one.sendall(b"GET /ticks?seconds=3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert one.recv(9) == b"HTTP/1.1 "
        for _ in range(50):
            with attacked.connect() as newcomer:
                refusal = received(newcomer)
                assert refusal.startswith(b"HTTP/1.1 503 ") and b"retry-after: 2" in refusal
        assert all(received(one).endswith(b"tock\n\r\n0\r\n\r\n") for one in streams)
    assert attacked.ask()[0] == 200
    assert attacked.log.read_text().count("connections.refused") <= 20


def test_without_descriptors_the_log_stays_small_and_the_service_comes_back(start: Start) -> None:
    attacked = start(nofile=40, connections=39)  # fewer free ones than its limit allows: accept fails
    with ExitStack() as stack:
        for _ in range(90):
            stack.enter_context(attacked.connect())
        time.sleep(2.5)
    assert 0 < attacked.log.read_text().count("out of system resource") <= 25
    assert attacked.log.stat().st_size < 64 << 10
    assert attacked.ask()[0] == 200


def test_garbage_is_no_line_in_the_log(plain: Attacked) -> None:
    for _ in range(100):
        with plain.connect() as one:
            one.sendall(b"\x16\x03\x01 garbage\r\n\r\n")
            assert received(one).startswith(b"HTTP/1.1 400 ")
    assert plain.log.read_bytes() == b""


def test_a_client_that_goes_away_is_no_crash(plain: Attacked) -> None:
    for _ in range(20):
        with plain.connect() as one:
            one.sendall(POST + b"Content-Length: 100000\r\n\r\nabc")
        with plain.connect() as one:
            one.sendall(b"GET /ticks?seconds=1 HTTP/1.1\r\nHost: x\r\n\r\n")
            one.recv(9)
    time.sleep(1.5)
    assert plain.ask()[0] == 200
    assert plain.log.read_bytes() == b""


def metrics(attacked: Attacked) -> str:
    with attacked.connect() as one:
        one.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return received(one).decode()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + STUCK_AFTER
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)


def trickle(one: socket.socket) -> None:
    end = time.monotonic() + STUCK_AFTER
    while time.monotonic() < end:
        one.send(b"a")
        time.sleep(0.05)
