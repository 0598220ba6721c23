"""A release policy from a text, JSON or YAML; what is wrong with it is told by line and field."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from esrp.documents import Located, read
from esrp.errors import InvalidInput
from esrp.policies import Policy
from esrp.suite import faults

Model = TypeVar("Model", bound=BaseModel)


def parse(text: str) -> Policy:
    """The policy in a YAML or JSON text; ``InvalidInput`` names line, field and reason of every fault."""
    return validated(Policy, read(text))


def validated(model: type[Model], source: Located) -> Model:
    """The document as that model; ``InvalidInput`` names line, field and reason of every fault."""
    wrong = list(source.repeated)
    try:
        found = model.model_validate(source.document)
    except ValidationError as error:
        wrong += faults(error.errors(include_url=False, include_context=False), source.line)
    if wrong:
        told = "; ".join(f"{fault.pointer}: {fault.message}" for fault in wrong[:3])
        raise InvalidInput(f"The policy is not valid. {told}", errors=wrong)
    return found
