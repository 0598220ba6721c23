"""The adapter puts a chat endpoint on a bot with a protocol and a memory of its own."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from services.kit.chat import ChatClient
from services.kit.endpoint import ChatError, Endpoint
from tests.examples.running import Adapted, adapted, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bot() -> AsyncIterator[Adapted]:
    """One bot and adapter for all these tests; each test takes `user` values of its own."""
    async with adapted() as running:
        yield running


async def test_a_dialogue_is_one_session_and_the_next_dialogue_another(bot: Adapted) -> None:
    before = len(await bot.heard())
    first = await say(bot, "u1", "My kettle broke.")
    await say(bot, "u2", "I moved house.")
    later = await say(bot, "u1", "My kettle broke.", first, "It was my mother's.")
    assert "My kettle broke." in later
    assert (await bot.heard())[before:] == [
        ("wren", ["My kettle broke.", "It was my mother's."]),
        ("wren", ["I moved house."]),
    ]


async def test_a_dialogue_that_begins_again_is_remembered_by_nobody(bot: Adapted) -> None:
    first = await say(bot, "u3", "Old news.")
    assert await say(bot, "u3", "Fresh news.") == first
    assert "Fresh news." in await say(bot, "u3", "Fresh news.", first, "And more.")


async def test_the_model_id_is_the_character(bot: Adapted) -> None:
    assert await say(bot, "u4", "Hello", model="bastian") != await say(bot, "u5", "Hello", model="wren")


@pytest.mark.parametrize(
    ("model", "words", "says"),
    [("nobody", ("Hello",), "nobody here is called"), ("wren", ("Hello", "Hi", "And?"), "before the adapter")],
)
async def test_what_cannot_be_answered_is_refused_with_the_reason(
    bot: Adapted, model: str, words: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ChatError) as caught:
        await say(bot, f"to {model}", *words, model=model)
    assert (says in caught.value.message, caught.value.retryable) == (True, False)


async def test_a_bot_that_is_away_is_worth_another_try() -> None:
    async with serving("adapter.py", "--bot", "http://127.0.0.1:1") as url:
        with pytest.raises(ChatError) as caught:
            await say(Adapted(f"{url}/v1", ""), "u7", "Hello")
    assert ("cannot be reached" in caught.value.message, caught.value.retryable) == (True, True)


async def test_a_plain_client_needs_no_more_than_a_model_and_messages(bot: Adapted) -> None:
    async with httpx2.AsyncClient() as client:
        asked = {"model": "wren", "messages": [{"role": "user", "content": "Hello"}]}
        answer: dict[str, Any] = (await client.post(f"{bot.base_url}/chat/completions", json=asked)).json()
    assert (answer["object"], answer["choices"][0]["message"]["role"]) == ("chat.completion", "assistant")


async def say(bot: Adapted, user: str, *words: str, model: str = "wren") -> str:
    """The bot's answer to words of the user and of the bot in turn, as the service's own client gets it."""
    client = ChatClient()
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(words)]
    try:
        endpoint = Endpoint(base_url=bot.base_url, model=model)
        return (await client.complete(endpoint, {"model": model, "messages": messages, "user": user})).text
    finally:
        await client.close()
