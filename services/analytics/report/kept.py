"""Reports and the agreement of raters: made from the database when ratings change, kept, and read."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from esrp.api import FINAL, AgreementOut, AlphaByCharacter, Choice, RaterKind, Report
from esrp.diversity import prepare
from esrp.limits import Limit, dumped, loaded
from esrp.stats import Agreement, Rating, Ratings, agreement
from esrp.text import bounds, rounded
from services.analytics import store
from services.analytics.report import replies
from services.analytics.report.build import Made, Material, build
from services.analytics.report.replies import Wording
from services.analytics.resources import Resources
from services.analytics.store import Agreed, Fields
from services.analytics.takeover import take_over
from services.kit.db import reading

TRIES = 3  # that a report is made anew because its ratings changed while it was made


@dataclass(frozen=True, slots=True)
class Read:
    """A run as far as its judges' cards need it, and its report, whose ``limits`` are not in words yet."""

    run: Fields
    report: Report
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """What a report is made of, as it was read at once. If it is not ``counted``, its replies are to be looked at.

    ``changes`` says how often the ratings had changed, ``texts_sha256`` is of all replies once all of them are there.
    """

    material: Material
    counted: bool
    changes: int
    texts_sha256: str | None


async def read(resources: Resources, run_id: UUID, tenant_id: UUID, raters: Choice) -> Read | None:
    """The report as things stand; that of a final run is kept, and made again when its ratings change."""
    async with reading(resources.engine) as tx:
        if raters == "auto" and (kept := await store.report(tx, run_id, tenant_id)) is not None:
            return _loaded(kept)
        run = await store.run(tx, run_id, tenant_id)
    if run is None:
        return None
    if raters == "auto" and run["status"] in FINAL:
        async with resources.turn(run_id):  # whoever waits finds what the first has made
            async with reading(resources.engine) as tx:
                kept = await store.report(tx, run_id, tenant_id)
            return await summarise(resources, run) if kept is None else _loaded(kept)
    async with resources.engine.begin() as tx:
        given = await _given(tx, run, raters)
    made, _ = await asyncio.to_thread(_make, given)
    async with reading(resources.engine) as tx:
        return await _with_agreement(tx, run, made)


async def summarise(resources: Resources, run: Fields) -> Read:
    """Take over what the judges said, make the report of the run and keep it.

    Nothing is locked while it is made. If the ratings change meanwhile it is made again, and not kept in the end.
    """
    for left in reversed(range(TRIES)):
        async with resources.engine.begin() as tx:
            await store.lock(tx, run["id"])
            if await take_over(tx, run["id"]):
                await store.drop_reports(tx, [run["id"]])
            given = await _given(tx, run, "auto")
        made, counted = await asyncio.to_thread(_make, given)
        async with resources.engine.begin() as tx:
            await store.lock(tx, run["id"])
            current = await store.changes(tx, run["id"]) == given.changes
            if current:
                await _keep(tx, run, made)
            if counted is not None and given.texts_sha256 is not None:
                await store.save_wording(tx, run, given.texts_sha256, counted.document())
            if current or not left:
                break
    async with reading(resources.engine) as tx:
        return await _with_agreement(tx, run, made)


async def count_words(resources: Resources, run_id: UUID) -> None:
    """Look at the replies of a run once it is played, while its judges still rate: the report need not wait for that.

    Until then what it takes is loaded.
    """
    async with reading(resources.engine) as tx:
        run = await store.run(tx, run_id)
        if run is None or await store.wording(tx, run_id) is not None:
            return
        played = await store.is_played(tx, run_id)
    await asyncio.to_thread(prepare, run["language"])
    if not played:
        return
    async with resources.turn(run_id):
        async with reading(resources.engine) as tx:
            if await store.wording(tx, run_id) is not None:
                return
            dialogues, scenarios = await store.dialogues(tx, run_id), await store.scenarios(tx, run["suite_id"])
        counted = await asyncio.to_thread(replies.counted, dialogues, scenarios, run["language"])
        async with resources.engine.begin() as tx:
            sha256 = replies.texts_sha256(dialogues, run["language"])
            await store.save_wording(tx, run, sha256, counted.document())


