"""`esrp judge evaluate`: an adapter against the human ratings that were kept back from it (the paper's Table 3)."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from esrp.errors import InvalidInput
from esrp.metrics import SCORES
from services.judge.lora.accuracy import Judged, Row, accuracy, most_frequent, published, table
from services.judge.lora.adapter import Card, read_card, recorded_split, require_prompt, write_json
from services.judge.lora.command import run
from services.judge.lora.data import Corpus, Rated, Rates, read_corpus, read_suite
from services.judge.lora.model import Lm, items, log_probabilities, open_base

BATCH = 16
COMMONEST = "commonest score"


@dataclass(frozen=True)
class Evaluation:
    """The adapter, what always giving the commonest score would reach, and the panel, over the same human ratings.

    ``unseen`` ratings are of dialogues that the adapter's split does not know; they are left out.
    """

    card: Card
    judged: tuple[Judged, ...]
    unseen: int

    def document(self) -> dict[str, Any]:
        """For a file: every number with its interval, and the paper's beside them."""
        paper = {judge: {name: cell.model_dump() for name, cell in row.items()} for judge, row in published().items()}
        return {
            "adapter": self.card.name,
            "sha256": self.card.sha256,
            "data_sha256": self.card.data.sha256,
            "judges": [asdict(one) for one in self.judged],
            "unseen": self.unseen,
            "paper": paper,
        }


def main(arguments: Sequence[str]) -> None:
    """Read the command line, evaluate, and print the table."""
    asked = _parser().parse_args(arguments)
    corpus = read_corpus(asked.dialogues, read_suite(asked.suite))
    found = evaluate(asked.adapter, corpus, corpus.human(asked.ratings), asked.base, corpus.panel(asked.panel or ()))
    if asked.out is not None:
        write_json(asked.out, found.document())
    print(table(found.judged))
    if found.unseen:
        print(f"\n{found.unseen} ratings are of dialogues that the adapter's split does not know; they are left out.")


def evaluate(
    folder: Path, corpus: Corpus, rates: Rates, base: str | None = None, panel: Rates | None = None
) -> Evaluation:
    """Score what the adapter in ``folder`` was not taught with, and compare with each human rating of it.

    ``base`` is where its base model is now. ``InvalidInput`` if the adapter was altered or trained on other prompts or
    another base, or no rating of the kept-back part is there.
    """
    card, split = read_card(folder), recorded_split(folder)
    require_prompt(card)
    parts = [split.part_of(corpus.spoken[one.dialogue].unit) for one in rates.rated]
    kept = [one for one, part in zip(rates.rated, parts, strict=True) if part == "test"]
    if not kept:
        message = f"None of the {len(rates.rated)} ratings is of a dialogue that {card.name} kept back for testing."
        raise InvalidInput.at("ratings", message)
    rows = [_row(corpus, one) for one in kept]
    judged = [accuracy(card.name, rows, _said(_with_adapter(folder, card, base), corpus, kept, card))]
    judged.append(accuracy(COMMONEST, rows, _commonest(card, kept)))
    for judge in sorted({one.rater for one in panel.rated} if panel else ()):
        given = {(one.dialogue, one.metric): one.score for one in panel.rated if one.rater == judge} if panel else {}
        judged.append(accuracy(judge, rows, given))
    return Evaluation(card, tuple(judged), parts.count(None))


def _with_adapter(folder: Path, card: Card, base: str | None) -> Lm:
    lm = open_base(base or card.base.model)
    if lm.base.config_sha256 != card.base.config_sha256:
        raise InvalidInput.at("base", f"{lm.base.model} is not the model that {card.name} was trained on.")
    lm.model = PeftModel.from_pretrained(lm.model, str(folder))
    return lm


def _said(lm: Lm, corpus: Corpus, kept: Sequence[Rated], card: Card) -> Mapping[tuple[str, str], int]:
    """The most probable score for each dialogue and metric; a prompt that is too long has none, as when serving."""
    limit = int(card.training["max_tokens"])
    asked, _ = items(lm, corpus.spoken, card.language, kept, limit)
    best = log_probabilities(lm, asked, BATCH).argmax(-1).tolist() if asked else []
    return {(item.dialogue, item.metric): SCORES[place] for item, place in zip(asked, best, strict=True)}


def _commonest(card: Card, kept: Sequence[Rated]) -> Mapping[tuple[str, str], int]:
    commonest = most_frequent(card.data.ratings["train"])
    return {(one.dialogue, one.metric): commonest[one.metric] for one in kept if one.metric in commonest}


def _row(corpus: Corpus, rated: Rated) -> Row:
    spoken = corpus.spoken[rated.dialogue]
    return Row(rated.dialogue, spoken.unit.character, spoken.scenario, rated.metric, rated.rater, rated.score)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="esrp judge evaluate", allow_abbrev=False)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--ratings", type=Path, action="append", required=True)
    parser.add_argument("--dialogues", type=Path, action="append", required=True)
    parser.add_argument("--suite", required=True)
    parser.add_argument("--base")
    parser.add_argument("--panel", type=Path, action="append")
    parser.add_argument("--out", type=Path)
    return parser


if __name__ == "__main__":
    run(main)
