"""What the tenant's ratings say of its judges: agreement with people and with each other, length, self-preference.

Measured again when ratings of people came in, a run has ended, or somebody asks for a card.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

import structlog

from esrp.families import family
from esrp.metrics import METRIC_IDS
from esrp.stats import Rating, Ratings, against_humans
from esrp.stats.judging import Cells, between, favour, slope
from esrp.text import bounds, rounded
from services.analytics.cards import store
from services.analytics.cards.store import Drawn, Material, Rated
from services.analytics.resources import Resources
from services.kit.aside import unless_too_much
from services.kit.settings import JudgeSettings
from services.work.cards import rated_as_now

log = structlog.get_logger()


async def measure_judges(resources: Resources, tenant_id: UUID, *, anyway: bool = True) -> None:
    """Measure every configured judge by the tenant's ratings, and keep that. Running it twice changes nothing.

    Unless ``anyway``, it is done where ratings have changed since: bells that rang meanwhile cost nothing.
    """
    judges = [judge.model_copy(update={"api_key": None}) for judge in resources.settings.judges]
    async with resources.figures.slot(patient=True) as do:
        async with resources.engine.begin() as tx:
            begun = await store.begin(tx, tenant_id)
            if begun.since is None and not anyway:
                return
            drawn = await store.drawn(tx, tenant_id, [judge.name for judge in judges])
        documents = await unless_too_much(do(_measured, judges, drawn)) or {}
    async with resources.engine.begin() as tx:
        for judge in judges:
            if judge.name in documents:
                await store.save(tx, tenant_id, judge, documents[judge.name], begun.read_at)
        await store.end(tx, tenant_id, begun)
    log.info("judges.measured", tenant_id=str(tenant_id), judges=len(judges), runs=len(drawn.runs))


def _measured(judges: Sequence[JudgeSettings], drawn: Drawn) -> dict[str, dict[str, Any]]:
    return measures(judges, drawn.material())


# --- what is measured -------------------------------------------------------------------------------------------------


def measures(judges: Sequence[JudgeSettings], material: Material) -> dict[str, dict[str, Any]]:
    """Everything about each judge: its ratings count from runs that it judged as it is configured now."""
    places = _places(material)
    own = {judge.name: _own(judge, material) for judge in judges}
    units = {name: _units(scores, places) for name, scores in own.items()}
    cells = {name: _cells(scores) for name, scores in units.items()}
    return {
        judge.name: {
            "human": _human(judge, material, units[judge.name], places),
            "judges": _beside(judge.name, cells),
            "length": _length(material, own[judge.name], places),
            "self_preference": _self_preference(judge, material, own[judge.name], places),
        }
        for judge in judges
    }


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a dialogue stands.

    ``unit``: the same for dialogues that are the same to a judge. ``cluster``: its scenario within its suite; an own
    log is a cluster of its own.
    """

    run: UUID
    character: str
    scenario: str | None
    unit: str
    cluster: str


def _places(material: Material) -> dict[str, _Place]:
    suites = {run.id: run.suite_sha256 for run in material.runs}
    return {rated.dialogue: _place(rated, suites[rated.run], material) for rated in material.rated}


def _place(rated: Rated, suite: str, material: Material) -> _Place:
    said = material.said.get(rated.dialogue, rated.dialogue)
    unit = "/".join((suite, rated.character, rated.scenario or "", said))
    cluster = unit if rated.scenario is None else f"{suite}/{rated.scenario}"
    return _Place(rated.run, rated.character, rated.scenario, unit, cluster)


def _own(judge: JudgeSettings, material: Material) -> dict[str, Mapping[str, int]]:
    """The judge's scores of each dialogue, as it is configured now."""
    runs = {run.id for run in material.runs if rated_as_now(judge, run)}
    return {
        rated.dialogue: rated.scores
        for rated in material.rated
        if rated.kind == "judge" and rated.rater == judge.name and rated.run in runs
    }


def _units(own: Mapping[str, Mapping[str, int]], places: Mapping[str, _Place]) -> dict[str, Mapping[str, int]]:
    """By unit; of several dialogues that are the same, the first."""
    found: dict[str, Mapping[str, int]] = {}
    for dialogue in sorted(own):
        found.setdefault(places[dialogue].unit, own[dialogue])
    return found


