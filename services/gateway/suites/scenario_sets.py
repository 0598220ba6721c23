"""Scenario sets: what was asked for, how far the generator is with it, and what was taken into a suite."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
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
    SelectRequest,
    Tally,
    Usage,
)
from esrp.dialogue import Character, Scenario
from esrp.errors import Fault, InvalidInput, NotConfigured, NotFound
from esrp.grid import Grid
from esrp.prompts.writing import writer_hashes
from esrp.suite import BUNDLED, Suite
from services.gateway.runs import start
from services.gateway.suites import suites
from services.kit.db import count, json, row, rows
from services.kit.ids import encode, uuid7
from services.kit.settings import ModelSettings, Settings

NOT_BEGUN: Mapping[str, Any] = {
    "begun": False,
    "open": True,
    "reason": None,
    "finished_at": None,
    **dict.fromkeys(("written", "failed", "selected", "near_duplicates"), 0),
    **dict.fromkeys(("calls", "prompt_tokens", "completion_tokens"), 0),
}


def writer_named(settings: Settings) -> ModelSettings:
    """The configured writer; ``NotConfigured`` says which lines to add."""
    if settings.writer is None:
        lines = 'writer: {base_url: "https://…/v1", model: "…", api_key_env: "…"}'
        raise NotConfigured("/writer", "writer", "default", lines)
    return settings.writer


async def add(tx: AsyncConnection, tenant_id: UUID, request: ScenarioSetRequest, writer: ModelSettings) -> RowMapping:
    """Keep what was asked for; its drafts are the generator's."""
    added = await row(
        tx,
        "INSERT INTO gateway.scenario_sets (id, tenant_id, name, language, grid, writer) VALUES"
        " (:id, :tenant, :name, :language, CAST(:grid AS jsonb), CAST(:writer AS jsonb)) RETURNING *",
        id=uuid7(),
        tenant=tenant_id,
        name=request.name,
        language=request.language,
        grid=json(request.grid.model_dump(mode="json")),
        writer=json({"model": writer.model, "prompts": writer_hashes(request.language)}),
    )
    assert added is not None
    return added


async def find(tx: AsyncConnection, tenant_id: UUID, id: UUID) -> RowMapping:
    """The set; ``NotFound`` if the tenant has none of that id."""
    found = await row(
        tx, "SELECT * FROM gateway.scenario_sets WHERE id = :id AND tenant_id = :tenant", id=id, tenant=tenant_id
    )
    if found is None:
        raise NotFound("scenario set", encode("scs", id))
    return found


async def listed(tx: AsyncConnection, tenant_id: UUID, *, limit: int, after: UUID | None) -> list[RowMapping]:
    """Sets in the order (created_at, id), from after the given one on."""
    return await rows(
        tx,
        "SELECT * FROM gateway.scenario_sets WHERE tenant_id = :tenant AND (CAST(:after AS uuid) IS NULL OR"
        " (created_at, id) > (SELECT a.created_at, a.id FROM gateway.scenario_sets a"
        " WHERE a.id = :after AND a.tenant_id = :tenant))"
        " ORDER BY created_at, id LIMIT :limit",
        tenant=tenant_id,
        after=after,
        limit=limit,
    )


# --- how far it is ----------------------------------------------------------------------------------------------------


async def out(tx: AsyncConnection, found: Sequence[RowMapping]) -> list[ScenarioSetOut]:
    """The sets as clients see them."""
    far = await _progress(tx, [set_["id"] for set_ in found])
    return [ScenarioSetOut(**_fields(set_, far.get(set_["id"], NOT_BEGUN))) for set_ in found]


async def detail(tx: AsyncConnection, set_: RowMapping) -> ScenarioSetDetail:
    """The set with the coverage of its grid."""
    far = (await _progress(tx, [set_["id"]])).get(set_["id"], NOT_BEGUN)
    return ScenarioSetDetail(**_fields(set_, far), coverage=await _coverage(tx, set_))


async def _progress(tx: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, RowMapping]:
    """Of each set whose drafts are written down."""
    found = await rows(
        tx,
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
        ids=list(ids),
    )
    return {one["set_id"]: one for one in found}


def _fields(set_: RowMapping, far: RowMapping | Mapping[str, Any]) -> dict[str, Any]:
    id, grid, status = encode("scs", set_["id"]), Grid.model_validate(set_["grid"]), _status(far)
    counted = {name: far[name] for name in ("written", "failed", "selected", "near_duplicates")}
    return {
        "id": id,
        "name": set_["name"],
        "language": set_["language"],
        "status": status,
        "grid": grid,
        "writer": set_["writer"]["model"],
        "created_at": set_["created_at"],
        "finished_at": None if far["open"] else far["finished_at"],
        "progress": ScenarioProgress(planned=grid.size, **counted),
        "usage": Usage(**{name: far[name] for name in ("calls", "prompt_tokens", "completion_tokens")}),
        "error": _failure(grid, far["reason"]) if status == "failed" else None,
        "links": ScenarioSetLinks(
            self=f"/v1/scenario-sets/{id}",
            scenarios=f"/v1/scenario-sets/{id}/scenarios",
            select=f"/v1/scenario-sets/{id}/select",
        ),
    }


def _status(far: RowMapping | Mapping[str, Any]) -> ScenarioSetStatus:
    if far["open"]:
        return "running" if far["begun"] else "queued"
    return "succeeded" if far["written"] else "failed"


def _failure(grid: Grid, reason: str | None) -> RunError:
    what = f"None of the {grid.size} scenarios could be written."
    return RunError(code="nothing_written", message=f"{what} {reason}" if reason else what)


