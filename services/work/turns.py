"""Whose turn it is: of those who wait, one of each side after the other, and on each side who came first."""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Who = TypeVar("Who")


class Turns(Generic[Who]):
    """Lines of waiting, one for each side. To join and to be called takes the same time however many wait."""

    def __init__(self) -> None:
        self._lines: OrderedDict[Hashable, deque[Who]] = OrderedDict()
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def join(self, side: Hashable, who: Who) -> None:
        """Wait behind the others of this side."""
        self._lines.setdefault(side, deque()).append(who)
        self._waiting += 1

    def next(self) -> Who:
        """Who waits longest on the side whose turn it is, which is the last then. ``KeyError`` if nobody waits."""
        side, line = self._lines.popitem(last=False)
        who = line.popleft()
        self._waiting -= 1
        if line:
            self._lines[side] = line
        return who

    def keep(self, wanted: Callable[[Who], bool]) -> None:
        """Let those go who are not ``wanted``; the turns of the others stay as they are."""
        for side, line in list(self._lines.items()):
            staying = deque(who for who in line if wanted(who))
            self._waiting -= len(line) - len(staying)
            if staying:
                self._lines[side] = staying
            else:
                del self._lines[side]
