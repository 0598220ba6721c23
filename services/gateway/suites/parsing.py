"""What is uploaded, read and checked: pure functions, for a process that may take a while and hold much."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from pydantic import ValidationError

from esrp import api, chatanime
from esrp.api import RecordedDialogue
from esrp.canonical import digest
from esrp.errors import InvalidInput
from esrp.suite import Suite, faults, parse_json, parse_yaml
from esrp.validation import warnings
from services.kit.db import json

MOST_PARTS = 4_000_000  # fields and elements of a JSON body: some 500 MB; a full study's transcript has 10,000


class Line(NamedTuple):
    """A dialogue as it is stored: its turns as JSON."""

    character: str
    scenario: str | None
    replicate: int
    turns: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """A transcript's dialogues, and their hash."""

    lines: Sequence[Line]
    sha256: str


@dataclass(frozen=True, slots=True)
class Brought:
    """What an uploaded transcript is: a published file brings its suite with it."""

    name: str
    suite: str
    brought: Suite | None
    recorded: Recorded


class Checked(NamedTuple):
    """A suite, and what its author should know."""

    suite: Suite
    warnings: list[str]


def suite(body: bytes, content_type: str) -> Checked:
    """The suite in JSON or YAML."""
    found = parse_json(_utf8(_bounded(body))) if "json" in content_type else parse_yaml(_utf8(body))
    return Checked(found, warnings(found))


def warnings_of(document: str) -> list[str]:
    """What the author of a stored suite should know."""
    return warnings(Suite.model_validate_json(document))


def transcript(body: bytes, content_type: str, name: str | None, suite: str | None) -> Brought:
    """The dialogues in the JSON of the API, in own logs a line each, or in a published file."""
    if "ndjson" in content_type:
        wanted = _named(name, "name"), _named(suite, "suite")
        return Brought(*wanted, None, recorded(chatanime.parse_jsonl(_utf8(body))))
    document = _json(_bounded(body))
    if chatanime.is_published(document):
        brought, dialogues = chatanime.parse(document)
        return Brought(_named(name, "name"), chatanime.SUITE, brought, recorded(dialogues))
    asked = _validated(document)
    return Brought(asked.name, asked.suite, None, recorded(asked.dialogues))


def recorded(dialogues: Sequence[RecordedDialogue]) -> Recorded:
    """As they are stored."""
    lines = [Line(d.character, d.scenario, d.replicate, json([t.model_dump() for t in d.turns])) for d in dialogues]
    return Recorded(lines, digest([dialogue.model_dump(mode="json") for dialogue in dialogues]))


def _bounded(body: bytes) -> bytes:
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_PARTS:
        raise InvalidInput.at("/", f"the body has over {MOST_PARTS:,} fields and elements")
    return body


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"line {error.lineno}: not JSON: {error.msg}"
        raise InvalidInput.at(f"line {error.lineno}", message) from error


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise InvalidInput.at(f"line {line}", f"line {line}: not UTF-8") from error


def _validated(document: Any) -> api.TranscriptRequest:
    try:
        return api.TranscriptRequest.model_validate(document)
    except ValidationError as error:
        found = list(faults(error.errors()))[:100]
        raise InvalidInput("The transcript is not valid; nothing was stored.", errors=found) from error


def _named(value: str | None, parameter: str) -> str:
    if not value:
        raise InvalidInput.at(parameter, f"?{parameter}= is needed with this body")
    return value
