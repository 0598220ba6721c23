"""How much a candidate's replies differ from one another, and what they look like (STATISTICS 7): counts of text."""

import math
import re
import statistics
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import groupby, islice, pairwise
from threading import Lock
from typing import NamedTuple, Protocol, TypeVar

from esrp.dialogue import normalise
from esrp.metrics import Language

T = TypeVar("T")

BATCH = 10  # replies that are looked at together (paper 4.1)
SMALLEST = 5  # a rest under it is left out
OPENING = 46  # code points of a reply whose words are counted
SHORTEST, LONGEST = 50, 150  # of a reply: code points in Chinese, words in English


class Reply(NamedTuple):
    """One answer of the candidate. ``text`` is ``None`` where there is none.

    ``scenario`` is the place of its scenario in the suite; own logs have the places after the last, in their order.
    """

    character: str
    scenario: int
    round: int
    text: str | None
    replicate: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Five to ten replies of one character, as they were written; ``number`` counts the character's batches from 1."""

    character: str
    number: int
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """Opening diversity, in [0, 1]: ``mean`` over the ``n`` batches that have a value.

    ``values`` are those of the batches, in their order; ``None`` where no reply has two words. ``repeated`` is the
    share of replies that open as an earlier one of their batch does. What cannot be known is ``None``.
    """

    mean: float | None
    n: int
    values: tuple[float | None, ...]
    repeated: float | None


@dataclass(frozen=True, slots=True)
class Form:
    """What replies look like: shares of all of them, and the median of their length in the unit of the limit."""

    replies: int
    inside: float | None
    median: float | None
    emoji: float | None
    stage_directions: float | None


class Counted(NamedTuple):
    """What is counted of one reply: all that its form and its batch's opening diversity need.

    ``size`` is in the unit of the limit, 0 for a blank reply; ``start`` are its first two letters, ``words`` those of
    its first 46 code points.
    """

    size: int
    emoji: bool
    stage_direction: bool
    start: str
    words: Sequence[str]


def batches(replies: Iterable[Reply]) -> tuple[Batch, ...]:
    """Each character's replies by tens, in the order of replicate, scenario and round; characters by their ids.

    Missing and blank replies are passed over. A rest under five is left out, so few replies may make no batch. The
    order in which the replies are given changes nothing.
    """
    there = [reply for reply in replies if reply.text is not None and normalise(reply.text)]
    ordered = sorted(there, key=lambda r: (r.character, r.replicate, r.scenario, r.round, r.text))
    return tuple(
        Batch(character, number, tuple(texts))
        for character, spoken in groupby(ordered, key=lambda reply: reply.character)
        for number, texts in by_tens([reply.text for reply in spoken if reply.text is not None])
    )


def by_tens(replies: Sequence[T]) -> Iterator[tuple[int, Sequence[T]]]:
    """A character's replies in batches, each with its number from 1; a rest under five is left out."""
    for number, start in enumerate(range(0, len(replies), BATCH), start=1):
        if len(replies) - start >= SMALLEST:
            yield number, replies[start : start + BATCH]


def batch_count(replies: int) -> int:
    """How many batches a character's replies make."""
    return replies // BATCH + (replies % BATCH >= SMALLEST)


# --- openings ---------------------------------------------------------------------------------------------------------


def counted(text: str, language: Language) -> Counted:
    """What is counted of a reply.

    In Chinese the words are jieba's (the extra ``analytics``; without it ``ModuleNotFoundError`` says so); in English
    they are lower-cased. Punctuation is no word. Texts are NFKC.
    """
    text = normalise(text)
    words = _chinese_words if language == "zh" else _english_words
    return Counted(
        size=len(text.split()) if language == "en" else len(text),
        emoji=has_emoji(text),
        stage_direction=_has_words_between(text),
        start="".join(found[0] for found in islice(_LETTER.finditer(text), 2)).lower(),
        words=words(text[:OPENING]),
    )


def opening_diversity(batches: Iterable[Batch], language: Language) -> Opening:
    """Distinct-2 over the words of the first 46 code points, mean over batches; see ``counted`` for the words."""
    return opening_of([[counted(text, language) for text in batch.texts] for batch in batches])


def opening_of(batches: Sequence[Sequence[Counted]]) -> Opening:
    """The same of replies that were counted before."""
    values = tuple(_distinct_pairs([reply.words for reply in batch]) for batch in batches)
    known = [value for value in values if value is not None]
    mean = math.fsum(known) / len(known) if known else None
    return Opening(mean, len(known), values, _repeated(batches))


def prepare(language: Language) -> None:
    """Load what counting a language needs beforehand: for Chinese a dictionary, once a process."""
    if language == "zh":
        with _LOADING:
            _segmenter()


