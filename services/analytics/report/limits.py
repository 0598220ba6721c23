"""What is to be known beside a report's numbers: what it does not show, and why."""

from collections.abc import Iterable, Sequence

import numpy as np

from esrp.api import Coverage
from esrp.families import Relative, relatives_in
from esrp.limits import Limit, limit
from esrp.stats import Ratings
from esrp.stats.exact import standing_out
from services.analytics.report.groups import GROUPS, MOST_GROUPS, labels, names_of
from services.analytics.report.material import Found, Material
from services.analytics.report.played import Scenario


def limits(material: Material, found: Found) -> tuple[Limit, ...]:
    """All of them, in the order of a report."""
    return (
        *_of_ratings(material, found),
        *_of_run(material, found),
        *_left_out(found.ratings, material.scenarios),
    )


def _of_ratings(material: Material, found: Found) -> Iterable[Limit]:
    """What the report does not show because of who rated what."""
    coverage, by = found.coverage, found.raters
    if not found.rated:
        yield limit("nothing_rated")
    elif unrated := [name for name, score in found.scores.metrics.items() if score.mean is None]:
        yield limit("metrics_not_rated", metrics=tuple(unrated))
    if found.rated and coverage.scored < coverage.dialogues:
        missing = coverage.dialogues - coverage.scored
        yield limit("dialogues_not_scored", missing=missing, dialogues=coverage.dialogues)
        yield from _standing_out(material, found.ratings)
    if found.rated and by != "human":
        yield from _lacking_judges(material, coverage)
    if found.panel is not None and found.panel.constant:
        yield limit("judges_constant", judges=found.panel.constant)
    if found.panel is not None and found.panel.unrelated:
        yield limit("judges_unrelated", judges=found.panel.unrelated)
    if found.rated and by == "judge":
        yield limit("judges_not_validated", judges=tuple(found.ratings.levels["rater"]))
    if found.calibration is not None and by != "human":
        yield found.calibration.limit
    if found.rated and by == "calibrated":
        yield limit("parts_as_judged")
    overall = found.scores.overall
    if overall.mean is not None and overall.intervals.population is None:
        yield limit("intervals_missing")


def _standing_out(material: Material, ratings: Ratings) -> Iterable[Limit]:
    """Characters and emotions that lack more scores than chance would have it: what is lost is not like the rest."""
    rated = {ratings.levels["dialogue"][code] for code in np.unique(ratings.codes["dialogue"]).tolist()}
    for by in ("character", "emotion"):
        of, counts = labels(by, material.scenarios), dict[str, tuple[int, int]]()
        for dialogue in material.dialogues:
            if (name := of(dialogue.character, dialogue.scenario)) is not None:
                lacking, total = counts.get(name, (0, 0))
                counts[name] = lacking + (dialogue.id not in rated), total + 1
        if names := standing_out(counts):
            yield limit("missing_stands_out", by=by, names=names)


def _lacking_judges(material: Material, coverage: Coverage) -> Iterable[Limit]:
    """Judges that scored fewer dialogues than have a score: the others' scores stand for theirs."""
    ratings = material.ratings.get("judge")
    scored = {} if ratings is None else _scored(ratings)
    for judge in material.run.judges:
        if (given := scored.get(judge, 0)) < coverage.scored:
            yield limit("judge_scored_fewer", judge=judge, scored=given, dialogues=coverage.dialogues)


def _scored(ratings: Ratings) -> dict[str, int]:
    """How many dialogues each rater has scored."""
    dialogues, raters = len(ratings.levels["dialogue"]), ratings.levels["rater"]
    there = np.unique(ratings.codes["rater"] * dialogues + ratings.codes["dialogue"])
    return dict(zip(raters, np.bincount(there // dialogues, minlength=len(raters)).tolist(), strict=True))


def _left_out(ratings: Ratings, scenarios: Sequence[Scenario]) -> Iterable[Limit]:
    """Groupings of which not every group is in the report."""
    for by in GROUPS:
        groups = len(names_of(ratings, labels(by, scenarios)))
        if groups > MOST_GROUPS:
            yield limit("groups_left_out", by=by, groups=groups, shown=MOST_GROUPS)


def _of_run(material: Material, found: Found) -> Iterable[Limit]:
    """What the report does not show because of what was played, and how."""
    run, suite = material.run, material.run.suite_label
    if any(dialogue.own_log for dialogue in material.dialogues):
        yield limit("own_logs")
    if run.experimental:
        yield limit("suite_experimental", suite=suite)
    yield from map(_of_family, relatives_in(run))
    yield limit("suite_alone", suite=suite)
    # What another run has played, judged anew, has that run's simulator in its manifest.
    if run.transcript_id is not None and run.manifest.get("simulator", "imported") == "imported":
        yield limit("recorded_elsewhere")
    else:
        yield limit("rounds", rounds=run.rounds)
    if found.diversity is None:
        yield limit("diversity_not_measured")
    elif found.diversity.kind == "automatic":
        yield limit("diversity_counted")
    yield limit("safety_not_measured")


def _of_family(found: Relative) -> Limit:
    if found.judge is None:
        return limit("simulator_of_family", model=found.model, family=found.family)
    return limit("judge_of_family", judge=found.judge, model=found.model, family=found.family)
