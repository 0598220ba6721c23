"""What is counted of a candidate's replies: their form, and how their openings differ. It moves no score."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from esrp.diversity import Counted, Form, by_tens, form_of, opening_of
from esrp.stats.diversity import DiversityScore, counted_diversity
from services.analytics.report.played import Dialogue, Scenario


@dataclass(frozen=True, slots=True)
class Wording:
    """The form of all replies; of the batches the share of ``repeated`` openings and the ``opening`` diversity.

    The latter are ``None`` where they were not counted.
    """

    form: Form
    repeated: float | None = None
    opening: DiversityScore | None = None


NOTHING = Wording(Form(0, None, None, None, None))


def wording_of(dialogues: Sequence[Dialogue], scenarios: Sequence[Scenario], *, complete: bool) -> Wording:
    """Of all replies; of those that are not ``complete`` the form alone: more of them would make other batches."""
    form = form_of([Counted(*reply) for dialogue in dialogues for reply in dialogue.replies or () if reply is not None])
    if not complete:
        return Wording(form)
    groups = list(_batches(dialogues, [scenario.id for scenario in scenarios]))
    openings = opening_of([group.replies for group in groups])
    values = {
        (group.character, group.number): value
        for group, value in zip(groups, openings.values, strict=True)
        if value is not None
    }
    return Wording(form, openings.repeated, counted_diversity(values))


class _Batch(NamedTuple):
    character: str
    number: int
    replies: Sequence[Counted]


def _batches(dialogues: Iterable[Dialogue], scenarios: Sequence[str]) -> Iterator[_Batch]:
    """The batches that the judges see: each character's replies that are not blank, by tens."""
    for character, spoken in groupby(sorted(_said(dialogues, scenarios), key=itemgetter(0, 1)), key=itemgetter(0)):
        for number, replies in by_tens([reply for _, _, reply in spoken]):
            yield _Batch(character, number, replies)


def _said(
    dialogues: Iterable[Dialogue], scenarios: Sequence[str]
) -> Iterator[tuple[str, tuple[int, int, int], Counted]]:
    """Character, place and reply of what was played to the end, by replicate, the suite's order and round.

    Own logs stand after the suite's scenarios, in their order.
    """
    place: dict[str | None, int] = {id: number for number, id in enumerate(scenarios)}
    for dialogue in dialogues:
        if dialogue.state == "done":
            where = place.get(dialogue.scenario, len(scenarios) + dialogue.position)
            for round, reply in enumerate(dialogue.replies or (), start=1):
                if reply is not None and (counted := Counted(*reply)).size:
                    yield dialogue.character, (dialogue.replicate, where, round), counted
