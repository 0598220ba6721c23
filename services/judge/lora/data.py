"""What the judge is taught with: recorded dialogues and the ratings of them, read from files and matched."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from esrp.api import RecordedDialogue
from esrp.canonical import digest
from esrp.dialogue import Dialogue
from esrp.errors import Fault, InvalidInput
from esrp.metrics import METRIC_IDS, SCORES
from esrp.suite import BUNDLED, Suite, bundled, faults, parse_yaml
from services.judge.lora.splitting import Unit

MOST_FAULTS = 20  # as many as a person will read
RaterKind = Literal["human", "judge"]


class SpokenLine(RecordedDialogue):
    """A line of a dialogues file. ``run`` is needed where the ratings are of several runs."""

    run: str | None = None


class RatingLine(BaseModel):
    """A line of a ratings file, with the columns of ``POST /v1/ratings``; other columns are not read.

    Where ``rater_kind`` is not said, the raters are of the kind that the file is read for.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    run: str = Field(min_length=1)
    character: str
    scenario: str | None = None
    replicate: int | None = Field(None, ge=1)
    metric: str
    rater: str = Field(min_length=1)
    rater_kind: RaterKind | None = None
    score: int | None = Field(None, ge=min(SCORES), le=max(SCORES))

    @field_validator("metric")
    @classmethod
    def _is_one_of_the_nine(cls, value: str) -> str:
        if value not in METRIC_IDS:
            raise ValueError(f"{value!r} is none of {', '.join(METRIC_IDS)}")
        return value

    @field_validator("score", mode="before")
    @classmethod
    def _is_a_number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("true and false are no scores")
        return value

    @field_validator("rater_kind", mode="before")
    @classmethod
    def _is_said_or_not(cls, value: Any) -> Any:
        return value or None


@dataclass(frozen=True, slots=True)
class Spoken:
    """A recorded dialogue: ``id`` tells it from all others of the files, ``unit`` stays in one part of the split."""

    id: str
    unit: Unit
    scenario: str | None
    dialogue: Dialogue


class Rated(NamedTuple):
    """One score by one rater of one dialogue."""

    dialogue: str
    metric: str
    rater: str
    score: int


@dataclass(frozen=True)
class Rates:
    """Ratings by one kind of rater, sorted; how many lines had no score, and how many were by the other kind."""

    rated: tuple[Rated, ...]
    missing: int
    others: int


@dataclass(frozen=True)
class Corpus:
    """The dialogues of some files, and the suite that their characters are of."""

    suite: Suite
    spoken: Mapping[str, Spoken]
    runs: Mapping[tuple[str, str | None], Sequence[tuple[str | None, int, str]]]

    def human(self, paths: Iterable[Path]) -> Rates:
        """The human ratings in these files; ``InvalidInput`` names the lines that are wrong."""
        return self._rates(paths, "human")

    def panel(self, paths: Iterable[Path]) -> Rates:
        """The judges' ratings in these files, to be compared with."""
        return self._rates(paths, "judge")

    def units(self, rates: Rates) -> set[Unit]:
        """What the ratings are of."""
        return {self.spoken[id].unit for id in {rated.dialogue for rated in rates.rated}}

    def sha256(self, rates: Rates) -> str:
        """The hash of all that is learned: profiles, rated dialogues and ratings, whatever their order in the files."""
        used = sorted({rated.dialogue for rated in rates.rated})
        texts = {id: self.spoken[id].dialogue.model_dump() for id in used}
        return digest({"language": self.suite.language, "dialogues": texts, "ratings": [list(r) for r in rates.rated]})

    def _rates(self, paths: Iterable[Path], kind: RaterKind) -> Rates:
        found: dict[tuple[str, str, str], Rated] = {}
        missing = others = 0
        wrong = _Wrong()
        lines = [(path, number, line) for path in paths for number, line in _ratings(path, wrong)]
        several = len({line.run for *_, line in lines}) > 1
        for path, number, line in lines:
            if line.rater_kind not in (None, kind):
                others += 1
            elif line.score is None:
                missing += 1
            else:
                with wrong.on(path, number):
                    rated = Rated(self._meant(line, several), line.metric, line.rater, line.score)
                    if found.setdefault(rated[:3], rated) != rated:
                        raise ValueError(f"score {line.score} where another line gives {found[rated[:3]].score}")
        wrong.refuse()
        return Rates(tuple(sorted(found.values())), missing, others)

    def _meant(self, line: RatingLine, several: bool) -> str:
        """The id of the one dialogue that the line means; ``ValueError`` says why there is none."""
        there = self.runs.get((line.character, line.scenario), ())
        if several and any(run is None for run, _, _ in there):
            raise ValueError("the ratings are of several runs: every dialogue must name its `run`")
        meant = [id for run, replicate, id in there if run in (None, line.run) and line.replicate in (None, replicate)]
        if len(meant) == 1:
            return meant[0]
        what = f"character {line.character!r}, scenario {line.scenario!r} and run {line.run!r}"
        hint = "; the column `replicate` must say which" if meant else ""
        raise ValueError(f"there are {len(meant)} dialogues of {what}{hint}")


