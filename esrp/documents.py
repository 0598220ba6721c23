"""A YAML or JSON text as a document that still knows on which line each of its fields stands."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import yaml
from pydantic_core import from_json
from yaml.composer import Composer, ComposerError
from yaml.constructor import ConstructorError
from yaml.reader import Reader

from esrp.errors import Fault, InvalidInput

Place = Sequence[str | int]  # the way down to a field, as pydantic's `loc` tells it
MOST_NESTED = 100  # mappings and lists in one another; a suite has 3, and JSON is read to 200
MOST_VALUES = 1_000_000  # of a document with its aliases written out; the largest suite has some 140,000


@dataclass(frozen=True, slots=True)
class Located:
    """A document. ``line`` gives the line of a field, or of the innermost thing around it that is there.

    ``repeated`` are the fields that stand twice in one mapping, of which a parser would silently keep the last.
    """

    document: Any
    line: Callable[[Place], int] | None = None
    repeated: tuple[Fault, ...] = ()


def read(text: str) -> Located:
    """The document in a YAML or JSON text; ``InvalidInput`` names the line where it is neither."""
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] == "{":  # as YAML, JSON's tabs and its escaped pairs of surrogates would be refused
        with suppress(InvalidInput):
            return read_json(text)
    return read_yaml(text)


# --- YAML -------------------------------------------------------------------------------------------------------------


def read_yaml(text: str) -> Located:
    """The document in a YAML text; ``InvalidInput`` names the line where it is none."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if "*" in text and not _extent(root, {}).bearable:
            raise InvalidInput.at("/", "with its aliases written out it is too large or nested too deeply")
        repeated = tuple(_repeated_fields(root, (), set())) if loader.repeats else ()  # before merges make more of them
        document = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise _at(error.problem_mark.line + 1 if error.problem_mark else 1, _NEITHER, error.problem) from error
    except yaml.YAMLError as error:
        strange = Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, strange.start()) + 1 if strange else 1
        raise _at(line, _NEITHER, getattr(error, "reason", "it cannot be read")) from error
    return Located(document, lambda place: _line_below(root, place), repeated)


# The C scanner with the composer in Python: as fast as both in C, and deep nesting is an error where C's would crash.
_BASES: Any = (Composer, yaml.CSafeLoader) if yaml.__with_libyaml__ else (yaml.SafeLoader,)


class _Loader(*_BASES):  # type: ignore[misc]  # which of the two bases there are is known only here
    """Safe YAML that notices repeated fields, and marks the place of every value that cannot be."""

    def __init__(self, text: str) -> None:
        _BASES[-1].__init__(self, text)
        Composer.__init__(self)
        self.repeats = False
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        """The node; ``ComposerError`` where the nesting goes too deep."""
        self._depth += 1
        if self._depth > MOST_NESTED:
            raise ComposerError(None, None, "it is nested too deeply", self.peek_event().start_mark)
        node: yaml.Node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The mapping."""
        mapping: yaml.MappingNode = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in mapping.value if isinstance(key, yaml.ScalarNode)]
        self.repeats = self.repeats or len(set(keys)) < len(keys)
        return mapping

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value; ``ConstructorError`` where it looks like a date or number that there is not."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise ConstructorError(None, None, str(error), node.start_mark) from error


def _repeated_fields(node: yaml.Node | None, place: tuple[str | int, ...], seen: set[int]) -> Iterator[Fault]:
    if id(node) in seen:  # an alias of what was looked at
        return
    seen.add(id(node))
    lines: dict[str | int, int] = {}
    for part, line, child in _parts(node):
        if part in lines:
            yield _twice((*place, part), lines[part], line)
        lines[part] = line
        yield from _repeated_fields(child, (*place, part), seen)


def _parts(node: yaml.Node | None) -> list[tuple[str | int, int, yaml.Node]]:
    """The fields or elements of a node, each with its line."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
        return [(key.value, key.start_mark.line + 1, value) for key, value in pairs]
    if isinstance(node, yaml.SequenceNode):
        return [(place, value.start_mark.line + 1, value) for place, value in enumerate(node.value)]
    return []


@dataclass(frozen=True, slots=True)
class _Extent:
    """How much a node is with every alias in it written out."""

    values: int
    depth: int

    @property
    def bearable(self) -> bool:
        return self.values <= MOST_VALUES and self.depth <= MOST_NESTED


