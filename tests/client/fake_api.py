"""A scripted stand-in for the gateway, on a thread of its own: answers in order, the last one again and again."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from esrp.api import (
    Coverage,
    Estimate,
    Intervals,
    Lengths,
    Links,
    ManifestSummary,
    Plan,
    Progress,
    Report,
    ReportJudge,
    Run,
    RunError,
    RunUsage,
    Usage,
)
from esrp.metrics import DIMENSIONS, METRIC_IDS

RUN = "run_0198"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Answer:
    """One answer of the fake."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class FakeApi:
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self._script: dict[tuple[str, str], list[Answer | Handler]] = {}

    def on(self, method: str, path: str, *answers: Answer | Handler) -> None:
        """Script the answers to ``method path``."""
        self._script[method, path] = list(answers)

    def requests(self, method: str, path: str) -> list[Asked]:
        """What was asked of ``method path``."""
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = dict(request.query)
        self.asked.append(Asked(request.method, request.path, query, headers, await request.read()))
        answers = self._script.get(
            (request.method, request.path), [problem(404, "not_found", "There is no such thing.")]
        )
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if not isinstance(answer, Answer):
            return await answer(request)
        if isinstance(answer.body, str):
            return web.Response(text=answer.body, status=answer.status, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


@contextmanager
def serve() -> Iterator[FakeApi]:
    """A fake that listens on a port of its own."""
    api, loop = FakeApi(), asyncio.new_event_loop()
    stop, ready = asyncio.Event(), threading.Event()

    async def run() -> None:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", api.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield api
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


def problem(status: int, code: str, detail: str, **more: Any) -> Answer:
    """A problem document."""
    body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
    headers = more.pop("headers", {})
    return Answer({**body, "request_id": "req-1", "retryable": False, "errors": [], **more}, status, headers)


def stream(events: Sequence[tuple[int, str]], *, cut: bool = False) -> Handler:
    """A stream of ``(id, type)`` events after the asked one; ``cut``: the line then breaks in the middle."""

    async def handler(request: web.Request) -> web.StreamResponse:
        last = int(request.headers.get("Last-Event-ID", 0))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for id, kind in events:
            if id > last:
                await response.write(f'id: {id}\nevent: {kind}\ndata: {{"n": {id}}}\n\n'.encode())
        if cut:
            assert request.transport is not None
            await asyncio.sleep(0.02)  # so that what was written leaves before the line breaks
            request.transport.abort()
        return response

    return handler


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Break the line without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def run(status: Any = "running", **progress: int) -> Answer:
    """A run of ten dialogues."""
    final = status in {"succeeded", "failed", "cancelled", "budget_exhausted"}
    document = Run(
        id=RUN,
        name=None,
        status=status,
        phase=None if final else "generating",
        suite="esrp-zh@1",
        candidate={"kind": "endpoint", "model": "bot"},
        rounds=2,
        round2="live",
        replicates=1,
        sample=None,
        budget=None,
        prices=None,
        labels={},
        created_at="2026-05-01T10:00:00Z",
        started_at=None,
        finished_at=None,
        plan=Plan(dialogues=10, candidate_calls=20, simulator_calls=10, judge_calls=10),
        progress=Progress(dialogues=10, **progress),
        usage=RunUsage(candidate=Usage(calls=1, prompt_tokens=1000, completion_tokens=234)),
        manifest=ManifestSummary(sha256="0" * 64, suite="esrp-zh@1#0", judges=["default"], simulator="default"),
        error=RunError(code="nothing_scored", message="The judge refused the key.") if status == "failed" else None,
        warnings=[],
        links=Links(self="/", events="/", cancel="/", report="/"),
    )
    return Answer(document.model_dump(mode="json"))


def report() -> Answer:
    """A report in which every mean is 4, and one metric has none."""

    def estimate(mean: float | None) -> Estimate:
        bounds = None if mean is None else (mean - 0.125, mean + 0.125)
        ci = Intervals(suite=None, dialogue=bounds, population=None)
        return Estimate(mean=mean, n=10 if mean else 0, ratings=10, se=0.1, ci=ci, worst=None)

    document = Report(
        run=RUN,
        suite="esrp-zh@1",
        candidate="bot",
        status="succeeded",
        judges=[ReportJudge(id="default", validated=False, card="/")],
        coverage=Coverage(dialogues=10, scored=9, missing={"candidate_error": 1}),
        overall=estimate(4.0),
        dimensions={id: estimate(4.0) for id in DIMENSIONS},
        metrics={id: estimate(None if id == "fluency" else 4.0) for id in METRIC_IDS},
        raters="judge",
        lengths=Lengths(replies=20, inside=0.9, median=80),
        method={"confidence": 0.95, "bootstrap": 5000},
        limits=["The judge is not validated."],
        sha256="f" * 64,
    )
    return Answer(document.model_dump(mode="json"))