def read_suite(name_or_file: str) -> Suite:
    """The suite in a file, or a bundled one."""
    if name_or_file in BUNDLED:
        return bundled(name_or_file)
    path = Path(name_or_file)
    if not path.is_file():
        raise InvalidInput.at("suite", f"{name_or_file!r} is neither a file nor one of {', '.join(BUNDLED)}.")
    return parse_yaml(_text(path))


def read_corpus(paths: Iterable[Path], suite: Suite) -> Corpus:
    """The dialogues of JSONL files: ``{run?, character, scenario?, replicate?, turns: [{user, assistant}]}`` a line."""
    spoken: dict[str, Spoken] = {}
    runs: dict[tuple[str, str | None], list[tuple[str | None, int, str]]] = {}
    wrong = _Wrong()
    for path in paths:
        for number, line in _validated(SpokenLine, path, _jsonl(path, wrong), wrong):
            with wrong.on(path, number):
                made = _spoken(line, suite)
                if made.id in spoken:
                    raise ValueError(f"the dialogue {made.id} stands twice")
                spoken[made.id] = made
                runs.setdefault((line.character, line.scenario), []).append((line.run, line.replicate, made.id))
    wrong.refuse()
    return Corpus(suite, spoken, runs)


def counted(rated: Iterable[Rated]) -> dict[str, dict[str, int]]:
    """How often each score was given, by metric: what shows an imbalance of the classes."""
    counts = Counter((one.metric, one.score) for one in rated)
    return {metric: {str(score): counts[metric, score] for score in SCORES} for metric in METRIC_IDS}


# --- reading ----------------------------------------------------------------------------------------------------------

Line = TypeVar("Line", bound=BaseModel)
Records = Iterator[tuple[int, Any]]


class _Wrong:
    """Collects what is wrong with lines, so that all of it is told at once."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def on(self, path: Path, number: int) -> "_On":
        """Within it, a ``ValueError`` is a fault of that line."""
        return _On(self, path, number)

    def add(self, path: Path, number: int, message: str) -> None:
        """One more."""
        self._faults.append(Fault(f"{path}, line {number}", message))

    def refuse(self) -> None:
        """``InvalidInput`` if anything is wrong."""
        if self._faults:
            first = self._faults[0]
            more = f" (and {len(self._faults) - 1} more)" if len(self._faults) > 1 else ""
            raise InvalidInput(f"{first.pointer}: {first.message}{more}", errors=self._faults[:MOST_FAULTS])


@dataclass(frozen=True)
class _On:
    wrong: _Wrong
    path: Path
    number: int

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> bool:
        if isinstance(error, ValidationError):
            self.wrong.add(self.path, self.number, _told(error))
        elif isinstance(error, ValueError):
            self.wrong.add(self.path, self.number, str(error))
        return isinstance(error, ValueError)


def _spoken(line: SpokenLine, suite: Suite) -> Spoken:
    try:
        character = suite.character(line.character)
    except KeyError:
        raise ValueError(f"the suite has no character {line.character!r}") from None
    said = [turn.model_dump() for turn in line.turns]
    name = line.scenario or f"#{digest(said)[:16]}"  # no scenario's id begins so
    return Spoken(
        id="/".join((line.run or "-", line.character, name, str(line.replicate))),
        unit=Unit(line.character, name),
        scenario=line.scenario,
        # The judge is not told the scenario: of the suite only the characters count.
        dialogue=Dialogue(character=character, scenario=None, turns=tuple(line.turns), replicate=line.replicate),
    )


def _ratings(path: Path, wrong: _Wrong) -> Iterator[tuple[int, RatingLine]]:
    records = _jsonl(path, wrong) if _text(path).lstrip().startswith("{") else _csv(path, wrong)
    return _validated(RatingLine, path, records, wrong)


def _validated(model: type[Line], path: Path, records: Records, wrong: _Wrong) -> Iterator[tuple[int, Line]]:
    for number, record in records:
        with wrong.on(path, number):
            yield number, model.model_validate(record)


def _jsonl(path: Path, wrong: _Wrong) -> Records:
    # Not splitlines: JSON strings may hold U+2028 and others that it takes for the end of a line.
    for number, text in enumerate(_text(path).split("\n"), 1):
        if not text.strip():
            continue
        try:
            yield number, json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            wrong.add(path, number, f"this is not JSON: {error}")


def _csv(path: Path, wrong: _Wrong) -> Records:
    """The records of a CSV file with a header; an empty field is ``None``."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    needed = [name for name, field in RatingLine.model_fields.items() if field.is_required()] + ["scenario", "score"]
    try:
        if lacking := [name for name in needed if name not in (reader.fieldnames or ())]:
            return wrong.add(path, 1, f"the header lacks {', '.join(lacking)}")
        for record in reader:
            if None in record or None in record.values():
                wrong.add(path, reader.line_num, "there are more or fewer fields than the header names")
            else:
                yield reader.line_num, {name: value.strip() or None for name, value in record.items()}
    except csv.Error as error:
        wrong.add(path, reader.line_num, f"this is not CSV: {error}")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput.at(str(path), f"{path} is not UTF-8 (byte {error.start}).") from error
    except OSError as error:
        raise InvalidInput.at(str(path), f"{path} cannot be read: {error.strerror}.") from error


def _told(error: ValidationError) -> str:
    return "; ".join(f"{fault.pointer}: {fault.message}" for fault in faults(error.errors()))
