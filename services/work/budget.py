"""What a run may cost: reserved before each call, over all services and workers, so that no call breaks the budget.

A slice reserves a block in its lease's row, and its calls take their upper bounds from that. What was saved counts as
spent, what is reserved and not yet spent is held back; a dead worker's reservation ends with its lease.
"""

import asyncio
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.chat import Attempt, Stopped
from services.kit.db import FAILURES, count, row, rows
from services.kit.endpoint import Reply
from services.work.lease import Slice
from services.work.published import Run
from services.work.seats import Seats

log = structlog.get_logger()

PROMPT = ("messages", "response_format", "tools", "documents")  # what of a chat's body may be counted as its prompt
BLOCK = 8  # calls reserved at once: one reservation is four small statements
PAUSE = 0.2  # seconds between looks while others hold what we need
UNKNOWN_LENGTH = 4096  # tokens of an answer whose length was not limited
EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Amount:
    """Calls, tokens, and money in the currency of the prices."""

    calls: float = 0
    tokens: float = 0
    cost: float = 0

    def __add__(self, other: "Amount") -> "Amount":
        """Both together."""
        return Amount(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)

    def __sub__(self, other: "Amount") -> "Amount":
        """What is left."""
        return Amount(self.calls - other.calls, self.tokens - other.tokens, self.cost - other.cost)

    def times(self, factor: float) -> "Amount":
        """So often."""
        return Amount(self.calls * factor, self.tokens * factor, self.cost * factor)

    def within(self, other: "Amount") -> bool:
        """Whether none of the three is more than the other's."""
        return self.calls <= other.calls and self.tokens <= other.tokens and self.cost <= other.cost + EPSILON

    def at_most(self, other: "Amount") -> "Amount":
        """The smaller of each."""
        return Amount(min(self.calls, other.calls), min(self.tokens, other.tokens), min(self.cost, other.cost))


def bound(body: Mapping[str, Any], price: Mapping[str, float] | None) -> Amount:
    """The most that one call can cost: a token is at least a byte of the prompt, and answers have a limit.

    Prompts of token ids, which are answered one by one, are counted.
    """
    prompts = body.get("prompt")
    asked = _asked(body) if prompts is None else sum(map(len, prompts))
    said = max(int(body.get(limit) or 0) for limit in ("max_tokens", "max_completion_tokens")) or UNKNOWN_LENGTH
    said *= 1 if prompts is None else len(prompts)
    return Amount(1, asked + said, _cost(asked, said, price))


def _asked(body: Mapping[str, Any]) -> int:
    return sum(len(orjson.dumps(body[part])) for part in PROMPT if part in body)


def _cost(asked: float, said: float, price: Mapping[str, float] | None) -> float:
    if not price:
        return 0.0
    return (asked * price["prompt_per_million"] + said * price["completion_per_million"]) / 1e6


class Purse:
    """The budget of a run in the hands of one slice. Without a budget it is never asked."""

    def __init__(self, lease: Slice, run: Run) -> None:
        self._lease, self._run = lease, run
        self._budget = _most(run.budget or {})
        self._reserved = self._held = Amount()
        self._lock = asyncio.Lock()

    def price(self, role: str) -> Mapping[str, float] | None:
        """What the role's tokens cost."""
        found: Mapping[str, float] | None = (self._run.prices or {}).get(role)
        return found

    async def take(self, most: Amount, *, patient: bool = True) -> None:
        """Hold ``most`` back; ``Stopped`` if the budget does not allow it, or the slice has ended.

        While others hold what we need there is something to wait for; who is not ``patient`` leaves at once.
        """
        while not (self._held + most).within(self._reserved):
            async with self._lock:
                if (self._held + most).within(self._reserved):
                    break
                if self._lease.stopped.is_set():
                    raise Stopped
                try:
                    enough = await self._reserve(most)
                except FAILURES as error:
                    log.warning("budget.unread", run_id=str(self._run.id), error=repr(error)[:200])
                    enough = False
                if not enough and not patient:
                    raise Stopped
                if not enough:
                    await asyncio.sleep(PAUSE)
        self._held += most

    def settle(self, held: Amount, *, spent: bool) -> None:
        """What this was held for was saved, and counts as spent from now on; or nothing was ``spent`` on it."""
        self._held -= held
        if spent:
            self._reserved -= held

    async def _reserve(self, most: Amount) -> bool:
        """Enlarge our reservation; false if others, or our own calls in flight, hold what we need.

        ``Stopped`` where nobody holds anything and it is still not enough: the budget is used up.
        """
        # What is settled while we look is in neither of the two sums, so they are taken as they were before.
        held, reserved = self._held, self._reserved
        async with self._lease.engine.begin() as tx:
            free, others = await self._free(tx)
            wanted = (reserved + most.times(BLOCK)).at_most(free)
            enough = (held + most).within(wanted)
            if not enough:
                self._reserved = self._held
            await self._write(tx, wanted if enough else self._held)
            if exhausted := not (enough or others or held.calls or self._held.calls):
                await self._exhausted(tx)
        if exhausted:
            log.info("budget.exhausted", run_id=str(self._run.id))
            self._lease.stopped.set()
            raise Stopped
        if enough:
            self._reserved += wanted - reserved
        return enough

    async def _free(self, tx: AsyncConnection) -> tuple[Amount, bool]:
        """What is neither spent nor held by others, and whether others hold anything. Alone, until the commit."""
        run = self._run.id
        await rows(tx, "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))", key=f"budget:{run}")
        spent = await rows(tx, _SPENT, run=run)
        others = await row(tx, _OTHERS, run=run, slice=self._lease.id)
        assert others is not None
        used = Amount(others["calls"], others["tokens"], others["cost"])
        for part in spent:
            asked, said = float(part["asked"]), float(part["said"])
            cost = _cost(asked, said, self.price(part["role"]))
            used += Amount(float(part["calls"]), asked + said, cost)
        return self._budget - used, others["calls"] > 0

    async def _write(self, tx: AsyncConnection, reserved: Amount) -> None:
        await count(
            tx,
            f"UPDATE {self._lease.schema}.slices SET reserved_calls = :calls, reserved_tokens = :tokens,"
            " reserved_cost = :cost WHERE id = :id",
            id=self._lease.id,
            calls=reserved.calls,
            tokens=reserved.tokens,
            cost=reserved.cost,
        )

    async def _exhausted(self, tx: AsyncConnection) -> None:
        await count(
            tx,
            f"INSERT INTO {self._lease.schema}.exhausted (run_id, tenant_id, revision)"
            " VALUES (:run, :tenant, :revision) ON CONFLICT (run_id) DO UPDATE SET revision = excluded.revision",
            run=self._run.id,
            tenant=self._run.tenant_id,
            revision=self._run.revision,
        )


