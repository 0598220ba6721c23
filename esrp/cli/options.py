"""Options that many commands share, and the client that they make."""

from typing import Annotated

import typer

from esrp.client import DEFAULT_URL, Client

Url = Annotated[str, typer.Option("--url", envvar="ESRP_URL", help="The server.")]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", envvar="ESRP_API_KEY", help="The key for the server.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

__all__ = ["DEFAULT_URL", "ApiKey", "AsJson", "Url", "connect"]


def connect(url: str, api_key: str | None) -> Client:
    """A client for the server that the options name."""
    return Client(url, api_key)
