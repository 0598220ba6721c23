"""What an endpoint tells of its limits in the headers of its answers, as far as that can be believed.

OpenAI's ``x-ratelimit-*``, Anthropic's ``anthropic-ratelimit-*`` and the IETF's ``RateLimit`` and ``RateLimit-Policy``,
in their usual dialects. Who tells nonsense is not heard, and nobody is heard who asks for more than ``LONGEST``.
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 60.0  # seconds to the reset of a quota that we wait for; what is left of a day is no pace
SLOWEST = 12.0  # calls a minute that no telling makes us fall below: who means less refuses
SLOWEST_TOKENS = 6_000.0  # the same for tokens: a call of 500 every five seconds
PLENTY = 0.5  # of a quota: while so much is left there is nothing to spread
PATTERNS = ("x-ratelimit-{what}-{kind}", "anthropic-ratelimit-{kind}-{what}")
BARE = ("ratelimit-{what}", "x-ratelimit-{what}")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
EPOCH = 1e9  # larger numbers are moments, not seconds

_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|us|µs|ns|h|m|s)){1,6}")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_FIELD = re.compile(r"[;,\s](q|w|r|t|limit|remaining|reset)=(\d{1,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quota:
    """What may still be called: nothing for ``pause`` seconds, or so much a minute; ``None`` is no limit for now."""

    pause: float = 0.0
    calls_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class _Told:
    limit: float | None
    left: float | None
    reset: float | None  # seconds

    @property
    def pause(self) -> float:
        """Seconds until there is something again, where nothing is left."""
        return self.reset if self.left == 0 and self.limit != 0 and self.reset is not None else 0.0

    def per_minute(self, slowest: float) -> float | None:
        """What is left, spread over the time to the reset, once it is no more than half of all."""
        if self.limit is not None and self.left is not None and self.left > PLENTY * self.limit:
            return None
        if self.left and self.reset:
            return max(60 * self.left / self.reset, slowest)
        return max(self.limit, slowest) if self.limit and self.reset is None else None


def quota(headers: Mapping[str, str]) -> Quota | None:
    """What the headers of an answer tell; ``None`` if nothing of limits."""
    told = {name.lower(): value[:256] for name, value in headers.items() if "ratelimit" in name.lower()}
    if not told:
        return None
    calls = [*_of(told, "requests", headers), *_bare(told, headers)]
    tokens = [each for kind in ("tokens", "input-tokens", "output-tokens") for each in _of(told, kind, headers)]
    pauses = [each.pause for each in calls + tokens]
    calls_rate = [rate for each in calls if (rate := each.per_minute(SLOWEST)) is not None]
    tokens_rate = [rate for each in tokens if (rate := each.per_minute(SLOWEST_TOKENS)) is not None]
    return Quota(max(pauses, default=0.0), min(calls_rate, default=None), min(tokens_rate, default=None))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Retry-After in seconds. A date is read by the endpoint's own clock, and by ours where it tells none."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    text = headers.get("Retry-After", "")
    if (seconds := _number(text)) is not None:
        return seconds
    until = _moment(text)
    return None if until is None else max(0.0, until - _now(headers))


def _of(told: Mapping[str, str], kind: str, headers: Mapping[str, str]) -> Iterator[_Told]:
    """What is told of one kind, in either provider's words."""
    for pattern in PATTERNS:
        names = [pattern.format(what=what, kind=kind) for what in ("limit", "remaining", "reset")]
        if any(name in told for name in names):
            limit, left, reset = (told.get(name, "") for name in names)
            yield from _believed(_number(limit), _number(left), _seconds(reset, headers))


def _bare(told: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[_Told]:
    """Calls, where no kind is named: in three headers, or in the fields of one; a policy tells how long its window."""
    for pattern in BARE:
        limit, left, reset = (told.get(pattern.format(what=what), "") for what in ("limit", "remaining", "reset"))
        if limit or left:
            yield from _believed(_number(limit.partition(",")[0]), _number(left), _seconds(reset, headers))
    policy, state = _fields(told.get("ratelimit-policy", "")), _fields(told.get("ratelimit", ""))
    limit_told, left_told = state.get("limit", policy.get("q")), state.get("remaining", state.get("r"))
    if left_told is not None:
        yield from _believed(limit_told, left_told, state.get("reset", state.get("t")))
    elif limit_told and 0 < policy.get("w", 0) <= LONGEST:
        yield _Told(60 * limit_told / policy["w"], None, None)


def _believed(limit: float | None, left: float | None, reset: float | None) -> Iterator[_Told]:
    """Not a quota of a day, of which we see no more than that it ends some time."""
    if reset is None or reset <= LONGEST:
        yield _Told(limit, left, reset)


def _fields(text: str) -> dict[str, float]:
    """The parameters of the first item of a structured field, or the whole of the older drafts' list."""
    found: dict[str, float] = {}
    for name, digits in _FIELD.findall(";" + text):
        found.setdefault(name.lower(), float(digits))
    return found


def _seconds(text: str, headers: Mapping[str, str]) -> float | None:
    """A time to wait: seconds, ``6m0s``, or a moment as a number, an HTTP date or RFC 3339."""
    text = text.strip()
    if (number := _number(text)) is not None:
        return number if number < EPOCH else max(0.0, number - _now(headers))
    if _DURATION.fullmatch(text):
        return sum(float(amount) * UNITS[unit] for amount, unit in _PART.findall(text))
    until = _moment(text)
    return None if until is None else max(0.0, until - _now(headers))


def _number(text: str) -> float | None:
    """Not negative and finite, or ``None``."""
    try:
        number = float(text[:32])
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _now(headers: Mapping[str, str]) -> float:
    told = _moment(headers.get("Date", ""))
    return time.time() if told is None else told


def _moment(date: str) -> float | None:
    """An HTTP date, or one of RFC 3339, in epoch seconds; ``None`` if it is neither."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(date)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
