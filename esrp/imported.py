"""What was imported into a run, as facts, and in words: beside a report's limits and in a verdict's explanation."""

from collections.abc import Iterator

from esrp.dialogue import Frozen

LISTED = 100  # imports of a run that are shown, the newest


class ImportTotals(Frozen):
    """How much was imported into a run.

    ``human`` and ``judge``: ratings, ``replaced`` of them in place of others, in so many entries (``times``);
    ``sampled``: imports that called theirs drawn at random. ``left_out`` if the run has judges of its own, so that
    imported ones of judges do not count.
    """

    times: int = 0
    human: int = 0
    judge: int = 0
    replaced: int = 0
    sampled: int = 0
    left_out: bool = False


def sentences(found: ImportTotals, whose: str) -> Iterator[str]:
    """What a reader must know of them; nothing where nothing was imported."""
    if not found.times:
        return
    some = [f"{n:,} of {who}" for n, who in ((found.human, "people"), (found.judge, "judges")) if n]
    replaced = f", {found.replaced:,} of them in place of others" if found.replaced else ""
    listed = f"; the newest {LISTED} of {found.times:,} entries are listed" if found.times > LISTED else ""
    yield f"Ratings {whose} were imported: {' and '.join(some)}{replaced}{listed}."
    if found.sampled:
        yield f"That dialogues {whose} were drawn at random for people is said by an import; nobody checks it."
    if found.left_out:
        yield f"Imported ratings of judges {whose} count in no score: it has judges of its own."
