"""Bodies that we read ourselves, for they are large or have several forms; what is wrong is told by its line."""

from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from esrp.errors import InvalidInput
from esrp.suite import Suite, faults, parse_json, parse_yaml

Model = TypeVar("Model", bound=BaseModel)


def text(body: bytes) -> str:
    """UTF-8, with or without a mark at its beginning."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise InvalidInput.at(f"line {line}", f"line {line}: not UTF-8") from error


def document(body: bytes) -> Any:
    """JSON."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = f"line {error.lineno}: not JSON: {error.msg}"
        raise InvalidInput.at(f"line {error.lineno}", message) from error


def suite(body: bytes, content_type: str) -> Suite:
    """A suite in JSON or YAML."""
    return parse_json(text(body)) if "json" in content_type else parse_yaml(text(body))


def validated(model: type[Model], document: Any, what: str) -> Model:
    """The document as the model; at most a hundred faults are told at once."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = list(faults(error.errors()))[:100]
        raise InvalidInput(f"{what} is not valid; nothing was stored.", errors=found) from error


def parameter(value: str | None, name: str) -> str:
    """A parameter that this body needs."""
    if not value:
        raise InvalidInput.at(name, f"?{name}= is needed with this body")
    return value
