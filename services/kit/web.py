"""The serving half of a service: problems, request ids, body limits, health and metrics."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from sqlalchemy.exc import InvalidRequestError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from esrp.api import Problem
from esrp.errors import EsrpError, Fault, Forbidden, TooLarge, Unavailable
from services.kit.db import FAILURES, is_away

log = structlog.get_logger()

Ready = Callable[[], Awaitable[Mapping[str, bool]]]
Admit = Callable[[Scope], Awaitable[None]]

REQUESTS = Counter("esrp_web_requests_total", "HTTP requests answered", ["method", "status"])
INTERNAL = "X-ESRP-Internal"
REQUEST_ID = "X-Request-ID"
PROBLEM = "application/problem+json"
COME_BACK = 2.0  # seconds, where a 503 knows no better: a restart of Postgres or of a service takes one or two
# What a request can fail with at the database: the last is SQLAlchemy's word where each new connection is closed again.
DATABASE: tuple[type[Exception], ...] = (*FAILURES, InvalidRequestError)


def create_app(
    title: str,
    *,
    ready: Ready,
    models: Callable[[], Mapping[str, bool]] = dict,
    admit: Admit | None = None,
    internal_token: str | None = None,
    body_limit: int = 1 << 20,
    upload_limit: int = 64 << 20,
    uploads: tuple[str, ...] = (),
    **options: Any,
) -> FastAPI:
    """An app with what every service has.

    ``ready`` names the parts it needs and whether each answers; ``models`` those that it runs itself and is at work
    without, which ``/readyz?models=false`` leaves out. With an ``internal_token``, paths under ``/internal/`` want it.
    ``admit`` raises what keeps a request out, before a byte of its body is read.
    Bodies over ``body_limit`` bytes (``upload_limit`` on paths that start with one of ``uploads``) are 413.
    """
    app = FastAPI(title=title, **options)
    app.add_middleware(_BodyLimit, limit=body_limit, upload_limit=upload_limit, uploads=uploads)
    app.add_middleware(_Admission, admit=admit, internal_token=internal_token)
    app.add_middleware(_RequestId)
    app.add_exception_handler(EsrpError, _render)
    app.add_exception_handler(RequestValidationError, _render_validation)
    app.add_exception_handler(HTTPException, _render_http)
    for failure in DATABASE:
        app.add_exception_handler(failure, _render_away)

    _add_health(app, ready, models)
    return app


def _add_health(app: FastAPI, ready: Ready, models: Callable[[], Mapping[str, bool]]) -> None:
    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """Alive."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], responses={503: {"description": "a part is away"}})
    async def readyz(request: Request, response: Response) -> dict[str, bool]:
        """Ready, and which part is not."""
        parts = dict(await ready())
        if request.query_params.get("models") != "false":
            parts |= models()
        response.status_code = 200 if all(parts.values()) else 503
        return parts

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


# --- problems ---------------------------------------------------------------------------------------------------------


def problem(error: EsrpError) -> Response:
    """The error as RFC 9457 says."""
    after = COME_BACK if error.retry_after is None and error.status == 503 else error.retry_after
    headers = {} if after is None else {"Retry-After": str(max(1, round(after)))}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    document = Problem(
        type=f"urn:esrp:problem:{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=error.status,
        detail=error.detail,
        code=error.code,
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
        retryable=error.retryable,
        errors=[{"pointer": fault.pointer, "message": fault.message} for fault in error.errors],
    )
    members = {**document.model_dump(mode="json"), **error.extra}
    return Response(orjson.dumps(members), error.status, headers, PROBLEM)


async def _render(_: Request, error: Exception) -> Response:
    assert isinstance(error, EsrpError)
    return problem(error)


async def _render_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [_fault(one, error.body) for one in error.errors()]
    wrong = EsrpError("; ".join(f"{fault.pointer}: {fault.message}" for fault in found[:3]), errors=found)
    wrong.status, wrong.code = 422, "invalid_request"
    return problem(wrong)


