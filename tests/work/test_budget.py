"""What one call may cost at most."""

from services.work.budget import UNKNOWN_LENGTH, Amount, bound

MESSAGES = [{"role": "user", "content": "你好"}]
BYTES = len('[{"role":"user","content":"') + 6 + len('"}]')


def test_a_call_costs_at_most_a_token_a_byte_and_its_limit() -> None:
    price = {"prompt_per_million": 1.0, "completion_per_million": 2.0}
    assert bound({"messages": MESSAGES, "max_tokens": 100}, price) == Amount(
        1, BYTES + 100, (BYTES + 2 * 100) / 1_000_000
    )


def test_an_answer_without_a_limit_is_taken_to_be_long() -> None:
    assert bound({"messages": MESSAGES}, None).tokens == BYTES + UNKNOWN_LENGTH


def test_of_two_limits_the_larger_may_be_the_one_that_the_endpoint_reads() -> None:
    body = {"messages": MESSAGES, "max_tokens": 256, "max_completion_tokens": 4000}
    assert bound(body, None).tokens == BYTES + 4000


def test_tools_are_part_of_the_prompt() -> None:
    body = {"messages": MESSAGES, "max_tokens": 1, "tools": [{"type": "function"}]}
    assert bound(body, None).tokens == BYTES + 1 + len('[{"type":"function"}]')
