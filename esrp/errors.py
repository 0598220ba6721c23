"""Every error that a person or a program can meet, each with its status and a stable code.

EsrpError
├── InvalidInput            422  the request is understood and wrong; carries where and why
│   ├── NotConfigured       422  a model is named that nobody has set up; carries the lines to add
│   └── KeyReused           422  an idempotency key with another body
├── NotFound                404
├── Conflict                409
│   ├── BaselineInUse       409  the run is a baseline; carries of which names
│   ├── InFlight            409  the same idempotency key is being worked on
│   ├── NotComparable       409  two runs differ in what makes them comparable; carries in what
│   └── WrongState          409  the run is not in a state for that
├── Unauthorized            401
├── Forbidden               403
├── TooLarge                413
├── TooManyRequests         429
└── Unavailable             503  a part we need is away; try again
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: a JSON pointer (or ``line 12``) and the reason."""

    pointer: str
    message: str


class EsrpError(Exception):
    """The root: rendered in one place as a problem document (RFC 9457)."""

    status = 500
    code = "internal_error"
    retryable = False

    def __init__(self, detail: str, *, errors: Sequence[Fault] = (), retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.extra: dict[str, Any] = {}  # members that this kind of problem has besides those of all

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, from one process to another, whatever its kind wants to be made of."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[EsrpError], args: tuple[Any, ...], facts: dict[str, Any]) -> EsrpError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class InvalidInput(EsrpError):
    """The input is wrong; ``errors`` says where."""

    status, code = 422, "invalid_input"

    @classmethod
    def at(cls, pointer: str, message: str) -> "InvalidInput":
        """One fault at one place."""
        return cls(message, errors=[Fault(pointer, message)])


class NotConfigured(InvalidInput):
    """A judge, simulator or writer was named that this installation does not have."""

    code = "not_configured"

    def __init__(self, pointer: str, what: str, name: str, lines: str) -> None:
        message = f"No {what} named {name!r} is configured. Add to esrp.yaml:\n{lines}"
        super().__init__(message, errors=[Fault(pointer, message)])


class KeyReused(InvalidInput):
    """The idempotency key was used before with another body."""

    code = "idempotency_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"Idempotency-Key {key!r} was used before with another request; take a new key.")


class NotFound(EsrpError):
    """There is no such thing, or it is another tenant's."""

    status, code = 404, "not_found"

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"There is no {what} {name!r}.")


class Conflict(EsrpError):
    """The request cannot be carried out as things stand."""

    status, code = 409, "conflict"


class BaselineInUse(Conflict):
    """The run is a baseline; ``baselines`` says of which names."""

    code = "baseline_in_use"

    def __init__(self, run: str, names: Sequence[str]) -> None:
        told = ", ".join(f"`esrp baseline delete {name}`" for name in names)
        super().__init__(
            f"Run {run} is the baseline {' and '.join(map(repr, names))}: releases are held against it. Let the name"
            f" mean another run (`esrp baseline set {names[0]} RUN`), or take it away ({told}); then it can be deleted."
        )
        self.extra = {"baselines": list(names)}


class InFlight(Conflict):
    """The same idempotency key is being worked on right now."""

    code, retryable = "idempotency_key_in_flight", True

    def __init__(self, key: str) -> None:
        super().__init__(f"A request with Idempotency-Key {key!r} is in flight.", retry_after=1)


class NotComparable(Conflict):
    """The runs were not measured alike; ``differs`` says in what: suite, simulator, judges, rounds."""

    code = "not_comparable"

    def __init__(self, differs: Sequence[str]) -> None:
        super().__init__(f"The runs cannot be compared: they differ in {', '.join(differs)}.")
        self.extra = {"differs": list(differs)}


class WrongState(Conflict):
    """The run's status does not allow it."""

    code = "wrong_state"

    def __init__(self, run: str, status: str, wanted: str) -> None:
        super().__init__(f"Run {run} is {status}; this needs a run that is {wanted}.")


class Unauthorized(EsrpError):
    """No key, or one we do not know."""

    status, code = 401, "unauthorized"


class Forbidden(EsrpError):
    """The key lacks a scope."""

    status, code = 403, "forbidden"


class TooLarge(EsrpError):
    """The body is over the limit."""

    status, code = 413, "body_too_large"


class TooManyRequests(EsrpError):
    """Over the key's rate."""

    status, code, retryable = 429, "rate_limited", True


class Unavailable(EsrpError):
    """A part that we need does not answer."""

    status, code, retryable = 503, "unavailable", True
