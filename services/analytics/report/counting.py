"""What is counted of replies is counted as they come, a page at a time: a report need not read a run's texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from esrp.diversity import counted
from esrp.metrics import Language
from services.analytics.runs import Run
from services.kit.aside import Do
from services.kit.bulk import Rows, copied
from services.kit.db import count, row
from services.work import watermark
from services.work.watermark import since

COUNTED = "analytics.counted"
PAGE = 1_000  # dialogues at once: a megabyte of text, 40 ms


@dataclass(frozen=True, slots=True)
class Page:
    """What was counted of some dialogues, by their ids, and where the next page begins: a change and an id."""

    ids: Sequence[UUID]
    replies: Sequence[str]
    after: tuple[str, str] | None


async def count_replies(engine: AsyncEngine, do: Do, run: Run) -> None:
    """Count what the run's dialogues that ended since the last look have to say."""
    async with engine.begin() as tx:
        looked = await watermark.look(tx, COUNTED, run.id)
    after: tuple[str, str] | None = (looked.since, str(UUID(int=0)))
    while after is not None:
        async with engine.begin() as tx:
            texts = await _texts(tx, run.id, after)
        page = await do(counted_page, texts, run.language)
        async with engine.begin() as tx:
            await _save(tx, run, page)
            if page.after is None:
                await watermark.seen(tx, COUNTED, run.id, run.tenant_id, looked)
        after = page.after


async def is_due(tx: AsyncConnection, run_id: UUID) -> bool:
    """Whether a page of dialogues has ended since the last look."""
    found = await row(
        tx,
        f"SELECT :page <= (SELECT count(*) FROM ("
        f"SELECT FROM generator.dialogues_v1 d WHERE d.run_id = :run AND d.changed_in >= {since(COUNTED, ':run')}"
        " LIMIT :page) x) AS due",
        run=run_id,
        page=PAGE,
    )
    return found is not None and bool(found["due"])


def counted_page(texts: Rows, language: Language) -> Page:
    """What is counted of a page of dialogues; the last one has no next."""
    ids, replies, last = [], [], None
    for change, id, said in texts:
        ids.append(UUID(id))
        replies.append(orjson.dumps([None if text is None else (*counted(text, language),) for text in said]).decode())
        last = change, id
    return Page(ids, replies, last if len(ids) == PAGE else None)


async def _texts(tx: AsyncConnection, run_id: UUID, after: tuple[str, str]) -> Rows:
    """The replies of the next dialogues, and where each stands: by the transaction that ended it, and its id."""
    change, id = after
    return await copied(
        tx,
        f"""
        SELECT json_build_array(d.changed_in::text, d.id, jsonb_path_query_array(d.turns, '$[*].assistant'))
        FROM generator.dialogues_v1 d
        WHERE d.run_id = '{run_id}' AND d.changed_in IS NOT NULL AND (d.changed_in, d.id) > ('{change}'::xid8, '{id}')
        ORDER BY d.changed_in, d.id LIMIT {PAGE}
        """,
    )


async def _save(tx: AsyncConnection, run: Run, page: Page) -> None:
    await count(
        tx,
        "INSERT INTO analytics.replies AS r (run_id, tenant_id, dialogue_id, counted)"
        " SELECT :run, :tenant, x.id, CAST(x.counted AS json)"
        " FROM unnest(CAST(:ids AS uuid[]), CAST(:replies AS text[])) AS x(id, counted)"
        " ORDER BY x.id"
        " ON CONFLICT (dialogue_id) DO UPDATE SET counted = excluded.counted"
        " WHERE r.counted::text <> excluded.counted::text",
        run=run.id,
        tenant=run.tenant_id,
        ids=list(page.ids),
        replies=list(page.replies),
    )