def _fault(error: Any, body: Any) -> Fault:
    """A pointer into the body, or the name of the parameter or header; of text that is not JSON, the line."""
    where, *path = error["loc"]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "json_invalid":
        line = str(body)[: path[0]].count("\n") + 1
        return Fault(f"line {line}", f"not JSON: {error['ctx']['error']}")
    return Fault("/" + "/".join(map(str, path)) if where == "body" else str(path[0]), message)


async def _render_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    wrong = EsrpError(str(error.detail))
    wrong.status, wrong.code = error.status_code, str(error.detail).lower().replace(" ", "_")
    return problem(wrong)


async def _render_away(_: Request, error: Exception) -> Response:
    """Postgres failed: where it may pass by itself, the client is told to come back."""
    if not is_away(error):
        raise error
    log.warning("postgres.away", error=repr(error)[:200])
    return problem(Unavailable("The database is away; try again in a moment."))


# --- middleware -------------------------------------------------------------------------------------------------------


class _RequestId:
    """Takes or makes a request id, puts it into every log line and the answer, and counts; a crash is a problem too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        sent = header(scope, REQUEST_ID)
        request_id = sent if sent.isascii() and sent.isprintable() and 0 < len(sent) <= 128 else uuid4().hex
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                extra = {REQUEST_ID: request_id, **scope.get("state", {}).get("headers", {})}
                added = [(name.lower().encode(), value.encode()) for name, value in extra.items()]
                message["headers"] = [*message["headers"], *added]
                REQUESTS.labels(scope["method"], message["status"]).inc()
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:
            if started and _is_cut(error):
                # The connection is closed without an end of the answer: half a file must not look like a whole one.
                log.warning("answer.cut", error=repr(error.__cause__ or error)[:200])
                return
            log.exception("request.crashed", path=scope["path"])
            if started:
                raise
            broken = EsrpError("Something broke on our side; the log has it under this request id.")
            await problem(broken)(scope, receive, send_with_id)


def _is_cut(error: Exception) -> bool:
    """Whether what an answer is made from went away after it had begun; Starlette wraps what it could else render."""
    cause = error.__cause__ or error
    return is_away(cause) or isinstance(cause, Unavailable)


class _Admission:
    """Keeps out what may not in, before its body is read: a body costs memory, which is for those who may.

    Paths under ``/internal/`` are for the other services, and for nobody where there is no token.
    """

    def __init__(self, app: ASGIApp, admit: Admit | None, internal_token: str | None) -> None:
        self.app, self.admit, self.token = app, admit, internal_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := await self._refusal(scope)):
            return await refusal(scope, receive, send)
        await self.app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        if scope["path"].startswith("/internal/") and not has_token(scope, self.token):
            return problem(Forbidden("This path is for the other services."))
        try:
            if self.admit is not None:
                await self.admit(scope)
        except EsrpError as error:
            return problem(error)
        except DATABASE as error:
            return await _render_away(Request(scope), error)
        return None


def has_token(scope: Scope, token: str | None) -> bool:
    """Whether the request shows the token of the services."""
    return bool(token) and hmac.compare_digest(header(scope, INTERNAL).encode(), str(token).encode())


class _BodyLimit:
    """Refuses a body over the limit, whether it says its length or not."""

    def __init__(self, app: ASGIApp, limit: int, upload_limit: int, uploads: tuple[str, ...]) -> None:
        self.app, self.limit, self.upload_limit, self.uploads = app, limit, upload_limit, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        limit = self.upload_limit if scope["path"].startswith(self.uploads) else self.limit
        refusal = problem(TooLarge(f"The body is over {limit} bytes."))
        length = header(scope, "content-length")
        if length.isdigit() and int(length) > limit:
            return await refusal(scope, receive, send)
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            # Who reads the body is told that the client has gone, and reads no further.
            return message if seen <= limit else {"type": "http.disconnect"}

        async def unless_refused(message: Message) -> None:
            if seen <= limit:
                await send(message)

        try:
            await self.app(scope, counted, unless_refused)
        except ClientDisconnect:
            if seen <= limit:
                raise
        if seen > limit:
            await refusal(scope, receive, send)


def header(scope: Scope, name: str) -> str:
    """The header's value, or ``""``."""
    wanted = name.lower().encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == wanted), "")
