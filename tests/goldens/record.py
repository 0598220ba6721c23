"""Asks the stack, over the public API and the command line, and keeps what came out under the name of its file."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from typer.testing import CliRunner

from esrp.api import Choice, Report, Run
from esrp.cli.app import app
from esrp.client import ApiError, AsyncClient
from tests.goldens.masks import Masks
from tests.pipeline.conftest import KEY, PATIENCE, Stack

EVENTS = ("run.status", "warning", "dialogue.completed", "run.verdict", "run.finished")


@dataclass
class Record:
    """The stack, the names of what is new, and the files so far."""

    stack: Stack
    masks: Masks = field(default_factory=Masks)
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.masks.name(self.stack.models.base_url, "http://models/v1")
        self.masks.name(self.stack.url, "http://esrp")

    @property
    def client(self) -> AsyncClient:
        """The client of the stack."""
        return self.stack.client

    def json(self, name: str, document: Any) -> None:
        """Keep a document."""
        self.files[f"{name}.json"] = self.masks.json(document)

    def text(self, name: str, text: str | bytes) -> None:
        """Keep a text."""
        self.files[name] = self.masks.text(text if isinstance(text, str) else text.decode())

    def parquet(self, name: str, content: bytes) -> None:
        """Keep the schema and the rows of a Parquet file."""
        self.files[f"{name}.parquet.jsonl"] = self.masks.parquet(content)

    async def start(self, name: str, **asked: Any) -> Run:
        """Start a run on the scripted models; ``name`` is also what stands for its id."""
        run = await self.stack.run(name=name, **asked)
        self.masks.name(run.id, f"run_{name}")
        return run

    async def finish(self, run: Run) -> Run:
        """The run once it is final, its dialogues with names."""
        name = self.masks.known[run.id].removeprefix("run_")
        found = await self.stack.done(run)
        async for dialogue in self.client.dialogues(run.id):
            scenario = dialogue.scenario or "own"
            self.masks.name(dialogue.id, f"dlg_{name}_{dialogue.character}_{scenario}")
        return found

    async def run(self, run: Run) -> Report:
        """Keep everything about a final run but its figures: how it went, what was said and rated, and its report."""
        folder = self.masks.known[run.id].removeprefix("run_")
        found = await self.client.run(run.id)
        # A warning is added when its cause is first seen, so their order is that of the failures.
        self.json(f"{folder}/run", found.model_copy(update={"warnings": sorted(found.warnings)}))
        self.json(f"{folder}/dialogues", await listed(self.client.dialogues(run.id)))
        self.json(f"{folder}/batches", await listed(self.client.batches(run.id)))
        self.json(f"{folder}/events", await self._events(run))
        report = await self.report(run, f"{folder}/report")
        self.json(f"{folder}/manifest", {"summary": found.manifest.model_dump(), "manifest": report.manifest})
        return report

    async def report(self, run: Run, name: str, raters: Choice = "auto") -> Report:
        """Keep the report as JSON and Markdown, once the agreement of its raters is known too."""
        async with asyncio.timeout(PATIENCE):
            while (found := await self.client.report(run.id, raters=raters)).raters and found.agreement is None:
                await asyncio.sleep(0.05)
        self.json(name, found)
        self.text(f"{name}.md", await self.client.report(run.id, "md", raters))
        return found

    async def refused(self, name: str, call: Any) -> None:
        """Keep the problem that a call is answered with."""
        try:
            await call
        except ApiError as error:
            faults = [{"pointer": fault.pointer, "message": fault.message} for fault in error.errors]
            self.json(name, {"status": error.status, "code": error.code, "detail": error.detail, "errors": faults})
        else:
            raise AssertionError(f"{name}: it was not refused")

    async def esrp(self, name: str, *arguments: str, files: Sequence[Path] = ()) -> None:
        """Keep what a command prints and how it ends; ``files`` are those that it writes."""
        environment = {"ESRP_URL": self.stack.url, "ESRP_API_KEY": KEY, "COLUMNS": "80", "NO_COLOR": "1"}
        found = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)
        shown = [argument for argument in arguments if argument not in map(str, files)]
        self.text(f"cli/{name}.txt", f"$ esrp {' '.join(shown)}\n{found.output}exit {found.exit_code}\n")
        for file in files:
            self.text(f"cli/{name}{file.suffix}", file.read_text("utf-8"))

    async def of_service(self, service: str, path: str) -> httpx2.Response:
        """What a service answers at its own door."""
        door = None if service == "gateway" else f"{self.stack.environment['RUN']}/{service}.sock"
        url = self.stack.url if door is None else f"http://{service}"
        transport = httpx2.AsyncHTTPTransport(uds=door)
        async with httpx2.AsyncClient(transport=transport, base_url=url, timeout=60) as client:
            return (await client.get(path)).raise_for_status()

    async def _events(self, run: Run) -> dict[str, list[Any]]:
        """The stream by the types of its events, those of one type in an order that does not depend on who was faster.

        How often progress is told and which phases a look meets does.
        """
        told: dict[str, list[Any]] = defaultdict(list)
        async for event in self.client.events(run.id):
            told[event.type].append(event.data)
        told.pop("run.progress")
        statuses = [status["status"] for status in told.pop("run.status")]
        told["run.status"] = [now for now, before in zip(statuses, [None, *statuses], strict=False) if now != before]
        told["warning"].sort(key=str)
        told["dialogue.completed"].sort(key=lambda data: (data["character"], str(data["scenario"])))
        return {type: told.pop(type) for type in EVENTS if told.get(type)} | told


async def listed(items: AsyncIterator[Any]) -> list[dict[str, Any]]:
    """All items of a list, as they are on the wire."""
    return [item.model_dump(mode="json", by_alias=True) async for item in items]
