"""Rows of the gateway and requests with what they name, to arrange tests with."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from esrp.api import RunRequest
from esrp.suite import Suite
from services.gateway.runs.found import Found, Transcript, judges_named
from services.gateway.runs.rows import StoredRun
from services.gateway.suites.suites import EVERYONE, WholeSuite
from services.gateway.suites.transcripts import Replies, StoredTranscript
from services.kit.ids import uuid7
from services.kit.settings import ModelSettings, Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_stored_suite(suite: Suite) -> WholeSuite:
    """The suite as its first version."""
    return WholeSuite(
        id=uuid7(),
        tenant_id=EVERYONE,
        name=suite.name,
        version=1,
        sha256=suite.sha256,
        language=suite.language,
        created_at=NOW,
        experimental=suite.experimental,
        characters=len(suite.characters),
        scenarios=len(suite.scenarios),
        document=suite.model_dump(mode="json"),
    )


def found(request: dict[str, Any], suite: Suite, settings: Settings, *replies: Replies) -> Found:
    """What the request names, without a database; ``replies`` are those of its transcript."""
    asked = RunRequest.model_validate(request)
    stored = a_stored_suite(suite)
    transcript = StoredTranscript(uuid7(), "gpt-4o logs", stored.id, "sha", len(replies))
    simulator: ModelSettings | None = None if replies or asked.rounds == 1 else settings.simulator
    return Found(
        request=asked,
        suite=stored,
        judges=judges_named(asked.judges, settings),
        simulator=simulator,
        transcript=Transcript(transcript, replies) if replies else None,
    )


def a_run(**given: Any) -> StoredRun:
    """A run of four dialogues and two judges that is being played."""
    usual: dict[str, Any] = {
        **dict.fromkeys(field.name for field in fields(StoredRun)),
        "id": UUID(int=1),
        "tenant_id": UUID(int=2),
        "status": "running",
        "phase": "generating",
        "revision": 1,
        "plan": {"dialogues": 4},
        "judges": ["a", "b"],
        "manifest": {},
    }
    return StoredRun(**{**usual, **given})
