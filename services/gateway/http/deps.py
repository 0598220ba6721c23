"""What a call brings with it: the gateway's resources, who asks, and which part of a long answer is wanted."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel

from esrp import api
from esrp.errors import InvalidInput, TooManyRequests
from services.gateway.access import keys
from services.gateway.access.keys import Principal
from services.gateway.resources import Resources


async def resources_of(request: Request) -> Resources:
    """The gateway's resources. It is no plain function: that would be run in a thread."""
    found: Resources = request.app.state.resources
    return found


Res = Annotated[Resources, Depends(resources_of)]


def asks(*scopes: api.Scope) -> Callable[..., Any]:
    """A dependency: the principal, if its key has one of the scopes and is within its rate."""

    async def principal(
        resources: Res, request: Request, authorization: Annotated[str | None, Header()] = None
    ) -> Principal:
        if "%00" in request.url.query:
            raise InvalidInput("A parameter cannot hold the character U+0000.")
        # Of a request with a body it is known: that is not read for anybody.
        known: Principal | None = getattr(request.state, "principal", None)
        found = known or await keys.authenticate(resources.engine, authorization)
        quota = await resources.rates.take(found.key_id)
        request.state.headers = quota.headers
        if not quota.allowed:
            detail = f"Over {quota.limit} requests a minute; go on in {quota.reset} s."
            raise TooManyRequests(detail, retry_after=quota.reset)
        found.require(*scopes)
        return found

    return principal


Reader = Annotated[Principal, Depends(asks("runs:read", "runs:write", "ratings:write"))]
Writer = Annotated[Principal, Depends(asks("runs:write"))]
Rater = Annotated[Principal, Depends(asks("ratings:write"))]
Admin = Annotated[Principal, Depends(asks("admin"))]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(alias="cursor")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", description="the same key and body give the same answer")]


def as_json(answer: BaseModel | Mapping[str, Any], status: int = 200) -> Response:
    """The answer as it is: ours need not be validated again."""
    if isinstance(answer, BaseModel):
        return Response(answer.model_dump_json(), status, media_type="application/json")
    return Response(orjson.dumps(answer, option=orjson.OPT_UTC_Z), status, media_type="application/json")
