"""Scenario sets: what was asked for, how far the generator is with it, and what was taken into a suite."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import (
    CellTally,
    CharactersOf,
    GridCoverage,
    RunError,
    ScenarioDraft,
    ScenarioProgress,
    ScenarioSetDetail,
    ScenarioSetLinks,
    ScenarioSetOut,
    ScenarioSetRequest,
    ScenarioSetStatus,
    ScenarioState,
    SelectRequest,
    Tally,
    Usage,
)
from esrp.dialogue import Character, Scenario
from esrp.errors import Fault, InvalidInput, NotConfigured, NotFound
from esrp.grid import Grid
from esrp.metrics import Language
from esrp.prompts.writing import writer_hashes
from esrp.suite import BUNDLED, Suite
from services.gateway.suites import suites
from services.gateway.suites.suites import StoredSuite
from services.kit.db import count, json, many, one
from services.kit.ids import encode, uuid7
from services.kit.settings import ModelSettings, Settings


@dataclass(frozen=True, slots=True)
class StoredSet:
    """What was asked for."""

    id: UUID
    tenant_id: UUID
    name: str
    language: Language
    grid: Mapping[str, Any]
    writer: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Far:
    """How far the generator is with a set; as here, before its drafts are written down."""

    set_id: UUID | None = None
    written: int = 0
    failed: int = 0
    selected: int = 0
    near_duplicates: int = 0
    begun: bool = False
    open: bool = True
    reason: str | None = None
    finished_at: datetime | None = None
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def status(self) -> ScenarioSetStatus:
        """As clients see it."""
        if self.open:
            return "running" if self.begun else "queued"
        return "succeeded" if self.written else "failed"


@dataclass(frozen=True, slots=True)
class Covered:
    """How far a cell of the grid is covered."""

    persona: str = ""
    emotion: str = ""
    location: str = ""
    written: int = 0
    failed: int = 0
    selected: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A generated scenario."""

    id: UUID
    position: int
    persona: str
    emotion: str
    location: str
    number: int
    state: ScenarioState
    event: str | None
    question: str | None
    writer: Mapping[str, Any] | None
    attempts: int
    raw: str | None
    error: Mapping[str, Any] | None
    near_duplicate_of: UUID | None
    similarity: float | None
    selected: bool

    @property
    def out(self) -> ScenarioDraft:
        """As clients see it."""
        return ScenarioDraft(
            id=encode("scn", self.id),
            persona=self.persona,
            emotion=self.emotion,
            location=self.location,
            number=self.number,
            state=self.state,
            event=self.event,
            question=self.question,
            near_duplicate_of=self.near_duplicate_of and encode("scn", self.near_duplicate_of),
            similarity=self.similarity,
            selected=self.selected,
            attempts=self.attempts,
            raw=self.raw,
            error=self.error and RunError.model_validate(self.error),
        )


def writer_named(settings: Settings) -> ModelSettings:
    """The configured writer; ``NotConfigured`` says which lines to add."""
    if settings.writer is None:
        lines = 'writer: {base_url: "https://…/v1", model: "…", api_key_env: "…"}'
        raise NotConfigured("/writer", "writer", "default", lines)
    return settings.writer


async def add(tx: AsyncConnection, tenant_id: UUID, request: ScenarioSetRequest, writer: ModelSettings) -> StoredSet:
    """Keep what was asked for; its drafts are the generator's."""
    added = await one(
        tx,
        StoredSet,
        "INSERT INTO gateway.scenario_sets (id, tenant_id, name, language, grid, writer) VALUES"
        f" (:id, :tenant, :name, :language, CAST(:grid AS jsonb), CAST(:writer AS jsonb)) RETURNING {_SET}",
        id=uuid7(),
        tenant=tenant_id,
        name=request.name,
        language=request.language,
        grid=json(request.grid.model_dump(mode="json")),
        writer=json({"model": writer.model, "prompts": writer_hashes(request.language)}),
    )
    assert added is not None
    return added


