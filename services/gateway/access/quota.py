"""How many requests a key may make."""

import time
from dataclasses import dataclass
from uuid import UUID

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of a key's minute."""

    allowed: bool
    limit: int
    remaining: int
    reset: int  # seconds

    @property
    def headers(self) -> dict[str, str]:
        """The ``RateLimit`` fields of the IETF draft."""
        return {
            "RateLimit-Policy": f'"default";q={self.limit};w=60',
            "RateLimit": f'"default";r={self.remaining};t={self.reset}',
        }


class RateLimit:
    """So many requests a minute for each key, counted in this process: a slip over replicas is cheaper than a store."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, key_id: UUID) -> Quota:
        """Count one request of the key."""
        allowed = await self._limiter.hit(self._item, str(key_id))
        window = await self._limiter.get_window_stats(self._item, str(key_id))
        reset = max(1, round(window.reset_time - time.time()))
        return Quota(allowed, self._item.amount, max(0, window.remaining), reset)
