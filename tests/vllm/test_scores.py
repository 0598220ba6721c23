"""The scores that the service gives are those of the model, whatever serves it."""

from pathlib import Path

from esrp.metrics import METRIC_IDS
from services.judge.lora.adapter import recorded_split
from services.judge.lora.data import Corpus, Rates
from tests.vllm.service import JudgeService, played
from tests.vllm.tiny import reference

CLOSE = 1e-4  # measured: 2.5e-6


def largest_difference(some: list[list[float]], others: list[list[float]]) -> float:
    return max(abs(a - b) for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=True))


def test_distributions_are_those_of_transformers_and_peft(service: JudgeService, base: Path, made: Path) -> None:
    dialogues = played(10)
    expected = reference(base, made, dialogues)
    given = service.distributions(dialogues)
    assert len(given) == 90
    difference = largest_difference(given, expected)
    print(f"\n90 prompts, largest difference from transformers + peft: {difference:.1e}")
    assert difference <= CLOSE
    assert len({max(range(5), key=one.__getitem__) for one in given}) > 1, (
        "a judge that always says the same is no test"
    )


def test_who_was_taught_separable_ratings_hits_all_that_were_kept_back_when_served(
    service: JudgeService, made: Path, corpus: Corpus, rates: Rates
) -> None:
    split = recorded_split(made)
    kept = [one for one in rates.rated if split.part_of(corpus.spoken[one.dialogue].unit) == "test"]
    scored = service.scores([corpus.spoken[one.dialogue].dialogue for one in kept], "en")
    assert service.model == made.name and len(kept) == 40
    assert [one["scores"][asked.metric]["rating"] for one, asked in zip(scored, kept, strict=True)] == [
        one.score for one in kept
    ]


def test_the_rating_is_the_most_probable_score(service: JudgeService) -> None:
    (scored,) = service.scores(played(1))
    assert scored["error"] is None and tuple(scored["scores"]) == METRIC_IDS
    for score in scored["scores"].values():
        assert abs(sum(score["distribution"]) - 1) < 1e-9
        assert score["rating"] == 1 + max(range(5), key=score["distribution"].__getitem__)


def test_a_prompt_that_is_longer_than_the_models_context_is_a_fault_of_that_dialogue_alone(
    service: JudgeService,
) -> None:
    short, other = played(2)
    character = short.character.model_copy(update={"profile": short.character.profile * 20})
    long, fine = service.scores([short.model_copy(update={"character": character}), other])
    assert (long["error"]["code"], long["error"]["retryable"]) == ("bad_request", False)
    assert "context length" in long["error"]["message"]
    assert fine["error"] is None
