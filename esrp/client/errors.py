"""What a client can meet: the service's own answer that something is wrong, or no answer at all."""

from collections.abc import Sequence

from esrp.errors import EsrpError, Fault


class ApiError(EsrpError):
    """The service refused, in its own words: a problem document (RFC 9457), or whatever came instead of one."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        request_id: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail, errors=errors, retry_after=retry_after)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retryable = retryable


class ConnectionFailed(EsrpError):
    """The service at ``url`` could not be reached, or stopped in the middle of its answer."""

    status, code, retryable = 503, "connection_failed", True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"No connection to {url}: {reason}.")
        self.url = url
        self.reason = reason
