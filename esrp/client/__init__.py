"""The SDK: the public API from Python, blocking (``Client``) and for asyncio (``AsyncClient``)."""

from esrp.client.blocking import Client
from esrp.client.concurrent import AsyncClient
from esrp.client.connection import DEFAULT_URL
from esrp.client.errors import ApiError, ConnectionFailed
from esrp.client.flows import Event, Lost

__all__ = ["Client", "AsyncClient", "DEFAULT_URL", "ApiError", "ConnectionFailed", "Event", "Lost"]