def _cells(scores: Mapping[str, Mapping[str, int]]) -> Cells:
    return {(id, metric): score for id, given in scores.items() for metric, score in given.items()}


def _beside(name: str, cells: Mapping[str, Cells]) -> list[dict[str, Any]]:
    """The judge and each other over what both rated, metrics pooled."""
    compared = {other: between(cells[name], cells[other]) for other in cells if other != name}
    return [{"judge": other, **_rounded(asdict(found))} for other, found in compared.items() if found.n]


def _human(
    judge: JudgeSettings, material: Material, units: Mapping[str, Mapping[str, int]], places: Mapping[str, _Place]
) -> dict[str, Any] | None:
    """Per metric, one row for each human rating of what the judge rated (STATISTICS 4)."""
    people = [r for r in material.rated if r.kind == "human" and places[r.dialogue].unit in units]
    judged = {
        r.dialogue: replace(r, rater=judge.name, kind="judge", scores=units[places[r.dialogue].unit]) for r in people
    }
    both = {
        (places[r.dialogue].unit, metric)
        for r in people
        for metric in r.scores.keys() & judged[r.dialogue].scores.keys()
    }
    if not both:
        return None
    ratings = Ratings.of(rating for r in (*people, *judged.values()) for rating in _ratings(r))
    dialogues = Counter(metric for _, metric in both)
    runs = {r.run for r in people}
    return {
        "metrics": {
            metric: {"dialogues": dialogues[metric], **_rounded(asdict(found))}
            for metric, found in against_humans(ratings, judge.name).items()
        },
        "languages": sorted({run.language for run in material.runs if run.id in runs}),
        "runs": len(runs),
        "ratings_sha256": ratings.sha256,
    }


def _ratings(r: Rated) -> Iterator[Rating]:
    for metric, score in r.scores.items():
        yield Rating(r.dialogue, r.character, r.scenario, metric, r.rater, r.kind, score)


def _length(
    material: Material, own: Mapping[str, Mapping[str, int]], places: Mapping[str, _Place]
) -> list[dict[str, Any]]:
    """Overall regressed on the replies' mean size, in hundreds, within each run; clustered by scenario."""
    overall = _overall(own)
    found = []
    for language in ("zh", "en"):
        runs = {run.id for run in material.runs if run.language == language}
        chosen = [id for id in sorted(overall) if places[id].run in runs and id in material.sizes]
        slanted = slope(
            [material.sizes[id] / 100 for id in chosen],
            [overall[id] for id in chosen],
            [str(places[id].run) for id in chosen],
            [places[id].cluster for id in chosen],
        )
        if slanted is not None:
            per_100, ci = rounded(slanted.value), bounds(slanted.interval)
            found.append({"language": language, "per_100": per_100, "ci": ci, "dialogues": len(chosen)})
    return found


def _self_preference(
    judge: JudgeSettings, material: Material, own: Mapping[str, Mapping[str, int]], places: Mapping[str, _Place]
) -> dict[str, Any] | None:
    """Candidates of the judge's own family beside others, where both played the same character and scenario."""
    kin = family(judge.model) or family(judge.base or "")
    if kin is None:
        return None
    families = {run.id: family(run.candidate_name) for run in material.runs}
    ours: dict[tuple[str, str], list[float]] = defaultdict(list)
    others: dict[tuple[str, str], list[float]] = defaultdict(list)
    for id, overall in _overall(own).items():
        place = places[id]
        if place.scenario is not None and (bred := families[place.run]) is not None:
            (ours if bred == kin else others)[place.cluster, place.character].append(overall)
    found = favour(_means(ours), _means(others))
    if found is None:
        return None
    pairs = len(ours.keys() & others.keys())
    return {"family": kin, "difference": rounded(found.value), "ci": bounds(found.interval), "pairs": pairs}


def _overall(own: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """The mean of the nine metrics of each dialogue that has them all."""
    return {id: sum(scores.values()) / len(scores) for id, scores in own.items() if len(scores) == len(METRIC_IDS)}


def _means(values: Mapping[tuple[str, str], Sequence[float]]) -> dict[tuple[str, str], float]:
    return {key: sum(given) / len(given) for key, given in values.items()}


def _rounded(numbers: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: rounded(number) for name, number in numbers.items()}
