"""Logs as events, and their end: what goes wrong over and over is told a few times and then counted."""

import logging
import time
from typing import Literal

import structlog

from services.kit.sparing import Sparing

MOST, WINDOW = 20, 10.0  # of one event and error in so many seconds: beyond that a log says nothing new


def configure_logging(form: Literal["console", "json"]) -> None:
    """Log events to stderr, as one JSON object a line or for people; values named like secrets are cut."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _Sparing(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _cut_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_SparingFilter())


class _Sparing:
    """Drops the event where enough of its like were logged; the next that is logged says how many in ``left_out``."""

    def __init__(self) -> None:
        self._sparing = Sparing(MOST, WINDOW)

    def __call__(self, _: object, level: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        if level in ("debug", "info"):
            return event
        left_out = self._sparing.admit((event.get("event"), str(event.get("error", ""))[:80]), time.monotonic())
        if left_out is None:
            raise structlog.DropEvent
        return {**event, "left_out": left_out} if left_out else event


class _SparingFilter(logging.Filter):
    """The same for what libraries log: asyncio has a traceback for each connection that it cannot take."""

    def __init__(self) -> None:
        super().__init__()
        self._sparing = Sparing(MOST, WINDOW)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is logged."""
        first, _, _ = str(record.msg).partition("\n")
        left_out = self._sparing.admit((record.name, record.levelno, first[:120]), time.monotonic())
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} more of these, left out)"
            record.args = None
        return left_out is not None


def _cut_secrets(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    for name in event:
        if any(word in name.lower() for word in ("api_key", "authorization", "secret", "password")):
            event[name] = "***"
    return event
