"""What a report does not show: kept as facts, worded when it is read."""

from string import Formatter

import pytest
from pydantic import ValidationError

from esrp.limits import WORDS, Code, Limit, dumped, limit, loaded, worded


def test_a_limit_names_its_facts() -> None:
    assert worded(
        [
            limit("judge_scored_fewer", judge="a", scored=3, dialogues=4),
            limit("judges_not_validated", judges=("a", "b")),
            limit("suite_alone", suite="{mine}@1"),
        ]
    ) == [
        "Judge a scored 3 of 4 dialogues; elsewhere the others' scores stand.",
        "Not validated as a judge: a, b (its card says what is lacking); scores may be biased.",
        "It speaks of the characters and situations of {mine}@1; other cultures may differ.",
    ]


@pytest.mark.parametrize("code", WORDS)
def test_every_limit_is_the_same_when_it_is_read_again(code: Code) -> None:
    names = [name for _, name, _, _ in Formatter().parse(WORDS[code]) if name]
    one = limit(code, **{name: (name, "more") for name in names})
    assert loaded(dumped([one])) == (one,)
    assert all(f"{name}, more" in one.words for name in names)


def test_a_limit_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError):
        Limit.model_validate({"code": "of_old"})
