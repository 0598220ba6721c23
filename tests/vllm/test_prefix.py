"""Character and dialogue first, metric last: nine prompts share what comes first."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from services.judge.lora.rater import request_body
from services.judge.lora.tokenizing import load_tokenizer
from tests.vllm.service import JudgeService, played

ENOUGH = 2.5  # times fewer; what it comes to depends on how long dialogues are
DIALOGUES = played(12, after=100)  # that no other test asks for


def computed(service: JudgeService, work: Callable[[], None]) -> tuple[float, float]:
    """Prompt tokens that vLLM was asked, and that it did not find in its cache."""
    names = ("prompt_tokens", "prefix_cache_hits")
    before = [service.counted(name) for name in names]
    work()
    tokens, hits = (service.counted(name) - start for name, start in zip(names, before, strict=True))
    return tokens, tokens - hits


def ask_dialogue_first(service: JudgeService) -> None:
    """As the judge asks."""
    for dialogue in DIALOGUES:
        service.scores([dialogue])


def ask_metric_first(service: JudgeService, base: Path) -> None:
    """The same tokens in the other order: what stands last in ours stands first."""
    tokenizer = load_tokenizer(base)
    for dialogue in DIALOGUES:
        asked = tokenizer.asked(dialogue, "zh")
        shared = next(n for n, ids in enumerate(zip(*asked.prompts, strict=False)) if len(set(ids)) > 1)
        turned = replace(asked, prompts=[prompt[shared:] + prompt[:shared] for prompt in asked.prompts])
        body = request_body(service.model, turned, tokenizer.score_ids)
        assert service.vllm.post("/v1/completions", json=body).status_code == 200


def test_dialogue_first_computes_far_fewer_prompt_tokens_than_metric_first(service: JudgeService, base: Path) -> None:
    asked, ours = computed(service, lambda: ask_dialogue_first(service))
    asked_turned, theirs = computed(service, lambda: ask_metric_first(service, base))
    print(
        f"\n{len(DIALOGUES)} dialogues × 9, {asked:.0f} prompt tokens:"
        f" computed {ours:.0f} dialogue first, {theirs:.0f} metric first ({theirs / ours:.1f} ×)"
    )
    assert asked == asked_turned
    assert theirs >= ENOUGH * ours