@dataclass(slots=True)
class Errand:
    """On whose behalf a dialogue's or a verdict's calls are made: when to stop, and who pays for them."""

    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    purse: Purse | None = None
    of: Hashable = None
    _held: Amount = Amount()

    def door(self, seats: Seats | None, body: Mapping[str, Any], role: str) -> "ErrandDoor | None":
        """What a call with this body has to pass: a seat at the endpoint, then the budget."""
        if self.purse is None:
            return None if seats is None else ErrandDoor(self, None, seats, Amount())
        return ErrandDoor(self, self.purse, seats, bound(body, self.purse.price(role)))

    async def pay(self, purse: Purse, most: Amount, attempt: Attempt) -> Reply:
        """Make the attempt with what it may cost held back. Who has paid already and not saved it does not wait."""
        await purse.take(most, patient=self._held == Amount())
        try:
            reply = await attempt()
        except BaseException as error:
            if getattr(error, "billed", None) is None:
                purse.settle(most, spent=False)
            else:
                self._held += most
            raise
        self._held += most
        return reply

    def settle(self) -> None:
        """What the calls so far have cost is saved."""
        if self.purse is not None:
            self.purse.settle(self._held, spent=True)
            self._held = Amount()


@dataclass(frozen=True, slots=True)
class ErrandDoor:
    """See ``Errand.door``."""

    errand: Errand
    purse: Purse | None
    seats: Seats | None
    most: Amount

    async def call(self, attempt: Attempt, stopped: asyncio.Event | None) -> Reply:
        """Make the attempt with a seat, and with its cost held back."""

        async def paid() -> Reply:
            return await (attempt() if self.purse is None else self.errand.pay(self.purse, self.most, attempt))

        return await (paid() if self.seats is None else self.seats.call(paid, stopped, self.errand.of))


def _most(budget: Mapping[str, float | None]) -> Amount:
    def limit(name: str) -> float:
        value = budget.get(name)
        return float("inf") if value is None else float(value)

    return Amount(limit("max_calls"), limit("max_tokens"), limit("max_cost"))


_SPENT = """
    SELECT 'candidate' AS role, coalesce(sum(candidate_calls), 0) AS calls,
        coalesce(sum(candidate_prompt_tokens), 0) AS asked, coalesce(sum(candidate_completion_tokens), 0) AS said
    FROM generator.tallies_v1 WHERE run_id = :run
    UNION ALL SELECT 'simulator', coalesce(sum(simulator_calls), 0), coalesce(sum(simulator_prompt_tokens), 0),
        coalesce(sum(simulator_completion_tokens), 0) FROM generator.tallies_v1 WHERE run_id = :run
    UNION ALL SELECT 'judge', coalesce(sum(calls), 0), coalesce(sum(prompt_tokens), 0),
        coalesce(sum(completion_tokens), 0) FROM judge.tallies_v1 WHERE run_id = :run"""

_OTHERS = """
    SELECT coalesce(sum(reserved_calls), 0)::float8 AS calls, coalesce(sum(reserved_tokens), 0)::float8 AS tokens,
        coalesce(sum(reserved_cost), 0)::float8 AS cost
    FROM (SELECT * FROM generator.slices_v1 UNION ALL SELECT * FROM judge.slices_v1) s
    WHERE s.run_id = :run AND s.id <> :slice AND s.expires_at > now()"""
