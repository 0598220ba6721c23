"""How a run's dialogues are grouped: by character, scenario, or what the suite says of the scenario."""

from collections.abc import Collection, Sequence

from esrp.stats import Labels, Ratings
from services.analytics.report.played import Scenario

MOST_GROUPS = 100  # by one thing, in a report or an answer: a second and 60 MB
GROUPS = ("character", "persona", "emotion", "location")


def labels(by: str, scenarios: Sequence[Scenario]) -> Labels:
    """What groups (character, scenario) pairs: themselves, or what the suite says of the scenario."""
    if by == "character":
        return lambda character, _: character
    if by == "scenario":
        return lambda _, scenario: scenario
    known: dict[str | None, str | None] = {scenario.id: getattr(scenario, by) for scenario in scenarios}
    return lambda _, scenario: known.get(scenario)


def names_of(ratings: Ratings, of: Labels) -> list[str]:
    """What there is of a grouping, in its order."""
    return sorted({name for pair in ratings.units.pairs if (name := of(*pair)) is not None})


def only(of: Labels, names: Collection[str]) -> Labels:
    """The grouping without what is not among the names."""

    def named(character: str, scenario: str | None) -> str | None:
        name = of(character, scenario)
        return name if name in names else None

    return named


def groups(ratings: Ratings, scenarios: Sequence[Scenario]) -> dict[str, Labels]:
    """The groupings of a report, each of so many groups."""
    shown = {}
    for by in GROUPS:
        of = labels(by, scenarios)
        shown[by] = only(of, {*names_of(ratings, of)[:MOST_GROUPS]})
    return shown
