"""What a suite's author should know though the suite is valid: warnings, none of which rejects it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from esrp.dialogue import normalise
from esrp.metrics import Language
from esrp.similarity import NEAR, likenesses
from esrp.suite import Suite

# A judge's prompt has some 800 tokens, two rounds of dialogue 700 and nine explanations 600: with a profile of 2,000
# that is the context of 4,096 which small models are often served with.
MOST_TOKENS = 2_000
FEWEST_TOKENS = 40  # two sentences: less says no more than the name does
# Profiles share their headings: the bundled ones are alike by up to 0.33, which is near for a question (``NEAR``).
NEAR_PROFILES = 0.6
MOST_COMPARED = 1_000  # texts of which every two are compared (1 s); of more, only equal ones are found
COMPARED = 1_000  # characters of each
MOST_TOLD = 20  # warnings of one kind
SCRIPT: dict[Language, str] = {"zh": "CJK UNIFIED", "en": "LATIN"}  # how the names of its letters begin

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
# A Chinese, Japanese or Korean letter, or a word of any others: so "怎么玩 Minecraft" has three to one.
_UNIT = re.compile(rf"[{_CJK}]|[^\W\d_{_CJK}]+")


def warnings(suite: Suite) -> list[str]:
    """What may make the suite measure less than its author hopes, at most ``MOST_TOLD`` of each kind."""
    kinds = (_lengths(suite), _likes(suite), _balance(suite), _scripts(suite))
    return [warning for kind in kinds for warning in _few(list(kind))]


def tokens(text: str) -> int:
    """Roughly the tokens of ``text``: one a Chinese, Japanese or Korean letter, one for four other characters."""
    letters = len(re.findall(f"[{_CJK}]", text))
    return letters + (len(text) - letters + 3) // 4


def _lengths(suite: Suite) -> Iterator[str]:
    for character in suite.characters:
        if (count := tokens(character.profile)) > MOST_TOKENS:
            limit = f"over {MOST_TOKENS:,} it may not fit into a context of 4,096 beside prompt and dialogue"
            yield f"character {character.id}: the profile has about {count:,} tokens; {limit}"
        elif count < FEWEST_TOKENS:
            limit = "bot and judges are told nothing else of the character"
            yield f"character {character.id}: the profile has only about {count} tokens; {limit}"


def _likes(suite: Suite) -> Iterator[str]:
    yield from _alike("characters", "profile", {c.id: c.profile for c in suite.characters}, NEAR_PROFILES)
    yield from _alike("scenarios", "question", {s.id: s.question for s in suite.scenarios}, NEAR)
    yield from _alike("scenarios", "event", {s.id: s.event for s in suite.scenarios if s.event}, NEAR)


def _alike(kind: str, what: str, texts: Mapping[str, str], near: float) -> Iterator[str]:
    """Each text that is the same as an earlier one, or nearly."""
    plain = {id: " ".join(normalise(text).split()) for id, text in texts.items()}
    first: dict[str, str] = {}
    for id, text in plain.items():
        if first.setdefault(text, id) != id:
            yield f"{kind} {first[text]} and {id}: the same {what}"
    if 1 < len(first) <= MOST_COMPARED:
        ids = list(first.values())
        for id, found in zip(ids, likenesses([[text[:COMPARED]] for text in first], near), strict=True):
            if found.of is not None:
                yield f"{kind} {ids[found.of]} and {id}: nearly the same {what}"


def _balance(suite: Suite) -> Iterator[str]:
    columns: dict[str, Iterable[str | None]] = {
        "persona": (scenario.persona for scenario in suite.scenarios),
        "emotion": (scenario.emotion for scenario in suite.scenarios),
        "location": (scenario.location for scenario in suite.scenarios),
    }
    for column, labels in columns.items():
        counts = Counter(label for label in labels if label is not None).most_common()
        if counts and counts[0][1] > 2 * counts[-1][1]:
            (most, many), (least, few) = counts[0], counts[-1]
            yield f"{column}: {most!r} has over twice the scenarios of {least!r} ({many} to {few})"
        if once := [repr(label) for label, times in counts if times == 1]:
            told = ", ".join(once[:MOST_TOLD]) + (", …" if len(once) > MOST_TOLD else "")
            yield f"{column}: one scenario alone stands for {told}"


def _scripts(suite: Suite) -> Iterator[str]:
    for scenario in suite.scenarios:
        units = _UNIT.findall(scenario.question[:COMPARED])
        own = sum(unicodedata.name(unit[0], "").startswith(SCRIPT[suite.language]) for unit in units)
        if 2 * own < len(units):
            yield f"scenario {scenario.id}: the question is in another script than the language {suite.language!r}"


def _few(warnings: list[str]) -> list[str]:
    more = len(warnings) - MOST_TOLD
    return warnings if more <= 0 else [*warnings[:MOST_TOLD], f"… and {more:,} more like the last"]
