"""What is counted of a candidate's replies: their form, and how their openings differ. It moves no score."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from esrp.diversity import Form, Reply, batches, form, opening_diversity
from esrp.metrics import Language
from esrp.stats import Interval
from esrp.stats.diversity import DiversityScore, counted_diversity
from services.analytics.report.played import Dialogue, Scenario

VERSION = "esrp-wording-1"  # changes whenever the same replies would give other numbers


@dataclass(frozen=True, slots=True)
class Wording:
    """The form of all replies; of the batches the share of ``repeated`` openings and the ``opening`` diversity.

    The latter are ``None`` where they were not counted.
    """

    form: Form
    repeated: float | None = None
    opening: DiversityScore | None = None

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)


NOTHING = Wording(Form(0, None, None, None, None))


def texts_sha256(dialogues: Iterable[Dialogue], language: Language) -> str:
    """The hash of all replies and of where each belongs."""
    where = ("character", "scenario", "replicate", "position", "state", "replies")
    kept = [[getattr(dialogue, name) for name in where] for dialogue in dialogues]
    return hashlib.sha256(orjson.dumps([VERSION, language, kept])).hexdigest()


def form_of(dialogues: Iterable[Dialogue], language: Language) -> Wording:
    """The form alone: a hundredth of the work."""
    return Wording(form((reply for d in dialogues for reply in d.replies if reply is not None), language))


def counted(dialogues: Sequence[Dialogue], scenarios: Sequence[Scenario], language: Language) -> Wording:
    """Everything."""
    groups = batches(_replies(dialogues, [scenario.id for scenario in scenarios]))
    openings = opening_diversity(groups, language)
    values = {
        (batch.character, batch.number): value
        for batch, value in zip(groups, openings.values, strict=True)
        if value is not None
    }
    return Wording(form_of(dialogues, language).form, openings.repeated, counted_diversity(values))


def loaded(document: Mapping[str, Any]) -> Wording:
    """What ``document`` stored."""
    opening = document["opening"]
    if opening is not None:
        intervals = {name: opening[name] and Interval(**opening[name]) for name in ("batch", "population")}
        opening = DiversityScore(**{**opening, **intervals})
    return Wording(Form(**document["form"]), document["repeated"], opening)


def _replies(dialogues: Iterable[Dialogue], scenarios: Sequence[str]) -> Iterator[Reply]:
    """Of the dialogues that were played to the end, in the order of the suite; own logs after it, in theirs."""
    place: dict[str | None, int] = {id: number for number, id in enumerate(scenarios)}
    for dialogue in dialogues:
        if dialogue.state == "done":
            beyond = len(scenarios) + dialogue.position
            where = place.get(dialogue.scenario, beyond)
            for round, text in enumerate(dialogue.replies, start=1):
                yield Reply(dialogue.character, where, round, text, dialogue.replicate)
