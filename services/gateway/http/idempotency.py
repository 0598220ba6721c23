"""The same request twice is one request: answers kept by ``Idempotency-Key``."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.errors import InFlight, InvalidInput, KeyReused
from services.gateway.resources import Resources
from services.kit.db import count, json, one, row
from services.kit.unit import Unit, unit

HEADER = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Made:
    """An answer, and the headers that it comes with."""

    body: BaseModel
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    request_sha256: str
    status: int
    headers: Mapping[str, str]
    body: Any


async def once(
    resources: Resources,
    tenant_id: UUID,
    request: Request,
    work: Callable[[Unit], Awaitable[Made]],
    *,
    status: int = 201,
    patience: int | None = None,
    body_sha256: str | None = None,
) -> Response:
    """Do ``work`` as one unit together with its answer's record, or repeat the answer given before.

    ``body_sha256`` is of a body that was read already.

    ``patience``: seconds that it may take without a statement of ours, where that is more than a moment. Raises
    ``KeyReused`` for another body under the same key, ``InFlight`` while the first is being worked on.
    """
    key = request.headers.get(HEADER)
    if key is not None and not 0 < len(key) <= 255:
        raise InvalidInput.at(HEADER, "an idempotency key has 1 to 255 characters")
    asked = await _fingerprint(request, body_sha256)
    async with unit(resources.engine, resources.queue) as whole:
        if key is not None and (kept := await _kept(whole.tx, tenant_id, key, asked)):
            return JSONResponse(kept.body, kept.status, {**kept.headers, "Idempotent-Replayed": "true"})
        if patience is not None:
            await count(whole.tx, f"SET LOCAL idle_in_transaction_session_timeout = '{patience:d}s'")
        made = await work(whole)
        answer = Kept(asked, status, made.headers, made.body.model_dump(mode="json"))
        if key is not None:
            await _keep(whole.tx, tenant_id, key, answer)
    return JSONResponse(answer.body, answer.status, dict(answer.headers))


async def _kept(tx: AsyncConnection, tenant_id: UUID, key: str, fingerprint: str) -> Kept | None:
    lock = await row(
        tx, "SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 0)) AS ours", key=f"idempotency:{tenant_id}:{key}"
    )
    if lock is None or not lock["ours"]:
        raise InFlight(key)
    found = await one(
        tx,
        Kept,
        "SELECT request_sha256, status, headers, body FROM gateway.idempotency_keys WHERE tenant_id = :t AND key = :k",
        t=tenant_id,
        k=key,
    )
    if found is not None and found.request_sha256 != fingerprint:
        raise KeyReused(key)
    return found


async def _keep(tx: AsyncConnection, tenant_id: UUID, key: str, answer: Kept) -> None:
    await count(
        tx,
        "INSERT INTO gateway.idempotency_keys (tenant_id, key, request_sha256, status, headers, body)"
        " VALUES (:t, :k, :sha256, :status, CAST(:headers AS jsonb), CAST(:body AS jsonb))",
        t=tenant_id,
        k=key,
        sha256=answer.request_sha256,
        status=answer.status,
        headers=json(answer.headers),
        body=json(answer.body),
    )


async def _fingerprint(request: Request, body_sha256: str | None) -> str:
    body = body_sha256 or hashlib.sha256(await request.body()).hexdigest()
    return hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n{body}".encode()).hexdigest()