async def _coverage(tx: AsyncConnection, set_: RowMapping) -> GridCoverage:
    found = await rows(
        tx,
        f"SELECT d.persona, d.emotion, d.location, {_TALLY} FROM generator.scenario_drafts_v1 d"
        " WHERE d.set_id = :set GROUP BY d.persona, d.emotion, d.location",
        set=set_["id"],
    )
    counted = {(one["persona"], one["emotion"], one["location"]): one for one in found}
    grid = Grid.model_validate(set_["grid"])
    cells = []
    for cell in grid.cells():
        one = counted.get((cell.persona, cell.emotion, cell.location), NOT_BEGUN)
        tally = {name: one[name] for name in ("written", "failed", "selected")}
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


async def drafts(tx: AsyncConnection, set_: RowMapping, *, after: int, limit: int) -> list[RowMapping]:
    """The set's drafts in the order of the grid, from after position ``after`` on."""
    return await rows(
        tx,
        f"SELECT d.*, {_SELECTED} AS selected FROM generator.scenario_drafts_v1 d"
        " WHERE d.set_id = :set AND d.position > :after ORDER BY d.position LIMIT :limit",
        set=set_["id"],
        after=after,
        limit=limit,
    )


def draft_out(draft: RowMapping) -> ScenarioDraft:
    """A draft as clients see it."""
    plain = ("persona", "emotion", "location", "number", "state", "event", "question", "similarity")
    return ScenarioDraft(
        **{name: draft[name] for name in (*plain, "selected", "attempts", "raw")},
        id=encode("scn", draft["id"]),
        near_duplicate_of=draft["near_duplicate_of"] and encode("scn", draft["near_duplicate_of"]),
        error=draft["error"] and RunError.model_validate(draft["error"]),
    )


async def select(tx: AsyncConnection, tenant_id: UUID, set_: RowMapping, request: SelectRequest) -> RowMapping:
    """Keep the chosen drafts as a suite, which says where they come from; ``InvalidInput`` if one cannot be taken.

    The scenarios stand in the order of the grid and are named by their place in it, so that the same choice is the
    same suite and a scenario keeps its name in every suite that is made of the set.
    """
    if request.suite in BUNDLED:
        raise InvalidInput.at("/suite", f"{request.suite!r} is the name of a bundled suite; take another.")
    chosen = await _chosen(tx, set_, request.scenarios)
    names = [f"s{draft['position'] + 1:03d}" for draft in chosen]
    suite = Suite(
        name=request.suite,
        language=set_["language"],
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
        set=set_["id"],
        suite=stored["id"],
        drafts=[draft["id"] for draft in chosen],
    )
    return stored


async def _chosen(tx: AsyncConnection, set_: RowMapping, ids: Sequence[str]) -> list[RowMapping]:
    found = await rows(
        tx, "SELECT * FROM generator.scenario_drafts_v1 WHERE set_id = :set ORDER BY position", set=set_["id"]
    )
    by_id = {encode("scn", draft["id"]): draft for draft in found}
    faults, seen = [], set()
    for place, id in enumerate(ids):
        if id not in by_id:
            faults.append(Fault(f"/scenarios/{place}", f"this set has no scenario {id!r}"))
        elif id in seen:
            faults.append(Fault(f"/scenarios/{place}", f"{id} is chosen twice"))
        elif by_id[id]["state"] != "written":
            faults.append(Fault(f"/scenarios/{place}", f"{id} is {by_id[id]['state']}: there is nothing to take"))
        seen.add(id)
    if faults:
        raise InvalidInput("These scenarios cannot be taken into a suite; nothing was stored.", errors=faults[:100])
    return [draft for id, draft in by_id.items() if id in seen]


async def _characters(
    tx: AsyncConnection, tenant_id: UUID, set_: RowMapping, request: SelectRequest
) -> Sequence[Character]:
    if not isinstance(request.characters, CharactersOf):
        if twice := [id for id, times in Counter(one.id for one in request.characters).items() if times > 1]:
            raise InvalidInput.at("/characters", f"character ids must be unique; twice: {', '.join(twice)}")
        return request.characters
    pointer = "/characters/from"
    found = await start.named(suites.find(tx, tenant_id, request.characters.suite), pointer)
    if found["language"] != set_["language"]:
        message = f"the profiles of {suites.label(found)} are in {found['language']}, these scenarios in"
        raise InvalidInput.at(pointer, f"{message} {set_['language']}")
    return Suite.model_validate(found["document"]).characters


def _scenario(name: str, draft: RowMapping) -> Scenario:
    labels = {field: draft[field] for field in ("persona", "emotion", "location", "event", "question")}
    return Scenario(id=name, **labels)


def _provenance(set_: RowMapping, names: Sequence[str], chosen: Sequence[RowMapping]) -> dict[str, Any]:
    """Which set, over which grid, written by whom with which prompts, and which of it was chosen."""
    writers: list[Any] = []
    for draft in chosen:
        if draft["writer"] not in writers:
            writers.append(draft["writer"])
    return {
        "scenario_set": encode("scs", set_["id"]),
        "grid": set_["grid"],
        "writers": writers,
        "scenarios": {name: encode("scn", draft["id"]) for name, draft in zip(names, chosen, strict=True)},
    }


_SELECTED = "EXISTS (SELECT FROM gateway.scenario_selections s WHERE s.set_id = d.set_id AND s.draft_id = d.id)"
_TALLY = (
    "count(*) FILTER (WHERE d.state = 'written') AS written, count(*) FILTER (WHERE d.state = 'failed') AS failed,"
    f" count(*) FILTER (WHERE {_SELECTED}) AS selected"
)
