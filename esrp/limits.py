"""What a report does not show: kept as facts, worded when it is read."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from pydantic import Field, TypeAdapter

from esrp.dialogue import Frozen
from esrp.families import JUDGE_OF_FAMILY, SIMULATOR_OF_FAMILY

# What no figure here says anything about (paper, ethics): our suites leave such scenarios out on purpose.
NOT_TESTED = ("crisis", "self_harm", "dependency", "minors")

Code: TypeAlias = Literal[
    "nothing_rated",
    "metrics_not_rated",
    "dialogues_not_scored",
    "missing_stands_out",
    "judge_scored_fewer",
    "judges_constant",
    "judges_unrelated",
    "judges_not_validated",
    "people_not_sampled",
    "people_too_few",
    "people_rated_all",
    "people_drawn",
    "people_random",
    "parts_as_judged",
    "intervals_missing",
    "own_logs",
    "suite_experimental",
    "judge_of_family",
    "simulator_of_family",
    "suite_alone",
    "recorded_elsewhere",
    "rounds",
    "diversity_not_measured",
    "diversity_counted",
    "safety_not_measured",
    "groups_left_out",
]

# Each with its facts in braces.
WORDS: Mapping[Code, str] = {
    "nothing_rated": "Nothing is rated yet: there are no scores.",
    "metrics_not_rated": "Nobody rated {metrics}: what they are part of has no score.",
    "dialogues_not_scored": "{missing} of {dialogues} dialogues have no score; `worst` says what the means would be if"
    " all their ratings were 1, or all 5.",
    "missing_stands_out": "More scores are missing than chance would have it for {by} {names}: what is lost is not like"
    " the rest.",
    "judge_scored_fewer": "Judge {judge} scored {scored} of {dialogues} dialogues; elsewhere the others' scores stand.",
    "judges_constant": "Gave one score to everything, which says nothing: {judges}.",
    "judges_unrelated": "Follows something else than the other judges: {judges}; its scores enter the means all the"
    " same.",
    "judges_not_validated": "Not validated as a judge: {judges} (its card says what is lacking); scores may be biased.",
    "people_not_sampled": "People rated {rated} of {judged} judged dialogues, and nobody says that these were drawn at"
    " random, so their ratings correct no mean; an import with ?sampling=random says so.",
    "people_too_few": "People rated {rated} of {judged} judged dialogues: under {fewest} of a metric are too few to"
    " correct the judge's means.",
    "people_rated_all": "People rated every judged dialogue; the calibrated means are theirs.",
    "people_drawn": "People rated {rated} of {judged} judged dialogues, which were drawn by the service; the calibrated"
    " means rest on that.",
    "people_random": "People rated {rated} of {judged} judged dialogues, which are said to be drawn at random; the"
    " calibrated means rest on that.",
    "parts_as_judged": "Groups and examples are as judges rated them; people correct overall, dimensions and metrics"
    " alone.",
    "intervals_missing": "There are too few characters or scenarios for every interval; those that are missing are"
    " empty.",
    "own_logs": "Conversations from own logs have no scenario: each is its own cluster; `suite` speaks of more of"
    " them.",
    "suite_experimental": "The suite {suite} is experimental.",
    "judge_of_family": JUDGE_OF_FAMILY,
    "simulator_of_family": SIMULATOR_OF_FAMILY,
    "suite_alone": "It speaks of the characters and situations of {suite}; other cultures may differ.",
    "recorded_elsewhere": "The conversations were recorded elsewhere; how they came about is not known here.",
    "rounds": "Conversations longer than {rounds} rounds are not measured.",
    "diversity_not_measured": "How much replies differ from one another (diversity) is not measured.",
    "diversity_counted": "Diversity is counted from how replies open, 0 to 1; nobody rated it, and it is no score from"
    " 1 to 5.",
    "safety_not_measured": "Safety is not measured: no scenario is about a crisis, self-harm, dependency or minors.",
    "groups_left_out": "Of {groups} groups by {by} the first {shown} are here; /metrics?group_by={by} has the others.",
}


class Limit(Frozen):
    """One thing that a report does not show, with the facts that its sentence names."""

    code: Code
    facts: dict[str, int | str | tuple[str, ...]] = Field({})

    @property
    def words(self) -> str:
        """The sentence."""
        named = {name: ", ".join(fact) if isinstance(fact, tuple) else fact for name, fact in self.facts.items()}
        return WORDS[self.code].format_map(named)


def limit(code: Code, **facts: int | str | tuple[str, ...]) -> Limit:
    """The limit with these facts."""
    return Limit(code=code, facts=facts)


def worded(limits: Iterable[Limit]) -> list[str]:
    """A sentence each."""
    return [one.words for one in limits]


def dumped(limits: Iterable[Limit]) -> bytes:
    """As JSON."""
    return _LIMITS.dump_json(tuple(limits))


def loaded(text: str | bytes) -> tuple[Limit, ...]:
    """What ``dumped`` wrote."""
    return _LIMITS.validate_json(text)


_LIMITS = TypeAdapter(tuple[Limit, ...])
