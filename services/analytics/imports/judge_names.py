"""The names of judges, under which nobody can import ratings."""

import unicodedata
from collections.abc import Iterable


class Reserved:
    """Names that no rater of an import may have, in whatever case, width, spaces and marks it is written."""

    def __init__(self, judges: Iterable[str]) -> None:
        self._judges = {plain(written): name for name in judges for written in (name, f"jdg_{name}")}
        self._seen: set[str] = set()  # a study names few raters, many times

    def refuse(self, rater: str) -> None:
        """``ValueError`` if the rater is called like a judge."""
        if rater in self._seen:
            return
        judge = self._judges.get(plain(rater))
        if judge is not None:
            raise ValueError(
                f"rater {rater!r} has the name of the judge {judge}, and what a judge of this service says cannot be"
                " imported; call the rater something else"
            )
        self._seen.add(rater)


def plain(name: str) -> str:
    """The letters and digits of a name, for what looks alike to be alike."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(filter(str.isalnum, folded))
