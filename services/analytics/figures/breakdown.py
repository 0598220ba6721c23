"""A run's scores by group: character, scenario, persona, emotion, location or rater."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from esrp.api import GroupBy, MetricsOut, RaterKind, Scored
from esrp.stats import METHOD, Ratings, Score, Scores, table
from services.analytics.report.build import estimate
from services.analytics.report.groups import MOST_GROUPS, labels, names_of, only
from services.analytics.report.packing import of_kind
from services.analytics.report.played import Scenario
from services.analytics.runs import Run
from services.kit.ids import encode

Asked = Literal["auto", "judge", "human"]


@dataclass(frozen=True, slots=True)
class Page:
    """The groups that are asked for: so many from a place on, in their order; ``following`` names the next page."""

    start: int = 0
    limit: int = MOST_GROUPS
    following: str | None = None

    def of(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are on it."""
        return sorted(names)[self.start : self.start + self.limit]


@dataclass(frozen=True, slots=True)
class Found:
    """The bootstrap's seed, the page's groups, and how many there are in all."""

    seed: str
    groups: Mapping[str, Scores]
    count: int


def breakdown(
    run: Run,
    ratings: Mapping[RaterKind, Ratings],
    scenarios: Sequence[Scenario],
    by: GroupBy,
    asked: Asked,
    page: Page,
) -> MetricsOut:
    """The page's groups with a rating, on common resamples; by ``auto`` judges' ratings, or people's if no judge rated.

    The cost is that of the page's groups, however many others there are.
    """
    kind = kind_of(ratings, asked)
    given = of_kind(ratings, kind)
    found = _by_rater(given, page) if by == "rater" else _by_label(given, by, scenarios, page)
    return MetricsOut(
        run=encode("run", run.id),
        suite=run.suite_label,
        candidate=run.candidate_name,
        group_by=by,
        raters=kind,
        groups={label: scored(scores) for label, scores in found.groups.items()},
        count=found.count,
        next_cursor=page.following if page.start + page.limit < found.count else None,
        method=method(found.seed),
    )


def kind_of(there: Collection[RaterKind], asked: Asked) -> RaterKind | None:
    """Whose ratings are meant; ``None`` where nobody rated."""
    if asked != "auto":
        return asked
    if "judge" in there:
        return "judge"
    return "human" if "human" in there else None


def scored(found: Scores) -> Scored:
    """As clients see it. Nobody knows how much is missing from a group, so it has no worst case."""

    def shown(score: Score) -> Any:
        return estimate(replace(score, worst=None))

    return Scored(
        overall=shown(found.overall),
        dimensions={name: shown(score) for name, score in found.dimensions.items()},
        metrics={name: shown(score) for name, score in found.metrics.items()},
    )


def method(seed: str) -> dict[str, Any]:
    """How intervals were computed."""
    return dict(sorted({**asdict(METHOD), "seed": seed}.items()))


def _by_rater(ratings: Ratings, page: Page) -> Found:
    """The raters of a page share resamples; none is held against another."""
    raters = ratings.levels["rater"]
    shown = {rater: ratings.only(ratings.among("rater", (rater,))) for rater in page.of(raters)}
    found = table(shown, paired=False)
    return Found(found.seed, found.scores, len(raters))


def _by_label(ratings: Ratings, by: GroupBy, scenarios: Sequence[Scenario], page: Page) -> Found:
    of = labels(by, scenarios)
    names = names_of(ratings, of)
    found = table({"": ratings}, groups={by: only(of, {*page.of(names)})})
    return Found(found.seed, {label: scores[""] for label, scores in found.groups[by].items()}, len(names))