def _extent(node: yaml.Node | None, known: dict[int, _Extent]) -> _Extent:
    if id(node) not in known:
        known[id(node)] = _Extent(MOST_VALUES + 1, 1)  # if it is met again below itself, it has no end
        parts = [_extent(child, known) for child in _children(node)]
        depth = 1 + max((part.depth for part in parts), default=0)
        known[id(node)] = _Extent(1 + sum(part.values for part in parts), depth)
    return known[id(node)]


def _children(node: yaml.Node | None) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _line_below(root: yaml.Node | None, place: Place) -> int:
    node, line = root, 1
    for wanted in place:
        found = [(there, child) for part, there, child in _parts(node) if part == wanted]
        if not found:
            break
        line, node = found[-1]
    return line


# --- JSON -------------------------------------------------------------------------------------------------------------


def read_json(text: str) -> Located:
    """The document in a JSON text; ``InvalidInput`` names the line where it is none."""
    text = text.removeprefix("\ufeff")
    try:
        document = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        line, reason = _json_error(str(error))
        raise _at(line, "not JSON", reason) from error
    lines = cache(lambda: _lines(text))  # read again for them only if there is a fault
    repeated = _repeated_keys(lines()) if _repeats_a_key(text) else []
    return Located(document, lambda place: _line_above(lines(), tuple(place)), tuple(repeated))


def _json_error(message: str) -> tuple[int, str]:
    """The line and the reason. Column 0 is the line break that ended the line before."""
    found = re.fullmatch(r"(.*) at line (\d+) column (\d+)", message, re.DOTALL)
    if found is None:
        return 1, message
    line, column = int(found[2]), int(found[3])
    return max(1, line - (column == 0)), found[1]


def _repeats_a_key(text: str) -> bool:
    repeats = []
    json.loads(text, object_pairs_hook=lambda pairs: repeats.append(len({key for key, _ in pairs}) < len(pairs)))
    return any(repeats)


def _repeated_keys(lines: dict[tuple[str | int, ...], list[int]]) -> list[Fault]:
    return [
        _twice(place, earlier, line)
        for place, found in lines.items()
        if len(lines.get(place[:-1], ())) < 2  # what is below a repeated field repeats with it
        for earlier, line in pairwise(found)
    ]


def _line_above(lines: dict[tuple[str | int, ...], list[int]], place: tuple[str | int, ...]) -> int:
    while place and place not in lines:
        place = place[:-1]
    return lines[place][-1] if place in lines else 1


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+')


def _lines(text: str) -> dict[tuple[str | int, ...], list[int]]:
    """The lines on which each field and element of a valid JSON text begins; more than one where a key is repeated."""
    lines: dict[tuple[str | int, ...], list[int]] = defaultdict(list)
    path: list[str | int] = []  # the key or index at which each open object or array is
    line, seen, before = 1, 0, ""
    for found in _PIECE.finditer(text):
        piece = found[0]
        line, seen = line + text.count("\n", seen, found.start()), found.start()
        is_key = bool(path) and isinstance(path[-1], str) and before in ("{", ",")
        before = piece
        if piece in ("}", "]"):
            path.pop()
        elif piece == "," and isinstance(path[-1], int):
            path[-1] += 1
        elif piece not in (",", ":"):
            if is_key:
                path[-1] = json.loads(piece)
            if is_key or (path and isinstance(path[-1], int)):
                lines[tuple(path)].append(line)
            if piece in ("{", "["):
                path.append("" if piece == "{" else 0)
    return dict(lines)


# --- both -------------------------------------------------------------------------------------------------------------

_NEITHER = "not YAML or JSON"


def _at(line: int, what: str, reason: str | None) -> InvalidInput:
    return InvalidInput.at(f"line {line}", f"line {line}: {what}: {reason}")


def _twice(place: Place, before: int, again: int) -> Fault:
    return Fault(pointer(place), f"line {again}: the field stands here again, after line {before}")


def pointer(place: Place) -> str:
    """RFC 6901; what a hostile key could do to a terminal or a log it does not."""
    parts = ("".join(c if c.isprintable() else "\ufffd" for c in str(part)[:100]) for part in place)
    return "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)
