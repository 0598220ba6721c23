"""Ratings are packed once and figures are computed once, until a rating changes; then nothing of old is shown."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from httpx2 import ASGITransport, AsyncClient

from services.analytics.app import create_app
from services.analytics.figures import store
from services.analytics.figures.store import Question
from services.analytics.report import kept
from services.analytics.report.computing import Body
from services.analytics.report.packed import packed
from services.analytics.worker import look_around, store_ratings
from services.kit.aside import Aside, Pool
from services.kit.db import reading
from services.kit.ids import encode
from services.kit.web import INTERNAL
from tests.analytics.conftest import TENANT, World, csv


@dataclass
class Counted(Pool):
    """Processes of another pool, and how often one was asked for."""

    pool: Pool
    memory: int = 0
    taken: int = 0

    def take(self) -> Any:
        """One of the pool's."""
        self.taken += 1
        return self.pool.take()

    def give_back(self, process: Any, *, spent: bool = False) -> None:
        """To the pool."""
        self.pool.give_back(process, spent=spent)


@dataclass
class Asked:
    """A world whose figures' work is counted."""

    world: World
    pool: Counted

    async def figure(self, path: str, **query: str) -> Any:
        """What the gateway is answered."""
        answer = await self.world.client.get(path, params={"tenant": str(TENANT), **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def comparison(self, candidate: UUID, baseline: UUID, raters: str = "auto") -> Any:
        """The first − the second."""
        body = {"candidate": encode("run", candidate), "baseline": encode("run", baseline), "raters": raters}
        answer = await self.world.client.post(f"/internal/comparisons?tenant={TENANT}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def work(self, asking: Any) -> int:
        """How much was done in processes for what was asked."""
        before = self.pool.taken
        await asking
        return self.pool.taken - before


@pytest.fixture
async def asked(world: World, pools: tuple[Pool, Pool]) -> AsyncIterator[Asked]:
    pool = Counted(pools[0])
    resources = replace(world.resources, figures=Aside("counted", pool=pool))
    headers = {INTERNAL: world.resources.keys.internal_token}
    async with AsyncClient(transport=ASGITransport(create_app(resources)), base_url="http://a", headers=headers) as web:
        yield Asked(replace(world, resources=resources, client=web), pool)


async def rated(world: World, score: int = 4, **fields: Any) -> UUID:
    run = await world.run(2, 5, status="succeeded", phase=None, **{"judges": (), **fields})
    await world.send(scores(world, run, score))
    return run


def scores(world: World, run: UUID, score: int) -> str:
    return csv([{**row, "score": score if n % 7 else 1} for n, row in enumerate(world.rows(run))])


# --- packed -----------------------------------------------------------------------------------------------------------


async def documents(world: World) -> list[tuple[UUID, int, str]]:
    found = await world.db.fetch("SELECT run_id, changes, sha256 FROM analytics.packed ORDER BY run_id")
    return [tuple(row) for row in found]


async def test_the_report_of_a_run_leaves_its_ratings_packed(world: World) -> None:
    run = await rated(world)
    await world.report(run)
    [(id, changes, sha256)] = await documents(world)
    assert (id, changes) == (run, 1)
    async with reading(world.resources.engine) as tx:
        read = await packed(tx, run)
    assert read.document is not None and read.document.sha256 == sha256 and not read.rows.copied
    assert read.kinds == ["human"]


async def test_packed_ratings_are_read_until_one_changes(world: World) -> None:
    run = await rated(world)
    await world.report(run)
    [(_, _, first)] = await documents(world)
    await world.send(csv(world.rows(run, 5)[:1]), replace="true")
    async with reading(world.resources.engine) as tx:
        assert (await packed(tx, run)).document is None
    await world.report(run)
    [(_, changes, second)] = await documents(world)
    assert changes == 2 and first != second


async def test_how_dialogues_were_chosen_is_packed_with_their_ratings(world: World) -> None:
    run = await rated(world)
    await world.report(run)
    await world.send(scores(world, run, 4), sampling="random")
    await world.report(run)
    async with reading(world.resources.engine) as tx:
        read = await packed(tx, run)
    assert set(read.unpacked().sampling.values()) == {"random"} and len(read.unpacked().sampling) == 10


async def test_what_counts_otherwise_is_packed_anew(world: World) -> None:
    run = await world.run(2, 2, status="succeeded", phase=None, judges=())
    judge = [{**row, "rater_kind": "judge"} for row in world.rows(run, 3, rater="elsewhere")]
    await world.send(csv([*judge, *({**row, "rater_kind": "human"} for row in world.rows(run, 5))]))
    await world.report(run)
    async with reading(world.resources.engine) as tx:
        assert set((await packed(tx, run)).unpacked().ratings) == {"judge", "human"}
        await world.update(run, judges=["default"])  # from now on no import speaks for a judge
        assert set((await packed(tx, run)).unpacked().ratings) == {"human"}


async def test_agreement_reads_what_the_report_has_packed(asked: Asked) -> None:
    run = await rated(asked.world)
    await asked.world.report(run)
    assert await asked.work(kept.agree(asked.world.resources, run)) == 1


# --- figures ----------------------------------------------------------------------------------------------------------


async def test_a_breakdown_is_computed_once_for_each_way_of_asking(asked: Asked) -> None:
    run = await rated(asked.world)
    path = f"/internal/runs/{run}/metrics"
    await asked.world.report(run)
    found = [await asked.figure(path, group_by="character") for _ in range(3)]
    assert found[0] == found[1] == found[2]
    assert await asked.work(asked.figure(path, group_by="character")) == 0
    ways = [{"group_by": "scenario"}, {"group_by": "character", "limit": "1"}, {"group_by": "character", "start": "1"}]
    for way in [*ways, {"group_by": "character", "raters": "human"}]:
        assert await asked.work(asked.figure(path, **way)) == 1, way
    first = await asked.world.client.get(path, params={"tenant": str(TENANT), "group_by": "scenario", "limit": "2"})
    again = await asked.world.client.get(path, params={"tenant": str(TENANT), "group_by": "scenario", "limit": "2"})
    assert first.headers["X-ESRP-Count"] == again.headers["X-ESRP-Count"] == "5"


async def test_who_asks_the_same_at_once_waits_for_the_first(asked: Asked) -> None:
    run = await rated(asked.world)
    await asked.world.report(run)
    path = f"/internal/runs/{run}/metrics"
    asking = asyncio.gather(*(asked.figure(path, group_by="rater") for _ in range(6)))
    assert await asked.work(asking) == 1


async def test_a_comparison_is_computed_once_and_the_other_way_round_is_another(asked: Asked) -> None:
    one, other = await rated(asked.world, 3), await rated(asked.world, 4)
    for run in (one, other):
        await asked.world.report(run)
    first = await asked.comparison(one, other)
    assert await asked.work(asked.comparison(one, other)) == 0
    turned = await asked.comparison(other, one)
    assert turned["overall"]["difference"] == -first["overall"]["difference"] != 0
    assert await asked.work(asked.comparison(one, other, "human")) == 1


async def test_a_leaderboard_is_computed_once_until_another_run_is_there(asked: Asked) -> None:
    runs = [await rated(asked.world, score) for score in (2, 3)]
    for number, run in enumerate(runs):
        await asked.world.update(run, candidate_name=f"bot {number}")
    first = await asked.figure("/internal/leaderboard", suite="tiny")
    assert await asked.work(asked.figure("/internal/leaderboard", suite="tiny")) == 0
    assert await asked.figure("/internal/leaderboard", suite="tiny") == first
    third = await rated(asked.world, 4)
    await asked.world.update(third, candidate_name="bot 2")
    found = await asked.figure("/internal/leaderboard", suite="tiny")
    assert {row["candidate"] for row in found["rows"]} == {"bot 0", "bot 1", "bot 2"}
    await asked.world.update(third, status="cancelled")
    await asked.world.update(runs[0], candidate_name="bot 1")
    found = await asked.figure("/internal/leaderboard", suite="tiny")
    assert {row["run"] for row in found["rows"]} == {encode("run", runs[1]), encode("run", third)}


async def test_a_changed_rating_is_in_every_figure_that_is_asked_after_it(asked: Asked) -> None:
    world = asked.world
    one, other = await rated(world, 3), await rated(world, 4)
    await world.update(other, candidate_name="other")

    async def means() -> list[float]:
        groups = (await asked.figure(f"/internal/runs/{one}/metrics", group_by="rater"))["groups"]
        board = (await asked.figure("/internal/leaderboard", suite="tiny"))["rows"]
        row = next(row for row in board if row["run"] == encode("run", one))
        difference = (await asked.comparison(one, other))["overall"]["difference"]
        return [groups["r1"]["overall"]["mean"], row["overall"]["mean"], difference]

    before = await means()
    assert await world.count("analytics.figures") == 3
    await world.send(csv(world.rows(one, 5)), replace="true")
    assert await world.count("analytics.figures") == 0
    assert await means() == pytest.approx([5, 5, before[2] + 5 - before[0]])


async def test_a_score_that_is_taken_over_drops_the_figures_of_its_run_alone(asked: Asked) -> None:
    world = asked.world
    judged, other = await world.run(judges=("default",)), await rated(world)
    for run in (judged, other):
        await asked.figure(f"/internal/runs/{run}/metrics", group_by="character")
    await world.judge(judged, 0, 4)
    await store_ratings(world.resources, judged)
    assert [list(row["run_ids"]) for row in await world.db.fetch("SELECT run_ids FROM analytics.figures")] == [[other]]
    found = await asked.figure(f"/internal/runs/{judged}/metrics", group_by="character")
    assert (found["raters"], found["count"]) == ("judge", 1)


async def test_a_deleted_run_is_in_no_figure_any_more(asked: Asked) -> None:
    world = asked.world
    one, other = await rated(world, 3), await rated(world, 4)
    await world.update(one, candidate_name="one", manifest=json.dumps({"rounds": 3}), manifest_sha256="other")
    await asked.figure("/internal/leaderboard", suite="tiny")  # one of them is not ranked, but named
    await asked.figure(f"/internal/runs/{other}/metrics", group_by="character")
    await world.db.execute("INSERT INTO gateway.deletions (run_id, tenant_id) VALUES ($1, $2)", one, TENANT)
    await world.db.execute("DELETE FROM gateway.runs WHERE id = $1", one)
    await look_around(world.resources)
    [left] = await world.db.fetch("SELECT run_ids, content FROM analytics.figures")
    assert list(left["run_ids"]) == [other]
    assert (await world.client.get(f"/internal/runs/{one}/metrics?tenant={TENANT}&group_by=rater")).status_code == 404


async def test_a_tenant_asks_in_vain_for_anothers_figure(asked: Asked) -> None:
    run = await rated(asked.world)
    path = f"/internal/runs/{run}/metrics"
    await asked.figure(path, group_by="character")
    answer = await asked.world.client.get(path, params={"tenant": str(UUID(int=2)), "group_by": "character"})
    assert answer.status_code == 404


async def test_of_a_tenants_figures_the_newest_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST", 3)
    monkeypatch.setattr(store, "BYTES", 100)

    async def keep(key: str, size: int, tenant: UUID = TENANT) -> None:
        async with world.resources.engine.begin() as tx:
            await store.keep(tx, tenant, key * 64, [], Body(b"x" * size, "text/csv"))

    async def there() -> str:
        return "".join([row["key"][0] for row in await world.db.fetch("SELECT key FROM analytics.figures ORDER BY 1")])

    await keep("0", 90, UUID(int=2))
    for key in "abcd":
        await keep(key, 10)
    assert await there() == "0bcd"
    await keep("e", 85)
    assert await there() == "0de"


async def test_an_answer_comes_back_as_it_was_kept(world: World) -> None:
    asked = Question(TENANT, {"kind": "metrics"}, suite="tiny")
    found = await store.find(world.resources.engine, asked)
    body = Body(b"a,b\n1,2\n", "text/csv", 17)
    async with world.resources.engine.begin() as tx:
        await store.keep(tx, TENANT, found.key, [], body)
    assert (await store.find(world.resources.engine, asked)) == store.Found(found.key, body)
    other = replace(asked, parameters={"kind": "series"})
    assert (await store.find(world.resources.engine, other)).body is None
