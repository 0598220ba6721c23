"""Puts an OpenAI-compatible face, /v1/chat/completions, on a bot that speaks a protocol of its own."""

import argparse
from uuid import uuid4

from aiohttp import ClientError, ClientSession, web

BOT = web.AppKey("bot", str)
SESSIONS = web.AppKey("sessions", dict[str, str])  # the bot's session for each dialogue's `user`


async def complete(request: web.Request) -> web.Response:
    """Hand the newest message on; the bot has its persona and remembers the earlier ones by itself."""
    asked = await request.json()
    said = [message["content"] for message in asked["messages"] if message["role"] == "user"]
    sessions, dialogue = request.app[SESSIONS], asked.get("user", "")
    if len(said) == 1:  # a dialogue begins; a later run of the same suite sends the same `user`, and must be new here
        sessions[dialogue] = uuid4().hex
    if dialogue not in sessions:
        return problem(400, "this dialogue began before the adapter was started")
    told = {"session": sessions[dialogue], "character": asked["model"], "text": said[-1]}
    try:
        async with ClientSession() as client, client.post(f"{request.app[BOT]}/talk", json=told) as answer:
            if answer.status != 200:
                return problem(answer.status, f"the bot says: {await answer.text()}")
            text = (await answer.json())["answer"]
    except ClientError as error:
        return problem(503, f"the bot cannot be reached: {error}")
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response({"object": "chat.completion", "model": asked["model"], "choices": [choice]})


def problem(status: int, message: str) -> web.Response:
    """An error as OpenAI's clients know it: 5xx is tried again, 4xx is not."""
    return web.json_response({"error": {"message": message}}, status=status)


def create_app(bot: str) -> web.Application:
    """The adapter for the bot at that URL."""
    app = web.Application()
    app[BOT], app[SESSIONS] = bot, {}
    app.router.add_post("/v1/chat/completions", complete)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bot", default="http://127.0.0.1:9000")
    parser.add_argument("--port", type=int, default=9001)
    arguments = parser.parse_args()
    web.run_app(create_app(arguments.bot), host="127.0.0.1", port=arguments.port)
