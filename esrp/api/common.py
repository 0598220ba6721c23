"""What every resource of the wire schema is made of."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

from esrp.dialogue import storable

RaterKind = Literal["judge", "human"]
Raters = Literal["judge", "human", "calibrated"]
Choice = Literal["auto", "judge", "human", "calibrated"]
Item = TypeVar("Item")
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+", max_length=2048)]


class Body(BaseModel):
    """What a client sends: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _text_can_be_stored(cls, value: Any) -> Any:
        return storable(value)


class Answer(BaseModel):
    """What the service sends: clients must bear new fields."""


class Usage(Answer):
    """Calls that an endpoint answered, and the tokens it counted."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class RunError(Answer):
    """Why a run failed, in words a person can act on."""

    code: str
    message: str


Bounds = tuple[float, float]


class Page(Answer, Generic[Item]):
    data: list[Item]
    next_cursor: str | None


class Problem(Answer):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None
    retryable: bool
    errors: list[dict[str, str]] = []
