"""Logs as events and metrics as numbers."""

import logging
from typing import Literal

import structlog


def configure_logging(form: Literal["console", "json"]) -> None:
    """Log events to stderr, as one JSON object a line or for people; values named like secrets are cut."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
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


def _cut_secrets(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    for name in event:
        if any(word in name.lower() for word in ("api_key", "authorization", "secret", "password")):
            event[name] = "***"
    return event
