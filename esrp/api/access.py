"""Who may ask: tenants and their API keys."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from esrp.api.common import Answer, Body

Scope = Literal["runs:read", "runs:write", "ratings:write", "admin"]


class KeyRequest(Body):
    name: str = Field("", max_length=200)
    scopes: list[Scope] = Field(min_length=1)
    tenant: str | None = Field(None, description="another tenant's id: for an admin of the first tenant")


class KeyOut(Answer):
    id: str
    name: str
    scopes: list[Scope]
    prefix: str
    created_at: datetime


class NewKey(KeyOut):
    """The only time that the key itself is shown."""

    key: str


class TenantRequest(Body):
    name: str = Field(min_length=1, max_length=200)


class TenantOut(Answer):
    id: str
    name: str
    created_at: datetime
