"""Which dialogues a run consists of, in the order of play."""

from collections.abc import Iterator, Sequence
from itertools import islice
from uuid import UUID

from esrp.api import Sample
from esrp.sampling import sampled
from services.generator.store import Planned, Recorded
from services.kit.ids import dialogue_id
from services.work.published import PlayedRun

PART = 2_000  # dialogues that are written at once: others have their turn after 20 ms


def planned(run: PlayedRun) -> Iterator[list[Planned]]:
    """Every pair of the sample, replicate after replicate, in parts; every beginning of all is balanced."""
    pairs, whole = _pairs(run), run.suite.counts["dialogues"]
    dialogues = (
        # A replicate's places leave room for all of the suite, so that a larger sample moves nobody.
        _dialogue(run.id, round_ * whole + place, character, scenario, round_ + 1)
        for round_ in range(run.replicates)
        for place, (character, scenario) in enumerate(pairs)
    )
    while part := list(islice(dialogues, PART)):
        yield part


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
