"""Who is measured: a bot behind an endpoint, or recorded dialogues."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr, field_validator

from esrp.api.common import Body, Url
from esrp.dialogue import Slug


class Params(Body):
    """Sampling parameters; the defaults are the paper's (5.1)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float | None = Field(0.7, ge=0, le=2)
    top_p: float | None = Field(0.95, gt=0, le=1)
    max_tokens: int | None = Field(256, ge=1, le=100_000)


class EndpointCandidate(Body):
    """A bot behind an OpenAI-compatible chat endpoint. ``api_key`` is write-only."""

    kind: Literal["endpoint"] = "endpoint"
    base_url: Url
    model: str = Field(min_length=1, max_length=256)
    api_key: SecretStr | None = None
    params: Params = Params()
    headers: dict[str, str] = Field({})
    extra_body: dict[str, Any] = Field({})
    prompt: str = Field(
        "suite", max_length=20_000, description="`suite`, `none`, or a template with {name} {work} {profile}"
    )
    models: dict[Slug, str] = Field({}, description="another model id for a character")
    max_concurrency: int = Field(64, ge=1, le=4096, description="calls in flight to the endpoint, over all workers")
    requests_per_minute: int | None = Field(None, ge=1, le=1_000_000)
    tokens_per_minute: int | None = Field(None, ge=1, le=1_000_000_000)
    stream: bool = Field(False, description="ask for the reply as a stream, for endpoints that know no other way")

    @field_validator("base_url")
    @classmethod
    def _credentials_are_no_part_of_the_address(cls, url: str) -> str:
        if "@" in url.split("://", 1)[1].split("/", 1)[0]:
            raise ValueError("a user name or password in the address would be shown; use api_key")
        return url

    @field_validator("headers")
    @classmethod
    def _headers_fit_on_one_line(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not name.isascii() or any(c in name + value for c in "\r\n\0") or not name.strip():
                raise ValueError(f"header {name!r} is not a valid header")
            if name.lower() in {"authorization", "host", "content-length", "transfer-encoding"}:
                raise ValueError(f"header {name!r} is set by the service; use api_key for credentials")
        return headers

    @field_validator("extra_body")
    @classmethod
    def _extra_body_leaves_the_conversation_alone(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted({"messages", "model", "stream", "user", "n"} & set(extra)):
            raise ValueError(f"{', '.join(taken)} cannot be set here")
        return extra


class TranscriptCandidate(Body):
    """Recorded dialogues instead of an endpoint."""

    kind: Literal["transcript"]
    transcript: str


Candidate = Annotated[EndpointCandidate | TranscriptCandidate, Field(discriminator="kind")]