async def agree(resources: Resources, run_id: UUID) -> None:
    """Compute the agreement of a run's raters if it is not known, and keep it. It holds no connection while it counts.

    Ratings that change meanwhile make it outdated, which its hash shows; the next ring or look does it again.
    """
    async with resources.engine.begin() as tx:
        run = await store.run(tx, run_id)
        if run is None or await store.agreed(tx, run_id):
            return
        changes = await store.changes(tx, run_id)
        rows = await ratings(tx, run_id)
    found = await asyncio.to_thread(_agreements, rows)
    async with resources.engine.begin() as tx:
        for of, document in found.items():
            await store.save_agreement(tx, run, of, document.model_dump(mode="json"))
        await store.mark_agreed(tx, run_id, changes)


async def ratings(tx: AsyncConnection, run_id: UUID) -> dict[RaterKind, list[Rating]]:
    """All ratings of the run by the kind of rater."""
    found: dict[RaterKind, list[Rating]] = {}
    for rating in await store.ratings(tx, run_id):
        found.setdefault("judge" if rating.kind == "judge" else "human", []).append(rating)
    return found


# --- making -----------------------------------------------------------------------------------------------------------


async def _given(tx: AsyncConnection, run: Fields, raters: Choice) -> Given:
    run_id = run["id"]
    changes = await store.changes(tx, run_id)  # first: what changes after it makes the report outdated
    dialogues = await store.dialogues(tx, run_id)
    complete = run["status"] in FINAL or run["phase"] == "analysing"
    texts_sha256 = replies.texts_sha256(dialogues, run["language"]) if complete else None
    kept = await store.wording(tx, run_id) if complete else None
    counted = replies.loaded(kept["document"]) if kept and kept["texts_sha256"] == texts_sha256 else None
    material = Material(
        run=run,
        dialogues=dialogues,
        scenarios=await store.scenarios(tx, run["suite_id"]),
        ratings=await ratings(tx, run_id),
        wording=counted or replies.NOTHING,
        raters=raters,
        sampling=await store.sampling(tx, run_id),
        batches=await store.diversity_ratings(tx, run_id),
    )
    return Given(material, counted is not None, changes, texts_sha256)


def _make(given: Given) -> tuple[Made, Wording | None]:
    """The report; and what was counted of the replies, if that is new. Of an open run their form alone is looked at."""
    material, counted = given.material, None
    if not given.counted:
        language = material.run["language"]
        if given.texts_sha256 is None:
            material = replace(material, wording=replies.form_of(material.dialogues, language))
        else:
            counted = replies.counted(material.dialogues, material.scenarios, language)
            material = replace(material, wording=counted)
    return build(material), counted


async def _keep(tx: AsyncConnection, run: Fields, made: Made) -> None:
    document = made.report.model_dump_json().encode()
    await store.save_report(
        tx, run, document, dumped(made.limits), made.ratings_sha256, made.report.sha256, made.agreed
    )


# --- what is kept -----------------------------------------------------------------------------------------------------


def _loaded(kept: RowMapping) -> Read:
    """A stored report, with the run's status of now and the agreement of its ratings, if that is known."""
    agreed = kept["agreement"]
    now = {
        "status": kept["status"],
        "agreement": None if agreed is None else AgreementOut.model_validate_json(agreed),
    }
    report = Report.model_validate_json(kept["document"]).model_copy(update=now)
    return Read(kept, report, loaded(kept["limits"]))


async def _with_agreement(tx: AsyncConnection, run: Fields, made: Made) -> Read:
    if made.agreed is None:
        return Read(run, made.report, made.limits)
    found = await store.agreement(tx, run["id"], made.agreed)
    agreement = None if found is None else AgreementOut.model_validate(found)
    return Read(run, made.report.model_copy(update={"agreement": agreement}), made.limits)


def _agreements(rows: Mapping[RaterKind, Sequence[Rating]]) -> dict[Agreed, AgreementOut]:
    found = {}
    for kind, given in rows.items():
        ratings = Ratings.of(given)
        found[Agreed(kind, ratings.sha256)] = _agreement(kind, agreement(ratings, kind))
    return found


def _agreement(kind: RaterKind, found: Agreement) -> AgreementOut:
    by_character = found.alpha_by_character
    numbers = {name: rounded(value) for name, value in asdict(found).items() if name != "alpha_by_character"}
    return AgreementOut(
        kind=kind,
        alpha_by_character=by_character
        and AlphaByCharacter(
            mean=rounded(by_character.mean),
            ci=bounds(by_character.interval),
            characters=by_character.characters,
        ),
        **numbers,
    )
