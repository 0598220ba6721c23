"""Figures as they were answered, kept by a hash of all that they follow from: what was asked, and of which runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from esrp import __version__
from esrp.api import FINAL
from esrp.canonical import digest
from esrp.stats import METHOD
from services.analytics.report.computing import Body
from services.kit.db import count, fetch

MOST, BYTES = 512, 64 << 20  # of a tenant's figures, the newest; a breakdown of a hundred groups has 200 KB
LOOKED_AT = 1000  # runs of a suite, the newest, among which a leaderboard finds its candidates


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a tenant's runs: of these, in their order, or of the newest final ones of a suite.

    ``parameters`` are the kind of figure and everything that moves it beside the runs.
    """

    tenant_id: UUID
    parameters: Mapping[str, Any]
    runs: Sequence[UUID] = ()
    suite: str | None = None

    @property
    def sha256(self) -> str:
        """A hash of it, of how intervals are computed and of the version whose answer it is."""
        return digest([str(self.tenant_id), self.parameters, self.suite, asdict(METHOD), __version__])


@dataclass(frozen=True, slots=True)
class Found:
    """The key of a question about the runs as they are now, and the answer if it is kept."""

    key: str
    body: Body | None


async def find(engine: AsyncEngine, asked: Question) -> Found:
    """Look it up.

    The key is of the runs' state when it is looked up. Who computes after that keeps the answer of that state or of a
    later one, and for the later one nobody asks with this key.
    """
    if asked.suite is None:
        found = await fetch(engine, _OF_RUNS, asked.sha256, asked.tenant_id, list(asked.runs))
    else:
        found = await fetch(engine, _OF_SUITE, asked.sha256, asked.tenant_id, list(FINAL), asked.suite, LOOKED_AT)
    assert found is not None
    if found["content"] is None:
        return Found(found["key"], None)
    return Found(found["key"], Body(found["content"], found["media_type"], found["groups"]))


async def keep(tx: AsyncConnection, tenant_id: UUID, key: str, run_ids: Sequence[UUID], body: Body) -> None:
    """Keep the answer, which shows these runs, in place of the tenant's oldest ones."""
    await count(
        tx,
        "INSERT INTO analytics.figures (key, tenant_id, run_ids, media_type, groups, content)"
        " VALUES (:key, :tenant, CAST(:runs AS uuid[]), :media_type, :groups, :content) ON CONFLICT (key) DO NOTHING",
        key=key,
        tenant=tenant_id,
        runs=list(run_ids),
        media_type=body.media_type,
        groups=body.count,
        content=body.content,
    )
    await count(
        tx,
        "DELETE FROM analytics.figures f USING (SELECT key, row_number() OVER newest AS place,"
        " sum(octet_length(content)) OVER newest AS bytes FROM analytics.figures WHERE tenant_id = :tenant"
        " WINDOW newest AS (ORDER BY made_at DESC, key)) x"
        " WHERE f.key = x.key AND (x.place > :most OR x.bytes > :bytes)",
        tenant=tenant_id,
        most=MOST,
        bytes=BYTES,
    )


async def forget(tx: AsyncConnection) -> None:
    """Figures that show deleted runs go with them."""
    await count(tx, "DELETE FROM analytics.figures f USING gateway.deletions_v1 d WHERE f.run_ids @> ARRAY[d.run_id]")


# What is shown of a run `r`, and which ratings it has: `a` says how often they have changed.
_STATE = (
    "json_build_array(r.id, r.suite_id, r.suite_label, r.candidate_name, r.manifest_sha256, r.judges,"
    " coalesce(a.changes, 0)"
)
_ANSWER = """
    , asked AS (SELECT encode(sha256(convert_to($1 || coalesce(states, ''), 'UTF8')), 'hex') AS key FROM state)
    SELECT asked.key, f.content, f.media_type, f.groups
    FROM asked LEFT JOIN analytics.figures f ON f.key = asked.key AND f.tenant_id = $2
"""
_OF_RUNS = f"""
    WITH state AS (
        SELECT string_agg({_STATE})::text, ',' ORDER BY x.place) AS states
        FROM unnest($3::uuid[]) WITH ORDINALITY x(id, place)
        JOIN gateway.runs_v1 r ON r.id = x.id AND r.tenant_id = $2
        LEFT JOIN analytics.rated a ON a.run_id = r.id)
    {_ANSWER}"""
_OF_SUITE = f"""
    WITH state AS (
        SELECT string_agg({_STATE}, r.status, r.revision)::text, ',' ORDER BY r.created_at DESC, r.id DESC) AS states
        FROM (
            SELECT * FROM gateway.runs_v1 WHERE tenant_id = $2 AND status = ANY($3)
            AND $4 IN (suite_label, split_part(suite_label, '@', 1)) ORDER BY created_at DESC, id DESC LIMIT $5) r
        LEFT JOIN analytics.rated a ON a.run_id = r.id)
    {_ANSWER}"""
