"""How a figure is written, once: number, interval, Markdown, spreadsheet cell; and to how many digits it is kept."""

import re
from collections.abc import Iterable
from typing import Literal, Protocol, TypeAlias, TypeVar, overload

DIGITS = 10  # of every number that is kept or sent (STATISTICS 3)
NONE = "–"  # stands for what is not known
JOINER = "\u2060"  # is not seen, and parts what must not be one word

Sign: TypeAlias = Literal["", "+"]
Bounds: TypeAlias = tuple[float, float]
Value = TypeVar("Value")

# Control characters, those that turn the direction of writing, and what no XML may hold.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]+"
)
FORMULA = re.compile(r"'*[=+\-@\t\r]")  # how a text begins that a spreadsheet would compute, or that is guarded
GUARDED = re.compile(r"'+[=+\-@\t\r]")


class Ends(Protocol):
    """An interval as the statistics give it."""

    @property
    def low(self) -> float:
        """The lower end."""

    @property
    def high(self) -> float:
        """The upper end."""


# --- as it is kept and sent -------------------------------------------------------------------------------------------


@overload
def rounded(number: float) -> float: ...
@overload
def rounded(number: float | None) -> float | None: ...
def rounded(number: float | None) -> float | None:
    """To the digits of a report; a whole number stays one."""
    return None if number is None else round(number, DIGITS)


def bounds(interval: Ends | None) -> Bounds | None:
    """Both ends to the digits of a report."""
    return None if interval is None else (round(interval.low, DIGITS), round(interval.high, DIGITS))


# --- as it is read ----------------------------------------------------------------------------------------------------


def number(value: float | None, sign: Sign = "", unknown: str = NONE) -> str:
    """With two decimals, ``unknown`` for ``None``; with the sign ``+`` what is not below 0 has one too."""
    return unknown if value is None else f"{value:{sign}.2f}"


def interval(ends: Bounds | None, sign: Sign = "", unknown: str = NONE) -> str:
    """Both ends as ``number`` writes them, in brackets."""
    return unknown if ends is None else f"[{number(ends[0], sign)}, {number(ends[1], sign)}]"


# --- foreign text -----------------------------------------------------------------------------------------------------


def shown(text: str) -> str:
    """A foreign text on one line, without what a terminal, a page or an XML reader would act on."""
    return " ".join(UNSEEN.sub(" ", text).split())


def cell(text: str) -> str:
    """A foreign name in Markdown: it breaks out of no line, table or code, and is no link and no tag."""
    words = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
    return words.replace("[", "\\[").replace("]", "\\]")


def table_row(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def sentence(text: str) -> str:
    """One of our sentences with foreign names in it, in Markdown: no mark in it means anything, nobody is called."""
    text = re.sub(r"([\\`*_{}\[\]<>|~!&$])", r"\\\1", shown(text))
    return re.sub(r"([@#](?=\w)|:(?=//)|\bwww(?=\.))", f"\\1{JOINER}", text, flags=re.IGNORECASE)


def code(text: str) -> str:
    """A foreign text as code in Markdown, in a fence of more backticks than it holds."""
    text = shown(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    room = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{room}{text}{room}{fence}" if text else NONE


def guarded(value: Value) -> Value | str:
    """A cell of a spreadsheet: a text that would be a formula there begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def unguarded(text: str) -> str:
    """Without the apostrophe that ``guarded`` has put before it."""
    return text[1:] if GUARDED.match(text) else text
