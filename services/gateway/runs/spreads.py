"""How two runs of a suite differ, as analytics measured it: what a plan can show stands on that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.stats.power import Spread
from services.kit.db import one


@dataclass(frozen=True, slots=True)
class _Kept:
    document: Mapping[str, Any]


async def of(tx: AsyncConnection, tenant_id: UUID, suite_id: UUID, judges: Sequence[str]) -> Spread | None:
    """Of the tenant's runs of the suite by these judges; ``None`` before there were two that share 60 pairs."""
    found = await one(
        tx,
        _Kept,
        "SELECT document FROM analytics.spreads_v1 WHERE tenant_id = :tenant AND suite_id = :suite"
        " AND judges = CAST(:judges AS text[])",
        tenant=tenant_id,
        suite=suite_id,
        judges=sorted(judges),
    )
    if found is None:
        return None
    arrays = {name: np.array(found.document[name], dtype=np.float64) for name in ("among", "within", "low")}
    return Spread(**arrays, pairs=found.document["pairs"], scenarios=found.document["scenarios"])
