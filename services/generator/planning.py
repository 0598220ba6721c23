"""Which dialogues a run consists of, in the order of play."""

from collections.abc import Sequence
from uuid import UUID

from esrp.api import Sample
from esrp.sampling import sampled
from services.generator.store import Planned, Recorded
from services.kit.ids import dialogue_id
from services.work.published import PlayedRun


def planned(run: PlayedRun) -> list[Planned]:
    """Every pair of the sample, replicate after replicate; every beginning of it is balanced."""
    pairs, whole = _pairs(run), run.suite.counts["dialogues"]
    return [
        # A replicate's places leave room for all of the suite, so that a larger sample moves nobody.
        _dialogue(run.id, round_ * whole + place, character, scenario, round_ + 1)
        for round_ in range(run.replicates)
        for place, (character, scenario) in enumerate(pairs)
    ]


def planned_from(run: PlayedRun, recorded: Sequence[Recorded]) -> tuple[list[Planned], list[int]]:
    """The dialogues of a transcript that are in the sample, and their positions there."""
    wanted = set(_pairs(run)) if run.sample else None
    kept = [r for r in recorded if wanted is None or (r.character, r.scenario) in wanted]
    dialogues = [_dialogue(run.id, r.position, r.character, r.scenario, r.replicate) for r in kept]
    return dialogues, [r.position for r in kept]


def _pairs(run: PlayedRun) -> list[tuple[str, str]]:
    sample = None if run.sample is None else Sample.model_validate(run.sample)
    return sampled(run.suite, sample)


def _dialogue(run: UUID, position: int, character: str, scenario: str | None, replicate: int) -> Planned:
    return Planned(dialogue_id(run, character, scenario, replicate, position), position, character, scenario, replicate)