async def find(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> StoredSet:
    """The set; ``NotFound`` if the tenant has none of that id."""
    sql = f"SELECT {_SET} FROM gateway.scenario_sets WHERE id = :id AND tenant_id = :tenant"
    found = await one(tx, StoredSet, sql, id=id, tenant=tenant_id)
    if found is None:
        raise NotFound("scenario set", encode("scs", id))
    return found


async def listed(tx: AsyncConnection, tenant_id: UUID, *, limit: int, after: UUID | None) -> list[StoredSet]:
    """Sets in the order (created_at, id), from after the given one on."""
    return await many(
        tx,
        StoredSet,
        f"SELECT {_SET} FROM gateway.scenario_sets WHERE tenant_id = :tenant AND (CAST(:after AS uuid) IS NULL OR"
        " (created_at, id) > (SELECT a.created_at, a.id FROM gateway.scenario_sets a"
        " WHERE a.id = :after AND a.tenant_id = :tenant))"
        " ORDER BY created_at, id LIMIT :limit",
        tenant=tenant_id,
        after=after,
        limit=limit,
    )


# --- how far it is ----------------------------------------------------------------------------------------------------


def out(set_: StoredSet, far: Far | None) -> ScenarioSetOut:
    """The set as clients see it."""
    return ScenarioSetOut(**_fields(set_, far or Far()))


async def detail(tx: AsyncConnection, set_: StoredSet) -> ScenarioSetDetail:
    """The set with the coverage of its grid."""
    far = (await progress(tx, [set_])).get(set_.id, Far())
    return ScenarioSetDetail(**_fields(set_, far), coverage=await _coverage(tx, set_))


async def progress(tx: AsyncConnection, sets: Sequence[StoredSet]) -> dict[UUID | None, Far]:
    """How far each set is whose drafts are written down."""
    found = await many(
        tx,
        Far,
        f"""
        SELECT d.set_id, {_TALLY},
            count(*) FILTER (WHERE d.near_duplicate_of IS NOT NULL) AS near_duplicates,
            bool_or(d.state <> 'waiting' OR d.attempts > 0) AS begun,
            bool_or(d.state IN ('waiting', 'writing') OR d.state = 'written' AND d.similarity IS NULL) AS open,
            mode() WITHIN GROUP (ORDER BY d.error ->> 'message') AS reason, max(d.finished_at) AS finished_at,
            sum(d.calls)::bigint AS calls, sum(d.prompt_tokens)::bigint AS prompt_tokens,
            sum(d.completion_tokens)::bigint AS completion_tokens
        FROM generator.scenario_drafts_v1 d WHERE d.set_id = ANY(CAST(:ids AS uuid[])) GROUP BY d.set_id
        """,
        ids=[set_.id for set_ in sets],
    )
    return {one.set_id: one for one in found}


def _fields(set_: StoredSet, far: Far) -> dict[str, Any]:
    id, grid, status = encode("scs", set_.id), Grid.model_validate(set_.grid), far.status
    counted = {name: getattr(far, name) for name in ("written", "failed", "selected", "near_duplicates")}
    return {
        "id": id,
        "name": set_.name,
        "language": set_.language,
        "status": status,
        "grid": grid,
        "writer": set_.writer["model"],
        "created_at": set_.created_at,
        "finished_at": None if far.open else far.finished_at,
        "progress": ScenarioProgress(planned=grid.size, **counted),
        "usage": Usage(**{name: getattr(far, name) for name in ("calls", "prompt_tokens", "completion_tokens")}),
        "error": _failure(grid, far.reason) if status == "failed" else None,
        "links": ScenarioSetLinks(
            self=f"/v1/scenario-sets/{id}",
            scenarios=f"/v1/scenario-sets/{id}/scenarios",
            select=f"/v1/scenario-sets/{id}/select",
        ),
    }


def _failure(grid: Grid, reason: str | None) -> RunError:
    what = f"None of the {grid.size} scenarios could be written."
    return RunError(code="nothing_written", message=f"{what} {reason}" if reason else what)


async def _coverage(tx: AsyncConnection, set_: StoredSet) -> GridCoverage:
    found = await many(
        tx,
        Covered,
        f"SELECT d.persona, d.emotion, d.location, {_TALLY} FROM generator.scenario_drafts_v1 d"
        " WHERE d.set_id = :set GROUP BY d.persona, d.emotion, d.location",
        set=set_.id,
    )
    counted = {(one.persona, one.emotion, one.location): one for one in found}
    grid = Grid.model_validate(set_.grid)
    cells = []
    for cell in grid.cells():
        one = counted.get((cell.persona, cell.emotion, cell.location), Covered())
        tally = {name: getattr(one, name) for name in ("written", "failed", "selected")}
        cells.append(CellTally(**cell.model_dump(), planned=grid.per_cell, **tally))
    return GridCoverage(
        cells=cells,
        personas=_over(cells, "persona"),
        emotions=_over(cells, "emotion"),
        locations=_over(cells, "location"),
    )


def _over(cells: Sequence[CellTally], dimension: str) -> dict[str, Tally]:
    """The tallies of each label of a dimension."""
    sums: dict[str, Counter[str]] = {}
    for cell in cells:
        counted = sums.setdefault(getattr(cell, dimension), Counter())
        counted.update({name: getattr(cell, name) for name in Tally.model_fields})
    return {label: Tally(**counted) for label, counted in sums.items()}


# --- its scenarios ----------------------------------------------------------------------------------------------------


async def drafts(tx: AsyncConnection, set_: StoredSet, *, after: int, limit: int) -> list[Draft]:
    """The set's drafts in the order of the grid, from after position ``after`` on."""
    sql = f"{_DRAFTS} AND d.position > :after ORDER BY d.position LIMIT :limit"
    return await many(tx, Draft, sql, set=set_.id, after=after, limit=limit)


async def select(tx: AsyncConnection, tenant_id: UUID, set_: StoredSet, request: SelectRequest) -> StoredSuite:
    """Keep the chosen drafts as a suite, which says where they come from; ``InvalidInput`` if one cannot be taken.

    The scenarios stand in the order of the grid and are named by their place in it, so that the same choice is the
    same suite and a scenario keeps its name in every suite that is made of the set.
    """
    if request.suite in BUNDLED:
        raise InvalidInput.at("/suite", f"{request.suite!r} is the name of a bundled suite; take another.")
    chosen = await _chosen(tx, set_, request.scenarios)
    names = [f"s{draft.position + 1:03d}" for draft in chosen]
    suite = Suite(
        name=request.suite,
        language=set_.language,
        characters=tuple(await _characters(tx, tenant_id, set_, request)),
        scenarios=tuple(_scenario(name, draft) for name, draft in zip(names, chosen, strict=True)),
        provenance=_provenance(set_, names, chosen),
    )
    stored = await suites.add(tx, tenant_id, suite)
    await count(
        tx,
        "INSERT INTO gateway.scenario_selections (tenant_id, set_id, draft_id, suite_id)"
        " SELECT :tenant, :set, id, :suite FROM unnest(CAST(:drafts AS uuid[])) AS x(id) ON CONFLICT DO NOTHING",
        tenant=tenant_id,
        set=set_.id,
        suite=stored.id,
        drafts=[draft.id for draft in chosen],
    )
    return stored


async def _chosen(tx: AsyncConnection, set_: StoredSet, ids: Sequence[str]) -> list[Draft]:
    found = await many(tx, Draft, f"{_DRAFTS} ORDER BY d.position", set=set_.id)
    by_id = {encode("scn", draft.id): draft for draft in found}
    faults, seen = [], set()
    for place, id in enumerate(ids):
        if id not in by_id:
            faults.append(Fault(f"/scenarios/{place}", f"this set has no scenario {id!r}"))
        elif id in seen:
            faults.append(Fault(f"/scenarios/{place}", f"{id} is chosen twice"))
        elif by_id[id].state != "written":
            faults.append(Fault(f"/scenarios/{place}", f"{id} is {by_id[id].state}: there is nothing to take"))
        seen.add(id)
    if faults:
        raise InvalidInput("These scenarios cannot be taken into a suite; nothing was stored.", errors=faults[:100])
    return [draft for id, draft in by_id.items() if id in seen]


async def _characters(
    tx: AsyncConnection, tenant_id: UUID, set_: StoredSet, request: SelectRequest
) -> Sequence[Character]:
    if not isinstance(request.characters, CharactersOf):
        if twice := [id for id, times in Counter(one.id for one in request.characters).items() if times > 1]:
            raise InvalidInput.at("/characters", f"character ids must be unique; twice: {', '.join(twice)}")
        return request.characters
    pointer = "/characters/from"
    found = await suites.named(tx, tenant_id, request.characters.suite, pointer)
    if found.language != set_.language:
        message = f"the profiles of {found.label} are in {found.language}, these scenarios in"
        raise InvalidInput.at(pointer, f"{message} {set_.language}")
    return found.suite.characters


def _scenario(name: str, draft: Draft) -> Scenario:
    labels = {field: getattr(draft, field) for field in ("persona", "emotion", "location", "event", "question")}
    return Scenario(id=name, **labels)


def _provenance(set_: StoredSet, names: Sequence[str], chosen: Sequence[Draft]) -> dict[str, Any]:
    """Which set, over which grid, written by whom with which prompts, and which of it was chosen."""
    writers: list[Any] = []
    for draft in chosen:
        if draft.writer not in writers:
            writers.append(draft.writer)
    return {
        "scenario_set": encode("scs", set_.id),
        "grid": set_.grid,
        "writers": writers,
        "scenarios": {name: encode("scn", draft.id) for name, draft in zip(names, chosen, strict=True)},
    }


_SELECTED = "EXISTS (SELECT FROM gateway.scenario_selections s WHERE s.set_id = d.set_id AND s.draft_id = d.id)"
_SET = "id, tenant_id, name, language, grid, writer, created_at"
_DRAFTS = (
    "SELECT d.id, d.position, d.persona, d.emotion, d.location, d.number, d.state, d.event, d.question, d.writer,"
    f" d.attempts, d.raw, d.error, d.near_duplicate_of, d.similarity, {_SELECTED} AS selected"
    " FROM generator.scenario_drafts_v1 d WHERE d.set_id = :set"
)
_TALLY = (
    "count(*) FILTER (WHERE d.state = 'written') AS written, count(*) FILTER (WHERE d.state = 'failed') AS failed,"
    f" count(*) FILTER (WHERE {_SELECTED}) AS selected"
)