def _distinct_pairs(openings: Iterable[Sequence[str]]) -> float | None:
    """Different pairs of neighbouring words ÷ all of them, over the replies of a batch."""
    pairs = [pair for words in openings for pair in pairwise(words)]
    return len(set(pairs)) / len(pairs) if pairs else None


def _repeated(batches: Iterable[Sequence[Counted]]) -> float | None:
    """The share of replies whose first two letters an earlier reply of the batch has; one without letters is none."""
    openings = [[reply.start for reply in batch if reply.start] for batch in batches]
    count = sum(map(len, openings))
    return sum(len(starts) - len(set(starts)) for starts in openings) / count if count else None


def _english_words(text: str) -> list[str]:
    return _ENGLISH_WORD.findall(text.lower().replace("’", "'"))


def _chinese_words(text: str) -> list[str]:
    with _LOADING:
        segmenter = _segmenter()
    found = segmenter.cut(text.encode(errors="replace").decode())
    return [part for word in found if _WORD.search(word) for part in _parts(word, segmenter)]


def _parts(word: str, segmenter: "_Segmenter") -> Sequence[str]:
    """jieba-rs takes "A.A.A" for one word, jieba for three."""
    is_known = word.isalnum() or not word.isascii() or segmenter.has_word(word)
    return [word] if is_known else _LATIN_WORD.findall(word)


class _Segmenter(Protocol):
    def cut(self, text: str) -> Iterable[str]: ...

    def has_word(self, word: str) -> bool: ...


@cache
def _segmenter() -> _Segmenter:
    """jieba's segmentation as jieba-rs does it, many times as fast, with the dictionary that it ships with.

    With ``_parts``, the words of the 32,458 openings of the published texts are those of jieba itself. It is imported
    here because it is optional. A segmenter of our own knows no word that other code adds to the common one.
    """
    try:
        rjieba = import_module("rjieba")
    except ModuleNotFoundError as error:
        message = "Words of Chinese are counted with rjieba: install esrp[analytics]."
        raise ModuleNotFoundError(message, name="rjieba") from error
    segmenter: _Segmenter = rjieba.Jieba()
    return segmenter


_LOADING = Lock()  # reports are made in threads; the dictionary takes a fifth of a second and 56 MB
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[^\W_]")
_LATIN_WORD = re.compile(r"[a-zA-Z0-9]+(?:\.\d+)?%?")
_ENGLISH_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


# --- form -------------------------------------------------------------------------------------------------------------


def form(texts: Iterable[str], language: Language) -> Form:
    """The shares of replies inside the length that is asked for, with an emoji, with a stage direction; all NFKC."""
    return form_of([counted(text, language) for text in texts])


def form_of(replies: Sequence[Counted]) -> Form:
    """The same of replies that were counted before."""
    return Form(
        replies=len(replies),
        inside=_share([SHORTEST <= reply.size <= LONGEST for reply in replies]),
        median=statistics.median(reply.size for reply in replies) if replies else None,
        emoji=_share([reply.emoji for reply in replies]),
        stage_directions=_share([reply.stage_direction for reply in replies]),
    )


def has_emoji(text: str) -> bool:
    """Whether a character is shown as a picture: by its nature, or because U+FE0F or a keycap asks for it."""
    return _EMOJI.search(text) is not None


def has_stage_direction(text: str) -> bool:
    """Whether words stand in parentheses or between single asterisks, as in ``(sighs)`` or ``*轻哼一声*``.

    A face such as ``(´・ω・`)``, a number and ``**bold**`` are none; an aside in parentheses cannot be told from one.
    """
    return _has_words_between(normalise(text))


def _has_words_between(text: str) -> bool:
    return any(_WORDS.search(between) for between in _BETWEEN.findall(text))


def _share(marks: Collection[bool]) -> float | None:
    return sum(marks) / len(marks) if marks else None


# Unicode's Emoji_Presentation; symbols of its Emoji with U+FE0F; keycaps.
_EMOJI = re.compile(
    "[\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab"
    "\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e"
    "\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f004\U0001f0cf\U0001f18e"
    "\U0001f191-\U0001f19a\U0001f1e6-\U0001f1ff\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7f0"
    "\U0001f900-\U0001f9ff\U0001fa70-\U0001faff]"
    "|[\u2190-\u2bff\u3030\u303d]\ufe0f|[0-9#*]\ufe0f?\u20e3"
)
_BETWEEN = re.compile(r"\([^()\n]+\)|(?<!\*)\*(?!\*)[^*\n]+\*(?!\*)")
_WORDS = re.compile(r"[\u3400-\u9fff]|[a-z]{2}", re.IGNORECASE)
