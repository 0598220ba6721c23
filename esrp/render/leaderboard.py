"""A leaderboard as Markdown, as the paper prints it."""

from collections.abc import Iterator, Sequence

from esrp.api import Diversity, Leaderboard, LeaderboardRow, PublishedRow
from esrp.metrics import PRINTED
from esrp.render.tables import printed
from esrp.text import NONE, cell, interval, number, table_row


def markdown(found: Leaderboard) -> str:
    """Table 1's columns, then who is tied with whom, and the published rows apart."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Leaderboard) -> Iterator[str]:
    people = {"judge": "judges", "human": "people", None: "nobody yet"}[found.raters]
    yield f"# Leaderboard: {cell(found.suite)}"
    yield ""
    yield f"Rated by {people}; the newest finished run of each candidate. `suite` is the {_confidence(found)} interval"
    yield "of overall for new scenarios of this kind. Candidates whose ranks overlap may differ by chance alone (Holm)."
    yield ""
    yield from _table(["rank", "candidate", *PRINTED, "suite", "diversity", f"to {cell(_reference(found))}"])
    for row in found.rows:
        means = [number(estimate.mean) for estimate in printed(row)]
        what = [_rank(row), cell(row.candidate), *means, interval(row.overall.ci.suite), _diversity(row.diversity)]
        yield table_row([*what, _apart(row)])
    if found.not_ranked:
        yield ""
        yield "Not ranked, and in what they differ from those that are:"
        yield ""
        for other in found.not_ranked:
            yield f"- {cell(other.candidate)} (`{other.run}`): {cell(', '.join(other.differs))}"
    if found.published is not None:
        published = found.published
        yield ""
        yield f"## Published reference: {cell(published.source)}, {cell(published.title)}"
        yield ""
        yield f"Printed there, rated by {cell(published.raters)}; not measured here and part of no test."
        yield ""
        yield from _table(["candidate", *PRINTED, "diversity"])
        yield from (table_row([cell(row.candidate), *_published(row), number(row.diversity)]) for row in published.rows)


def _published(row: PublishedRow) -> Iterator[str]:
    values = {**row.metrics, **row.dimensions, "overall": row.overall}
    return (number(values[name]) for name in PRINTED)


def _confidence(found: Leaderboard) -> str:
    return f"{found.method['confidence']:.0%}"


def _reference(found: Leaderboard) -> str:
    return next((row.candidate for row in found.rows if row.run == found.reference), NONE)


def _rank(row: LeaderboardRow) -> str:
    if row.rank is None or row.last_rank is None:
        return NONE
    return str(row.rank) if row.rank == row.last_rank else f"{row.rank}–{row.last_rank}"


def _apart(row: LeaderboardRow) -> str:
    apart = row.difference.overall if row.difference else None
    if apart is None or apart.difference is None:
        return NONE
    return f"{number(apart.difference, '+')} {interval(apart.ci.dialogue)}"


def _diversity(found: Diversity | None) -> str:
    if found is None:
        return NONE
    return number(found.mean) + (f" of {found.scale[1]} (counted)" if found.kind == "automatic" else "")


def _table(names: Sequence[str]) -> Iterator[str]:
    yield table_row(names)
    yield table_row(["---"] * len(names))
