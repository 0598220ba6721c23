"""What endpoints tell of their limits, in every dialect, and what liars tell."""

import time
from email.utils import formatdate
from random import Random
from typing import Any

import pytest

from services.kit.quota import LONGEST, SLOWEST, SLOWEST_TOKENS, Quota, quota, retry_after

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


def openai(kind: str = "requests", **told: Any) -> dict[str, str]:
    return {f"x-ratelimit-{what}-{kind}": str(value) for what, value in told.items()}


def test_headers_without_limits_tell_nothing() -> None:
    assert quota({"Content-Type": "application/json", "Date": DATE}) is None


def test_while_most_is_left_nothing_is_limited() -> None:
    assert quota(openai(limit=500, remaining=499, reset="120ms")) == Quota()


def test_little_that_is_left_is_spread_over_the_time_to_the_reset() -> None:
    assert quota(openai(limit=60, remaining=20, reset="40s")) == Quota(calls_per_minute=30.0)
    assert quota(openai("tokens", limit=90_000, remaining=30_000, reset="20s")) == Quota(tokens_per_minute=90_000.0)


def test_nothing_left_is_a_pause_until_the_reset() -> None:
    assert quota(openai(limit=60, remaining=0, reset="7s")) == Quota(pause=7.0)
    assert quota(openai("tokens", limit=90_000, remaining=0, reset="20ms")) == Quota(pause=0.02)


def test_a_limit_alone_is_one_a_minute() -> None:
    assert quota(openai(limit=600)) == Quota(calls_per_minute=600.0)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("0m50s", 50.0),
        ("20ms", 0.02),
        ("1m0s", 60.0),
        ("0.5s", 0.5),
        ("12", 12.0),
        ("6m0s", 0.0),
        ("1h0m0s", 0.0),
        ("1445412510", 30.0),
        ("2015-10-21T07:28:30Z", 30.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
    ],
)
def test_a_reset_is_a_time_or_a_moment_and_more_than_a_minute_is_not_waited_for(reset: str, seconds: float) -> None:
    told = quota({**openai(limit=60, remaining=0, reset=reset), "Date": DATE})
    assert told is not None
    assert told.pause == pytest.approx(seconds)


def test_anthropics_words_are_understood() -> None:
    told = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2015-10-21T07:28:04Z",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-remaining": "2000",
        "anthropic-ratelimit-output-tokens-reset": "2015-10-21T07:28:10Z",
        "Date": DATE,
    }
    assert quota(told) == Quota(pause=4.0, tokens_per_minute=12_000.0)


@pytest.mark.parametrize(
    "told",
    [
        {"RateLimit": '"default";r=5;t=20', "RateLimit-Policy": '"default";q=100;w=60'},
        {"RateLimit": "limit=100, remaining=5, reset=20"},
        {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "5", "RateLimit-Reset": "20"},
        {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "20"},
    ],
)
def test_the_drafts_of_the_ietf_are_understood(told: dict[str, str]) -> None:
    assert quota(told) == Quota(calls_per_minute=15.0)


def test_a_policy_alone_is_a_rate() -> None:
    assert quota({"RateLimit-Policy": '"burst";q=10;w=5'}) == Quota(calls_per_minute=120.0)
    assert quota({"RateLimit-Policy": '"daily";q=10;w=86400'}) == Quota()


def test_no_telling_stops_calls_for_long() -> None:
    assert quota(openai(limit=1, remaining=1, reset="1s")) == Quota()
    assert quota(openai(limit=1000, remaining=1, reset="60s")) == Quota(calls_per_minute=SLOWEST)
    assert quota(openai("tokens", limit=1000, remaining=1, reset="60s")) == Quota(tokens_per_minute=SLOWEST_TOKENS)
    assert quota(openai(limit=0, remaining=0, reset="60s")) == Quota()
    assert quota(openai(limit=5, remaining=0, reset="9999999h")) == Quota()
    assert quota(openai(limit="-1", remaining="-1", reset="-1")) == Quota()


NONSENSE = ["", " ", "-", "NaN", "inf", "-inf", "1e999", "0x10", "٣", "9" * 400, "1s" * 200, "1.1.1s", "\x00", "😀"]
NONSENSE += [
    "Mon, 32 Foo 99999 99:99:99 +9999",
    "2015-13-45T99:99:99Z",
    "=;=;q=;w=-1",
    '"a";r=;t=',
    "0001-01-01T00:00:00Z",
]
NAMES = [*openai(limit=0, remaining=0, reset=0), *openai("tokens", limit=0, remaining=0, reset=0), "RateLimit"]
NAMES += ["RateLimit-Policy", "RateLimit-Reset", "RateLimit-Remaining", "Date", "Retry-After", "retry-after-ms"]
NAMES += [f"anthropic-ratelimit-requests-{what}" for what in ("limit", "remaining", "reset")]


def test_nonsense_neither_breaks_anything_nor_is_obeyed_for_long() -> None:
    dice = Random(0)
    usual = ["0", "1", "60", "1s", DATE]
    started = time.perf_counter()
    for _ in range(5_000):
        headers = {name: dice.choice(NONSENSE + usual) for name in dice.sample(NAMES, 6)}
        told = quota(headers)
        assert told is None or 0 <= told.pause <= LONGEST
        assert told is None or told.calls_per_minute is None or told.calls_per_minute >= SLOWEST
        waited = retry_after(headers)
        assert waited is None or 0 <= waited < float("inf")
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3.0),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"retry-after-ms": "soon", "Retry-After": "1"}, 1.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:40 GMT", "Date": DATE}, 40.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:27:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_told_in_seconds_milliseconds_or_as_a_date(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds


def test_a_date_is_read_by_our_clock_where_the_endpoint_tells_none() -> None:
    waited = retry_after({"Retry-After": formatdate(time.time() + 20, usegmt=True)})
    assert waited is not None
    assert 15 < waited < 25
