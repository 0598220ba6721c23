"""What a run may spend, and what calls cost."""

from typing import Protocol, TypeVar

from pydantic import Field

from esrp.api.common import Body


class Budget(Body):
    """What a run may spend over candidate, simulator and judges; no call is begun that could break it."""

    max_tokens: int | None = Field(None, ge=1)
    max_calls: int | None = Field(None, ge=1)
    max_cost: float | None = Field(None, gt=0, description="in the currency of the prices")


class Price(Body):
    """Money for a million tokens."""

    prompt_per_million: float = Field(ge=0)
    completion_per_million: float = Field(ge=0)


class Prices(Body):
    """What is not given costs nothing."""

    candidate: Price | None = None
    simulator: Price | None = None
    judge: Price | None = None


class Charged(Protocol):
    """What may name a budget and prices."""

    budget: Budget | None
    prices: Prices | None


Asked = TypeVar("Asked", bound=Charged)


def priced(asked: Asked) -> Asked:
    """A limit on the cost says nothing without prices."""
    if asked.budget and asked.budget.max_cost is not None and asked.prices is None:
        raise ValueError("budget.max_cost needs prices")
    return asked
