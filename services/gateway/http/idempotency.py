"""The same request twice is one request: answers kept by ``Idempotency-Key``."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from esrp.errors import InFlight, InvalidInput, KeyReused
from services.kit.db import count, json, row

HEADER = "Idempotency-Key"


async def once(
    engine: AsyncEngine,
    tenant_id: UUID,
    request: Request,
    work: Callable[[AsyncConnection], Awaitable[BaseModel]],
    *,
    status: int = 201,
    headers: Callable[[Any], dict[str, str]] = lambda _: {},
    body_sha256: str | None = None,
) -> Response:
    """Do ``work`` in one transaction together with its answer's record, or repeat the answer given before.

    Raises ``KeyReused`` for another body under the same key, ``InFlight`` while the first is being worked on.
    ``body_sha256`` is of a body that was read already.
    """
    key = request.headers.get(HEADER)
    if key is not None and not 0 < len(key) <= 255:
        raise InvalidInput.at(HEADER, "an idempotency key has 1 to 255 characters")
    async with engine.begin() as tx:
        if key is not None and (kept := await _kept(tx, tenant_id, key, await _fingerprint(request, body_sha256))):
            return kept
        answer = await work(tx)
        body, extra = answer.model_dump(mode="json"), headers(answer)
        if key is not None:
            await _keep(tx, tenant_id, key, await _fingerprint(request, body_sha256), status, extra, body)
    return JSONResponse(body, status, extra)


async def _kept(tx: AsyncConnection, tenant_id: UUID, key: str, fingerprint: str) -> Response | None:
    lock = await row(
        tx, "SELECT pg_try_advisory_xact_lock(hashtextextended(:key, 0)) AS ours", key=f"idempotency:{tenant_id}:{key}"
    )
    if lock is None or not lock["ours"]:
        raise InFlight(key)
    found = await row(
        tx,
        "SELECT request_sha256, status, headers, body FROM gateway.idempotency_keys WHERE tenant_id = :t AND key = :k",
        t=tenant_id,
        k=key,
    )
    if found is None:
        return None
    if found["request_sha256"] != fingerprint:
        raise KeyReused(key)
    return JSONResponse(found["body"], found["status"], {**found["headers"], "Idempotent-Replayed": "true"})


async def _keep(
    tx: AsyncConnection, tenant_id: UUID, key: str, fingerprint: str, status: int, headers: dict[str, str], body: Any
) -> None:
    await count(
        tx,
        "INSERT INTO gateway.idempotency_keys (tenant_id, key, request_sha256, status, headers, body)"
        " VALUES (:t, :k, :sha256, :status, CAST(:headers AS jsonb), CAST(:body AS jsonb))",
        t=tenant_id,
        k=key,
        sha256=fingerprint,
        status=status,
        headers=json(headers),
        body=json(body),
    )


async def _fingerprint(request: Request, body_sha256: str | None) -> str:
    body = body_sha256 or hashlib.sha256(await request.body()).hexdigest()
    return hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n{body}".encode()).hexdigest()
